"""Real git repositories for tests: commits with times of their own, and nothing of the developer's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""When a world's clock begins."""


class GitRepository:
    """A repository in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def commit(self, files: Mapping[str, str | None], at: datetime = NOON, message: str = "work", *options: str) -> str:
        """Write files (None: delete) and commit them; gives the commit's id."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, *options, at=at)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str, at: datetime = NOON) -> str:
        """Run git here as somebody who works in it; gives what it prints."""
        stamp = f"@{int(at.timestamp())} +0000"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
