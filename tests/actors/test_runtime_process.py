"""Daemons as processes, with a real Ray: what their end, sudden or orderly, leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from actors import leftovers
from conductor.domain.errors import Unavailable
from tests.actors import echo


class Daemon:
    """echo.py run as a program: a daemon with one host, in a process group of its own like one in a terminal."""

    def __init__(self, home: Path, address: str = "", environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, echo.__file__, str(home), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment or {name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        )
        self.first = self._read()

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        out: IO[str] | None = self.process.stdout
        assert out is not None
        # What Ray itself may print is not JSON.
        for line in out:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError("the daemon ended without an answer")

    def processes(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons that the test may kill."""
    made: list[Daemon] = []

    def make(home: Path, address: str = "", environment: dict[str, str] | None = None) -> Daemon:
        made.append(Daemon(home, address, environment))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()
    for home in tmp_path.iterdir():
        leftovers.clear(home / "ray")


@dataclass(frozen=True, slots=True)
class Living:
    """A daemon that the tests of this module share, and its home."""

    home: Path
    daemon: Daemon


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    home = tmp_path_factory.mktemp("living")
    daemon = Daemon(home)
    yield Living(home, daemon)
    daemon.close()
    leftovers.clear(home / "ray")


def of_the_cluster(**token: str) -> dict[str, str]:
    """The environment of a daemon that joins the living one's Ray, which is a cluster like any other."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return own | {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} | token


def test_after_kill_9_of_the_daemon_the_next_start_ends_what_it_left(
    tmp_path: Path, daemons: Callable[..., Daemon]
) -> None:
    home = tmp_path / "home"
    killed = daemons(home)
    old = killed.processes()
    # A host that is frozen does not see its raylet go: woken later it could still write.
    os.kill(killed.first["host"], signal.SIGSTOP)
    killed.close()

    following = daemons(home)

    assert len(old) >= 5
    assert not any(leftovers.still_runs(process) for process in old)
    assert any("Ended" in line for line in following.first["progress"])
    assert following.ask("ask")["answer"] == "asked"


def test_while_a_daemon_runs_a_second_one_is_refused_and_ends_nothing(living: Living) -> None:
    with pytest.raises(Unavailable, match=str(living.daemon.process.pid)):
        leftovers.sweep(living.home / "ray")

    assert living.daemon.ask("ask")["answer"] == "asked"


def test_ctrl_c_in_the_terminal_reaches_the_daemon_and_leaves_ray_to_it(living: Living) -> None:
    processes = living.daemon.processes()

    os.killpg(living.daemon.process.pid, signal.SIGINT)
    answers = [living.daemon.ask("ask") for _ in range(20)]

    assert answers[-1] == {"answer": "asked", "interrupted": 1, "host": living.daemon.first["host"], "missing": []}
    assert all(leftovers.still_runs(process) for process in processes)


def test_stop_releases_ray_at_once_and_leaves_nothing(tmp_path: Path, daemons: Callable[..., Daemon]) -> None:
    home = tmp_path / "home"
    daemon = daemons(home)
    old = daemon.processes()

    stopped = daemon.ask("stop")

    print(f"stop took {stopped['stop_s']:.2f} s")
    assert stopped["stop_s"] < 3
    assert stopped["in_flight"] == "HostLost"
    assert stopped["after"] == "HostLost"
    assert not any(leftovers.still_runs(process) for process in old)
    assert list((home / "ray").iterdir()) == []
    assert daemon.process.wait(10) == 0


def test_a_daemon_joins_a_running_cluster_and_leaves_it_running(
    tmp_path: Path, living: Living, daemons: Callable[..., Daemon]
) -> None:
    environment = of_the_cluster(RAY_AUTH_TOKEN_PATH=str(living.home / "ray.token"))
    guest = daemons(tmp_path / "guest", living.daemon.first["address"], environment)

    answer = guest.ask("ask")["answer"]
    stopped = guest.ask("stop")

    assert (answer, stopped["after"]) == ("asked", "HostLost")
    assert living.daemon.ask("ask")["answer"] == "asked"


def test_a_daemon_with_another_token_is_not_let_in(
    tmp_path: Path, living: Living, daemons: Callable[..., Daemon]
) -> None:
    environment = of_the_cluster(RAY_AUTH_TOKEN="of another cluster", RAY_NUM_REDIS_GET_RETRIES="1")

    guest = daemons(tmp_path / "guest", living.daemon.first["address"], environment)

    assert guest.first["refused"] == "unavailable"
    assert "RAY_AUTH_TOKEN_PATH" in guest.first["message"]


def test_a_daemon_learns_that_a_part_of_its_ray_died(tmp_path: Path, daemons: Callable[..., Daemon]) -> None:
    daemon = daemons(tmp_path / "home")
    raylet = next(process for process in daemon.processes() if process.name() == "raylet")

    raylet.kill()
    while not (missing := daemon.ask("ask")["missing"]):
        pass

    assert missing == ["raylet"]
