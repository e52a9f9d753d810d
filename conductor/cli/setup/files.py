"""Files as they are found, as they should be, and how one becomes the other in one piece.

A file that cannot be written is found before the first one is: a set-up stands whole or not at all.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor.cli.setup.parts import Part, digest
from conductor.domain import errors

_LARGEST = 4 * 1024 * 1024
"""Bytes of a settings file or hook; more is a mistake, and would be kept once more in git's folder."""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no file."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file. mode: its permission bits."""

    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


File = Absent | Content | Link


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file and what should stand in it. mode: of a file that is made; head: what a new file begins with.

    link: make a link to this instead. is_shared: by all worktrees of the repository.
    """

    path: Path
    part: Part
    is_shared: bool = False
    mode: int = 0o644
    head: bytes = b""
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one file. now: as it is found; before: as it was without ours, kept for the removal."""

    path: Path
    part: Part
    now: File
    before: File
    after: File
    is_shared: bool = False
    folders: tuple[Path, ...] = field(default=())

    @property
    def is_needed(self) -> bool:
        """Whether anything changes."""
        return self.now != self.after


def look(path: Path) -> File:
    """Read a file without following a link in its last place. Raises Invalid for what is neither."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return Link(os.readlink(path))
        if not stat.S_ISREG(status.st_mode):
            raise errors.Invalid(f"{path} is not a file: move it away and run this again.")
        if status.st_size > _LARGEST:
            raise errors.Invalid(f"{path} has {status.st_size} bytes, which no settings file or hook has.")
        return Content(path.read_bytes(), stat.S_IMODE(status.st_mode))
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    except PermissionError:
        raise errors.Forbidden(f"{path} cannot be read: {_mend(path)}") from None


def refusal(path: Path) -> str | None:
    """Why a file cannot be changed, with what mends it. The superuser is told too: read-only is said for a reason."""
    there = look(path)
    if isinstance(there, Content) and not there.mode & 0o200:
        return f"{path} is read-only: {_mend(path)}"
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        return f"{folder} is not a folder: move it away"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written to: {_mend(folder)}"
    return None


def write(path: Path, file: File) -> None:
    """Put a file in its place in one piece: a reader, also after a crash, sees the old or the new."""
    if isinstance(file, Absent):
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        if isinstance(file, Link):
            part.symlink_to(file.target)
        else:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as output:
                output.write(file.content)
                output.flush()
                os.fsync(output.fileno())
            part.chmod(file.mode)
        part.replace(path)
    except OSError as wrong:
        part.unlink(missing_ok=True)
        raise errors.Unavailable(f"{path} could not be written: {wrong.strerror}.") from wrong


def missing_folders(path: Path) -> tuple[Path, ...]:
    """The folders that have to be made for a file, the outermost first."""
    return tuple(parent for parent in reversed(path.parents) if not parent.exists())


def kept(file: File) -> dict[str, Any]:
    """A file as JSON, to be put back."""
    match file:
        case Absent():
            return {"kind": "absent"}
        case Link(target):
            return {"kind": "link", "target": target}
        case Content(content, mode):
            return {
                "kind": "file",
                "mode": mode,
                "sha256": digest(content),
                "bytes": base64.b64encode(content).decode(),
            }


def read_kept(said: Mapping[str, Any]) -> File:
    """A file as it was kept. Raises Invalid when what was kept is damaged."""
    match said.get("kind"):
        case "absent":
            return Absent()
        case "link":
            return Link(str(said["target"]))
        case "file":
            content = base64.b64decode(said["bytes"])
            if digest(content) != said["sha256"]:
                raise errors.Invalid("the original that was kept is damaged: its hash does not fit")
            return Content(content, int(said["mode"]))
        case other:
            raise errors.Invalid(f"this version of Conductor did not keep files of kind {other!r}")


def _mend(path: Path) -> str:
    return f"chmod u+w {path}"
