"""Trailers of commits: the leases under which a commit was made, as `Conductor-Lock: <lock>#<token>`.

They travel with the commit through rebases and cherry-picks, and whoever receives it can still ask whether a later
grant overlaps what it touches. What they say is a claim: the server knows what it granted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from conductor.domain import ids

NAME = "Conductor-Lock"

MOST = 4096
"""Trailers of one message that are read: more than leases anybody holds, few enough to ask about."""

_HIGHEST = 2**53 - 1
"""No token is above: JSON's numbers are exact so far."""

_LINE = re.compile(
    rf"^{NAME}:[ \t]*({ids.Kind.LOCK}_[{ids.ALPHABET}]{{{ids.LENGTH}}})#([0-9]{{1,16}})[ \t\r]*$",
    re.MULTILINE | re.IGNORECASE | re.ASCII,
)
_TRAILER = re.compile(r"[A-Za-z0-9-]+:[ \t]|[ \t]|\(cherry picked from commit ")
_SCISSORS = "------------------------ >8 ------------------------"


@dataclass(frozen=True, slots=True, order=True)
class Fence:
    """A lock and the fencing token it was granted with."""

    lock_id: str
    token: int

    def __str__(self) -> str:
        return f"{self.lock_id}#{self.token}"


def read(message: str) -> tuple[Fence, ...]:
    """Read the leases that a message names, wherever a line names them: a squash moves them into the middle."""
    matches = itertools.islice(_LINE.finditer(message), MOST)
    found = {Fence(match[1].lower(), int(match[2])) for match in matches}
    return tuple(sorted(fence for fence in found if fence.token <= _HIGHEST))


def add(message: str, fences: Iterable[Fence], comment: str = "#") -> str:
    """Give the message with the leases that it does not name yet, as trailers at its end.

    comment: the character that begins a comment; those at the end, and a patch shown below the scissors, stay last.
    """
    said = set(read(message))
    new = [f"{NAME}: {fence}" for fence in sorted(set(fences) - said)]
    if not new:
        return message
    end = "\r\n" if "\r\n" in message else "\n"
    lines = message.replace("\r\n", "\n").split("\n")
    last = _end_of_text(lines, comment)
    body, rest = lines[:last], lines[last:]
    if not _ends_in_trailers(body):
        body.append("")
    return end.join([*body, *new, *(rest or [""])])


def _end_of_text(lines: list[str], comment: str) -> int:
    """The number of lines that the commit will keep: neither comments nor blank ones at the end."""
    scissors = next((at for at, line in enumerate(lines) if line == f"{comment} {_SCISSORS}"), len(lines))
    last = scissors
    while last and (not lines[last - 1].strip() or lines[last - 1].startswith(comment)):
        last -= 1
    return last


def _ends_in_trailers(lines: list[str]) -> bool:
    """Whether the last paragraph is trailers already, so that ours join it; the subject alone never is."""
    start = len(lines)
    while start and lines[start - 1].strip():
        start -= 1
    return 0 < start < len(lines) and all(_TRAILER.match(line) for line in lines[start:])
