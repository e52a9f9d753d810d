"""The queue at the locks of a project: who waits for what, who goes first, and who may be granted now.

A ticket is a place. It waits for live leases of others that it conflicts with, and for the conflicting tickets ahead
of it: nobody who comes later passes it (no barging), also not a request that would not wait. Who is ahead of whom is
settled when a ticket comes and never changes, so that only a new ticket or a new lease of an agent that waits can
close a cycle of waits. This module decides and never writes: the keeper stores what comes back, then says `put` and
`drop`. Source of the rules: docs/locks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from conductor.domain import ticket_index, wait_graph
from conductor.domain.lock_tickets import COLLECT_S, PLACE_S, Blockers, Ticket
from conductor.domain.locks import Lease, LockTable, Mode, Wanted
from conductor.domain.tasks import RANK, Priority
from conductor.domain.ticket_index import Order, TicketIndex
from conductor.domain.wait_graph import Cycle, Wait

__all__ = ["COLLECT_S", "DEFAULT_RANK", "MOST", "MOST_OF_AGENT", "PLACE_S", "Blockers", "LockQueue", "Ticket"]

MOST_OF_AGENT = 16
"""Tickets of one agent: who waits at more places than that does not know what it wants."""

MOST = 4_096
"""Tickets of a project: a bound on what a hand-over may have to look at."""

DEFAULT_RANK = RANK[Priority.MEDIUM]
"""Of a request for no task."""

Alive = Callable[[str], bool]
"""Tells whether an agent may be granted something now: neither lost nor paused."""

Declared = Callable[[str], Iterable[Wait]]
"""Gives what an agent waits for by its tasks, see wait_graph.task_waits."""


def _everybody(_: str) -> Literal[True]:
    return True


def _nobody(_: str) -> Literal[False]:
    return False


def _nothing(_: str) -> tuple[Wait, ...]:
    return ()


class LockQueue(TicketIndex):
    """The line with its decisions, for one project; see TicketIndex for what it keeps.

    table: is handed in as it is at the time of the question.
    """

    def place(
        self, wanted: Wanted, rank: int, project_id: str, table: LockTable, now: datetime, make_id: Callable[[], str]
    ) -> Ticket:
        """Make the ticket that a request would have; nothing is put. Every request has one, also one that never waits.

        It is behind whoever came before with no worse rank, except that who waits for a lease of this agent is behind
        it, and it is behind who holds what it wants: waiting for each other would never end.
        """
        ticket = Ticket(
            make_id(),
            project_id,
            wanted.agent_id,
            wanted.paths,
            wanted.mode,
            wanted.ttl_s,
            wanted.task_id,
            wanted.reason,
            rank,
            now,
            self._last_number + 1,
            now + timedelta(seconds=PLACE_S),
        )
        passes, yields = set[str](), set[str]()
        holds = bool(table.of_agent(wanted.agent_id))
        holders = {lease.agent_id for lease in table.conflicts(wanted, now)}
        for other in self.meeting(wanted, now):
            if self.order(other) < self.order(ticket):
                if holds and _keeps(wanted.agent_id, other, table, now):
                    passes.add(other.id)
            elif other.agent_id in holders:
                yields.add(other.id)
        return replace(ticket, passes=frozenset(passes), yields=frozenset(yields))

    def blockers(
        self,
        ticket: Ticket,
        table: LockTable,
        now: datetime,
        is_alive: Alive = _everybody,
        declared: Declared = _nothing,
    ) -> Blockers:
        """Tell what keeps a request from being granted at that time: live leases of others, and tickets ahead.

        ticket: put, or only made by place. A ticket ahead whose agent is not alive (paused, lost) is passed over, but
        not by an agent that waits elsewhere too: that could close a cycle which the sleeper would wake up in.
        """
        ahead = self.ahead_of(ticket, now)
        if ahead and not self._waits_elsewhere(ticket, now, declared):
            ahead = [other for other in ahead if is_alive(other.agent_id)]
        return Blockers(tuple(table.conflicts(ticket.wanted, now)), tuple(ahead))

    def may_be_granted(
        self,
        ticket: Ticket,
        table: LockTable,
        now: datetime,
        is_alive: Alive = _everybody,
        declared: Declared = _nothing,
    ) -> bool:
        """Tell whether a request, waiting or fresh, may be granted at that time: nothing blocks it."""
        return not self.blockers(ticket, table, now, is_alive, declared)

    def bars(self, whole: Wanted, asked: Wanted, table: LockTable, now: datetime) -> bool:
        """Tell whether a lease wider than what was asked for would keep somebody waiting whom nothing kept before.

        For LockTable.decide_acquire: what was asked for passed may_be_granted, but an own lease that is widened by it
        may get a stronger mode for more than that, and must not pass who waits there.
        """
        return any(
            not (_conflict(asked, other) or _keeps(whole.agent_id, other, table, now))
            for other in self.meeting(whole, now)
        )

    def next_grants(
        self,
        table: LockTable,
        now: datetime,
        is_alive: Alive = _everybody,
        *,
        freed: Collection[str] | None = None,
        declared: Declared = _nothing,
    ) -> list[Ticket]:
        """List the tickets to be granted now, in order, each as if those before it had their leases already.

        freed: patterns that were leased or waited for until now, of which only tickets that overlap them are looked at;
        None: all. The keeper grants all of them, each with a lease of its own, or none.
        """
        candidates = self.waiting(now) if freed is None else self.overlapping(freed, now)
        chosen: list[Ticket] = []
        closed = _Closed()
        for ticket in candidates:
            if closed.bars(ticket) or not is_alive(ticket.agent_id):
                continue
            # Those chosen before still wait in line, ahead of this one: where they conflict, they block it.
            if self.may_be_granted(ticket, table, now, is_alive, declared):
                chosen.append(ticket)
            closed.add(ticket)
        return chosen

    def closing_cycle(
        self,
        ticket: Ticket,
        table: LockTable,
        now: datetime,
        declared: Declared = _nothing,
        *,
        may_be_awaited: Alive | None = None,
    ) -> Cycle | None:
        """Find the cycle that a request made by place would close if it waited, or were granted; None: it may.

        To be asked before a ticket is put, and before a fresh request is granted to an agent that waits elsewhere: its
        lease would keep others waiting. A hand-over need not ask: whoever its lease keeps waiting was behind the
        ticket already.
        may_be_awaited: tells whether anybody may wait for an agent by tasks (true when it is not known); then the
        search is spared for who holds nothing that anybody waits for, which is nearly everybody.
        """
        if may_be_awaited is None:
            may_be_awaited = _nobody if declared is _nothing else _everybody
        if not may_be_awaited(ticket.agent_id) and not self._keeps_anybody(ticket, table, now):
            return None
        edges = _Edges(self, table, now, declared, ticket, ticket.agent_id)
        return wait_graph.cycle_through(ticket.agent_id, edges(ticket.agent_id), edges)

    def edges(self, table: LockTable, now: datetime, declared: Declared = _nothing) -> wait_graph.Edges:
        """Give the waits in this project by agent, for other questions: at locks, behind tickets, and by tasks."""
        return _Edges(self, table, now, declared)

    def _keeps_anybody(self, asked: Ticket, table: LockTable, now: datetime) -> bool:
        """Tell whether anybody waits for an agent, at its leases or behind its tickets."""
        for lease in table.of_agent(asked.agent_id):
            held = Wanted(lease.agent_id, lease.paths, lease.mode, lease.ttl_s)
            if lease.is_live(now) and self.meeting(held, now):
                return True
        own = [ticket for ticket in self.of_agent(asked.agent_id) if ticket.is_waiting(now)]
        return any(
            self.goes_before(ticket, other) for ticket in (*own, asked) for other in self.meeting(ticket.wanted, now)
        )

    def _waits_elsewhere(self, ticket: Ticket, now: datetime, declared: Declared) -> bool:
        return any(other.id != ticket.id and other.is_waiting(now) for other in self.of_agent(ticket.agent_id)) or any(
            True for _ in declared(ticket.agent_id)
        )


class _Closed:
    """Paths at which somebody in line was looked at already: most who want the very same are settled by that alone."""

    def __init__(self) -> None:
        self._first: dict[str, str | None] = {}

    def bars(self, ticket: Ticket) -> bool:
        """Tell whether a ticket is surely behind one that was looked at; false tells nothing."""
        if ticket.passes:
            return False
        return any(self._first.get(path, ticket.agent_id) != ticket.agent_id for path in ticket.paths)

    def add(self, ticket: Ticket) -> None:
        """Note an exclusive ticket that goes before all that follow; None stands for several agents."""
        if ticket.mode is Mode.EXCLUSIVE and not ticket.yields:
            for path in ticket.paths:
                self._first[path] = (
                    ticket.agent_id if self._first.get(path, ticket.agent_id) == ticket.agent_id else None
                )


class _Edges:
    """The waits by agent, for one search.

    asked: a ticket that is not put, as if it were. root: whose cycle is looked for; it spares looking at what others
    in the same line have shown already, or a thousand in line would be compared with each other.
    """

    def __init__(
        self,
        queue: LockQueue,
        table: LockTable,
        now: datetime,
        declared: Declared,
        asked: Ticket | None = None,
        root: str | None = None,
    ) -> None:
        self._queue = queue
        self._table = table
        self._now = now
        self._declared = declared
        self._asked = asked
        self._root = root
        self._shown: dict[str, Order] = {}

    def __call__(self, agent_id: str) -> Iterator[Wait]:
        tickets = [ticket for ticket in self._queue.of_agent(agent_id) if ticket.is_waiting(self._now)]
        if self._asked is not None and self._asked.agent_id == agent_id:
            tickets.append(self._asked)
        for ticket in tickets:
            if not self._is_shown(ticket):
                yield from self._of(ticket)
                self._note(ticket)
        yield from self._declared(agent_id)

    def _of(self, ticket: Ticket) -> Iterator[Wait]:
        for lease in self._table.conflicts(ticket.wanted, self._now):
            yield _wait(ticket, lease, wait_graph.Kind.LOCK)
        asked = self._asked
        if asked is not None and _conflict(asked, ticket) and self._queue.goes_before(asked, ticket):
            yield _wait(ticket, asked, wait_graph.Kind.TICKET)
        # The last in line first: it shows what the others wait for.
        for other in reversed(self._queue.ahead_of(ticket, self._now)):
            yield _wait(ticket, other, wait_graph.Kind.TICKET)

    def _is_shown(self, ticket: Ticket) -> bool:
        """Tell whether all that a ticket waits for was seen: at each of its paths one behind it was looked at."""
        if not self._shown or self._is_turned(ticket):
            return False
        order, shown = self._queue.order(ticket), self._shown
        return all(path in shown and order < shown[path] for path in ticket.paths)

    def _note(self, ticket: Ticket) -> None:
        # What the root itself wants does not show its own leases, and those are what others must not wait for.
        if self._root in (None, ticket.agent_id) or ticket.mode is Mode.SHARED or self._is_turned(ticket):
            return
        order = self._queue.order(ticket)
        for path in ticket.paths:
            self._shown[path] = max(order, self._shown.get(path, order))

    def _is_turned(self, ticket: Ticket) -> bool:
        asked = self._asked
        turned_by_asked = asked is not None and ticket.id in asked.passes | asked.yields
        return turned_by_asked or self._queue.is_turned(ticket)


def _keeps(agent_id: str, ticket: Ticket, table: LockTable, now: datetime) -> bool:
    """Tell whether a lease of an agent keeps a ticket waiting."""
    return any(lease.agent_id == agent_id for lease in table.conflicts(ticket.wanted, now))


def _conflict(one: Wanted | Ticket, other: Ticket) -> bool:
    return ticket_index.clash(one, other) and ticket_index.where(one.paths, other.paths) is not None


def _wait(ticket: Ticket, other: Lease | Ticket, kind: wait_graph.Kind) -> Wait:
    return Wait(
        ticket.agent_id, other.agent_id, kind, other.id, ticket_index.where(ticket.paths, other.paths), ticket.id
    )
