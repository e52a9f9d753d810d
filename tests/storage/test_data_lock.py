"""Only one process writes a store, and the lock never outlives it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conductor.domain import errors
from storage import data_lock
from tests.support.postgres import Cluster, Urls

HOLD = "import sys; from storage import data_lock; lock = data_lock.for_url(sys.argv[1]); lock.acquire(); print('held')"


@contextmanager
def another_holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes the lock and keeps it until it is ended."""
    command = [sys.executable, "-c", f"{HOLD}; sys.stdout.flush(); sys.stdin.read()", url]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def until_free(url: str) -> bool:
    """PostgreSQL notices the end of a client a moment later."""
    deadline = time.monotonic() + 10
    while data_lock.is_held(url):
        if time.monotonic() > deadline:
            return False
    return True


def test_a_store_is_held_from_taking_the_lock_to_giving_it_back(database_url: str) -> None:
    before = data_lock.is_held(database_url)
    with data_lock.for_url(database_url):
        during = data_lock.is_held(database_url)

    assert (before, during, data_lock.is_held(database_url)) == (False, True, False)


def test_a_second_process_is_refused_with_the_pid_of_the_first(database_url: str) -> None:
    with another_holder(database_url) as first:
        with pytest.raises(errors.Unavailable) as refused:
            data_lock.for_url(database_url).acquire()

        assert f"{first.pid}" in refused.value.message
        assert refused.value.retryable


def test_a_second_lock_in_the_same_process_is_refused_too(database_url: str) -> None:
    with data_lock.for_url(database_url), pytest.raises(errors.Unavailable, match="only one may write it"):
        data_lock.for_url(database_url).acquire()


def test_the_lock_of_a_killed_process_is_free(database_url: str) -> None:
    with another_holder(database_url) as first:
        first.kill()
        first.wait()
        assert until_free(database_url)

        with data_lock.for_url(database_url):
            pass


def test_a_given_back_lock_can_be_taken_again(database_url: str) -> None:
    lock = data_lock.for_url(database_url)
    for _ in range(3):
        lock.acquire()
        lock.release()
        lock.release()

    with data_lock.for_url(database_url):
        pass


def test_renewing_keeps_a_lock(database_url: str) -> None:
    with data_lock.for_url(database_url) as lock:
        lock.renew()

        assert data_lock.is_held(database_url)


def test_a_link_to_the_file_meets_the_lock_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")

    with data_lock.for_url(str(tmp_path / "real.db")):
        assert data_lock.is_held(str(tmp_path / "link.db"))
        with pytest.raises(errors.Unavailable):
            data_lock.for_url(str(tmp_path / "link.db")).acquire()


def test_the_lock_file_lies_beside_the_database_for_its_owner_alone(tmp_path: Path) -> None:
    with data_lock.for_url(str(tmp_path / "conductor.db")):
        mode = stat.S_IMODE((tmp_path / "conductor.db.lock").stat().st_mode)

    assert mode == 0o600


def test_looking_whether_a_store_is_held_makes_no_file(tmp_path: Path) -> None:
    held = data_lock.is_held(str(tmp_path / "conductor.db"))

    assert not held
    assert list(tmp_path.iterdir()) == []


def test_looking_never_costs_anybody_the_lock(tmp_path: Path) -> None:
    url = str(tmp_path / "conductor.db")
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            data_lock.is_held(url)

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(50):
            with data_lock.for_url(url):
                pass
    finally:
        is_over.set()
        for thread in looking:
            thread.join()


def test_a_removed_lock_file_is_made_again_by_renewing(tmp_path: Path) -> None:
    url = str(tmp_path / "conductor.db")
    with data_lock.for_url(url) as lock:
        (tmp_path / "conductor.db.lock").unlink()

        lock.renew()

        with pytest.raises(errors.Unavailable, match=str(os.getpid())):
            data_lock.for_url(url).acquire()


def test_a_missing_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="Make its folder"):
        data_lock.for_url(str(tmp_path / "nowhere" / "x.db")).acquire()


def test_a_restart_of_the_server_costs_the_lock_until_it_is_renewed(postgres_cluster: Cluster) -> None:
    url = postgres_cluster.create_database("renewed").single
    with data_lock.for_url(url) as lock:
        postgres_cluster.restart()
        lost = not data_lock.is_held(url)

        lock.renew()

        assert lost
        assert data_lock.is_held(url)


def test_renewing_fails_when_another_daemon_was_faster(postgres_database: Urls) -> None:
    url = postgres_database.single
    with data_lock.for_url(url) as first:
        end_sessions(url)
        with data_lock.for_url(url), pytest.raises(errors.Unavailable, match="only one may write it"):
            first.renew()


def test_two_databases_of_one_server_have_each_their_own_lock(postgres_cluster: Cluster) -> None:
    one, other = (postgres_cluster.create_database(name).single for name in ("one", "other"))

    with data_lock.for_url(one):
        assert not data_lock.is_held(other)
        with data_lock.for_url(other):
            pass


def end_sessions(url: str) -> None:
    """End the other sessions of this database, as an impatient administrator would."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
        )
