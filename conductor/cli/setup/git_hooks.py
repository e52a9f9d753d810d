"""The git hooks: ours run after those that are there, which stay what they are.

A shell script gets a marked section below its first line that runs the rest of the script as it would have run, with
its own name and folder, and then the gate; so an `exit` or `exec` in it loses nothing. Anything else (another
language, a binary, a link, Windows line ends) is kept beside under its own name, and a script runs both.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conductor.cli.setup.files import Absent, Content, File, Link, Wanted, look
from conductor.cli.setup.parts import Section, Whole
from conductor.cli.setup.places import Hooks
from conductor.cli.setup.program import Program

NAMES = ("pre-commit", "commit-msg", "pre-push")
"""The gates of a checkout; pre-receive is the receiving server's."""

KEPT = "conductor-kept"
"""The folder of the hooks that are kept beside."""

HEAD = b"#!/bin/sh\n"
"""Of a hook that was not there."""

_MODE = 0o755
_SHELL = re.compile(rb"#!\s*\S*/(?:env\s+(?:-S\s+)?)?(?:ba|da|z|k|a)?sh\b[^\n]*(?:\n|\Z)")


def wanted(hooks: Hooks, program: Program) -> Iterator[Wanted]:
    """What the hooks folder should hold."""
    for name in NAMES:
        yield from _Hook(name, hooks, program).wanted()


def moved_away(hook: Path) -> Iterator[Path]:
    """Where other tools put a hook of ours that they found when they installed theirs."""
    # The framework of pre-commit runs `.legacy` before its own; lefthook keeps `.old` and runs it no more.
    for suffix in ("legacy", "old") if hook.name in NAMES else ():
        path = hook.with_name(f"{hook.name}.{suffix}")
        there = look(path)
        if isinstance(there, Content) and b"\n# conductor:begin v" in there.content and _is_utf8(there.content):
            yield path


@dataclass(frozen=True, slots=True)
class _Hook:
    name: str
    hooks: Hooks
    program: Program

    @property
    def path(self) -> Path:
        return self.hooks.folder / self.name

    @property
    def kept(self) -> Path:
        return self.hooks.folder / KEPT / self.name

    def wanted(self) -> Iterator[Wanted]:
        there = look(self.path)
        if isinstance(there, Absent) or self._has_no_rest(there):
            section = Section(self._gate(), at_top=True)
            yield Wanted(self.path, section, is_shared=self.hooks.is_shared, mode=_MODE, head=HEAD)
        elif isinstance(there, Content) and KEPT.encode() in there.content:
            yield from self._beside(look(self.kept))
        elif isinstance(there, Content) and self._runs_in_a_shell(there):
            section = Section(self._rest_first(), at_top=True)
            yield Wanted(self.path, section, is_shared=self.hooks.is_shared, mode=there.mode)
        else:
            yield from self._beside(there)

    def _has_no_rest(self, there: File) -> bool:
        """Whether there is nothing to run beside ours."""
        if not isinstance(there, Content) or KEPT.encode() in there.content or not self._runs_in_a_shell(there):
            return False
        return Section("", at_top=True).cut(there.content, force=True).strip() in {b"", HEAD.strip()}

    def _runs_in_a_shell(self, there: Content) -> bool:
        # git passes over what is not executable, husky runs it nevertheless.
        if not there.mode & 0o111 and self.hooks.folder.name != ".husky":
            return False
        if b"\r\n" in there.content or b"\0" in there.content or not _is_utf8(there.content):
            return False
        # Without a first line that says otherwise it is the shell that runs it.
        return not there.content.startswith(b"#!") or _SHELL.match(there.content) is not None

    def _beside(self, there: File) -> Iterator[Wanted]:
        shared = self.hooks.is_shared
        match there:
            case Link(target):
                is_moved = isinstance(look(self.path), Link) and not os.path.isabs(target)
                target = os.path.join("..", target) if is_moved else target
                yield Wanted(self.kept, Whole(b""), is_shared=shared, mode=_MODE, link=target)
            case Content(content, mode):
                yield Wanted(self.kept, Whole(content), is_shared=shared, mode=mode)
        yield Wanted(self.path, Whole(self._both().encode()), is_shared=shared, mode=_MODE)

    def _gate(self, feeding: str = "") -> str:
        """Lines that ask the gate. In a file that others may run too, who has no Conductor is let through."""
        command = shlex.quote(self.program.name)
        call = f'{feeding}{command} gate {self.name} "$@" || exit $?\n'
        if not self.hooks.is_content:
            return self.program.settings() + call
        return (
            f"if command -v {command} >/dev/null 2>&1; then\n    {call}else\n"
            '    echo "conductor is not installed here: its gate is left out" >&2\nfi\n'
        )

    def _rest_first(self) -> str:
        """Run this script once more without this section, then the gate."""
        mine = f'CONDUCTOR_GATED="{self.name}:$PWD"'
        run = f'    if [ -x "$0" ]; then {mine} "$0" "$@"\n    else {mine} sh -e "$0" "$@"; fi\n'
        keeping, feeding = self._input()
        return (
            "# The rest of this hook runs first, then the gate of Conductor.\n"
            f'if [ "${{CONDUCTOR_GATED-}}" != "{self.name}:$PWD" ]; then\n'
            + _indented(f"{keeping}{feeding}{{\n{run}}} || exit $?\n{self._gate(feeding)}exit 0\n")
            + "fi\n"
        )

    def _both(self) -> str:
        """A script that runs the hook that is kept beside, then the gate."""
        keeping, feeding = self._input()
        return (
            f"#!/bin/sh\n# Written by `conductor init`: the hook that was here is in {KEPT}, and runs first.\n"
            f'kept="$(dirname "$0")/{KEPT}/{self.name}"\n{keeping}'
            f'if [ -x "$kept" ]; then\n    {feeding}"$kept" "$@" || exit $?\nfi\n{self._gate(feeding)}'
        )

    def _input(self) -> tuple[str, str]:
        """Lines that keep what comes on the input, and what feeds it to a command: both hooks need to read it."""
        if self.name != "pre-push":
            return "", ""
        return 'refs=$(cat)\nsay() { [ -z "$refs" ] || printf \'%s\\n\' "$refs"; }\n', "say | "


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _indented(lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines.splitlines())
