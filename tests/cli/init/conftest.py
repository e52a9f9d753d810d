"""A repository to set up, and a server that remembers what was made there."""

from pathlib import Path
from typing import Any

import pytest

from conductor.operations.catalogue import CATALOGUE
from tests.cli import samples
from tests.cli.conftest import OWNER
from tests.cli.double import Asked, Double
from tests.support.repository import GitRepository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    """An empty repository, in which the command is run; nothing of the developer's own home or git is seen."""
    made = GitRepository(tmp_path / "shop")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture(autouse=True)
def server(environ: None, double: Double, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server knows: its caller, projects and agents; what is made there is added."""
    monkeypatch.setenv("CONDUCTOR_TOKEN", OWNER)
    known: dict[str, Any] = {
        "caller": {"kind": "usr", "role": "owner", "member_id": "mbr_0123456789"},
        "projects": [],
        "agents": [],
    }

    def project(told: dict[str, Any]) -> dict[str, Any]:
        named = {"id": f"prj_{len(known['projects']):010d}", "name": told["slug"]}
        return samples.reply(CATALOGUE["get_project"].reply, **{**named, **told})

    def agent(name: str) -> dict[str, Any]:
        return {**samples.reply(CATALOGUE["register_agent"].reply)["agent"], "agent_id": name}

    def create(asked: Asked) -> dict[str, Any]:
        told = {"slug": asked.body["name"], "root_path": asked.body["root_path"]}
        known["projects"].append(told)
        return project(told)

    def register(asked: Asked) -> dict[str, Any]:
        name = asked.body["agent_id"]
        if name not in known["agents"]:
            known["agents"].append(name)
        return {"agent": agent(name), "token": f"cdr_agt_{name.replace('-', ''):0<7}_secret"}

    def whoami(asked: Asked) -> dict[str, Any]:
        kind = asked.authorization or ""
        caller = known["caller"]
        if "cdr_agt_" in kind and caller["kind"] == "usr":
            names = {f"cdr_agt_{name.replace('-', ''):0<7}_secret": name for name in known["agents"]}
            name = names[kind.removeprefix("Bearer ")]
            caller = {"kind": "agt", "role": "contributor", "agent_id": name}
        return samples.reply(CATALOGUE["whoami"].reply, **caller)

    double.always |= {
        "whoami": whoami,
        "list_projects": lambda _: {"items": [project(told) for told in known["projects"]]},
        "list_agents": lambda _: {"items": [agent(name) for name in known["agents"]]},
        "get_project": lambda _: project({"slug": "shop"}),
        "create_project": create,
        "register_agent": register,
    }
    return known
