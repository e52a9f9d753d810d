"""Which leases, and which grants of the past, touch these paths? Answered by look-ups, however many are kept.

Each kept pattern has a place: a single path its own text, a glob the folder that all its paths lie in with `//`
behind it, which no path holds. What can touch a path stands in the place of that path or of a folder at or above it;
what can touch a glob stands there or below. All this only narrows: what is answered was confirmed by the patterns.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, func, or_, select

from conductor.domain import globs
from conductor.domain.events import EventKind
from conductor.domain.lease_index import LeaseIndex
from conductor.domain.locks import Lease, Mode
from conductor.domain.verdicts import Fence, Given
from storage import tables
from storage.records import LEASE
from storage.unit import Unit

_locks, _lock_paths, _fences, _events = tables.locks, tables.lock_paths, tables.fences, tables.events

K = TypeVar("K", bound=Hashable)

_GLOBS = "//"
AT_ROOT = _GLOBS
"""The place of globs that begin in the root folder: every path has to be compared with them."""

FEW = 8
"""Paths of a question for which to compare is cheaper than to make an index first."""

AT_ONCE = 1_000
"""Ids of one statement: neither database takes any number of values."""


def place_of(path: str) -> str:
    """Give the place under which a pattern is kept."""
    pattern = globs.parse(path)
    return path if pattern.is_literal else pattern.folder + _GLOBS


class Touching:
    """What touches paths, in one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def keep(self, lease: Lease, *, is_new: bool) -> None:
        """Keep where the patterns of a granted lease are found."""
        unit = self._unit
        if not is_new:
            # In one batch a path may be released and leased again: what is kept back goes out before the new row.
            unit.flush()
        for path in lease.paths:
            row = {**self._key(lease, path), "project_id": lease.project_id, "place": place_of(path)}
            if is_new:
                unit.insert(_lock_paths, row)
            else:
                unit.merge("upsert", _lock_paths, row)

    def forget(self, lease: Lease, paths: Collection[str]) -> None:
        """Forget patterns that a lease holds no longer."""
        for path in paths:
            self._unit.delete(_lock_paths, self._key(lease, path))

    def leases(self, project_id: str, paths: Sequence[str]) -> dict[str, list[Lease]]:
        """Read the live leases that touch each of some canonical paths or patterns, the first to end first."""
        kept = self._rows(_lock_paths, project_id, paths, _lock_paths.c.lock_id, _lock_paths.c.path)
        found = _touched(paths, ((lock_id, path) for lock_id, path in kept))
        live = {lease.id: lease for lease in self._live(sorted({key for keys in found.values() for key in keys}))}
        return {
            path: sorted((live[key] for key in keys if key in live), key=lambda lease: (lease.expires_at, lease.id))
            for path, keys in found.items()
        }

    def fences(self, project_id: str, paths: Sequence[str], *, but: str, above: int) -> dict[str, list[Fence]]:
        """Read the highest grants that agents but one were given above a token, by the paths that they touch."""
        c = _fences.c
        # The sum keeps the database from taking the index of tokens: most are later than an old commit's.
        later = [c.agent_id != but, c.token + 0 > above]
        rows = self._rows(_fences, project_id, paths, c.path, c.agent_id, c.token, where=later)
        return _touched(paths, ((Fence(*row), row[0]) for row in rows))

    def given(self, project_id: str, agent_id: str, tokens: Collection[tuple[str, int]]) -> list[Given]:
        """Read which of some tokens, each named with its lock, an agent was really given, and on what."""
        wanted = set(tokens)
        names = sorted({lock_id for lock_id, _ in wanted})
        found = []
        for at in range(0, len(names), AT_ONCE):
            rows = self._unit.rows(
                select(_events.c.subject_id, _events.c.project_id, _events.c.facts).where(
                    _events.c.organization_id == self._unit.organization_id,
                    _events.c.subject_id.in_(names[at : at + AT_ONCE]),
                    _events.c.kind == EventKind.LOCK_GRANTED,
                )
            )
            found += [
                Given(lock_id, facts["token"], tuple(facts["paths"]), facts["mode"] == Mode.EXCLUSIVE)
                for lock_id, place, facts in rows
                if (place, facts["agent_id"]) == (project_id, agent_id) and (lock_id, facts["token"]) in wanted
            ]
        return found

    def holders(self, project_id: str, lock_ids: Collection[str]) -> set[str]:
        """Read whom some locks were granted to, those of the past too."""
        names, found = sorted(set(lock_ids)), set[str]()
        for at in range(0, len(names), AT_ONCE):
            rows = self._unit.rows(
                select(_events.c.project_id, _events.c.facts).where(
                    _events.c.organization_id == self._unit.organization_id,
                    _events.c.subject_id.in_(names[at : at + AT_ONCE]),
                    _events.c.kind == EventKind.LOCK_GRANTED,
                )
            )
            found |= {facts["agent_id"] for place, facts in rows if place == project_id}
        return found

    def count_at_root(self) -> int:
        """Count the leased globs of the organisation that begin in the root folder."""
        rows = self._unit.rows(
            select(func.count()).where(
                _lock_paths.c.organization_id == self._unit.organization_id, _lock_paths.c.place == AT_ROOT
            )
        )
        return int(rows[0][0])

    def _rows(
        self, table: Table, project_id: str, paths: Sequence[str], *columns: Any, where: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Read the rows in whose places something may stand that touches one of the paths."""
        here = [table.c.organization_id == self._unit.organization_id, table.c.project_id == project_id, *where]
        places, below = _places(paths)
        if places:
            yield from self._unit.rows(select(*columns).where(*here, table.c.place.in_(sorted(places))))
        if below:
            inside: list[ColumnElement[bool]] = [
                table.c.place.startswith(folder, autoescape=True) for folder in sorted(below)
            ]
            yield from self._unit.rows(select(*columns).where(*here, or_(*inside)))

    def _live(self, lock_ids: Sequence[str]) -> Iterator[Lease]:
        for at in range(0, len(lock_ids), AT_ONCE):
            yield from self._unit.records(
                LEASE, _locks.c.id.in_(lock_ids[at : at + AT_ONCE]), _locks.c.expires_at > self._unit.now
            )

    def _key(self, lease: Lease, path: str) -> dict[str, str]:
        return {"organization_id": self._unit.organization_id, "lock_id": lease.id, "path": path}


def _touched(paths: Sequence[str], kept: Iterable[tuple[K, str]]) -> dict[str, list[K]]:
    """Give the keys whose patterns touch each path. kept: a key with each of its patterns."""
    if len(paths) <= FEW:
        held = [(key, globs.parse(text)) for key, text in kept]
        return {
            path: list(dict.fromkeys(key for key, pattern in held if globs.overlapping(pattern, globs.parse(path))))
            for path in paths
        }
    index = LeaseIndex[K]()
    for key, text in kept:
        index.add(key, globs.parse(text))
    return {path: index.overlapping(globs.parse(path)) for path in paths}


def _places(paths: Sequence[str]) -> tuple[set[str], set[str]]:
    """Give the places that are looked up, and the beginnings of those that are looked through."""
    places, below = set[str](), set[str]()
    for path in paths:
        pattern = globs.parse(path)
        # Of a path the folder is its own text.
        places.add(pattern.folder)
        places.update(above + _GLOBS for above in _at_and_above(pattern.folder))
        if not pattern.is_literal:
            below.add(f"{pattern.folder}/" if pattern.folder else "")
    return places, below


def _at_and_above(folder: str) -> Iterator[str]:
    yield ""
    at = folder.find("/")
    while at >= 0:
        yield folder[:at]
        at = folder.find("/", at + 1)
    if folder:
        yield folder
