"""A repository with agents of a real daemon: what hooks, the bridge and `conductor prime` are tested in."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.daemon import ROOT, DaemonProcess

WITHIN_S = 3.0
"""A hook ends within 2 s; more is for a machine that runs other tests beside."""

_NUMBERS = itertools.count(1)
_PROGRAM = "import sys; sys.argv[0] = 'conductor'; from conductor.cli.main import main; sys.exit(main())"
COMMAND = (sys.executable, "-c", _PROGRAM)


@dataclass(frozen=True)
class Ran:
    """What a quick command did."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> dict[str, Any]:
        """The JSON on its output."""
        said: dict[str, Any] = json.loads(self.out)
        return said

    @property
    def denial(self) -> str:
        """Why a tool was refused, in whichever client's words."""
        if "decision" in self.said:
            assert self.said["decision"] == "deny"
            return str(self.said["reason"])
        told = self.said["hookSpecificOutput"]
        assert (told["hookEventName"], told["permissionDecision"]) == ("PreToolUse", "deny")
        return str(told["permissionDecisionReason"])

    @property
    def context(self) -> str:
        """What the model is told."""
        return str(self.said["hookSpecificOutput"]["additionalContext"])

    @property
    def passed(self) -> bool:
        """Whether the tool may be used, and nobody was told anything."""
        return (self.code, self.out, self.err) == (0, "", "")

    @property
    def closed(self) -> bool:
        """Whether the tool was refused in one sentence, in time, and without a trace of a defect."""
        is_one = self.err.startswith("conductor: ") and self.err.endswith(".\n") and self.err.count("\n") == 1
        return self.code == 2 and self.out == "" and is_one and self.seconds < WITHIN_S


def environment(**own: str) -> dict[str, str]:
    """The environment without anything of Conductor's or a client's, and with one's own."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CONDUCTOR_") and not name.endswith("_PROJECT_DIR")
    }
    return {**plain, "PYTHONPATH": str(ROOT), **own}


def run(*words: str, said: object = "", environ: Mapping[str, str], cwd: Path) -> Ran:
    """Run a quick command. said: its input; what is no text is written as JSON."""
    text = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else json.dumps(said).encode()
    began = time.monotonic()
    ran = subprocess.run(
        [*COMMAND, *words], input=text, capture_output=True, env=dict(environ), cwd=cwd, timeout=30, check=False
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode(), time.monotonic() - began)


@dataclass(frozen=True)
class Workplace:
    """A repository, and a project of a daemon for it, with one agent that works there."""

    daemon: DaemonProcess
    project_id: str
    repository: Path
    token: str

    @classmethod
    def make(cls, daemon: DaemonProcess, folder: Path, role: str = "contributor") -> Workplace:
        """Make one, with the agent ada."""
        repository = folder / "repository"
        (repository / "src").mkdir(parents=True)
        subprocess.run(["git", "init", "-q", repository], check=True, capture_output=True)
        for name in ("app.py", "held.py"):
            (repository / "src" / name).write_text("print()\n")
        made = daemon.call("create_project", name=f"Shop {next(_NUMBERS)} of {folder.name[:60]}")
        place = cls(daemon, made["id"], repository, "")
        return cls(daemon, made["id"], repository, place.register("ada", role))

    def register(self, name: str, role: str = "contributor") -> str:
        """Let an agent in; gives its token."""
        token: str = self.call("register_agent", agent_id=name, name=name, role=role)["token"]
        return token

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call an operation as the owner, in this project."""
        return self.daemon.call(operation, project_id=self.project_id, **arguments)

    def holds(self, name: str, *paths: str) -> None:
        """Have another agent lease paths."""
        self.daemon.call("acquire_lock", self.register(name), paths=list(paths))

    def leased_by(self, name: str) -> list[str]:
        """The paths that an agent leases."""
        return sorted(path for lock in self.call("list_locks", agent_id=name)["items"] for path in lock["paths"])

    def environ(self, **own: str) -> dict[str, str]:
        """The environment of ada's client."""
        return environment(**{"CONDUCTOR_HOME": str(self.daemon.home), "CONDUCTOR_TOKEN": self.token, **own})

    def run(self, *words: str, said: object = "", **own: str) -> Ran:
        """Run a quick command as ada."""
        return run(*words, said=said, environ=self.environ(**own), cwd=self.repository)

    def hook(self, event: str, said: object, client: str = "claude", **own: str) -> Ran:
        """Run a hook as ada's client does."""
        return self.run("hook", event, "--client", client, said=said, **own)

    def before(self, tool: str, client: str = "claude", environ: Mapping[str, str] = {}, **given: object) -> Ran:
        """Run the hook before a tool. given: the tool's input."""
        return self.hook("pre-tool", self.tool(tool, **given), client, **environ)

    def edit(self, path: str | Path, **environ: str) -> Ran:
        """Run the hook before Claude Code's Edit."""
        return self.before("Edit", environ=environ, file_path=str(self.repository / path))

    def tool(self, name: str, **given: object) -> dict[str, object]:
        """What a client says of a tool."""
        return {"tool_name": name, "tool_input": given, "cwd": str(self.repository), "session_id": "s-1"}
