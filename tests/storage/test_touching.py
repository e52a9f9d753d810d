"""Leases and grants are found by the paths that they touch: by look-ups, and also those of an older release."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from alembic import command
from sqlalchemy import text

from conductor.domain.locks import Grant, Lease, LeaseEnd, Mode
from storage import migrate, row_security
from storage.engine import open_engine
from storage.store import Store
from storage.touching import place_of
from storage.unit_of_work import UnitOfWork
from tests.storage.conftest import ORGANIZATION, Place
from tests.support.clocks import HandClock
from tests.support.plans import lookups

PROJECT = "prj_0000000001"
OLDER = "0007"

WRITTEN = (
    "INSERT INTO organizations VALUES ('org_0000000001', 'One', 'one', 'free', 1)",
    "INSERT INTO projects (organization_id, id, name, slug, conflict_strategy, settings, created_at, updated_at) "
    "VALUES ('org_0000000001', 'prj_0000000001', 'Shop', 'shop', 'lock', '{}', 1, 1)",
    "INSERT INTO locks VALUES ('org_0000000001', 'lck_1', 'prj_0000000001', 'ada', "
    """'["src/a.py", "docs/", "lib/*/b.py", "**/*.md"]', 'exclusive', 7, 900, 1, 9000000000000000, NULL, NULL)""",
    "INSERT INTO fences VALUES ('org_0000000001', 'prj_0000000001', 'docs/', 'ada', 7)",
    "INSERT INTO fences VALUES ('org_0000000001', 'prj_0000000001', 'src/a.py', 'bob', 5)",
)
"""What the release before wrote: one lease, and the fences of two agents."""


def test_a_pattern_has_the_place_of_the_folder_that_all_its_paths_lie_in() -> None:
    places = {
        path: place_of(path) for path in ("a", "a/b.py", "a/", "a/**", "a/b*/c", "a/?", "*", "**", "**/a", "*/a/")
    }

    assert places == {
        "a": "a",
        "a/b.py": "a/b.py",
        "a/": "a//",
        "a/**": "a//",
        "a/b*/c": "a//",
        "a/?": "a//",
        "*": "//",
        "**": "//",
        "**/a": "//",
        "*/a/": "//",
    }


def test_what_an_older_release_leased_and_granted_is_found(database_url: str) -> None:
    engine = open_engine(database_url, read_only=False, pool_size=1, statement_timeout_s=10)
    with engine.begin() as connection:
        command.upgrade(migrate._config(connection), OLDER)
    with engine.begin() as connection:
        row_security.enter_cross_tenant(connection)
        for statement in WRITTEN:
            connection.execute(text(statement.replace(":", r"\:")))
    engine.dispose()

    migrate.migrate(database_url)

    store = Store(database_url, clock=HandClock())
    asked = ["src/a.py", "docs/x/y", "lib/x/b.py", "deep/er.md", "src/b.py"]
    with store.reading(ORGANIZATION) as tx:
        leases = tx.locks.touching.leases(PROJECT, asked)
        fences = tx.locks.touching.fences(PROJECT, asked, but="cal", above=0)
    store.close()
    assert {path: [lease.id for lease in found] for path, found in leases.items()} == {
        **{path: ["lck_1"] for path in asked[:4]},
        "src/b.py": [],
    }
    assert {path: [(fence.agent_id, fence.token) for fence in found] for path, found in fences.items() if found} == {
        "src/a.py": [("bob", 5)],
        "docs/x/y": [("ada", 7)],
    }


def test_a_lease_that_is_granted_and_ended_in_one_transaction_leaves_no_place(place: Place) -> None:
    now = place.clock.now()
    lease = Lease("lck_1", place.project.id, "ada", ("a", "b/"), Mode.EXCLUSIVE, 1, 900, now, now + timedelta(hours=1))

    with place.store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        tx.locks.grant(lease, Grant.NEW)
        tx.locks.narrow(lease, ["b/"])
        tx.locks.grant(lease, Grant.WIDENED)
        assert [each.id for each in tx.locks.touching.leases(place.project.id, ["b/c"])["b/c"]] == ["lck_1"]
        tx.locks.end(lease, LeaseEnd.RELEASED)

    with place.store.reading(ORGANIZATION) as tx:
        assert tx.locks.touching.leases(place.project.id, ["a", "b/c", "**"]) == {"a": [], "b/c": [], "**": []}
        assert tx.rows(text("SELECT path FROM lock_paths")) == []


def test_what_touches_paths_is_looked_up_and_not_looked_through(tmp_path: Path) -> None:
    def ask(tx: UnitOfWork) -> None:
        tx.locks.touching.leases(PROJECT, ["src/a.py", "src/b.py"])
        tx.locks.touching.fences(PROJECT, ["src/a.py"], but="ada", above=7)
        tx.locks.touching.given(PROJECT, "ada", [("lck_1", 7)])
        tx.locks.touching.holders(PROJECT, ["lck_1"])

    first_steps = [steps[0] for _, steps in lookups(tmp_path / "conductor.db", ORGANIZATION, ask)]

    by_place, by_subject = "organization_id=? AND project_id=? AND place=?)", "organization_id=? AND subject_id=?)"
    assert first_steps == [by_place, by_place, by_subject, by_subject]
