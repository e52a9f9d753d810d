"""What is about to be committed, pushed or received, as git tells it.

Only plumbing is asked, whose answers no setting of a repository or a person changes; renames are told as a deletion
and an addition, for both paths are touched. The environment is passed on as it came: git tells its hooks by it which
index, which worktree and which quarantine is meant. Standard library only; must never write.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conductor.cli.gate import trailer
from conductor.domain import errors

MOST_TOUCHED = 4_000_000
"""Paths of one push, counted once for each commit that touches them: a bound on memory, a kernel's whole history."""

_PLAIN = ("--no-pager", "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false")
_COMPARING = (
    "-z",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--ignore-submodules=none",
    "-O/dev/null",
)
_FOREIGN = ("GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_TRACE", "GIT_PAGER")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, told by its own object. people: names and mail addresses of author and committer."""

    id: str
    people: frozenset[str]
    fences: tuple[trailer.Fence, ...]


class Git:
    """git in the current folder, with the environment that it gave its hook."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value for name, value in environ.items() if name not in _FOREIGN} | {"LC_ALL": "C"}

    def settings(self) -> dict[str, str]:
        """The settings `conductor.…` of this repository, system and user, by the name after the dot.

        Not those of a single command: `git -c conductor.people=allow push` must not choose what it is judged by.
        """
        # What git takes from these would be shown as this command's, but what was pushed through is not ours either.
        own = {name: value for name, value in self._environ.items() if not name.startswith("GIT_CONFIG_")}
        for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"):
            if name in self._environ:
                own[name] = self._environ[name]
        told = self._run("config", "-z", "--get-regexp", r"^conductor\.", environ=own, codes=(0, 1))
        pairs = (text(entry).partition("\n") for entry in told.split(b"\0") if entry)
        return {name.partition(".")[2].lower(): value for name, _, value in pairs}

    def folder(self) -> Path:
        """The working tree's own git folder."""
        return Path(text(self._run("rev-parse", "--absolute-git-dir")).rstrip("\n"))

    def common_folder(self) -> Path:
        """The git folder that all working trees of the repository share."""
        return Path(os.path.abspath(text(self._run("rev-parse", "--git-common-dir")).rstrip("\n")))

    def committer_mail(self) -> str:
        """The mail address that commits made here carry; empty when none is known."""
        told = text(self._run("var", "GIT_COMMITTER_IDENT", codes=(0, 128)))
        return told.partition("<")[2].partition(">")[0].lower()

    def comment_character(self) -> str:
        """What begins a comment in a message."""
        told = text(self._run("config", "--get", "core.commentChar", codes=(0, 1))).strip()
        return told if told and told != "auto" else "#"

    def staged(self) -> tuple[str, ...]:
        """The paths that the next commit changes; of a merge in progress those that differ from all its parents."""
        parents = [parent for parent in ("HEAD", *self._merged()) if self._is_commit(parent)]
        if not parents:
            parents = [text(self._run("hash-object", "-t", "tree", "--stdin")).strip()]
        changed = [
            set(_names(self._run("diff-index", "--cached", "--name-only", *_COMPARING, parent, "--")))
            for parent in parents
        ]
        return tuple(sorted(set.intersection(*changed)))

    def unpublished_head(self) -> tuple[str, ...]:
        """The paths of the commit that `--amend` would replace; none when it stays: on a remote, or in a merge."""
        if (
            self._merged()
            or not self._is_commit("HEAD")
            or not self._run("rev-list", "-1", "HEAD", "--not", "--remotes", "--")
        ):
            return ()
        head = text(self._run("rev-parse", "--verify", "HEAD")).strip()
        return tuple(sorted(self.touched([head]).get(head, ())))

    def new_commits(self, heads: Sequence[str], *, held: Sequence[str]) -> list[Commit]:
        """The commits at and below these heads that nothing of `held` (arguments of rev-list) has, the newest first."""
        if not heads:
            return []
        found = self._run("rev-list", "--stdin", "--not", *held, given=_lines(heads))
        told = self._run("cat-file", "--batch", given=found) if found else b""
        commits, at = [], 0
        while at < len(told):
            end = told.index(b"\n", at)
            name, _, size = text(told[at:end]).split(" ")
            commits.append(_commit(name, text(told[end + 1 : end + 1 + int(size)])))
            at = end + 1 + int(size) + 1
        return commits

    def touched(self, commits: Sequence[str]) -> dict[str, set[str]]:
        """What each commit changes, by its id, of a merge only what differs from all its parents.

        All from one process. A commit that changes nothing is not in it. Raises TooLarge.
        """
        comparing = ("diff-tree", "--stdin", "-r", "-c", "--root", "--raw", *_COMPARING)
        told = self._run(*comparing, given=_lines(commits)) if commits else b""
        touched: dict[str, set[str]] = {}
        count, paths, words = 0, set[str](), iter(told.split(b"\0"))
        for word in words:
            if word.startswith(b":"):
                paths.add(text(next(words)))
                count += 1
                if count > MOST_TOUCHED:
                    raise errors.TooLarge(f"These commits touch more than {MOST_TOUCHED:,} paths: push fewer at once.")
            elif word:
                paths = touched.setdefault(text(word), set())
        return {name: changed for name, changed in touched.items() if changed}

    def tracking(self, remote: str) -> str:
        """The argument of rev-list for what a remote is known to have; for an address without a name, of all."""
        is_named = remote and self._code("config", "--get", f"remote.{remote}.url") == 0
        return f"--remotes={remote}" if is_named else "--remotes"

    def is_there(self, name: str) -> bool:
        """Whether this repository has an object."""
        return self._code("cat-file", "-e", name) == 0

    def _merged(self) -> list[str]:
        folder = text(self._run("rev-parse", "--git-path", "MERGE_HEAD")).strip()
        try:
            return Path(folder).read_text(encoding="ascii", errors="replace").split()
        except OSError:
            return []

    def _is_commit(self, name: str) -> bool:
        return self._code("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") == 0

    def _code(self, *arguments: str) -> int:
        done = subprocess.run(
            ["git", *_PLAIN, *arguments], env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.returncode

    def _run(
        self,
        *arguments: str,
        given: bytes = b"",
        codes: Sequence[int] = (0,),
        environ: Mapping[str, str] | None = None,
    ) -> bytes:
        try:
            done = subprocess.run(
                ["git", *_PLAIN, *arguments],
                env=environ or self._environ,
                input=given,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise errors.Unavailable(f"git cannot be started ({error.strerror}): put it on the PATH.") from None
        if done.returncode not in codes:
            said = text(done.stderr).strip().partition("\n")[0] or f"code {done.returncode}"
            raise errors.Invalid(f"git {arguments[0]} failed here: {said}. Run this in a repository, as a hook of git.")
        return done.stdout


def text(given: bytes) -> str:
    """Read what git said; bytes that are no UTF-8 stay what they are and are found again."""
    return given.decode("utf-8", "surrogateescape")


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _names(told: bytes) -> list[str]:
    return [text(name) for name in told.split(b"\0") if name]


def _commit(name: str, content: str) -> Commit:
    header, _, message = content.partition("\n\n")
    people = set[str]()
    for line in header.split("\n"):
        role, _, who = line.partition(" ")
        if role in {"author", "committer"}:
            called, _, rest = who.partition("<")
            people |= {called.strip(), rest.partition(">")[0].strip()}
    return Commit(name, frozenset(people - {""}), trailer.read(message))
