"""Repositories with our hooks in them, in front of a stand-in for the daemon whose verdicts are scripted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor.domain import errors
from tests.cli.double import Asked, Double
from tests.support.daemon import installed

AGENT = "cdr_agt_k3y1d_s3cr3tS3CR3T"
SERVICE = "cdr_svc_k3y1d_s3cr3tS3CR3T"
GATES = ("pre-commit", "commit-msg", "pre-push", "pre-receive")


@dataclass
class Repository:
    """A repository with somebody in it. environ: what its commands are run with."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, environ: Mapping[str, str], *options: str) -> Repository:
        """Make an empty one."""
        folder.mkdir(parents=True)
        made = cls(folder, dict(environ))
        made("init", "--quiet", "--initial-branch=main", *options)
        return made

    def __call__(self, *arguments: str, **changed: str) -> str:
        """Run git here; gives what it prints."""
        done = self.tried(*arguments, **changed)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def tried(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run git here, whether it works or not."""
        return subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env={**self.environ, **changed},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            check=False,
        )

    def write(self, *names: str, text: str = "text\n") -> None:
        """Write files."""
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, *names: str, text: str = "text\n", message: str = "work") -> str:
        """Write files and commit them past the local gates; gives the commit's id."""
        self.write(*names, text=text)
        self("add", "--all")
        self("commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")

    def hook(self, *names: str, options: str = "") -> None:
        """Put gates into its hooks."""
        folder = Path(self("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_text(f'#!/bin/sh\nexec {installed("conductor")} gate {name} {options} "$@"\n')
            (folder / name).chmod(0o755)


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment of nobody in particular: nothing of the developer's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CONDUCTOR_HOME": str(home / "conductor"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_AUTHOR_NAME": "Jane Doe",
        "GIT_AUTHOR_EMAIL": "jane@example.org",
        "GIT_COMMITTER_NAME": "Jane Doe",
        "GIT_COMMITTER_EMAIL": "jane@example.org",
        **more,
    }


def agent_named(name: str) -> dict[str, str]:
    """What makes git commit in an agent's name."""
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": f"{name}@agents.example.org",
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": f"{name}@agents.example.org",
    }


def verdicts(
    judge: Callable[[str, dict[str, Any]], str],
    *,
    locks: Sequence[Mapping[str, object]] = (),
    agents: Sequence[str] = (),
) -> Callable[[Asked], dict[str, Any]]:
    """The stand-in's answers to check_paths. judge: the verdict on a path, given what was asked beside it."""

    def answer(asked: Asked) -> dict[str, Any]:
        named = asked.body.get("agent_id")
        if named is not None and named not in agents:
            raise errors.NotFound(f"There is no agent {named}.")
        assert len(asked.body["paths"]) <= 64
        reasons = [
            {"path": path, "verdict": verdict, "because": f"said of {path}"}
            for path in asked.body["paths"]
            for verdict in (judge(path, asked.body),)
        ]
        allowed = all(reason["verdict"] == "ok" for reason in reasons)
        return {"allowed": allowed, "agent_id": "ada", "reasons": reasons, "locks": list(locks), "next": []}

    return answer


def paths_asked(double: Double) -> list[str]:
    """Every path that was asked about."""
    return [path for body in double.bodies("check_paths") for path in body["paths"]]
