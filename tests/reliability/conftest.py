"""Daemons that are killed, on each database; `--soak` makes each test long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import Server, Urls

DATABASES = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the long form."""
    parser.addoption("--soak", action="store_true", help="run the tests of reliability in their long form")


@pytest.fixture(scope="session")
def is_soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for. Without a path on the command line this file is read too late to ask."""
    return bool(request.config.getoption("--soak", default=False))


def url_for_module(request: pytest.FixtureRequest) -> str | None:
    """The URL that a fixture with DATABASES as its parameters starts its daemon with; None: SQLite in its home."""
    if request.param == "sqlite":
        return None
    database: Urls = request.getfixturevalue("database_of_module")
    return database.single


@pytest.fixture(scope="module")
def database_of_module(postgres: Server, postgres_template: Urls, request: pytest.FixtureRequest) -> Iterator[Urls]:
    """A PostgreSQL database for all tests of a file."""
    name = request.module.__name__.rpartition(".")[2]
    urls = postgres.clone_database(postgres_template, f"{postgres_template.database}_{name}"[:60])
    yield urls
    postgres.drop_database(urls)
