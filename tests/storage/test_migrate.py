"""A database comes to this release's schema whole or not at all, and that schema is the one of storage/tables."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from conductor.domain import errors
from storage import migrate, tables
from storage.engine import open_engine
from tests.support.postgres import Server, Urls

ROOT = Path(__file__).parents[2]


def opened(url: str) -> Engine:
    return open_engine(url, read_only=False, pool_size=1, statement_timeout_s=10)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Into a database that was just migrated."""
    migrate.migrate(database_url)
    engine = opened(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def made_from_tables(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Into another database of the same kind, made without any migration."""
    with ExitStack() as stack:
        url = str(tmp_path / "made.db")
        if database_url.startswith("postgresql"):
            server: Server = request.getfixturevalue("postgres")
            urls = server.create_database("made_from_tables")
            stack.callback(server.drop_database, urls)
            url = urls.single
        engine = opened(url)
        stack.callback(engine.dispose)
        connection = stack.enter_context(engine.connect())
        tables.metadata.create_all(connection)
        yield connection


def described(connection: Connection) -> dict[str, Any]:
    """All that the database itself knows of each of our tables, in no order of its own."""
    found = inspect(connection)
    return {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in found.get_columns(name)],
            "key": found.get_pk_constraint(name),
            "references": sorted(found.get_foreign_keys(name), key=lambda each: str(each["name"])),
            "unique": sorted(found.get_unique_constraints(name), key=lambda each: str(each["name"])),
            "indexes": sorted(
                (
                    {**index, "dialect_options": {key: str(value) for key, value in index["dialect_options"].items()}}
                    for index in found.get_indexes(name)
                ),
                key=lambda each: str(each["name"]),
            ),
        }
        for name in tables.metadata.tables
    }


def test_the_migrated_schema_has_no_difference_that_alembic_sees(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

    assert compare_metadata(context, tables.metadata) == []


def test_the_migrated_schema_is_the_one_that_the_tables_would_make(
    connection: Connection, made_from_tables: Connection
) -> None:
    wanted = described(made_from_tables)

    assert described(connection) == wanted
    # Partial indexes are among what was compared.
    assert any(index["dialect_options"] for table in wanted.values() for index in table["indexes"])


def test_a_new_database_holds_exactly_one_installation(connection: Connection) -> None:
    rows = connection.execute(tables.installation.select()).all()

    assert [(row.id, row.alive_at) for row in rows] == [(1, None)]


def test_a_migrated_database_is_left_alone(database_url: str) -> None:
    first = migrate.migrate(database_url)
    said: list[str] = []

    second = migrate.migrate(database_url, said.append)

    assert (first, second, said) == (True, False, [])
    assert migrate.current(database_url) == migrate.revisions()[-1]
    migrate.require_current(database_url)


def test_the_one_who_waits_is_told_what_is_done(database_url: str) -> None:
    said: list[str] = []

    migrate.migrate(database_url, said.append)

    assert said == [f"Bringing the database from schema none to {migrate.revisions()[-1]}."]


def test_of_many_that_migrate_at_once_one_does(database_url: str) -> None:
    all_ready = threading.Barrier(6)
    did: list[bool] = []

    def run() -> None:
        all_ready.wait(timeout=30)
        did.append(migrate.migrate(database_url))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(did) == [False] * 5 + [True]


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    engine = opened(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (a integer)")
        # One of the last names that the last revision makes.
        connection.exec_driver_sql("CREATE INDEX ix_events_organization_id_subject_id_number ON theirs (a)")

    with pytest.raises(Exception, match="ix_events_organization_id_subject_id_number"):
        migrate.migrate(database_url)

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["theirs"]
    assert migrate.current(database_url) is None


def test_a_newer_schema_is_refused_by_name_and_left_alone(database_url: str) -> None:
    migrate.migrate(database_url)
    with opened(database_url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9041'")

    for refuses in (migrate.migrate, migrate.require_current):
        with pytest.raises(errors.Invalid, match="Install that release again") as refused:
            refuses(database_url)

        assert "9041" in refused.value.message
        assert migrate.revisions()[-1] in refused.value.message
    assert migrate.current(database_url) == "9041"


def test_an_older_schema_is_refused_by_whoever_must_not_migrate(database_url: str) -> None:
    opened(database_url).dispose()

    with pytest.raises(errors.Invalid, match="schema none"):
        migrate.require_current(database_url)


def test_a_database_of_others_is_refused_by_the_names_of_its_tables(database_url: str) -> None:
    with opened(database_url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tasks (a integer)")

    with pytest.raises(errors.Invalid, match="tables named tasks"):
        migrate.migrate(database_url)


def test_a_missing_file_has_no_schema_and_is_not_made(tmp_path: Path) -> None:
    assert migrate.current(str(tmp_path / "none.db")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_role_that_may_not_make_tables_is_told_which_url_to_give(postgres_database: Urls) -> None:
    with pytest.raises(errors.Invalid, match="CONDUCTOR_MIGRATION_URL"):
        migrate.migrate(postgres_database.serving)


def test_a_serving_role_sees_that_nothing_is_to_be_done(postgres_database: Urls) -> None:
    migrate.migrate(postgres_database.migration)

    assert migrate.migrate(postgres_database.serving) is False


OLDER = migrate.revisions()[-2]


def older(path: Path, *changes: str) -> None:
    """Make a file as the release before the last revision made it, with changes of its own."""
    engine = opened(str(path))
    with engine.begin() as connection:
        command.upgrade(migrate._config(connection), OLDER)
    engine.dispose()
    with sqlite3.connect(path) as plain:
        for change in changes:
            plain.execute(change)
    plain.close()


def test_what_an_older_release_wrote_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    older(
        path,
        "INSERT INTO organizations VALUES ('org_1', 'One', 'one', 'free', 1)",
        "INSERT INTO members VALUES ('org_1', 'mbr_1', 'Anna', NULL, 'owner', 1, NULL)",
    )

    migrate.migrate(str(path))

    with opened(str(path)).connect() as connection:
        assert connection.exec_driver_sql("SELECT name FROM members").scalars().all() == ["Anna"]
    assert migrate.current(str(path)) == migrate.revisions()[-1]


def test_a_sqlite_file_with_broken_references_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    older(path, "INSERT INTO members VALUES ('org_none', 'mbr_1', 'Anna', NULL, 'owner', 1, NULL)")

    with pytest.raises(errors.Invalid, match="rows of members refer to rows that are not there"):
        migrate.migrate(str(path))

    assert migrate.current(str(path)) == OLDER


def test_the_revisions_are_one_line_from_the_first_to_the_last() -> None:
    scripts = ScriptDirectory(str(ROOT / "storage" / "migrations"))

    line = [script.revision for script in scripts.walk_revisions()]

    assert line[::-1] == migrate.revisions()


def test_a_start_that_has_nothing_to_migrate_does_not_import_alembic(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    migrate.migrate(url)
    asked = (
        "import sys; from storage import migrate; migrate.migrate(sys.argv[1]);"
        "print([name for name in ('alembic', 'psycopg') if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", asked, url], cwd=ROOT, capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"


def test_the_serving_role_reads_what_the_migrating_role_made(postgres_database: Urls) -> None:
    migrate.migrate(postgres_database.migration)

    with psycopg.connect(postgres_database.serving) as serving:
        row = serving.execute("SELECT id FROM installation").fetchone()

    assert row == (1,)
