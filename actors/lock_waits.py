"""Who waits for leases in one project: places that are kept, and leases that are handed over.

The rules are conductor.domain.lock_queue's; here they are written down. Whatever ends a lease or a place says `freed`,
and `hand_over` gives what is free now to whoever is next, in the same transaction. A grant is a lease of its own, so
that it can be taken back whole when nobody collects it. Must never await, nor ring a bell for what is not written.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from actors import bells
from actors.board_memory import BoardMemory
from conductor.domain import agents, errors, ids, lock_queue, pauses, wait_graph
from conductor.domain.agents import AgentStatus
from conductor.domain.in_the_way import rank_of
from conductor.domain.lock_queue import PLACE_S, Blockers, LockQueue, Ticket
from conductor.domain.locks import Grant, Lease, LeaseEnd, LockTable, Mode, Wanted
from conductor.domain.pauses import PauseMode
from conductor.domain.tasks import Task, TaskStatus
from storage.lock_waits import WaitEnd
from storage.unit_of_work import UnitOfWork

ASK_AGAIN_S = 5.0
"""After so long a request that only others in line keep waiting may be tried again."""

RENEW_WORTH_S = 2.0
"""A place that is renewed by less is not written: who is told of its progress asks every few seconds."""


MOST_COLLECTED = 256
"""So many collected leases are remembered: a hang-up is known within moments."""


class Rules(Protocol):
    """What a hand-over must know of the lock manager."""

    table: LockTable

    @property
    def refuses(self) -> bool:
        """Tell whether a conflict keeps anybody waiting here."""
        ...

    def require_allowed(self, agent_id: str, patterns: Sequence[str], mode: Mode) -> None:
        """Refuse what an agent may not touch. Raises ZoneDenied."""
        ...


class LockWaits:
    """The queue of a project.

    agent: finds an agent. board: gives what is known of tasks. ring: is told the bells of whom it concerns.
    collected: the last leases that were collected, by ticket, for callers that had hung up by then.
    """

    def __init__(
        self,
        project_id: str,
        rules: Rules,
        queue: LockQueue,
        agent: Callable[[str], agents.Agent | None],
        board: Callable[[], BoardMemory],
        ring: Callable[[str], None],
    ) -> None:
        self.queue = queue
        self._project_id = project_id
        self._rules = rules
        self._table = rules.table
        self._agent = agent
        self._board = board
        self._ring = ring
        self._freed: set[str] | None = set()
        self.collected: dict[str, str] = {}
        self._pauses: list[pauses.Pause] = []
        self._read_in: weakref.ref[UnitOfWork] | None = None

    def asked(self, wanted: Wanted, now: datetime, make_id: Callable[[], str]) -> Ticket:
        """Make the place that a request would have; nothing is kept of it."""
        rank = rank_of(wanted, self._board().tasks.get)
        return self.queue.place(wanted, rank, self._project_id, self._table, now, make_id)

    def blockers(self, asked: Ticket, now: datetime, tx: UnitOfWork) -> Blockers:
        """Tell what keeps a request from being granted."""
        return self.queue.blockers(asked, self._table, now, self._alive(tx), self._declared)

    def require_no_cycle(self, asked: Ticket, now: datetime) -> None:
        """Refuse a wait that would never end, or a grant that would make one. Raises Deadlock."""
        cycle = self.queue.closing_cycle(asked, self._table, now, self._declared)
        if cycle is not None:
            raise wait_graph.deadlock(cycle)

    def require_may_hold(self, task: Task, agent_id: str, now: datetime) -> None:
        """Refuse a claim that would keep waiting whom the claiming agent waits for. Raises Deadlock."""
        if not len(self.queue) or not self.waits_somewhere(agent_id, now):
            return
        cycle = self._cycle_with(replace(task, holder=agent_id, status=TaskStatus.CLAIMED), agent_id, now)
        if cycle is not None:
            raise wait_graph.deadlock(cycle)

    def require_may_wait(self, task: Task, now: datetime) -> None:
        """Refuse a task's declared wait for whoever waits for its holder. Raises DependencyCycle."""
        if not len(self.queue) or task.holder is None:
            return
        cycle = self._cycle_with(task, task.holder, now)
        if cycle is not None:
            told = wait_graph.deadlock(cycle)
            raise errors.DependencyCycle(
                f"That wait would never end, since others wait for you: {' -> '.join(cycle.agents)}. Nothing was "
                "changed; release what they wait for, or finish without waiting.",
                facts=told.facts,
                next=told.next,
            )

    def _cycle_with(self, task: Task, agent_id: str, now: datetime) -> wait_graph.Cycle | None:
        """Find the cycle in which an agent would be if a task stood so."""
        board = self._board()

        def find(task_id: str) -> Task | None:
            return task if task_id == task.id else board.tasks.get(task_id)

        def declared(other: str) -> list[wait_graph.Wait]:
            held = [each for each in board.held_by(other) if each.id != task.id]
            return wait_graph.task_waits(other, [*held, task], find)

        edges = self.queue.edges(self._table, now, declared)
        return wait_graph.cycle_through(agent_id, edges(agent_id), edges)

    def waits_somewhere(self, agent_id: str, now: datetime) -> bool:
        """Tell whether an agent waits for anybody: then a grant to it may close a cycle."""
        return any(ticket.is_waiting(now) for ticket in self.queue.of_agent(agent_id)) or any(
            True for _ in self._declared(agent_id)
        )

    def join(self, asked: Ticket, wait_s: float, now: datetime, tx: UnitOfWork) -> Ticket:
        """Keep a place. Raises RateLimited, Deadlock."""
        own, others = len(self.queue.of_agent(asked.agent_id)), len(self.queue)
        if own >= lock_queue.MOST_OF_AGENT or others >= lock_queue.MOST:
            raise errors.RateLimited(
                f"{asked.agent_id} waits for {own} locks and this project for {others}: no more places are kept (at "
                f"most {lock_queue.MOST_OF_AGENT} and {lock_queue.MOST}). Collect or wait for those first, see "
                "list_locks, or take a ready task elsewhere.",
                facts={"own": own, "waiting": others},
                next=[errors.NextStep("list_locks", {"agent_id": asked.agent_id}, "see where you wait")],
                wait_s=ASK_AGAIN_S,
            )
        self.require_no_cycle(asked, now)
        ticket = replace(asked, renew_by=_kept_until(now, wait_s))
        tx.lock_waits.queue(ticket, self.queue.position(ticket, now))
        self.queue.put(ticket)
        return ticket

    def renew(self, ticket: Ticket, wait_s: float, now: datetime, tx: UnitOfWork) -> Ticket:
        """Keep a place for longer, as its agent has asked again."""
        renewed = replace(ticket, renew_by=max(ticket.renew_by, _kept_until(now, wait_s)))
        if renewed.renew_by - ticket.renew_by < timedelta(seconds=RENEW_WORTH_S):
            return ticket
        tx.lock_waits.save(renewed)
        self.queue.put(renewed)
        return renewed

    def leave(self, ticket: Ticket, why: WaitEnd, tx: UnitOfWork) -> None:
        """Give a place up; whoever waited behind it may be next."""
        tx.lock_waits.end(ticket, why)
        self.queue.drop(ticket.id)
        if ticket.lock_id is None:
            self.freed(ticket.paths)
        elif why is WaitEnd.COLLECTED:
            self.collected[ticket.id] = ticket.lock_id
            if len(self.collected) > MOST_COLLECTED:
                del self.collected[next(iter(self.collected))]
        if why is not WaitEnd.COLLECTED:
            self._wake(ticket, tx)
        self._may_go_on(ticket.agent_id)

    def told_of(self, lease: Lease, tx: UnitOfWork) -> None:
        """Take note that an agent was told of a lease by another call than that which waited for it: it has it."""
        ticket = self.queue.of_lease(lease)
        if ticket is not None:
            tx.lock_waits.end(ticket, WaitEnd.COLLECTED)
            self.queue.drop(ticket.id)

    def leave_all(self, agent_id: str, tx: UnitOfWork, *, task_id: str | None = None) -> None:
        """Give up the places of an agent that is gone, or those for a task that it has left."""
        for ticket in self.queue.of_agent(agent_id):
            if task_id is None or ticket.task_id == task_id:
                self.leave(ticket, WaitEnd.AGENT_GONE if task_id is None else WaitEnd.TASK_ENDED, tx)

    def lease_ended(self, lease: Lease, tx: UnitOfWork) -> None:
        """Take note that a lease has ended: its paths are free, and a grant of it can be collected no more."""
        self.freed(lease.paths)
        for ticket in self.queue.of_agent(lease.agent_id):
            if ticket.lock_id == lease.id:
                self.leave(ticket, WaitEnd.LOCK_ENDED, tx)

    def freed(self, paths: Iterable[str]) -> None:
        """Take note of paths that are not leased, or not waited for, as they were."""
        if self._freed is not None and len(self.queue):
            self._freed.update(paths)

    def all_freed(self) -> None:
        """Take note that anybody may be next: rules have changed, or somebody may go on."""
        self._freed = None

    def overdue(self, now: datetime, tx: UnitOfWork, end: Callable[[Lease, LeaseEnd], None]) -> None:
        """End places that were not renewed, and grants that were not collected."""
        for ticket in self.queue.overdue(now):
            if ticket.lock_id is None:
                self.leave(ticket, WaitEnd.LAPSED, tx)
                continue
            self.leave(ticket, WaitEnd.NOT_COLLECTED, tx)
            lease = self._table.get(ticket.lock_id)
            if lease is not None:
                end(lease, LeaseEnd.NOT_COLLECTED)
                tx.notices.leave(
                    lease.project_id,
                    lease.agent_id,
                    "lock_not_collected",
                    f"You were granted {', '.join(lease.paths[:4])} and did not come: it was passed on. Ask again.",
                )

    def hand_over(self, now: datetime, tx: UnitOfWork) -> list[str]:
        """Grant to whoever is next what was freed; returns the new leases' ids."""
        granted: list[str] = []
        # Whoever freed it did not choose who is next.
        actor, tx.actor = tx.actor, "conductor"
        while self._freed is None or self._freed:
            freed, self._freed = self._freed, set()
            if not len(self.queue):
                break
            granted += [self._grant(ticket, now, tx) for ticket in self._next(freed, now, tx) if self._may(ticket, tx)]
        tx.actor = actor
        return granted

    def _next(self, freed: set[str] | None, now: datetime, tx: UnitOfWork) -> list[Ticket]:
        alive = self._alive(tx)
        if not self._rules.refuses:
            return [ticket for ticket in self.queue.waiting(now) if alive(ticket.agent_id)]
        return self.queue.next_grants(self._table, now, alive, freed=freed, declared=self._declared)

    def _may(self, ticket: Ticket, tx: UnitOfWork) -> bool:
        """Tell whether an agent may still touch what it waits for; who may not has no place."""
        try:
            self._rules.require_allowed(ticket.agent_id, ticket.paths, ticket.mode)
        except errors.ZoneDenied:
            self.leave(ticket, WaitEnd.REFUSED, tx)
            return False
        return True

    def _grant(self, ticket: Ticket, now: datetime, tx: UnitOfWork) -> str:
        lease, kind = self._table.decide_acquire(
            ticket.wanted,
            self._project_id,
            now,
            lambda: tx.make_id(ids.Kind.LOCK),
            refuse=self._rules.refuses,
            beside=True,
        )
        if kind is not Grant.NEW:
            raise ValueError(f"the hand-over to {ticket.id} made no lease of its own")
        tx.locks.grant(lease, kind)
        self._table.put(lease)
        granted = ticket.granted(lease.id, now)
        tx.lock_waits.save(granted)
        self.queue.put(granted)
        self._wake(granted, tx)
        self._may_go_on(ticket.agent_id)
        return lease.id

    def _may_go_on(self, agent_id: str) -> None:
        """Look again at the other places of an agent that waits for one thing less."""
        for other in self.queue.of_agent(agent_id):
            self.freed(other.paths)

    def _alive(self, tx: UnitOfWork) -> lock_queue.Alive:
        """Give who may be granted something now."""

        def is_alive(agent_id: str) -> bool:
            agent = self._agent(agent_id)
            if agent is None or agent.lost_at is not None or agent.status is AgentStatus.OFFLINE:
                return False
            pause = pauses.bearing(self._standing(tx), self._project_id, agent_id)
            return pause is None or (pause.mode is PauseMode.DRAINING and agent.current_task_id is not None)

        return is_alive

    def _standing(self, tx: UnitOfWork) -> list[pauses.Pause]:
        """Read the pauses, once a transaction and only where somebody waits: a read sends out what is kept back."""
        if self._read_in is None or self._read_in() is not tx:
            self._pauses = tx.pauses.of_organization()
            self._read_in = weakref.ref(tx)
        return self._pauses

    def _declared(self, agent_id: str) -> list[wait_graph.Wait]:
        board = self._board()
        return wait_graph.task_waits(agent_id, board.held_by(agent_id), board.tasks.get)

    def _wake(self, ticket: Ticket, tx: UnitOfWork) -> None:
        self._ring(bells.lock_bell(tx.organization_id, self._project_id, ticket.agent_id))


