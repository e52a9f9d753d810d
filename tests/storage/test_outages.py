"""Which errors of a database pass by themselves, and what is left of a transaction after one."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, exc

from conductor.domain import errors
from storage import outages
from storage.engine import open_engine
from storage.outages import Outage
from tests.support.postgres import Cluster, StopMode, Urls


def opened(url: str, *, read_only: bool = False, statement_timeout_s: float = 5) -> Engine:
    return open_engine(url, read_only=read_only, pool_size=2, statement_timeout_s=statement_timeout_s)


@pytest.fixture
def engine(database_url: str) -> Engine:
    engine = opened(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer PRIMARY KEY, b text NOT NULL)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    return engine


def fill(connection: Connection) -> None:
    """Write into a file that may not grow until SQLite says that it is full."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", (3, "x" * 1_000_000))


@pytest.mark.parametrize(
    "wrong",
    ["INSERT INTO t VALUES (1, 'again')", "INSERT INTO t VALUES (3, NULL)"],
    ids=["a key that exists", "a value that is missing"],
)
def test_a_broken_rule_is_no_outage(engine: Engine, wrong: str) -> None:
    with pytest.raises(exc.DBAPIError) as refused, engine.begin() as connection:
        connection.exec_driver_sql(wrong)

    assert not outages.is_outage(refused.value)
    assert outages.is_integrity(refused.value)


def test_wrong_sql_is_no_outage(engine: Engine) -> None:
    with pytest.raises(exc.DBAPIError) as refused, engine.begin() as connection:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")

    assert not outages.is_outage(refused.value)
    assert not outages.is_integrity(refused.value)


def test_a_full_disk_is_told_from_other_outages(tmp_path: Path) -> None:
    engine = opened(str(tmp_path / "x.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a, b)")

    with pytest.raises(exc.OperationalError) as refused, engine.begin() as connection:
        fill(connection)

    assert outages.is_full(refused.value)


def test_a_transaction_that_a_full_disk_ended_is_seen_to_be_over(tmp_path: Path) -> None:
    engine = opened(str(tmp_path / "x.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a, b)")
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'lost')")

        with pytest.raises(exc.OperationalError):
            fill(connection)

        assert not outages.is_transaction_open(connection)


def test_a_transaction_is_open_from_its_first_statement_to_its_end(engine: Engine) -> None:
    with engine.connect() as connection:
        before = outages.is_transaction_open(connection)
        connection.exec_driver_sql("SELECT 1")
        during = outages.is_transaction_open(connection)
        connection.rollback()
        after = outages.is_transaction_open(connection)

    assert (before, during, after) == (False, True, False)


def test_a_postgresql_transaction_is_over_after_any_error(postgres_database: Urls) -> None:
    with opened(postgres_database.single).connect() as connection:
        with pytest.raises(exc.ProgrammingError):
            connection.exec_driver_sql("SELECT nothing")

        assert not outages.is_transaction_open(connection)


def test_a_damaged_file_is_an_outage_that_asks_for_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (a)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
    made.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 10)
    engine = opened(str(path))

    with pytest.raises(errors.Unavailable, match="restore the latest backup"), outages.answered(), engine.begin() as tx:
        tx.exec_driver_sql("SELECT * FROM t").all()


def test_a_pool_without_a_free_connection_is_an_outage(tmp_path: Path) -> None:
    engine = opened(str(tmp_path / "x.db"), statement_timeout_s=0.05)

    with engine.connect(), pytest.raises(exc.TimeoutError) as refused:
        engine.connect()

    assert outages.outage_of(refused.value) is Outage.HELD


def test_a_statement_that_takes_too_long_is_ended(postgres_database: Urls) -> None:
    engine = opened(postgres_database.single, statement_timeout_s=0.5)

    with pytest.raises(exc.DBAPIError) as refused, engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(30)")

    assert outages.outage_of(refused.value) is Outage.SLOW


def test_a_wait_for_a_row_is_ended_before_the_statement_is(postgres_database: Urls) -> None:
    engine = opened(postgres_database.single, statement_timeout_s=1)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    holder = opened(postgres_database.single, statement_timeout_s=60)

    with holder.begin() as connection:
        connection.exec_driver_sql("SELECT a FROM t FOR SHARE")
        with pytest.raises(exc.DBAPIError) as refused, engine.begin() as other:
            other.exec_driver_sql("UPDATE t SET a = 2")

    assert outages.outage_of(refused.value) is Outage.HELD


def test_a_frozen_holder_of_a_row_is_outwaited(postgres_database: Urls) -> None:
    frozen = opened(postgres_database.single, statement_timeout_s=2)
    with frozen.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    other = opened(postgres_database.single, statement_timeout_s=2)

    with frozen.connect() as holder:
        holder.exec_driver_sql("SELECT a FROM t FOR SHARE")
        with other.begin() as connection:
            changed = connection.exec_driver_sql("UPDATE t SET a = 2").rowcount
        with pytest.raises(exc.DBAPIError) as refused:
            holder.exec_driver_sql("UPDATE t SET a = 3")

    assert changed == 1
    assert outages.is_outage(refused.value)


def test_one_of_two_that_wait_for_each_other_is_told_to_try_again(postgres_database: Urls) -> None:
    engine = opened(postgres_database.single, statement_timeout_s=30)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer, b integer)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 0), (2, 0)")
    both_hold = threading.Barrier(2)
    met: list[BaseException] = []

    def change(first: int, second: int) -> None:
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE t SET b = 1 WHERE a = %s", (first,))
                both_hold.wait(timeout=30)
                connection.exec_driver_sql("UPDATE t SET b = 1 WHERE a = %s", (second,))
        except exc.DBAPIError as error:
            met.append(error)

    threads = [threading.Thread(target=change, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert [outages.is_conflict(error) for error in met] == [True]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_goes_away_is_an_outage_and_the_writer_serves_again_after_it(
    postgres_cluster: Cluster, end: str
) -> None:
    engine = opened(postgres_cluster.create_database("away").single)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        postgres_cluster.kill() if end == "kill" else postgres_cluster.stop(StopMode.FAST)

        with pytest.raises(errors.Unavailable, match="cannot be reached") as told, outages.answered():
            connection.exec_driver_sql("SELECT 1")

    postgres_cluster.start()
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert told.value.wait_s is not None


def test_other_errors_leave_as_they_are() -> None:
    with pytest.raises(KeyError), outages.answered():
        raise KeyError
