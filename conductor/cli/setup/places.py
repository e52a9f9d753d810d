"""Where a checkout keeps what matters here: its top folder, git's folders, and the hooks that git really runs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conductor.domain import errors


@dataclass(frozen=True, slots=True)
class Checkout:
    """One working tree. git_folder: its own; common: shared by all worktrees of the repository."""

    top: Path
    git_folder: Path
    common: Path

    @property
    def is_worktree(self) -> bool:
        """Whether it was made by `git worktree add`."""
        return self.git_folder != self.common

    @property
    def state(self) -> Path:
        """Where it is kept what was written into this working tree."""
        return self.git_folder / "conductor"

    @property
    def shared_state(self) -> Path:
        """Where it is kept what was written for all worktrees."""
        return self.common / "conductor"

    def git_path(self, name: str) -> Path:
        """Where git looks for one of its files."""
        return Path(os.path.abspath(self.top / _git(self.top, "rev-parse", "--git-path", name)))

    def is_tracked(self, path: Path) -> bool:
        """Whether a file is part of the repository's content."""
        return bool(_git(self.top, "ls-files", "--", str(path))) if path.is_relative_to(self.top) else False

    def remote(self) -> str | None:
        """Where `origin` is, without a password that may stand in it."""
        said = _ask(self.top, "remote", "get-url", "origin")
        if not said:
            return None
        scheme, divider, rest = said.partition("://")
        host = rest.partition("/")[0]
        return f"{scheme}://{rest[host.rfind('@') + 1 :]}" if divider else said

    def main_top(self) -> Path:
        """The repository's main working tree, by which its project is known; of a lone worktree that one."""
        return self.common.parent if self.common.name == ".git" else self.top

    def hooks(self) -> Hooks:
        """Which hooks folder to write to."""
        folder = Path(os.path.realpath(self.git_path("hooks")))
        scope = (_ask(self.top, "config", "--show-scope", "--get", "core.hooksPath") or "").split("\t")[0]
        # husky's `_` is generated again with each install; what it runs lies beside it.
        if folder.name == "_" and folder.parent.name == ".husky":
            folder = folder.parent
        in_git = folder.is_relative_to(self.common) or folder.is_relative_to(self.git_folder)
        in_tree = not in_git and folder.is_relative_to(os.path.realpath(self.top))
        is_everybodys = scope in {"global", "system"} and not in_git and not in_tree
        return Hooks(folder, is_shared=not in_tree, is_content=in_tree, is_everybodys=is_everybodys)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The folder of git's hooks. is_shared: by all worktrees; is_content: it can be committed, so others may run it.

    is_everybodys: the person's own setting sends every repository there.
    """

    folder: Path
    is_shared: bool
    is_content: bool
    is_everybodys: bool


def find(folder: Path) -> Checkout:
    """The checkout that a folder lies in. Raises Invalid when it lies in none, Unavailable without git."""
    said = _ask(folder, "rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir")
    if said is None:
        raise errors.Invalid(
            f"{folder} lies in no git repository, and locks need its root: run `git init` there, or go into one."
        )
    is_bare, own, common = said.splitlines()
    top = _ask(folder, "rev-parse", "--show-toplevel")
    if is_bare == "true" or not top:
        raise errors.Invalid(
            f"{folder} has no working tree: run `conductor init` in a checkout. What a receiving repository needs is "
            "`conductor gate pre-receive` as its pre-receive hook."
        )
    return Checkout(Path(top), Path(os.path.realpath(own)), Path(os.path.realpath(folder / common)))


def _git(folder: Path, *words: str) -> str:
    said = _ask(folder, *words)
    if said is None:
        raise errors.Unavailable(f"git {' '.join(words)} failed in {folder}.")
    return said


def _ask(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        raise errors.Unavailable("git is not installed, and nothing can be set up without it.") from None
    if "dubious ownership" in done.stderr:
        raise errors.Forbidden(f"git does not trust this folder: {done.stderr.strip()}")
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
