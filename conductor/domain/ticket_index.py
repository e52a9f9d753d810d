"""The tickets of a project in line: found by what they want, by whose they are, and by when they end.

Who goes before whom is decided here, and settled when a ticket comes: the order never changes by waiting. Who may be
granted, and what closes a cycle, is decided in lock_queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from conductor.domain import globs
from conductor.domain.deadlines import Deadlines
from conductor.domain.lease_index import LeaseIndex
from conductor.domain.lock_tickets import Ticket
from conductor.domain.locks import Lease, Mode, Wanted

Order = tuple[datetime, int]
"""The place in line of a ticket but for turned pairs: the least goes first, and no two are equal."""


class TicketIndex:
    """The tickets of one project, indexed by what they want: costs follow what overlaps, not the line's length.

    aging_s: seconds of waiting that outweigh one step of priority; the order is that of `since + rank * aging_s`, then
    number. Not safe for threads: one keeper owns it. Granted tickets are kept to be collected and are in nobody's way
    but by their leases.
    """

    def __init__(self, tickets: Iterable[Ticket] = (), *, aging_s: float) -> None:
        self._aging_s = aging_s
        self._tickets: dict[str, Ticket] = {}
        self._by_agent: dict[str, dict[str, None]] = {}
        self._index: LeaseIndex[str] = LeaseIndex()
        self._deadlines = Deadlines()
        self._orders: dict[str, Order] = {}
        self._turned: Counter[str] = Counter()
        self._last_number = 0
        for ticket in tickets:
            self.put(ticket)

    def __len__(self) -> int:
        return len(self._tickets)

    def get(self, ticket_id: str) -> Ticket | None:
        """Give a ticket by its id; None when its place is gone."""
        return self._tickets.get(ticket_id)

    def of_agent(self, agent_id: str) -> list[Ticket]:
        """List an agent's tickets, granted ones too, in the order in which they came."""
        return [self._tickets[key] for key in self._by_agent.get(agent_id, ())]

    def waiting(self, now: datetime) -> list[Ticket]:
        """List the tickets that wait, the first in line first."""
        return sorted((ticket for ticket in self._tickets.values() if ticket.is_waiting(now)), key=self.order)

    def same_as(self, wanted: Wanted, now: datetime) -> Ticket | None:
        """Give the ticket, waiting or granted, that an agent has for the same request: who asks twice waits once.

        A request for longer, or for another reason, is still the same.
        """
        return next(
            (
                ticket
                for ticket in self.of_agent(wanted.agent_id)
                if now < ticket.ends_at
                and (ticket.paths, ticket.mode, ticket.task_id) == (wanted.paths, wanted.mode, wanted.task_id)
            ),
            None,
        )

    def of_lease(self, lease: Lease) -> Ticket | None:
        """Give the ticket by which a lease was granted and not collected yet.

        It is collected when its agent is told of the lease by whatever call, and pointless when the lease has ended.
        """
        return next((ticket for ticket in self.of_agent(lease.agent_id) if ticket.lock_id == lease.id), None)

    def put(self, ticket: Ticket) -> None:
        """Insert a ticket, or replace the one of the same id: only what it waits for, and since when, must stay."""
        before = self._tickets.get(ticket.id)
        self._tickets[ticket.id] = ticket
        self._deadlines.set(ticket.id, ticket.ends_at)
        if before is None:
            self._orders[ticket.id] = self.order(ticket)
            self._by_agent.setdefault(ticket.agent_id, {})[ticket.id] = None
            self._last_number = max(self._last_number, ticket.number)
            if ticket.passes or ticket.yields:
                self._turned.update((ticket.id, *ticket.passes, *ticket.yields))
        was_in_line = before is not None and before.lock_id is None
        if was_in_line and ticket.lock_id is not None:
            self._unindex(ticket)
        elif not was_in_line and ticket.lock_id is None:
            for path in ticket.paths:
                self._index.add(ticket.id, globs.parse(path))

    def drop(self, ticket_id: str) -> None:
        """Take out a ticket that was collected, given up or lost. Whoever waited behind it may now be next."""
        ticket = self._tickets.pop(ticket_id)
        self._deadlines.drop(ticket_id)
        del self._orders[ticket_id]
        if ticket.passes or ticket.yields:
            self._turned.subtract((ticket.id, *ticket.passes, *ticket.yields))
            self._turned = +self._turned
        if ticket.lock_id is None:
            self._unindex(ticket)
        own = self._by_agent[ticket.agent_id]
        del own[ticket_id]
        if not own:
            del self._by_agent[ticket.agent_id]

    def ahead_of(self, ticket: Ticket, now: datetime) -> list[Ticket]:
        """List the waiting tickets of others that conflict with a ticket and go before it, the first in line first."""
        return sorted(
            (other for other in self.meeting(ticket.wanted, now) if self.goes_before(other, ticket)), key=self.order
        )

    def position(self, ticket: Ticket, now: datetime) -> int:
        """Tell as how manieth a ticket is among those that it conflicts with: 1 is next."""
        return 1 + sum(self.goes_before(other, ticket) for other in self.meeting(ticket.wanted, now))

    def meeting(self, wanted: Wanted, now: datetime) -> list[Ticket]:
        """List the waiting tickets of others that conflict with a request, in no order."""
        keys = dict.fromkeys(key for path in wanted.paths for key in self._index.overlapping(globs.parse(path)))
        bears_shared = wanted.mode is Mode.SHARED
        return [
            ticket
            for ticket in map(self._tickets.__getitem__, keys)
            if ticket.agent_id != wanted.agent_id
            and not (bears_shared and ticket.mode is Mode.SHARED)
            and ticket.is_waiting(now)
        ]

    def overlapping(self, paths: Iterable[str], now: datetime) -> list[Ticket]:
        """List the waiting tickets that want something of these patterns, the first in line first."""
        keys = {key for path in paths for key in self._index.overlapping(globs.parse(path))}
        found = (self._tickets[key] for key in keys)
        return sorted((ticket for ticket in found if ticket.is_waiting(now)), key=self.order)

    def goes_before(self, one: Ticket, other: Ticket) -> bool:
        """Tell which of two conflicting tickets goes first, whether they are put or only made."""
        if other.id in one.passes or one.id in other.yields:
            return True
        if one.id in other.passes or other.id in one.yields:
            return False
        return self.order(one) < self.order(other)

    def is_turned(self, ticket: Ticket) -> bool:
        """Tell whether a ticket goes before or behind some other against the order."""
        return ticket.id in self._turned

    def order(self, ticket: Ticket) -> Order:
        """Give the place of a ticket in line, but for turned pairs."""
        known = self._orders.get(ticket.id)
        return known or (ticket.since + timedelta(seconds=ticket.rank * self._aging_s), ticket.number)

    def overdue(self, now: datetime) -> list[Ticket]:
        """List the tickets whose place or grant is lost, the first to end first."""
        return [self._tickets[key] for key in self._deadlines.due(now)]

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next place or grant is lost."""
        return self._deadlines.next()

    def _unindex(self, ticket: Ticket) -> None:
        for path in ticket.paths:
            self._index.remove(ticket.id, globs.parse(path))


def clash(one: Wanted | Ticket, other: Wanted | Ticket) -> bool:
    """Tell whether two requests conflict where they overlap."""
    return one.agent_id != other.agent_id and Mode.EXCLUSIVE in (one.mode, other.mode)


def where(one: Sequence[str], other: Sequence[str]) -> str | None:
    """Give the first pattern of the second that meets one of the first."""
    asked = [globs.parse(path) for path in one]
    return next(
        (path for path in other if any(globs.overlapping(globs.parse(path), pattern) for pattern in asked)), None
    )
