"""Which changes pass: what touches which paths by which leases, asked in as few questions as there must be.

Pure but for the question itself, which is handed in. The verdict is the server's; here it is decided only what is
asked together and what a verdict means for somebody who needs no lease, a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from conductor.cli.gate.trailer import Fence
from conductor.domain import errors, paths

BATCH = 64
"""Paths of one question."""

FENCES = 1_000
"""Fences of one question."""

MOST_PATHS = 100_000
"""Different paths that one run asks about: some 1,600 questions."""

MOST_REFUSED = 20
"""Refusals after which nothing more is asked: who reads them knows enough."""

_HARMLESS_TO_PEOPLE = frozenset({"not_locked"})
_Reply = Mapping[str, Any]
_Item = TypeVar("_Item")
Ask = Callable[..., _Reply]
"""`check_paths` with its arguments by name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """By what right something was changed. agent_id: whose leases count; None: the caller's own.

    is_person: it needs no lease, and must only keep off those of others.
    """

    fences: tuple[Fence, ...] = ()
    agent_id: str | None = None
    is_person: bool = False


@dataclass(slots=True)
class Changes:
    """Paths by the standing of those who changed them; each with the first commit that is known to touch it."""

    _paths: dict[Standing, dict[str, str]] = field(default_factory=dict)

    def add(self, standing: Standing, touched: Iterable[str], commit: str = "") -> None:
        """Note what one commit touches."""
        known = self._paths.setdefault(standing, {})
        for path in touched:
            known.setdefault(path, commit)

    def paths(self) -> list[str]:
        """All that is touched."""
        return sorted({path for touched in self._paths.values() for path in touched})

    def refused(self, ask: Ask) -> list[Refusal]:
        """Ask about all of it; gives the first refusals. Raises TooLarge, and what the question raises."""
        count = sum(len(touched) for touched in self._paths.values())
        if count > MOST_PATHS:
            raise errors.TooLarge(f"This changes {count:,} paths and {MOST_PATHS:,} can be judged: split it.")
        found: list[Refusal] = []
        for standing, touched in self._paths.items():
            for batch in batches(sorted(touched), BATCH):
                found += _judged(ask, standing, {path: touched[path] for path in batch})
                if len(found) >= MOST_REFUSED:
                    return found[:MOST_REFUSED]
        return found


@dataclass(frozen=True, slots=True)
class Refusal:
    """A path that must not be changed so. commit: which one does; empty: the one that is being made."""

    path: str
    commit: str
    verdict: str
    because: str


def leasable(path: str) -> str:
    """A text that stands for a path of the repository: itself, or the nearest folder above that can be leased.

    git knows names that Conductor refuses, with control characters or of any length; what is leased there is a folder.
    """
    while path:
        try:
            paths.canonical(path)
        except errors.PathInvalid:
            path = path.rstrip("/").rpartition("/")[0]
            path += "/" if path else ""
        else:
            return path
    return paths.EVERYTHING


def _judged(ask: Ask, standing: Standing, touched: Mapping[str, str]) -> Iterator[Refusal]:
    asked: dict[str, list[str]] = {}
    for path in touched:
        asked.setdefault(leasable(path), []).append(path)
    refused: dict[str, _Reply] = {}
    open_paths = list(asked)
    # One lease that allows a path is enough, and a question has room for so many.
    for fences in batches(standing.fences, FENCES) if standing.fences else [()]:
        refused = _asked(ask, standing, open_paths, fences)
        open_paths = [path for path in open_paths if path in refused]
        if not open_paths:
            break
    for text, reason in refused.items():
        for path in asked[text]:
            yield Refusal(path, touched[path], str(reason.get("verdict", "refused")), str(reason.get("because", "")))


def _asked(ask: Ask, standing: Standing, asked: Sequence[str], fences: Sequence[Fence]) -> dict[str, _Reply]:
    arguments: dict[str, object] = {"paths": list(asked), "intent": "commit"}
    if fences:
        arguments["tokens"] = [{"lock_id": fence.lock_id, "token": fence.token} for fence in fences]
    if standing.agent_id is not None:
        arguments["agent_id"] = standing.agent_id
    try:
        reply = ask(**arguments)
    except errors.Invalid as error:
        if not fences:
            raise
        return _asked_apart(ask, standing, asked, fences, error)
    if reply.get("allowed") is True:
        return {}
    harmless = {"ok", *(_HARMLESS_TO_PEOPLE if standing.is_person else ())}
    # The server spells a path in its own way; what it does not name by ours is found by its place among the answers.
    refused: dict[str, _Reply] = {}
    told = [reason for reason in reply.get("reasons", ()) if isinstance(reason, dict)]
    for reason in told:
        if reason.get("verdict") in harmless:
            continue
        path = str(reason.get("path", ""))
        refused.setdefault(path if path in asked else _spelled(path, asked), reason)
    if not told:
        # No for no reason is no.
        refused[asked[0]] = {"verdict": "refused", "because": "the server refuses it and names no reason"}
    return refused


def _asked_apart(
    ask: Ask, standing: Standing, asked: Sequence[str], fences: Sequence[Fence], error: errors.Invalid
) -> dict[str, _Reply]:
    """Ask by some of the fences and then by the others: a squash may carry those of several agents."""
    half = len(fences) // 2
    if not half:
        return {path: {"verdict": "stale_token", "because": error.message} for path in asked}
    refused = _asked(ask, standing, asked, fences[:half])
    return _asked(ask, standing, list(refused), fences[half:]) if refused else {}


def _spelled(path: str, asked: Sequence[str]) -> str:
    for fold_case in (False, True):
        for text in asked:
            if paths.canonical(text, fold_case=fold_case) == path:
                return text
    return asked[0]


def batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Part items into runs of at most so many."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
