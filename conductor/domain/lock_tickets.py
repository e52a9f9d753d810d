"""Places in the queue at the locks, and how a request is refused that would have to wait.

A ticket is kept while its agent asks again, and becomes a grant that must be collected. The order among tickets, and
who may be granted, are decided in lock_queue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from conductor.domain import errors, locks
from conductor.domain.locks import Lease, Mode, Wanted

PLACE_S = 60
"""Seconds for which a place is kept after its agent was last heard of."""

COLLECT_S = 30
"""Seconds in which a grant must be collected before it passes on."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place in the queue, or a grant that waits to be collected.

    paths: canonical, sorted, each once. rank: of its task's priority, 0 the most urgent. since, number: when it came,
    and as how manieth in the project. renew_by: the place is lost then. passes, yields: tickets that it goes before,
    or behind, otherwise than rank and age say, because they wait for a lease of its agent, or it for one of theirs.
    lock_id, collect_by: once granted; the grant passes on when it is not collected by then.
    """

    id: str
    project_id: str
    agent_id: str
    paths: tuple[str, ...]
    mode: Mode
    ttl_s: int
    task_id: str | None
    reason: str | None
    rank: int
    since: datetime
    number: int
    renew_by: datetime
    passes: frozenset[str] = frozenset()
    yields: frozenset[str] = frozenset()
    lock_id: str | None = None
    collect_by: datetime | None = None

    @property
    def wanted(self) -> Wanted:
        """The request that it is a place for."""
        return Wanted(self.agent_id, self.paths, self.mode, self.ttl_s, self.task_id, self.reason)

    @property
    def ends_at(self) -> datetime:
        """When it is lost: the place, or once granted the grant."""
        return self.renew_by if self.collect_by is None else self.collect_by

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether it keeps a place at that time: not granted yet, and not lost."""
        return self.lock_id is None and now < self.renew_by

    def renewed(self, now: datetime) -> Ticket:
        """Give the ticket as it is after its agent asked again."""
        return replace(self, renew_by=max(self.renew_by, now + timedelta(seconds=PLACE_S)))

    def granted(self, lock_id: str, now: datetime) -> Ticket:
        """Give the ticket as it is once its lease was made."""
        return replace(self, lock_id=lock_id, collect_by=now + timedelta(seconds=COLLECT_S))


@dataclass(frozen=True, slots=True)
class Blockers:
    """What keeps a request from being granted; false when nothing does.

    leases: the first to end first. tickets: the first in line first.
    """

    leases: tuple[Lease, ...]
    tickets: tuple[Ticket, ...]

    def __bool__(self) -> bool:
        return bool(self.leases or self.tickets)


def refusal(blockers: Blockers, wanted: Wanted, now: datetime) -> errors.LockHeld:
    """Word why a request that would not wait is refused: who holds what it wants, and who waits for that before it."""
    waiting: list[errors.Fact] = [
        {"agent_id": ticket.agent_id, "paths": list(ticket.paths[: locks.SHOWN]), "since": ticket.since.isoformat()}
        for ticket in blockers.tickets[: locks.SHOWN]
    ]
    if blockers.leases:
        held = locks.held_by(blockers.leases, wanted, now)
        return errors.LockHeld(
            held.message, facts={**held.facts, "waiting": waiting}, next=held.next, wait_s=held.wait_s
        )
    first = blockers.tickets[0]
    more = f" and {len(blockers.tickets) - 1} more" if len(blockers.tickets) > 1 else ""
    return errors.LockHeld(
        f"{', '.join(first.paths[: locks.SHOWN])} is waited for by {first.agent_id}{more} since "
        f"{first.since:%H:%M:%SZ}, before you. Take your place in line with acquire_lock and wait_s, or take a ready "
        "task elsewhere with claim_task.",
        facts={"holder": None, "holders": [], "waiting": waiting},
        next=[
            errors.NextStep("claim_task", {}, "another ready task may touch other files"),
            errors.NextStep("list_locks", {"path": first.paths[0]}, "see who waits there"),
        ],
    )
