"""The demo's codebase: a real git repository with a Python project of two files that greets people.

An edit replaces one passage; it fails when the passage is not there, as an edit on somebody else's state would.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from conductor.domain import errors

APP = "src/app.py"
STORE = "src/store.py"

_FILES = {
    APP: """from store import remember


def greet(name):
    remember(name)
    return "hello " + name


if __name__ == "__main__":
    print(greet("world"))
""",
    STORE: """names = []


def remember(name):
    names.append(name)
""",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository in a folder of its own."""

    folder: Path

    def create(self) -> str:
        """Make the repository with its first commit; gives the commit."""
        self._git("init", "--quiet", "--initial-branch=main")
        for name, text in _FILES.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)
        return self.commit("you", "A project that greets", *_FILES)

    def replace(self, name: str, passage: str, by: str) -> None:
        """Edit a file."""
        file = self.folder / name
        text = file.read_text()
        if passage not in text:
            raise errors.Internal(f"{name} does not hold the passage that was to be edited.")
        file.write_text(text.replace(passage, by))

    def commit(self, author: str, message: str, *names: str) -> str:
        """Commit these files as that author, and nobody else's edits; gives the commit."""
        self._git("add", "--", *names)
        who = ("-c", f"user.name={author}", "-c", f"user.email={author}@demo.invalid")
        self._git(*who, "commit", "--quiet", "--message", message)
        return self._git("rev-parse", "HEAD")

    def history(self) -> str:
        """Who committed what, the oldest first."""
        return self._git("log", "--reverse", "--format=%h %an: %s")

    def run(self) -> str:
        """Run the project, to show that it works."""
        done = subprocess.run(
            [sys.executable, APP], cwd=self.folder, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def _git(self, *words: str) -> str:
        # The person's own settings (signing, hooks, templates) are not the demo's.
        environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        try:
            done = subprocess.run(
                ["git", *words], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=30, check=True
            )
        except FileNotFoundError:
            raise errors.Unavailable(
                "The demo commits with git, which is not installed: sudo apt-get install git"
            ) from None
        except subprocess.CalledProcessError as wrong:
            raise errors.Internal(f"git {' '.join(words)} failed: {wrong.stderr.strip()}") from wrong
        return done.stdout.strip()
