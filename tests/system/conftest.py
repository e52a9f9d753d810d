"""One daemon for the ring, and for each test a project of its own in it, so that no test sees another's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import daemon as daemons
from tests.support.daemon import DaemonProcess
from tests.system.programs import Place

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Project:
    """A project with its owner's view."""

    daemon: DaemonProcess
    id: str

    def register(self, agent_id: str, **particulars: str) -> str:
        """Let an agent in; returns its token."""
        token: str = self.call("register_agent", agent_id=agent_id, name=agent_id, **particulars)["token"]
        return token

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation as the owner."""
        return self.daemon.call(operation, project_id=self.id, **arguments)

    def did(self, actor: str) -> list[str]:
        """What an actor did here, by name: the order within one commit is nobody's promise."""
        events = self.call("list_events", since=0)["items"]
        return sorted(event["kind"] for event in events if event["actor"] == actor)


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A running daemon."""
    with daemons.running(tmp_path_factory.mktemp("daemon")) as process:
        yield process


@pytest.fixture
def project(daemon: DaemonProcess) -> Project:
    """A new project."""
    made = daemon.call("create_project", name=f"Shop {next(_NUMBERS)}")
    return Project(daemon, made["id"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a program of the test runs."""
    return Place(tmp_path)
