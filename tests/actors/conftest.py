"""What the actors ring shares: databases that are set up already, and worlds that are closed at the end of a test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor.operations.catalogue import CATALOGUE
from storage import migrate
from tests.support.postgres import Server, Urls
from tests.support.world import World

MakeWorld = Callable[..., World]
"""Makes a world over the test's database; takes what World takes but the URL."""

_ALWAYS = {"invalid", "not_found", "forbidden", "paused", "idempotency_mismatch"}


@pytest.fixture
def anyio_backend() -> str:
    """Coroutines run on asyncio, as in the daemon."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with this release's schema, copied from one that was migrated once."""
    if request.param == "sqlite":
        path = tmp_path / "conductor.db"
        shutil.copy(request.getfixturevalue("_migrated_file"), path)
        return f"sqlite:///{path}"
    database: Urls = request.getfixturevalue("_migrated_database")
    return database.single


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A world in which nothing fails: every refusal must be one that the operation's row promises."""
    world = World(database_url)
    yield world
    await world.close()
    for name, code in world.outcomes:
        if code is not None:
            assert code in _ALWAYS | {error.code for error in CATALOGUE[name].raises}, f"{name} answered {code}"


@pytest.fixture
async def make_world(database_url: str) -> AsyncIterator[MakeWorld]:
    """For worlds with other settings, more hosts, or a probe."""
    made: list[World] = []

    def make(**arguments: Any) -> World:
        made.append(World(database_url, **arguments))
        return made[-1]

    yield make
    for world in made:
        await world.close()


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "conductor.db"
    migrate.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _migrated_template(postgres: Server, postgres_template: Urls) -> Iterator[Urls]:
    urls = postgres.clone_database(postgres_template, f"{postgres_template.database}_actors")
    migrate.migrate(urls.single)
    yield urls
    postgres.drop_database(urls)


@pytest.fixture
def _migrated_database(postgres: Server, _migrated_template: Urls, _numbers: Iterator[int]) -> Iterator[Urls]:
    urls = postgres.clone_database(_migrated_template, f"{_migrated_template.database}_{next(_numbers)}")
    yield urls
    postgres.drop_database(urls)
