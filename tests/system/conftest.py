"""One daemon for the ring, and for each test a project of its own in it, so that no test sees another's."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import daemon as daemons
from tests.support.daemon import DaemonProcess, installed
from tests.support.model_servers import ModelServer, Story
from tests.support.repository import GitRepository
from tests.system.coding_agents import CodingAgent, Connection
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


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository that `conductor init` sets up, and nobody's environment says anything of Conductor."""

    project: Project
    place: Place
    repository: GitRepository

    def path(self, name: str) -> Path:
        """A file, as a client names it."""
        return self.place.work / name

    def set_up(self, agent: CodingAgent) -> str:
        """Run `conductor init` as the owner; gives the name of the agent that it registered."""
        self._conductor("init", "--yes", "--agent", agent.client, "--project", self.project.id)
        status = json.loads(self._conductor("init", "status", "--json"))
        assert status["is_well"], status
        name: str = status["agents"][agent.client]
        return name

    def connect_by_http(self, name: str) -> Mapping[str, str]:
        """Put the file of configs/clients in the place of the stdio bridge; gives the environment that it needs."""
        token = (self.project.daemon.home / "agents" / f"{name}.token").read_text().strip()
        connection = Connection(self.place, self.project.daemon.url, token, model_url="")
        self.path(".mcp.json").write_text(connection.config("claude-code.mcp.json"))
        return {"CONDUCTOR_TOKEN": token}

    def lose_the_program(self) -> None:
        """Leave the hooks naming a program that is not there, as after it was uninstalled."""
        for name in (".claude/settings.local.json", ".codex/hooks.json", ".gemini/settings.json"):
            if (file := self.path(name)).exists():
                file.write_text(re.sub(r"[^\s\"]*conductor hook", "/nowhere/conductor hook", file.read_text()))

    def live(self, agent: CodingAgent, story: Story, environment: Mapping[str, str] | None = None) -> str:
        """Have a coding agent live a story here, to its end; gives all that its model was told with the last turn."""
        with ModelServer(agent.wire, story) as model:
            ran = agent.work_in_checkout(self.place, model.url, environment or {})
        assert ran.code == 0, ran
        assert "all done" in ran.output, ran
        return model.told

    def _conductor(self, *words: str) -> str:
        ran = self.place.run([installed("conductor"), *words], {"CONDUCTOR_HOME": str(self.project.daemon.home)})
        assert ran.code == 0, ran
        return ran.output


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


@pytest.fixture
def checkout(project: Project, place: Place) -> Checkout:
    """A repository of the project, with three files."""
    repository = GitRepository(place.work)
    repository.commit({f"src/{name}.py": f"{name} = 1\n" for name in ("free", "held", "other")})
    return Checkout(project, place, repository)
