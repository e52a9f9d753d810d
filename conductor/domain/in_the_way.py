"""What keeps a task from its files: leases of others, and the places of those who wait for such files.

A claim does not wait, and passes nobody who does. To choose among many tasks it must know before it asks; to it a place
is like a lease that ends when the place is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from conductor.domain.lock_queue import DEFAULT_RANK, LockQueue
from conductor.domain.lock_tickets import Ticket
from conductor.domain.locks import Lease, LockTable, Wanted
from conductor.domain.tasks import RANK, Task


class Line:
    """Leases and places of one project together. find: gives an open task, whose priority counts in the line."""

    def __init__(self, table: LockTable, queue: LockQueue, find: Callable[[str], Task | None]) -> None:
        self._table = table
        self._queue = queue
        self._find = find

    def conflicts(self, wanted: Wanted, now: datetime) -> list[Lease]:
        """List what keeps a request from being granted, the first to end first."""
        leases = self._table.conflicts(wanted, now)
        if len(self._queue) == 0:
            return leases
        asked = self._queue.place(wanted, rank_of(wanted, self._find), "", self._table, now, str)
        places = [_as_lease(ticket) for ticket in self._queue.ahead_of(asked, now)]
        return sorted([*leases, *places], key=lambda lease: (lease.expires_at, lease.id))


def rank_of(wanted: Wanted, find: Callable[[str], Task | None]) -> int:
    """Give the rank of a request: that of its task's priority."""
    task = find(wanted.task_id) if wanted.task_id is not None else None
    return RANK[task.priority] if task is not None else DEFAULT_RANK


def _as_lease(ticket: Ticket) -> Lease:
    return Lease(
        id=ticket.id,
        project_id=ticket.project_id,
        agent_id=ticket.agent_id,
        paths=ticket.paths,
        mode=ticket.mode,
        token=0,
        ttl_s=ticket.ttl_s,
        acquired_at=ticket.since,
        expires_at=ticket.ends_at,
        task_id=ticket.task_id,
        reason=ticket.reason,
    )