def survived(tickets: Sequence[Ticket], stopped_at: datetime | None, now: datetime, grace_s: float) -> list[Ticket]:
    """Say how places stand after a restart: those that had not lapsed before the stop keep at least the grace.

    stopped_at: the last sign of life of the former run; None: there was none, or nothing was stopped.
    """
    if stopped_at is None:
        return list(tickets)
    least = now + timedelta(seconds=grace_s)
    kept = []
    for ticket in tickets:
        renew_by, collect_by = ticket.renew_by, ticket.collect_by
        if renew_by > stopped_at:
            renew_by = max(renew_by, least)
        if collect_by is not None and collect_by > stopped_at:
            collect_by = max(collect_by, least)
        kept.append(replace(ticket, renew_by=renew_by, collect_by=collect_by))
    return kept


def with_a_wait(refusal: errors.LockHeld, wanted: Wanted) -> errors.LockHeld:
    """Add to a refusal the call that would wait in line instead."""
    step = errors.NextStep(
        "acquire_lock",
        {"paths": list(wanted.paths), "mode": wanted.mode.value, "wait_s": 50},
        "wait in line for it",
    )
    return errors.LockHeld(refusal.message, facts=refusal.facts, next=[step, *refusal.next], wait_s=refusal.wait_s)


def eta_s(blockers: Blockers, now: datetime) -> float | None:
    """Reckon when a place will be free at the latest, if nobody renews; None: nothing says."""
    if not blockers:
        return None
    held_s = max(((lease.expires_at - now).total_seconds() for lease in blockers.leases), default=0.0)
    ahead_s = sum(float(other.ttl_s) for other in blockers.tickets)
    return round(held_s + ahead_s, 3)


def _kept_until(now: datetime, wait_s: float) -> datetime:
    return now + timedelta(seconds=wait_s + PLACE_S)
