"""What tests of more than one room need: databases, real ones, fresh for each test."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.daemon import DaemonProcess
from tests.support.postgres import Cluster, PostgresUnavailable, Server, Urls, open_server

# On a developer's machine hypothesis looks for new examples each time; in CI the same commit gives the same answer.
settings.register_profile("searching", deadline=None)
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady" if os.environ.get("CI") else "searching")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The PostgreSQL of this run: the one CONDUCTOR_TEST_POSTGRES_URL names, or our own, started at the first need."""
    try:
        with open_server() as server:
            yield server
    except PostgresUnavailable as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the test's own, to be stopped and killed at will."""
    try:
        with Cluster() as cluster:
            yield cluster
    except PostgresUnavailable as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def postgres_template(postgres: Server) -> Iterator[Urls]:
    """An empty database with its roles, which nobody connects to, so that others can be made from it quickly."""
    urls = postgres.create_database(f"conductor_test_{secrets.token_hex(4)}")
    yield urls
    postgres.drop_database(urls)


@pytest.fixture
def postgres_database(postgres: Server, postgres_template: Urls, _numbers: Iterator[int]) -> Iterator[Urls]:
    """An empty PostgreSQL database, dropped after the test. All share two roles: to alter a role make your own."""
    urls = postgres.clone_database(postgres_template, f"{postgres_template.database}_{next(_numbers)}")
    yield urls
    postgres.drop_database(urls)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new empty database of each kind, as the URL of one role that may do all in it and is no superuser."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'conductor.db'}"
    database: Urls = request.getfixturevalue("postgres_database")
    return database.single


@pytest.fixture(params=["sqlite", "postgresql"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A running daemon, once on each database."""
    url = None
    if request.param == "postgresql":
        database: Urls = request.getfixturevalue("postgres_database")
        url = database.single
    process = DaemonProcess(tmp_path / "home", database_url=url)
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)
