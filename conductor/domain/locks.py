"""Leases on paths: who may have one, what it conflicts with, when it ends.

A lease is exclusive or shared and covers a set of patterns, all or none. This module decides and never writes: the
keeper asks `decide_*`, stores what comes back, and then puts it into the table with `put` and `drop`.
Source of the rules: docs/concepts.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from conductor.domain import errors, globs
from conductor.domain.deadlines import Deadlines
from conductor.domain.lease_index import LeaseIndex

MAX_PATHS = 256
"""Patterns of a lease that is widened: each renewal writes it whole, so what is more goes into a lease beside it."""

SHOWN = 8
"""Holders in a refusal, and patterns of each: enough to act on, and a bound on what is sent."""

TOKEN_STEP = 2**20
"""Tokens of one second: a restored project that lost its counter still counts above what it gave a second ago."""


class Mode(StrEnum):
    """Whether a lease bears others beside it. Two leases conflict unless both are shared."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class LeaseEnd(StrEnum):
    """Why a lease ended."""

    RELEASED = "released"
    FORCED = "forced"
    TASK_ENDED = "task_ended"
    AGENT_LOST = "agent_lost"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_COLLECTED = "not_collected"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock as it is held.

    paths: canonical patterns, sorted, each once. token: the fencing token, growing within the project. ttl_s: how long
    a renewal lasts. acquired_at: of the first grant.
    """

    id: str
    project_id: str
    agent_id: str
    paths: tuple[str, ...]
    mode: Mode
    token: int
    ttl_s: int
    acquired_at: datetime
    expires_at: datetime
    task_id: str | None = None
    reason: str | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether the lease holds at that time."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for a lease; paths canonical, sorted, each once."""

    agent_id: str
    paths: tuple[str, ...]
    mode: Mode
    ttl_s: int
    task_id: str | None = None
    reason: str | None = None


class Grant(StrEnum):
    """What a granted request did: a new lease, more life for an old one, or more paths (and a higher token)."""

    NEW = "new"
    RENEWED = "renewed"
    WIDENED = "widened"


def next_token(previous: int, now: datetime) -> int:
    """Give the next fencing token of a project: above every earlier one, also after a restore; below 2**53."""
    return max(previous + 1, int(now.timestamp()) * TOKEN_STEP)


