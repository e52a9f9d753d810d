"""Opening a database: what connections are made to hold, and what is refused."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, exc

from conductor.domain import errors
from storage import outages
from storage.engine import open_engine, prepare_sqlite, require_durable, require_plain_role
from tests.support.postgres import Cluster, Server, Urls


def opened(url: str, *, read_only: bool = False, pool_size: int = 2, statement_timeout_s: float = 5) -> Engine:
    return open_engine(url, read_only=read_only, pool_size=pool_size, statement_timeout_s=statement_timeout_s)


def ask(engine: Engine, statement: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar()


def test_a_new_sqlite_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    engine = opened(str(tmp_path / "new.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


@pytest.mark.parametrize("read_only", [False, True])
def test_every_sqlite_connection_is_durable_and_keeps_references_and_triggers(tmp_path: Path, read_only: bool) -> None:
    url = str(tmp_path / "x.db")
    opened(url).dispose()

    engine = opened(url, read_only=read_only, statement_timeout_s=2.5)

    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1, "busy_timeout": 2500}
    assert {name: ask(engine, f"PRAGMA {name}") for name in wanted} == wanted
    assert ask(engine, "PRAGMA query_only") == int(read_only)


def test_a_file_that_cannot_carry_a_write_ahead_log_is_refused_with_what_to_do() -> None:
    # Memory cannot carry one either, and needs no network file system.
    connection = sqlite3.connect(":memory:", isolation_level=None)

    with pytest.raises(errors.Invalid, match="name a file on a local disk with CONDUCTOR_DB"):
        prepare_sqlite(connection, Path("/mnt/share/x.db"), read_only=False, busy_ms=10)

    connection.close()


def test_a_file_that_another_program_holds_is_an_outage_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "held.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("CREATE TABLE t (a)")

    with pytest.raises(errors.Unavailable, match="did not come free") as refused:
        opened(str(path), statement_timeout_s=0.1)

    assert str(path) in refused.value.message
    holder.close()


def test_a_missing_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="Make its folder"):
        opened(str(tmp_path / "nowhere" / "x.db"))


def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="conductor up"):
        opened(str(tmp_path / "none.db"), read_only=True)

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Anna, " * 1000)

    with pytest.raises(errors.Invalid, match="not a SQLite database"):
        opened(str(path))

    assert path.read_text() == "Dear Anna, " * 1000


def test_a_reader_changes_nothing(database_url: str) -> None:
    opened(database_url)
    reader = opened(database_url, read_only=True)

    with pytest.raises(exc.DBAPIError) as refused, reader.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer)")

    assert outages.outage_of(refused.value) is outages.Outage.READ_ONLY


def test_a_sqlite_writer_holds_the_file_from_its_first_statement(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    first, second = opened(url), opened(url, statement_timeout_s=0.05)

    with first.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(exc.OperationalError) as refused, second.begin() as other:
            other.exec_driver_sql("SELECT 1")

    assert outages.outage_of(refused.value) is outages.Outage.HELD


def test_a_refused_sqlite_writer_serves_again_when_the_file_is_free(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    first, second = opened(url), opened(url, statement_timeout_s=0.05)
    with first.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        with pytest.raises(exc.OperationalError), second.begin() as other:
            other.exec_driver_sql("SELECT 1")

    with second.begin() as other:
        other.exec_driver_sql("INSERT INTO t VALUES (1)")

    assert ask(first, "SELECT count(*) FROM t") == 1


def test_a_sqlite_reader_neither_waits_for_the_writer_nor_sees_its_half(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    writer, reader = opened(url), opened(url, read_only=True, statement_timeout_s=0.05)
    with writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")

    with writer.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        seen = ask(reader, "SELECT count(*) FROM t")

    assert seen == 0


def test_a_block_that_raises_leaves_nothing_behind(database_url: str) -> None:
    engine = opened(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a integer)")

    def break_off() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            raise KeyError

    with pytest.raises(KeyError):
        break_off()

    assert ask(engine, "SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_every_postgresql_connection_bounds_its_waits_and_speaks_utc(postgres_database: Urls, read_only: bool) -> None:
    engine = opened(postgres_database.serving, read_only=read_only, statement_timeout_s=10)

    wanted = {
        "TimeZone": "UTC",
        "statement_timeout": "10s",
        "lock_timeout": "8s",
        "idle_in_transaction_session_timeout": "6s",
        "default_transaction_read_only": "on" if read_only else "off",
        "application_name": "conductor",
        "client_encoding": "UTF8",
    }
    assert {name: ask(engine, f"SELECT current_setting('{name}')") for name in wanted} == wanted


def test_a_postgresql_reader_survives_a_restart_of_the_server(postgres_cluster: Cluster) -> None:
    reader = opened(postgres_cluster.create_database("restarted").single, read_only=True)
    ask(reader, "SELECT 1")

    postgres_cluster.restart()

    assert ask(reader, "SELECT 1") == 1


def test_a_server_that_does_not_answer_is_an_outage_that_says_why_and_tells_no_password(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="No such file or directory") as refused:
        opened(f"postgresql://anna:geheim@/conductor?host={tmp_path}")

    assert "PostgreSQL conductor on" in refused.value.message
    assert "geheim" not in refused.value.message


def test_a_database_that_does_not_exist_is_named(postgres: Server) -> None:
    with pytest.raises(errors.Unavailable, match='database "nowhere" does not exist'):
        opened(postgres.superuser_url("nowhere"))


def test_a_database_whose_texts_are_not_utf8_is_refused(postgres: Server) -> None:
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS latin")
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")

    with pytest.raises(errors.Invalid, match="ENCODING 'UTF8'"):
        opened(postgres.superuser_url("latin"))

    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE latin")


def test_a_usual_database_is_durable(database_url: str) -> None:
    engine = opened(database_url)

    require_durable(engine)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_postgresql_that_would_lose_acknowledged_changes_is_refused(setting: str) -> None:
    with Cluster(settings={setting: "off"}) as cluster:
        engine = opened(cluster.create_database("lossy").single)

        with pytest.raises(errors.Invalid, match=f"ALTER SYSTEM SET {setting} = on"):
            require_durable(engine)

        engine.dispose()


def test_an_ordinary_role_may_serve(database_url: str) -> None:
    engine = opened(database_url)

    require_plain_role(engine, allow_superuser=False)


def test_a_superuser_is_refused_with_the_sql_that_makes_a_right_role(postgres: Server, postgres_database: Urls) -> None:
    engine = opened(postgres.superuser_url(postgres_database.database))

    with pytest.raises(errors.Invalid, match="CREATE ROLE conductor LOGIN") as refused:
        require_plain_role(engine, allow_superuser=False)

    assert "is a superuser" in refused.value.message
    engine.dispose()


def test_a_superuser_may_serve_when_the_settings_say_so(postgres: Server, postgres_database: Urls) -> None:
    engine = opened(postgres.superuser_url(postgres_database.database))

    require_plain_role(engine, allow_superuser=True)

    engine.dispose()


def test_a_role_that_passes_row_security_is_refused(postgres: Server) -> None:
    urls = postgres.create_database("passing")
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute("ALTER ROLE passing_server BYPASSRLS")
    engine = opened(urls.serving)

    with pytest.raises(errors.Invalid, match="has BYPASSRLS"):
        require_plain_role(engine, allow_superuser=False)

    engine.dispose()
    postgres.drop_database(urls)
