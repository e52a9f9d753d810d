"""What a set-up or its removal would do to each file, decided before anything is written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from conductor.cli.setup import clients, files, git_hooks
from conductor.cli.setup.entries import Entries
from conductor.cli.setup.files import Absent, Change, Content, File, Link, Wanted
from conductor.cli.setup.parts import Edited, Section, Standing, Whole
from conductor.cli.setup.places import Checkout
from conductor.cli.setup.program import Program
from conductor.cli.setup.record import Record, Written, fingerprint
from conductor.domain import errors

_INSTRUCTIONS = frozenset(client.instructions for client in clients.CLIENTS.values())


def wanted(checkout: Checkout, agents: dict[clients.Client, str], program: Program) -> list[Wanted]:
    """Every file of a set-up: the clients', the git hooks, and what git is told to leave out."""
    of_clients = list(clients.wanted(checkout.top, agents, program))
    hooks = checkout.hooks()
    of_git = [] if hooks.is_everybodys else list(git_hooks.wanted(hooks, program))
    return [*of_clients, *of_git, *_left_out(checkout, [*of_clients, *of_git])]


def additions(wishes: Iterable[Wanted], record: Record, *, force: bool) -> list[Change]:
    """How each file comes to hold what it should. Raises Invalid, which names everything that is in the way."""
    changes, wrong, is_edited = [], [], False
    for wish in wishes:
        try:
            change = _addition(wish, record.of(wish.path), force=force)
        except errors.ConductorError as refused:
            is_edited = is_edited or isinstance(refused, Edited)
            wrong.append(refused.message if str(wish.path) in refused.message else f"{wish.path}: {refused.message}")
            continue
        changes.append(change)
        problem = files.refusal(wish.path) if change.is_needed else None
        wrong += [problem] if problem is not None else []
    if wrong:
        mend = " With --force what was changed by hand is written anew." if is_edited else ""
        raise errors.Invalid("Nothing was changed. " + "; ".join(wrong) + "." + mend)
    return changes


def removals(written: Iterable[Written], *, force: bool) -> list[Change]:
    """How each file comes to be what it was. Raises VersionConflict, which names what was changed by hand, Invalid."""
    changes, edited, closed = [], [], []
    every = list(written)
    every += [
        Written(path, Section("", at_top=True), Absent(), "")
        for one in every
        for path in git_hooks.moved_away(one.path)
    ]
    # The original of a hook that another tool has replaced since stays beside it: nobody else has it.
    still_kept = {one.path.parent / git_hooks.KEPT / one.path.name for one in every if _is_replaced(one)}
    for one in every:
        if one.path in still_kept:
            continue
        now = files.look(one.path)
        try:
            base = without(now, one, force=force)
        except errors.ConductorError as refused:
            edited.append(f"{one.path}: {refused.message}")
            continue
        change = Change(one.path, one.part, now, one.before, base, folders=one.folders)
        changes.append(change)
        problem = files.refusal(one.path) if change.is_needed else None
        closed += [problem] if problem is not None else []
    if closed:
        raise errors.Invalid("Nothing was changed. " + "; ".join(closed) + ".")
    if edited:
        raise errors.VersionConflict(
            "Nothing was changed. " + "; ".join(edited) + ". With --force exactly what Conductor wrote is cut out."
        )
    return changes


def without(now: File, written: Written, *, force: bool) -> File:
    """A file without ours: byte for byte what it was, or, when others wrote to it since, their text without ours."""
    if fingerprint(now) == written.after:
        return written.before
    if fingerprint(now) == fingerprint(written.before) or not isinstance(now, Content):
        return now
    if isinstance(written.part, Whole):
        if _is_replaced(written):
            return now
        written.part.cut(now.content, force=force)
        return written.before
    left = written.part.cut(now.content, force=force)
    is_bare = b"".join(left.split()) in {b"", b"{}", git_hooks.HEAD.strip()}
    return Absent() if isinstance(written.before, Absent) and is_bare else replace(now, content=left)


def diff(changes: Iterable[Change], top: Path) -> Iterator[str]:
    """The changes as a unified diff."""
    for change in changes:
        name = str(change.path.relative_to(top)) if change.path.is_relative_to(top) else str(change.path)
        old, new = _lines(change.now), _lines(change.after)
        sources = "/dev/null" if isinstance(change.now, Absent) else f"a/{name}"
        targets = "/dev/null" if isinstance(change.after, Absent) else f"b/{name}"
        for line in difflib.unified_diff(old, new, sources, targets, n=2):
            yield line.rstrip("\r\n")


def standing(wish: Wanted, record: Record) -> Standing:
    """How what is wanted stands in its file now."""
    there = files.look(wish.path)
    if wish.link is not None:
        return Standing.AS_WRITTEN if isinstance(there, Link) else Standing.ABSENT
    if not isinstance(there, Content):
        return Standing.ABSENT
    return wish.part.standing(there.content)


def _is_replaced(written: Written) -> bool:
    """Whether another tool has put its own hook where ours called an older one."""
    now = files.look(written.path)
    is_ours_whole = isinstance(written.part, Whole) and not isinstance(written.before, Absent)
    return is_ours_whole and not (isinstance(now, Content) and git_hooks.KEPT.encode() in now.content)


def _addition(wish: Wanted, written: Written | None, *, force: bool) -> Change:
    now = files.look(wish.path)
    before = now if written is None else without(now, written, force=force)
    folders = files.missing_folders(wish.path) or (written.folders if written is not None else ())
    part = wish.part
    after: File
    if wish.link is not None:
        after = Link(wish.link)
    elif isinstance(part, Whole):
        after = Content(part.content, wish.mode)
    else:
        old = before.content if isinstance(before, Content) else wish.head
        if isinstance(part, Entries):
            part = replace(part, made=part.missing_containers(old))
        after = Content(part.put(old, force=force), before.mode if isinstance(before, Content) else wish.mode)
    return Change(wish.path, part, now, before, after, wish.is_shared, folders)


def _left_out(checkout: Checkout, wishes: list[Wanted]) -> Iterator[Wanted]:
    """git's own list of what it leaves out: files that are made here and name this person's agents."""
    path = checkout.git_path("info/exclude")
    there = files.look(path)
    old = Section("").lines(there.content) if isinstance(there, Content) else []
    made = [
        f"/{wish.path.relative_to(checkout.top)}"
        for wish in wishes
        if wish.path.is_relative_to(checkout.top)
        and not wish.path.is_relative_to(checkout.common)
        and wish.path.name not in _INSTRUCTIONS
        and isinstance(files.look(wish.path), Absent)
    ]
    lines = sorted({*old, *made})
    if lines:
        yield Wanted(path, Section("".join(f"{line}\n" for line in lines)), is_shared=True)


def _lines(file: File) -> list[str]:
    match file:
        case Absent():
            return []
        case Link(target):
            return [f"link to {target}\n"]
        case Content(content, _):
            return content.decode(errors="replace").splitlines(keepends=True)
