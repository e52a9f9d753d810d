"""A store on each database, with one organisation and one project, and a clock that is set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conductor.domain.organizations import Project
from storage import migrate
from storage.store import Store
from tests.support.clocks import HandClock

ORGANIZATION = "org_0000000001"


@dataclass
class Place:
    """Where a test works."""

    store: Store
    clock: HandClock
    project: Project


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    """A migrated store with an organisation and a project."""
    migrate.migrate(database_url)
    clock = HandClock()
    store = Store(database_url, clock=clock)
    with store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        tx.organizations.create("Acme")
        project = tx.projects.create("Shop")
    yield Place(store, clock, project)
    store.close()
