"""What `conductor init` left for the gates: which agents work in this checkout, and for which project.

A coding agent marks the commands that it runs as its own. Claude Code and Codex also hand them the agent's name, where
the set-up could put it into their settings; the others have no such setting, and without this their commits would pass
as a person's. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARKS = {
    "claude": "CLAUDECODE",
    "codex": "CODEX_THREAD_ID",
    "gemini": "GEMINI_CLI",
    "cursor": "CURSOR_AGENT",
    "opencode": "OPENCODE",
}
"""What each client, by its name in the record, sets in the environment of its commands."""

_NAMELESS = ("gemini", "cursor", "opencode")
"""The clients that hand no name on; what they mark differs between their versions."""


def is_marked(environ: Mapping[str, str]) -> bool:
    """Whether a coding agent runs this, by its mark."""
    return any(environ.get(mark) for mark in _MARKS.values())


def agent(environ: Mapping[str, str], git_folder: Path) -> str:
    """The name of the agent as which the client that runs this was set up; empty when it was not.

    git_folder: the working tree's own, where `conductor init` keeps its record.
    """
    named = _agents(git_folder)
    return next((named[client] for client, mark in _MARKS.items() if environ.get(mark) and client in named), "")


def nameless(git_folder: Path) -> list[str]:
    """The agents whose client cannot say in the environment who commits."""
    named = _agents(git_folder)
    return [named[client] for client in _NAMELESS if client in named]


def project(git_folder: Path, common: Path) -> str | None:
    """The project of this checkout, or that of another worktree of its repository: its id, or its slug."""
    own, shared = _kept(git_folder / "conductor/init.json"), _kept(common / "conductor/shared.json")
    said = (own.get("project_id"), own.get("project"), shared.get("project_id"))
    return next((name for name in said if isinstance(name, str) and name), None)


def _agents(git_folder: Path) -> dict[str, str]:
    named = _kept(git_folder / "conductor/init.json").get("agents")
    return {str(client): str(name) for client, name in named.items()} if isinstance(named, dict) else {}


def _kept(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
