"""What `conductor init` wrote and what was there before, kept in git's own folder until it is taken back.

Two files: one of the working tree, and one of what all worktrees of a repository share, such as the git hooks. The
shared part is taken back with the last worktree that uses it. Written before the files it speaks of, so that also a
set-up that was cut off can be taken back.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor.cli.setup import files
from conductor.cli.setup.entries import Entries, Entry
from conductor.cli.setup.files import Absent, Content, File, Link
from conductor.cli.setup.parts import Part, Section, Whole, digest
from conductor.cli.setup.places import Checkout
from conductor.domain import errors

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Written:
    """One file. before: as it was; after: the hash of what was written; folders: those that were made for it."""

    path: Path
    part: Part
    before: File
    after: str
    folders: tuple[Path, ...] = ()


@dataclass(slots=True)
class Record:
    """Everything of one checkout. agents: the agent's name by client; tokens: those whose token file was made here."""

    files: dict[Path, Written] = field(default_factory=dict)
    shared: dict[Path, Written] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    project: str | None = None
    project_id: str | None = None
    worktrees: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written for this working tree."""
        return not self.files and not self.agents

    def of(self, path: Path) -> Written | None:
        """What was written to a file."""
        return self.files.get(path) or self.shared.get(path)


def fingerprint(file: File) -> str:
    """A file's hash; what is there instead of one has a name."""
    match file:
        case Absent():
            return "absent"
        case Link(target):
            return f"link:{target}"
        case Content(content, _):
            return digest(content)


def load(checkout: Checkout) -> Record:
    """Read what was kept. Raises Invalid when it is damaged or from a newer version."""
    own = _read(checkout.state / "init.json")
    shared = _read(checkout.shared_state / "shared.json")
    try:
        return Record(
            files=_files(own, checkout.top),
            shared=_files(shared, checkout.common),
            agents={str(client): str(name) for client, name in own.get("agents", {}).items()},
            tokens=[str(name) for name in own.get("tokens", [])],
            project=own.get("project"),
            project_id=own.get("project_id") or shared.get("project_id"),
            worktrees={str(one) for one in shared.get("worktrees", []) if Path(one).exists()},
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise errors.Invalid(
            f"{checkout.state / 'init.json'} is damaged: restore it from a backup, or delete it and take out by hand "
            "what stands between the marks of Conductor."
        ) from wrong


def save(checkout: Checkout, record: Record) -> None:
    """Keep it; what is empty is removed, the folders too."""
    own: dict[str, Any] | None = None
    if not record.is_empty:
        own = {
            "agents": record.agents,
            "tokens": record.tokens,
            "project": record.project,
            "project_id": record.project_id,
            "files": _listed(record.files, checkout.top),
        }
    shared = {
        "worktrees": sorted(record.worktrees),
        # The hooks run in every worktree, also in one that was not set up itself.
        "project_id": record.project_id,
        "files": _listed(record.shared, checkout.common),
    }
    _write(checkout.state / "init.json", own)
    _write(checkout.shared_state / "shared.json", shared if record.shared else None)


@contextmanager
def held(checkout: Checkout) -> Iterator[None]:
    """One at a time: two set-ups at once would each keep the other's files as originals."""
    descriptor = os.open(checkout.common, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.Unavailable(
                "Another `conductor init` runs in this repository: wait until it is done."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _files(said: Mapping[str, Any], root: Path) -> dict[Path, Written]:
    found = {}
    for one in said.get("files", []):
        path = root / one["path"]
        folders = tuple(root / folder for folder in one["folders"])
        found[path] = Written(path, _part(one["part"]), files.read_kept(one["before"]), str(one["after"]), folders)
    return found


def _listed(written: Mapping[Path, Written], root: Path) -> list[dict[str, Any]]:
    return [
        {
            "path": _relative(one.path, root),
            "part": one.part.kept(),
            "before": files.kept(one.before),
            "after": one.after,
            "folders": [_relative(folder, root) for folder in one.folders],
        }
        for one in written.values()
    ]


def _relative(path: Path, root: Path) -> str:
    """Relative where it can be: a checkout may be moved."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _part(kept: Mapping[str, Any]) -> Part:
    """A part as it was kept. Raises Invalid for what this version does not know."""
    match kept.get("kind"):
        case "section":
            return Section("", str(kept["opening"]), str(kept["closing"]), bool(kept["at_top"]))
        case "entries":
            entries = tuple(
                Entry(tuple(one["container"]), one["key"], one["value"], str(one["mark"])) for one in kept["entries"]
            )
            return Entries(entries, tuple(tuple(path) for path in kept["made"]))
        case "whole":
            return Whole(b"", str(kept["sha256"]))
        case other:
            raise errors.Invalid(f"this version of Conductor did not write parts of kind {other!r}")


def _read(path: Path) -> dict[str, Any]:
    there = files.look(path)
    if not isinstance(there, Content):
        return {}
    try:
        said = json.loads(there.content)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise errors.Invalid(f"{path} is damaged or was written by a newer Conductor: restore it, or update this one.")
    return said


def _write(path: Path, said: Mapping[str, Any] | None) -> None:
    if said is not None:
        content = json.dumps({"format": _FORMAT, **said}, indent=1).encode() + b"\n"
        # It holds files of people, which may not have been readable for all.
        files.write(path, Content(content, 0o600))
        return
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
