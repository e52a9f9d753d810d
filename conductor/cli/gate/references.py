"""The lines that git gives its hooks on standard input, one for each reference that moves."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conductor.domain import errors

_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Move:
    """A reference that moves. old, new: None where there is none: it is made, or deleted."""

    reference: str
    old: str | None
    new: str | None


def received(given: bytes) -> list[Move]:
    """Read what pre-receive is given: `<old> <new> <reference>`."""
    return [Move(words[2], _id(words[0]), _id(words[1])) for words in _words(given, 3)]


def pushed(given: bytes) -> list[Move]:
    """Read what pre-push is given: `<local reference> <new> <remote reference> <old>`."""
    return [Move(words[2], _id(words[3]), _id(words[1])) for words in _words(given, 4)]


def _words(given: bytes, count: int) -> list[list[str]]:
    # A local reference may be spelled with blanks, as in `HEAD@{1 day ago}`: the last words are what they are.
    lines = [line.rsplit(" ", count - 1) for line in given.decode("utf-8", "surrogateescape").splitlines() if line]
    if any(len(words) != count for words in lines):
        raise errors.Invalid("This gate reads from standard input what git gives its hook: run it as a hook.")
    return lines


def _id(word: str) -> str | None:
    if not _OBJECT.fullmatch(word):
        raise errors.Invalid("This gate reads from standard input what git gives its hook: run it as a hook.")
    return word if word.strip("0") else None
