"""Operations on locks."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from conductor.domain import errors
from conductor.domain.access import ALL, MEMBER_UP, WORKERS
from conductor.domain.lock_tickets import PLACE_S
from conductor.domain.locks import Mode
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Id, Line, Name, RepoPath

WAIT_MOST_S = 50
"""Proxies and clients end a request that takes a minute."""

ASK_AGAIN = ": ask again"
"""How the advice begins in the line of a place, which is of no use to a call that still waits."""


class Lock(Wire):
    """A lease on paths. token: its fencing token, which grows within the project."""

    id: str
    paths: list[str]
    mode: Mode
    agent_id: str
    task_id: str | None = None
    reason: str | None = None
    token: int
    acquired_at: datetime
    expires_at: datetime


class AcquireLock(ProjectWrite):
    """Lease paths before editing them, so that no other agent edits them meanwhile. wait_s waits in line for them."""

    paths: list[RepoPath] = Field(min_length=1, max_length=64, description="repository-relative paths or globs")
    mode: Mode = Mode.EXCLUSIVE
    ttl_s: int = Field(default=900, ge=10, le=86_400, description="seconds; heartbeats and writes renew it")
    task_id: Id | None = Field(default=None, description="release it with this task of yours")
    reason: Line | None = None
    wait_s: int = Field(default=0, ge=0, le=WAIT_MOST_S)
    ticket: Id | None = Field(default=None, description="from the queued answer: your place")


class GrantStatus(StrEnum):
    """How a request for a lock was answered."""

    GRANTED = "granted"
    QUEUED = "queued"


class LockGrant(Reply):
    """A granted lock, or a place in the queue for it.

    lost_after_s: silence after which a granted lock ends early. ticket: the place, kept for a minute after this answer;
    ask again with it. holders: whose locks are in the way. eta_s: until then at the latest, if none is renewed.
    """

    status: GrantStatus = GrantStatus.GRANTED
    lock: Lock | None = None
    lost_after_s: int | None = None
    ticket: str | None = None
    position: int | None = None
    holders: list[Lock] | None = None
    eta_s: float | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        granted, queued = (self.lock, self.lost_after_s), (self.ticket, self.position, self.holders)
        there, absent = (granted, queued) if self.status is GrantStatus.GRANTED else (queued, granted)
        if None in there or absent != (None,) * len(absent):
            raise ValueError("a grant has a lock and its lost_after_s, a place its ticket, position and holders")
        return self

    def line(self) -> str:
        if self.lock is None:
            return self._queued()
        lock = self.lock
        until = f"{lock.expires_at:%H:%M:%SZ}"
        return f"granted {lock.id} ({lock.mode}, token {lock.token}) until {until}: {', '.join(lock.paths)}"

    def _queued(self) -> str:
        held = "; ".join(f"{lock.agent_id} until {lock.expires_at:%H:%M:%SZ}" for lock in (self.holders or [])[:5])
        eta = f", yours in {self.eta_s:.0f} s if none of them renews" if self.eta_s is not None else ""
        return (
            f"queued at place {self.position}, held by {held or 'nobody, others are before you'}{eta}"
            f"{ASK_AGAIN} within {PLACE_S} s with ticket {self.ticket} and wait_s"
        )


class ReleaseLock(ProjectWrite):
    """Give leases back: one lock, exactly named leased paths, or all of yours."""

    lock_id: Id | None = None
    paths: list[RepoPath] = Field(default=[], max_length=64)
    all: bool = False
    force: bool = Field(default=False, description="also another agent's (lead, member and above; audited)")
    agent_id: Name | None = Field(default=None, description="with force and all: whose")


class ReleasedLocks(Reply):
    """What ended, and who was given it next."""

    released: list[str]
    granted_next: list[str]

    def line(self) -> str:
        handed = f"; handed over: {', '.join(self.granted_next)}" if self.granted_next else ""
        return f"released {', '.join(self.released) or 'nothing that ended a lock'}{handed}"


class ListLocks(ProjectRequest, Listing):
    """List live locks, those that would conflict with a path, or an agent's."""

    path: RepoPath | None = None
    agent_id: Name | None = None


class Waiting(Wire):
    """A place in the queue."""

    ticket: str
    agent_id: str
    paths: list[str]
    mode: Mode
    position: int
    since: datetime


class LockPage(Reply):
    """A page of locks, and who waits."""

    items: list[Lock]
    waiting: list[Waiting]
    next_cursor: str | None = None

    def line(self) -> str:
        shown = "; ".join(f"{lock.agent_id}: {', '.join(lock.paths[:4])}" for lock in self.items[:5])
        waiting = f"; {len(self.waiting)} wait(s)" if self.waiting else ""
        return f"{len(self.items)} lock(s){': ' if shown else ''}{shown}{waiting}"


ACQUIRE_LOCK = Operation(
    "acquire_lock",
    AcquireLock,
    LockGrant,
    Keeper.LOCKS,
    WORKERS,
    ("lock", "acquire"),
    ("paths",),
    writes=True,
    raises=(errors.LockHeld, errors.ZoneDenied, errors.PathInvalid, errors.Deadlock, errors.RateLimited),
    locate="task_id",
)
RELEASE_LOCK = Operation(
    "release_lock",
    ReleaseLock,
    ReleasedLocks,
    Keeper.LOCKS,
    WORKERS | MEMBER_UP,
    ("lock", "release"),
    ("lock_id",),
    writes=True,
    while_paused=True,
    raises=(errors.NotHolder, errors.PathInvalid),
    locate="lock_id",
)
LIST_LOCKS = Operation(
    "list_locks", ListLocks, LockPage, Keeper.STORE, ALL, ("lock", "list"), ("path",), raises=(errors.PathInvalid,)
)

ROWS = (ACQUIRE_LOCK, RELEASE_LOCK, LIST_LOCKS)
