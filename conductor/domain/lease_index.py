"""Which held patterns could conflict with this one? Asked at every acquire, with ten thousand of them held.

Exact paths, by far the most, are found by their text and kept sorted for globs that ask for all below a folder.
Globs are kept by their folder (the leading segments without wildcards): a path can only match globs of the folders
above it, and those of one folder (in the root there may be hundreds of `**/*.ext`) by another text that the path must
have. All this only narrows: what is answered was confirmed by globs.overlapping.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from conductor.domain import globs
from conductor.domain.globs import Pattern

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Held(Generic[K]):
    """One pattern and who holds it, in the order in which they came."""

    pattern: Pattern
    keys: dict[K, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Folder(Generic[K]):
    """The globs of one folder, by text, and each also in one of three places by what it demands of a path.

    by_tail: with how the path must end, under the length of that. by_name: with a segment it must have. loose: rest.
    """

    globs: dict[str, _Held[K]] = field(default_factory=dict)
    by_tail: dict[int, dict[str, dict[str, _Held[K]]]] = field(default_factory=dict)
    by_name: dict[str, dict[str, _Held[K]]] = field(default_factory=dict)
    loose: dict[str, _Held[K]] = field(default_factory=dict)

    def add(self, held: _Held[K]) -> None:
        pattern = held.pattern
        self.globs[pattern.text] = held
        if pattern.tail:
            place = self.by_tail.setdefault(len(pattern.tail), {}).setdefault(pattern.tail, {})
        elif name := _name(pattern):
            place = self.by_name.setdefault(name, {})
        else:
            place = self.loose
        place[pattern.text] = held

    def remove(self, pattern: Pattern) -> None:
        del self.globs[pattern.text]
        if pattern.tail:
            tails = self.by_tail[len(pattern.tail)]
            _remove(tails, pattern.tail, pattern.text)
            if not tails:
                del self.by_tail[len(pattern.tail)]
        elif name := _name(pattern):
            _remove(self.by_name, name, pattern.text)
        else:
            del self.loose[pattern.text]

    def near(self, path: str, names: list[str]) -> Iterator[_Held[K]]:
        """Give the globs that a path (names: its segments) may match, each at most once."""
        yield from self.loose.values()
        for length, tails in self.by_tail.items():
            if found := tails.get(path[-length:]):
                yield from found.values()
        if self.by_name:
            for name in dict.fromkeys(names):
                if found := self.by_name.get(name):
                    yield from found.values()


class LeaseIndex(Generic[K]):
    """Held patterns by key (a lease, a ticket, a zone); a key may hold many patterns and a pattern many keys.

    One exact path among exact paths costs a dictionary's look-up, with globs a few per folder above it. A glob costs
    what lies below its folder. Not safe for threads: one keeper owns it.
    """

    __slots__ = ("_exact", "_exact_sorted", "_folders", "_folders_sorted")

    def __init__(self) -> None:
        self._exact: dict[str, _Held[K]] = {}
        self._exact_sorted: list[str] = []
        self._folders: dict[str, _Folder[K]] = {}
        self._folders_sorted: list[str] = []

    def add(self, key: K, pattern: Pattern) -> None:
        """Note that the key holds the pattern; noting it twice is noting it once."""
        held = self._held(pattern)
        if held is None:
            held = _Held(pattern)
            if pattern.is_literal:
                self._exact[pattern.text] = held
                insort(self._exact_sorted, pattern.text)
            else:
                if pattern.folder not in self._folders:
                    self._folders[pattern.folder] = _Folder()
                    insort(self._folders_sorted, pattern.folder)
                self._folders[pattern.folder].add(held)
        held.keys[key] = None

    def remove(self, key: K, pattern: Pattern) -> None:
        """Forget that the key holds the pattern.

        Raises KeyError when it does not: the memory of whoever asks is then wrong, and must be loaded again.
        """
        held = self._held(pattern)
        if held is None:
            raise KeyError(pattern.text)
        del held.keys[key]
        if held.keys:
            return
        if pattern.is_literal:
            del self._exact[pattern.text]
            del self._exact_sorted[bisect_left(self._exact_sorted, pattern.text)]
            return
        folder = self._folders[pattern.folder]
        folder.remove(pattern)
        if not folder.globs:
            del self._folders[pattern.folder]
            del self._folders_sorted[bisect_left(self._folders_sorted, pattern.folder)]

    def overlapping(self, pattern: Pattern) -> list[K]:
        """Give the keys of which some pattern overlaps this one: exactly those, each once."""
        if not pattern.is_literal:
            return list(self._overlapping_a_glob(pattern))
        path = pattern.text
        exact = self._exact.get(path)
        found = dict(exact.keys) if exact else {}
        if self._folders:
            names = path.split("/")
            for folder in self._folders_at_and_above(path):
                for held in folder.near(path, names):
                    if held.pattern.matches(path):
                        found.update(held.keys)
        return list(found)

    def _overlapping_a_glob(self, pattern: Pattern) -> dict[K, None]:
        found: dict[K, None] = {}
        # A glob from the root down meets every path here: the two cheap looks leave few for the whole comparison.
        tail, name = pattern.tail, _name(pattern)
        for path in _beginning_with(pattern.head, self._exact_sorted):
            if path.endswith(tail) and name in path and pattern.matches(path):
                found.update(self._exact[path].keys)
        folders = list(self._folders_at_and_above(pattern.folder))
        below = f"{pattern.folder}/" if pattern.folder else ""
        # The root begins with the empty text too, and is there already.
        folders += [self._folders[text] for text in _beginning_with(below, self._folders_sorted) if text]
        for folder in folders:
            for held in folder.globs.values():
                if globs.overlapping(held.pattern, pattern):
                    found.update(held.keys)
        return found

    def _folders_at_and_above(self, path: str) -> Iterator[_Folder[K]]:
        for above in _at_and_above(path):
            if folder := self._folders.get(above):
                yield folder

    def _held(self, pattern: Pattern) -> _Held[K] | None:
        if pattern.is_literal:
            return self._exact.get(pattern.text)
        folder = self._folders.get(pattern.folder)
        return folder.globs.get(pattern.text) if folder else None


def _name(pattern: Pattern) -> str:
    """Give the last segment without wildcards behind the first one with, or nothing."""
    behind = pattern.segments[pattern.folder.count("/") + 1 if pattern.folder else 0 :]
    return next((segment.text for segment in reversed(behind) if segment.is_literal), "")


def _remove(places: dict[str, dict[str, _Held[K]]], name: str, text: str) -> None:
    del places[name][text]
    if not places[name]:
        del places[name]


def _at_and_above(path: str) -> Iterator[str]:
    """Give the root (as the empty text), each folder above a path, and the path."""
    yield ""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    if path:
        yield path


def _beginning_with(head: str, texts: list[str]) -> Iterator[str]:
    """Give the texts of a sorted list that begin with this one."""
    if not head:
        yield from texts
        return
    at = bisect_left(texts, head)
    while at < len(texts) and texts[at].startswith(head):
        yield texts[at]
        at += 1
