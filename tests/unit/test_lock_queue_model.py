"""The queue and the table together against brute force: who may be granted, who must not pass whom, no wait for ever.

The model knows tickets only as they were asked for, finds conflicts by comparing all with all, and keeps its own note
of who goes before whom. The room below does what the keeper does, without a store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, count, product
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conductor.domain import globs, wait_graph
from conductor.domain.lock_queue import LockQueue, Ticket
from conductor.domain.locks import Grant, Lease, LockTable, Mode, Wanted
from conductor.domain.wait_graph import Wait

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AGING_S = 30
AGENTS = ["ada", "bob", "cyd", "dan"]

agent_ids = st.sampled_from(AGENTS)
modes = st.sampled_from(Mode)
ranks = st.sampled_from([2, 2, 0, 3])
texts = st.sampled_from(["a.py", "b.py", "src/", "src/a.py", "**/a.py"])
path_sets = st.lists(texts, min_size=1, max_size=2, unique=True).map(lambda chosen: tuple(sorted(chosen)))
randoms = st.randoms(use_true_random=False)


def meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(globs.overlapping(globs.parse(a), globs.parse(b)) for a, b in product(one, other))


def clash(one: Lease | Ticket | Wanted, other: Lease | Ticket | Wanted) -> bool:
    return one.agent_id != other.agent_id and Mode.EXCLUSIVE in (one.mode, other.mode) and meet(one.paths, other.paths)


class QueueAgainstBruteForce(RuleBasedStateMachine):
    """Requests, releases, silence, sleep and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.table = LockTable()
        self.queue = LockQueue(aging_s=AGING_S)
        self.numbers = count(1)
        self.asleep: set[str] = set()
        self.declared: dict[str, set[str]] = {}
        self.turned: set[tuple[str, str]] = set()
        """Pairs of tickets of which the first goes before the second against rank and age."""

    # The model

    def tickets(self) -> list[Ticket]:
        known = [ticket for agent_id in AGENTS for ticket in self.queue.of_agent(agent_id)]
        return [ticket for ticket in known if ticket.lock_id is None and self.now < ticket.renew_by]

    def leases(self) -> list[Lease]:
        return [lease for lease in self.table.live() if lease.is_live(self.now)]

    def order(self, ticket: Ticket) -> tuple[float, int]:
        return (ticket.since - NOW).total_seconds() + ticket.rank * AGING_S, ticket.number

    def goes_before(self, one: Ticket, other: Ticket) -> bool:
        if (one.id, other.id) in self.turned:
            return True
        return (other.id, one.id) not in self.turned and self.order(one) < self.order(other)

    def keeps(self, agent_id: str, ticket: Ticket) -> bool:
        return any(lease.agent_id == agent_id and clash(lease, ticket) for lease in self.leases())

    def note_order(self, ticket: Ticket) -> None:
        for other in self.tickets():
            if clash(other, ticket):
                if self.order(other) < self.order(ticket) and self.keeps(ticket.agent_id, other):
                    self.turned.add((ticket.id, other.id))
                elif self.order(ticket) < self.order(other) and self.keeps(other.agent_id, ticket):
                    self.turned.add((other.id, ticket.id))

    def ahead(self, ticket: Ticket) -> list[Ticket]:
        return [other for other in self.tickets() if clash(other, ticket) and self.goes_before(other, ticket)]

    def waits_elsewhere(self, ticket: Ticket) -> bool:
        own = [other for other in self.tickets() if other.agent_id == ticket.agent_id and other.id != ticket.id]
        return bool(own or self.declared.get(ticket.agent_id))

    def in_the_way(self, ticket: Ticket) -> set[str]:
        """Ids of leases and tickets that a ticket waits for, the sleepers left out that may be passed over."""
        sleepers = set() if self.waits_elsewhere(ticket) else self.asleep
        held = {lease.id for lease in self.leases() if clash(lease, ticket)}
        return held | {other.id for other in self.ahead(ticket) if other.agent_id not in sleepers}

    def graph(self, more: Sequence[Ticket] = ()) -> dict[str, set[str]]:
        waits = {agent_id: set(self.declared.get(agent_id, ())) for agent_id in AGENTS}
        waiting = [*self.tickets(), *more]
        for ticket in waiting:
            ahead = [other for other in waiting if clash(ticket, other) and self.goes_before(other, ticket)]
            held = [lease for lease in self.leases() if clash(ticket, lease)]
            waits[ticket.agent_id] |= {other.agent_id for other in ahead} | {lease.agent_id for lease in held}
        return waits

    def is_deadlocked(self, more: Sequence[Ticket] = ()) -> bool:
        try:
            TopologicalSorter(self.graph(more)).prepare()
        except CycleError:
            return True
        return False

    # The room

    def make_id(self) -> str:
        return f"id_{next(self.numbers)}"

    def is_alive(self, agent_id: str) -> bool:
        return agent_id not in self.asleep

    def waits_by_tasks(self, agent_id: str) -> list[Wait]:
        others = sorted(self.declared.get(agent_id, ()))
        return [Wait(agent_id, other, wait_graph.Kind.TASK, f"task of {other}") for other in others]

    def grant(self, ticket: Ticket, *, beside: bool) -> None:
        """Grant, once sure that nobody is passed who must not be."""
        for other in self.tickets():
            if clash(other, ticket) and other.id != ticket.id and self.is_alive(other.agent_id):
                assert not self.goes_before(other, ticket)
        assert not any(clash(lease, ticket) for lease in self.leases())
        before = {other.id: self.in_the_way(other) for other in self.tickets() if other.id != ticket.id}
        lease, kind = self.table.decide_acquire(
            ticket.wanted,
            "prj_a",
            self.now,
            self.make_id,
            beside=beside,
            bars=lambda whole: self.queue.bars(whole, ticket.wanted, self.table, self.now),
        )
        former = self.table.get(lease.id)
        assert kind is Grant.NEW or not beside
        self.table.put(lease)
        if beside:
            self.queue.put(ticket.granted(lease.id, self.now))
        elif uncollected := self.queue.of_lease(lease):
            self.queue.drop(uncollected.id)
        if former is not None and former.mode is not lease.mode:
            # A lease that gets a stronger mode passes nobody at paths that were not asked for.
            for other in self.tickets():
                if clash(other, lease) and not clash(other, ticket):
                    assert before[other.id]
                    assert clash(other, former)

    def hand_over(self, freed: Iterable[str]) -> None:
        chosen = self.queue.next_grants(
            self.table, self.now, self.is_alive, freed=set(freed), declared=self.waits_by_tasks
        )

        whole = self.queue.next_grants(self.table, self.now, self.is_alive, declared=self.waits_by_tasks)
        assert chosen == whole
        for ticket in chosen:
            self.grant(ticket, beside=True)
        # Who waits at one place less may now pass a sleeper.
        others = {path for one in chosen for ticket in self.queue.of_agent(one.agent_id) for path in ticket.paths}
        if chosen:
            self.hand_over(others)

    def end(self, lease: Lease) -> Collection[str]:
        self.table.drop(lease.id)
        if ticket := self.queue.of_lease(lease):
            self.queue.drop(ticket.id)
        return lease.paths

    def lose(self, ticket: Ticket) -> Collection[str]:
        self.queue.drop(ticket.id)
        freed = {path for own in (ticket, *self.queue.of_agent(ticket.agent_id)) for path in own.paths}
        if ticket.lock_id is not None and (lease := self.table.get(ticket.lock_id)):
            self.table.drop(lease.id)
        return freed

    def elapse(self) -> None:
        freed = [path for lease in self.table.expired(self.now) for path in self.end(lease)]
        freed += [path for ticket in self.queue.overdue(self.now) for path in self.lose(ticket)]
        self.hand_over(freed)

    # What happens

    @rule(agent_id=agent_ids, paths=path_sets, mode=modes, rank=ranks)
    def ask_and_wait(self, agent_id: str, paths: tuple[str, ...], mode: Mode, rank: int) -> None:
        self.ask(agent_id, paths, mode, rank, waits=True)

    @rule(agent_id=agent_ids, paths=path_sets, mode=modes, rank=ranks, ttl_s=st.sampled_from([20, 200]))
    def ask_in_passing(self, agent_id: str, paths: tuple[str, ...], mode: Mode, rank: int, ttl_s: int) -> None:
        self.ask(agent_id, paths, mode, rank, ttl_s=ttl_s)

    def ask(
        self, agent_id: str, paths: tuple[str, ...], mode: Mode, rank: int, *, waits: bool = False, ttl_s: int = 200
    ) -> None:
        if agent_id in self.asleep:
            return
        wanted = Wanted(agent_id, paths, mode, ttl_s)
        if known := self.queue.same_as(wanted, self.now):
            self.call_again(known)
            return
        ticket = self.queue.place(wanted, rank, "prj_a", self.table, self.now, self.make_id)
        self.note_order(ticket)

        blockers = self.queue.blockers(ticket, self.table, self.now, self.is_alive, self.waits_by_tasks)
        found = {lease.id for lease in blockers.leases} | {other.id for other in blockers.tickets}
        assert found == self.in_the_way(ticket)
        assert self.queue.position(ticket, self.now) == 1 + len(self.ahead(ticket))
        cycle = self.queue.closing_cycle(ticket, self.table, self.now, self.waits_by_tasks)
        assert (cycle is not None) == self.is_deadlocked([ticket])
        if cycle is not None:
            assert all(wait.holder in self.graph([ticket])[wait.waiter] for wait in cycle.waits)
            assert cycle.agents[0] == cycle.agents[-1] == agent_id
        elif not blockers:
            self.grant(ticket, beside=False)
        elif waits:
            self.queue.put(ticket)

    @precondition(lambda self: len(self.queue) > 0)
    @rule(pick=randoms)
    def ask_again(self, pick: Random) -> None:
        known = [ticket for agent_id in AGENTS for ticket in self.queue.of_agent(agent_id)]
        self.call_again(pick.choice(known))

    def call_again(self, ticket: Ticket) -> None:
        if ticket.agent_id in self.asleep:
            return
        if ticket.lock_id is None:
            self.queue.put(ticket.renewed(self.now))
        else:
            self.queue.drop(ticket.id)

    @precondition(lambda self: self.leases())
    @rule(pick=randoms, whole=st.booleans())
    def release(self, pick: Random, whole: bool) -> None:
        lease = pick.choice(self.leases())
        if whole:
            self.hand_over(self.end(lease))
            return
        path = pick.choice(lease.paths)
        for before, after in self.table.decide_release(lease.agent_id, [path]):
            if after is None:
                self.end(before)
            else:
                self.table.put(after)
        self.hand_over([path])

    @precondition(lambda self: self.tickets())
    @rule(pick=randoms)
    def give_up(self, pick: Random) -> None:
        self.hand_over(self.lose(pick.choice(self.tickets())))

    @rule(agent_id=agent_ids)
    def die(self, agent_id: str) -> None:
        freed = [path for lease in self.table.of_agent(agent_id) for path in self.end(lease)]
        freed += [path for ticket in self.queue.of_agent(agent_id) for path in self.lose(ticket)]
        self.declared.pop(agent_id, None)
        self.hand_over(freed)

    @rule(agent_id=agent_ids)
    def fall_asleep_or_wake(self, agent_id: str) -> None:
        self.asleep ^= {agent_id}
        own = {path for ticket in self.queue.of_agent(agent_id) for path in ticket.paths}
        self.hand_over(own)

    @rule(agent_id=agent_ids, other=agent_ids)
    def wait_by_a_task(self, agent_id: str, other: str) -> None:
        if agent_id == other:
            return
        if self.declared.pop(agent_id, None):
            self.hand_over({path for ticket in self.queue.of_agent(agent_id) for path in ticket.paths})
            return
        asked = [Wait(agent_id, other, wait_graph.Kind.TASK, "task")]

        cycle = wait_graph.cycle_through(agent_id, asked, self.queue.edges(self.table, self.now, self.waits_by_tasks))

        self.declared[agent_id] = {other}
        assert (cycle is not None) == self.is_deadlocked()
        if cycle is not None:
            del self.declared[agent_id]

    @rule(seconds=st.sampled_from([1, 5, 20, 31, 61]), calling=st.booleans())
    def let_time_pass(self, seconds: int, calling: bool) -> None:
        if calling:
            for agent_id in AGENTS:
                for lease in self.table.renewals(agent_id, self.now):
                    self.table.put(lease)
                for ticket in self.queue.of_agent(agent_id):
                    self.call_again(ticket)
        self.now += timedelta(seconds=seconds)
        self.elapse()

    @rule()
    def restart(self) -> None:
        tickets = [ticket for agent_id in reversed(AGENTS) for ticket in self.queue.of_agent(agent_id)]
        self.table = LockTable(self.table.live(), self.table.fencing_token)
        self.queue = LockQueue(tickets, aging_s=AGING_S)

    # What always holds

    @invariant()
    def no_two_live_leases_conflict(self) -> None:
        assert not any(clash(one, other) for one, other in combinations(self.leases(), 2))

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        for ticket in self.tickets():
            assert self.in_the_way(ticket) or ticket.agent_id in self.asleep

    @invariant()
    def no_wait_is_for_ever(self) -> None:
        assert not self.is_deadlocked()

    @invariant()
    def places_and_grants_end_in_time(self) -> None:
        known = [ticket for agent_id in AGENTS for ticket in self.queue.of_agent(agent_id)]
        ends = [ticket.renew_by if ticket.collect_by is None else ticket.collect_by for ticket in known]
        assert all(end > self.now for end in ends)
        assert self.queue.next_deadline() == min(ends, default=None)
        assert self.queue.waiting(self.now) == sorted(self.tickets(), key=self.order)
        for ticket in known:
            assert ticket.lock_id is None or self.table.get(ticket.lock_id)

    def teardown(self) -> None:
        """Everybody who waits gets what it waits for, once those who wait for nothing finish and nobody comes anew."""
        self.asleep.clear()
        self.hand_over({path for ticket in self.tickets() for path in ticket.paths})
        unfinished = set(AGENTS)
        while unfinished:
            free = {agent_id for agent_id in unfinished if not self.graph()[agent_id] & unfinished}
            assert free, "those who are left wait for each other"
            for agent_id in sorted(free):
                for ticket in self.queue.of_agent(agent_id):
                    assert ticket.lock_id is not None, "its turn never came"
                    self.queue.drop(ticket.id)
                self.declared.pop(agent_id, None)
                freed = [path for lease in self.table.of_agent(agent_id) for path in self.end(lease)]
                self.hand_over(freed)
            unfinished -= free


QueueAgainstBruteForce.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueueAgainstBruteForce = QueueAgainstBruteForce.TestCase
