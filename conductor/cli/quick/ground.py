"""Where a path lies: in the repository that the agent works on, or elsewhere, which is not ours to judge.

Links are resolved here, on the machine that has them: a lease is on the file that is written, not on its name. A
worktree of the same repository is the repository; a submodule or another repository inside it belongs to what
surrounds it; anything else is outside. git is not run: that would take longer than the daemon.
"""

from __future__ import annotations

import os
from typing import NamedTuple

_MOST_BYTES = 8192


class Ground(NamedTuple):
    """A working tree. root: its folder, links resolved. common: the git folder that all its worktrees share."""

    root: str
    common: str | None


def of(folder: str) -> Ground:
    """The working tree that a folder lies in; a folder that is in none is its own."""
    real = os.path.realpath(folder)
    return _tree_of(real) or Ground(real, None)


def relative(path: str, folder: str, home: Ground) -> str | None:
    """Give a path as the repository knows it; None: it lies outside. folder: what a relative path starts from.

    The working tree itself is `.`. Raises ValueError for a text that no file can have as its name.
    """
    real = os.path.realpath(os.path.join(folder, path))
    tree = _tree_of(os.path.dirname(real))
    if tree is not None and tree.common is not None and tree.common == home.common:
        root = tree.root
    elif real == home.root or real.startswith(home.root.rstrip("/") + "/"):
        root = home.root
    else:
        return None
    return os.path.relpath(real, root)


def _tree_of(folder: str) -> Ground | None:
    while True:
        common = _common(os.path.join(folder, ".git"))
        if common is not None:
            return Ground(folder, common)
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _common(marker: str) -> str | None:
    """The shared git folder that a `.git` leads to; None when it is none."""
    if os.path.isdir(marker):
        return os.path.realpath(marker) if os.path.exists(os.path.join(marker, "HEAD")) else None
    said = _read(marker)
    if not said.startswith("gitdir:"):
        return None
    own = os.path.realpath(os.path.join(os.path.dirname(marker), said.removeprefix("gitdir:").strip()))
    shared = _read(os.path.join(own, "commondir"))
    return os.path.realpath(os.path.join(own, shared)) if shared else own


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_MOST_BYTES)).strip()
    except OSError:
        return ""