class LockTable:
    """The live leases of one project, with an index that finds conflicts without looking at all of them."""

    def __init__(self, leases: Iterable[Lease] = (), fencing_token: int = 0) -> None:
        self.fencing_token = fencing_token
        self._leases: dict[str, Lease] = {}
        self._by_agent: dict[str, set[str]] = {}
        self._index: LeaseIndex[str] = LeaseIndex()
        self._deadlines = Deadlines()
        for lease in leases:
            self.put(lease)

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, lock_id: str) -> Lease | None:
        """Give a lease by its id; None when it has ended."""
        return self._leases.get(lock_id)

    def of_agent(self, agent_id: str) -> list[Lease]:
        """List an agent's leases, the oldest first."""
        return sorted((self._leases[key] for key in self._by_agent.get(agent_id, ())), key=_age)

    def of_task(self, task_id: str, agent_id: str) -> list[Lease]:
        """List the leases that an agent bound to a task."""
        bound = [lease for key in self._by_agent.get(agent_id, ()) if (lease := self._leases[key]).task_id == task_id]
        return sorted(bound, key=_age)

    def put(self, lease: Lease) -> None:
        """Insert a lease, or replace the one of the same id."""
        before = self._leases.get(lease.id)
        if before is None or before.paths != lease.paths:
            if before is not None:
                self._unindex(before)
            for path in lease.paths:
                self._index.add(lease.id, globs.parse(path))
        self._leases[lease.id] = lease
        self._by_agent.setdefault(lease.agent_id, set()).add(lease.id)
        self.fencing_token = max(self.fencing_token, lease.token)
        self._deadlines.set(lease.id, lease.expires_at)

    def drop(self, lock_id: str) -> None:
        """Take out a lease that has ended."""
        lease = self._leases.pop(lock_id)
        self._deadlines.drop(lock_id)
        self._unindex(lease)
        held = self._by_agent[lease.agent_id]
        held.discard(lock_id)
        if not held:
            del self._by_agent[lease.agent_id]

    def conflicts(self, wanted: Wanted, now: datetime) -> list[Lease]:
        """List the live leases of others that conflict with a request, the first to end first."""
        found = [
            lease
            for lease in self._touching(wanted.paths, now)
            if lease.agent_id != wanted.agent_id and Mode.EXCLUSIVE in (lease.mode, wanted.mode)
        ]
        return sorted(found, key=lambda lease: (lease.expires_at, lease.id))

    def decide_acquire(
        self,
        wanted: Wanted,
        project_id: str,
        now: datetime,
        make_id: Callable[[], str],
        *,
        refuse: bool = True,
        beside: bool = False,
        bars: Callable[[Wanted], bool] | None = None,
    ) -> tuple[Lease, Grant]:
        """Decide on a request: the lease as it is to be stored, and what the grant does.

        It is granted exactly when it conflicts with no live lease of another agent. The agent's own lease that it
        touches is renewed or widened; one that cannot bear it (its mode is for all its paths, and others may share
        some; or it would pass MAX_PATHS) is left as it is, and a new one made beside it.
        refuse: False in projects whose strategy reports overlaps instead of refusing them.
        beside: make a new lease whatever the agent has, so that it can be taken back whole (a hand-over that nobody
        collects). bars: tells whether a lease so wide would pass somebody who waits, see LockQueue.bars.
        Raises LockHeld naming holders, since when and until when.
        """
        if refuse:
            blockers = self.conflicts(wanted, now)
            if blockers:
                raise held_by(blockers, wanted, now)
        expires_at = now + timedelta(seconds=wanted.ttl_s)
        token = next_token(self.fencing_token, now)
        own = None if beside else self._own(wanted, now)
        if own is not None:
            # A short request must not shorten what later renewals of the whole lease give.
            longer = replace(own, ttl_s=max(own.ttl_s, wanted.ttl_s), expires_at=max(own.expires_at, expires_at))
            missing = _missing(own, wanted)
            mode = Mode.EXCLUSIVE if Mode.EXCLUSIVE in (own.mode, wanted.mode) else Mode.SHARED
            if not missing and mode is own.mode:
                return longer, Grant.RENEWED
            widened = replace(longer, paths=tuple(sorted({*own.paths, *missing})), mode=mode, token=token)
            whole = replace(wanted, paths=widened.paths, mode=mode)
            is_barred = (refuse and self.conflicts(whole, now)) or (bars is not None and bars(whole))
            if len(widened.paths) <= MAX_PATHS and not is_barred:
                return widened, Grant.WIDENED
        lease = Lease(
            make_id(),
            project_id,
            wanted.agent_id,
            wanted.paths,
            wanted.mode,
            token,
            wanted.ttl_s,
            now,
            expires_at,
            wanted.task_id,
            wanted.reason,
        )
        return lease, Grant.NEW

    def decide_release(
        self, agent_id: str, paths: Sequence[str], *, force: bool = False
    ) -> list[tuple[Lease, Lease | None]]:
        """Decide on a release by paths: pairs of a lease as it was and as it stays; None: it ends.

        paths: leased patterns, named exactly. force: also leases of other agents.
        Raises NotHolder for a path that the caller does not lease.
        """
        own = self.of_agent(agent_id)
        held = sorted(self._leases.values(), key=lambda lease: lease.id) if force else own
        left: dict[str, tuple[str, ...]] = {}
        for path in paths:
            holders = [lease for lease in held if path in lease.paths]
            if not holders:
                raise not_holder(path, [lease for lease in self._leases.values() if path in lease.paths])
            for lease in holders:
                left[lease.id] = tuple(kept for kept in left.get(lease.id, lease.paths) if kept != path)
        return [
            (self._leases[key], replace(self._leases[key], paths=kept) if kept else None) for key, kept in left.items()
        ]

    def renewals(self, agent_id: str, now: datetime) -> list[Lease]:
        """List an agent's leases as they are after a sign of life, only those worth a write.

        A lease is renewed when less than two thirds of its ttl are left: a heartbeat a minute writes seldom.
        """
        renewed = []
        for lease in self.of_agent(agent_id):
            left = (lease.expires_at - now).total_seconds()
            if 0 < left < lease.ttl_s * 2 / 3:
                renewed.append(replace(lease, expires_at=now + timedelta(seconds=lease.ttl_s)))
        return renewed

    def expired(self, now: datetime) -> list[Lease]:
        """List the leases whose time is over, the first to end first."""
        return [self._leases[key] for key in self._deadlines.due(now)]

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next lease ends."""
        return self._deadlines.next()

    def live(self) -> list[Lease]:
        """List all leases, by id."""
        return [self._leases[key] for key in sorted(self._leases)]

    def _own(self, wanted: Wanted, now: datetime) -> Lease | None:
        """Choose the agent's lease that a request is about: one that bears it as it is, else the oldest it touches.

        A request for a task never touches a lease of another: that one's end would take the paths away.
        """
        if wanted.agent_id not in self._by_agent:
            return None
        touched = [
            lease
            for lease in self._touching(wanted.paths, now)
            if lease.agent_id == wanted.agent_id and wanted.task_id in (None, lease.task_id)
        ]
        touched.sort(key=lambda lease: (lease.task_id != wanted.task_id, lease.acquired_at, lease.id))
        return next((lease for lease in touched if _bears(lease, wanted)), touched[0] if touched else None)

    def _touching(self, paths: Sequence[str], now: datetime) -> list[Lease]:
        keys = dict.fromkeys(key for path in paths for key in self._index.overlapping(globs.parse(path)))
        return [lease for key in keys if (lease := self._leases[key]).is_live(now)]

    def _unindex(self, lease: Lease) -> None:
        for path in lease.paths:
            self._index.remove(lease.id, globs.parse(path))


def _age(lease: Lease) -> tuple[datetime, str]:
    return lease.acquired_at, lease.id


def held_by(blockers: Sequence[Lease], wanted: Wanted, now: datetime) -> errors.LockHeld:
    """Word the refusal: which path, who holds it, since when, until when, what to do.

    blockers: all that conflict, the first to end first. The wait told is until the last of them ends.
    """
    first, last = blockers[0], blockers[-1]
    asked = [globs.parse(path) for path in wanted.paths]
    clash = next(
        path for path in first.paths if any(globs.overlapping(globs.parse(path), pattern) for pattern in asked)
    )
    wait_s = max((last.expires_at - now).total_seconds(), 0.0)
    more = f", and {len(blockers) - 1} more until {_clock(last.expires_at)}" if len(blockers) > 1 else ""
    return errors.LockHeld(
        f"{clash} is leased by {first.agent_id} ({first.mode}) since {_clock(first.acquired_at)} until "
        f"{_clock(first.expires_at)}{more}, if not released or renewed before. Wait for it in line with acquire_lock "
        "and wait_s, or take a ready task elsewhere with claim_task.",
        facts={
            "path": clash,
            "holder": first.agent_id,
            "since": first.acquired_at.isoformat(),
            "expires_at": first.expires_at.isoformat(),
            "holders": [
                {
                    "lock_id": lease.id,
                    "agent_id": lease.agent_id,
                    "paths": list(lease.paths[:SHOWN]),
                    "mode": lease.mode.value,
                    "task_id": lease.task_id,
                    "expires_at": lease.expires_at.isoformat(),
                }
                for lease in blockers[:SHOWN]
            ],
        },
        next=[
            errors.NextStep("claim_task", {}, "another ready task may touch other files"),
            errors.NextStep("list_locks", {"path": clash}, "see who holds what there"),
        ],
        wait_s=round(wait_s, 3),
    )


def not_holder(what: str, holders: Sequence[Lease]) -> errors.NotHolder:
    """Word the refusal of a release by somebody who does not hold."""
    names = sorted({lease.agent_id for lease in holders})
    whose = f"is leased by {', '.join(names)}, not by you" if names else "is not leased"
    return errors.NotHolder(
        f"{what} {whose}. Nothing was released. See your own leases with list_locks.",
        facts={"what": what, "holders": names},
        next=[errors.NextStep("list_locks", {}, "see what is leased")],
    )


def _bears(lease: Lease, wanted: Wanted) -> bool:
    """Tell whether a lease gives already what is asked for."""
    return (lease.mode is Mode.EXCLUSIVE or wanted.mode is Mode.SHARED) and not _missing(lease, wanted)


def _missing(lease: Lease, wanted: Wanted) -> list[str]:
    """List the paths asked for that a lease does not cover."""
    held = [globs.parse(path) for path in lease.paths]
    return [path for path in wanted.paths if path not in lease.paths and not globs.covers(held, globs.parse(path))]


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%SZ")
