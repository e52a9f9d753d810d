"""What travels between the dispatcher and a host: commands in, answers out, a batch at a time.

Plain tuples of bytes and texts: a batch of 64 is pickled in microseconds, and a host needs nothing of the daemon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from conductor.domain.access import Caller
from conductor.domain.quotas import Level


class Chore(StrEnum):
    """What the daemon asks of hosts besides the catalogue."""

    LEVELS = "levels"
    ELAPSE = "elapse"
    TOUCH = "touch"
    TOKEN_USED = "token_used"
    TAKE_URGENT = "take_urgent"
    LEAVE_QUEUE = "leave_queue"
    SIGN_OF_LIFE = "sign_of_life"
    FORGET = "forget"


OF_ONE_CALLER = frozenset({Chore.LEVELS, Chore.TOUCH, Chore.TOKEN_USED, Chore.TAKE_URGENT, Chore.LEAVE_QUEUE})
"""Chores that are done for a caller; the others concern a whole host."""


class Command(NamedTuple):
    """One call, decided and written by a host.

    operation: a name of the catalogue or a chore. arguments: the request's JSON. caller: None for chores.
    levels: the budgets that bound the caller, where the operation needs them. sight: JSON of what the daemon saw in the
    project's repository, where the operation looks into it.
    """

    operation: str
    organization_id: str
    project_id: str | None
    caller: Caller | None
    arguments: bytes
    levels: tuple[Level, ...] = ()
    sight: bytes = b""


class Outcome(NamedTuple):
    """What a command came to.

    body: JSON of the reply or of the fault. line: one line of text. code: the error's code; None: done.
    levels: the answer of the chore LEVELS. wakes: who waits for what this has committed, by name.
    waits: there is nothing yet for a caller that is willing to wait. waited_s: how long one has waited.
    ticket: the place in a queue with which a waiting caller asks again. is_placed: this command has taken it.
    """

    body: bytes
    line: str
    code: str | None = None
    levels: tuple[Level, ...] = ()
    wakes: tuple[str, ...] = ()
    waits: bool = False
    waited_s: float = 0.0
    ticket: str = ""
    is_placed: bool = False


@dataclass(frozen=True, slots=True)
class HostStats:
    """What a host has done since it started. rooms: projects in memory."""

    name: str
    pid: int
    batches: int = 0
    commands: int = 0
    alone: int = 0
    failures: int = 0
    rooms: int = 0
    largest_batch: int = 0
    operations: dict[str, int] = field(default_factory=dict)
