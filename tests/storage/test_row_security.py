"""On PostgreSQL no statement sees or makes another organisation's rows, whatever it forgets to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, delete, exc, func, insert, select, update

from conductor.domain import errors
from storage import migrate, outages, row_security, tables
from storage.engine import open_engine
from storage.hot import Hot
from tests.support.postgres import Server, Urls

AT = datetime(2026, 11, 3, tzinfo=UTC)
GUARDED = [table.name for table in tables.TENANT_TABLES]
counters = tables.counters


def organization(name: str) -> dict[str, Any]:
    return {"organization_id": name, "name": name, "slug": name, "plan": "free", "created_at": AT}


def counter(organization_id: str, name: str = "events") -> dict[str, Any]:
    return {"organization_id": organization_id, "name": name, "last": 1}


@pytest.fixture(params=["serving", "single"])
def engine(request: pytest.FixtureRequest, postgres_database: Urls) -> Iterator[Engine]:
    """As the role that only serves, and as the one that owns the tables too: FORCE holds both."""
    migrate.migrate(postgres_database.migration)
    engine = open_engine(
        getattr(postgres_database, request.param), read_only=False, pool_size=1, statement_timeout_s=10
    )
    for name in ("ours", "theirs"):
        with engine.begin() as connection:
            row_security.enter_organization(connection, name)
            connection.execute(insert(tables.organizations), [organization(name)])
            connection.execute(insert(counters), [counter(name)])
    yield engine
    engine.dispose()


def run_in(engine: Engine, organization_id: str, work: Callable[[Connection], object]) -> None:
    with engine.begin() as connection:
        row_security.enter_organization(connection, organization_id)
        work(connection)


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(counters)).scalar_one()


def test_a_statement_that_names_no_organisation_sees_only_the_one_that_was_entered(engine: Engine) -> None:
    with engine.begin() as connection:
        row_security.enter_organization(connection, "ours")

        assert connection.execute(select(counters.c.organization_id)).scalars().all() == ["ours"]


def test_a_transaction_that_entered_nothing_sees_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        assert count(connection) == 0


@pytest.mark.parametrize(
    "statement",
    [
        update(counters).values(last=9),
        update(counters).where(counters.c.organization_id == "theirs").values(last=9),
        delete(counters).where(counters.c.organization_id == "theirs"),
    ],
    ids=["update all", "update theirs", "delete theirs"],
)
def test_a_change_never_meets_another_organisations_row(engine: Engine, statement: Any) -> None:
    run_in(engine, "ours", lambda connection: connection.execute(statement))

    with engine.begin() as connection:
        row_security.enter_organization(connection, "theirs")
        assert connection.execute(select(counters.c.last)).scalars().all() == [1]


@pytest.mark.parametrize(
    "statement",
    [
        insert(counters).values(counter("theirs", "costs")),
        update(counters).values(organization_id="theirs", name="costs"),
    ],
    ids=["made", "moved"],
)
def test_a_row_of_another_organisation_cannot_be_made(engine: Engine, statement: Any) -> None:
    with pytest.raises(exc.ProgrammingError, match="row-level security") as refused:
        run_in(engine, "ours", lambda connection: connection.execute(statement))

    assert not outages.is_outage(refused.value)


def test_a_hot_insert_cannot_make_one_either(engine: Engine) -> None:
    hot = Hot(insert(counters), engine.dialect)
    rows = [counter("ours", "costs"), counter("theirs", "costs")]

    with pytest.raises(exc.ProgrammingError, match="row-level security"):
        run_in(engine, "ours", lambda connection: hot.run(connection, rows))


def test_an_organisation_is_entered_for_one_transaction_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        row_security.enter_organization(connection, "ours")

    with engine.begin() as connection:
        assert count(connection) == 0


def test_work_across_tenants_sees_all_for_one_transaction_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        row_security.enter_cross_tenant(connection)
        across = count(connection)
    with engine.begin() as connection:
        afterwards = count(connection)

    assert (across, afterwards) == (2, 0)


def test_entering_an_organisation_closes_the_way_across(engine: Engine) -> None:
    with engine.begin() as connection:
        row_security.enter_cross_tenant(connection)
        row_security.enter_organization(connection, "ours")

        assert count(connection) == 1


def test_an_organisation_without_a_name_is_no_organisation(engine: Engine) -> None:
    with engine.begin() as connection:
        row_security.enter_organization(connection, "")

        assert count(connection) == 0


def test_every_table_with_an_organisation_is_guarded(engine: Engine) -> None:
    with engine.connect() as connection:
        assert row_security.unguarded(connection, GUARDED) == []


def test_a_table_whose_guard_was_taken_away_is_found(postgres_database: Urls) -> None:
    migrate.migrate(postgres_database.migration)
    with psycopg.connect(postgres_database.migration) as owner:
        owner.execute("ALTER TABLE costs NO FORCE ROW LEVEL SECURITY")
        owner.execute("DROP POLICY one_organization ON events")
    engine = open_engine(postgres_database.serving, read_only=True, pool_size=1, statement_timeout_s=10)

    with engine.connect() as connection:
        assert row_security.unguarded(connection, GUARDED) == ["costs", "events"]


def test_a_role_that_may_not_use_the_tables_is_refused_with_sql_that_mends_it(postgres: Server) -> None:
    urls = postgres.create_database("unprivileged")
    with psycopg.connect(urls.migration) as owner:
        owner.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM unprivileged_server")
    with psycopg.connect(postgres.superuser_url("unprivileged")) as superuser:
        superuser.execute(
            "ALTER DEFAULT PRIVILEGES FOR ROLE unprivileged_migrator REVOKE ALL ON TABLES FROM unprivileged_server"
        )
    migrate.migrate(urls.migration)
    engine = open_engine(urls.serving, read_only=False, pool_size=1, statement_timeout_s=10)

    with engine.connect() as connection, pytest.raises(errors.Invalid, match="may not use the tables") as refused:
        row_security.require_rights(connection, GUARDED)
    with psycopg.connect(urls.migration) as owner:
        owner.execute(refused.value.message.partition("run:\n")[2].encode())

    with engine.connect() as connection:
        row_security.require_rights(connection, GUARDED)
    engine.dispose()
    postgres.drop_database(urls)


def test_sqlite_has_no_guard_and_needs_none(tmp_path: Path) -> None:
    url = str(tmp_path / "x.db")
    migrate.migrate(url)
    engine = open_engine(url, read_only=False, pool_size=1, statement_timeout_s=10)

    with engine.begin() as connection:
        row_security.enter_organization(connection, "ours")
        row_security.enter_cross_tenant(connection)
        row_security.require_rights(connection, GUARDED)

        assert row_security.unguarded(connection, GUARDED) == []
