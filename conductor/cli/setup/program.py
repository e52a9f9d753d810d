"""How the files of a set-up call this program, and which daemon they mean."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor.domain import errors
from conductor.home import Home


@dataclass(frozen=True, slots=True)
class Program:
    """name: a word or a path. home, url: where to ask, when it is not the usual home's own daemon."""

    name: str
    home: str | None = None
    url: str | None = None

    def arguments(self, *words: str) -> list[str]:
        """The arguments of a command that takes --home and --url."""
        home = ["--home", self.home] if self.home else []
        return [*words, *home, *(["--url", self.url] if self.url else [])]

    def line(self, *words: str) -> str:
        """A command for a shell."""
        return shlex.join([self.name, *self.arguments(*words)])

    def settings(self) -> str:
        """The same for a command that reads the environment; what the environment says already goes before it."""
        said = {"CONDUCTOR_HOME": self.home, "CONDUCTOR_URL": self.url}
        lines = [f": ${{{name}:={shlex.quote(value)}}}; export {name}\n" for name, value in said.items() if value]
        return "".join(lines)


def find(environ: Mapping[str, str]) -> Program:
    """This program, and the daemon that this environment means."""
    place = Home.locate(environ)
    usual = Home.locate({name: value for name, value in environ.items() if name != "CONDUCTOR_HOME"})
    url = environ.get("CONDUCTOR_URL", "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise errors.Invalid("CONDUCTOR_URL must begin with http:// or https://, such as http://127.0.0.1:8787.")
    running = place.daemon()
    is_own = running is not None and running.url.rstrip("/") == url
    return Program(_name(), None if place == usual else str(place.path), url if url and not is_own else None)


def _name() -> str:
    """By its name where every shell finds it, else by its path.

    An activated virtual environment is on the PATH of this shell only, not of the one that starts a client later.
    """
    beside = Path(sys.executable).with_name("conductor")
    found = shutil.which("conductor")
    if found is not None and os.path.dirname(found) != os.path.dirname(sys.executable):
        return "conductor"
    return str(beside) if beside.exists() else "conductor"
