"""What a place in the queue promises, one story each. Everything in any order: test_lock_queue_model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from random import Random

import pytest

from conductor.domain import lock_tickets
from conductor.domain.lock_queue import COLLECT_S, PLACE_S, LockQueue, Ticket
from conductor.domain.lock_tickets import Blockers
from conductor.domain.locks import Grant, Lease, LockTable, Mode, Wanted
from conductor.domain.wait_graph import Kind, Wait

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EXCLUSIVE, SHARED = Mode.EXCLUSIVE, Mode.SHARED


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def wanted(agent_id: str, paths: str, mode: Mode = EXCLUSIVE) -> Wanted:
    return Wanted(agent_id, tuple(sorted(paths.split())), mode, 900)


class Room:
    """A table and a queue, asked as the keeper asks them."""

    def __init__(self) -> None:
        self.table = LockTable()
        self.queue = LockQueue(aging_s=600)

    def lease(self, agent_id: str, paths: str, mode: Mode = EXCLUSIVE) -> Lease:
        return self.grant(self.ask(agent_id, paths, mode), f"lck_{agent_id}")

    def ask(self, agent_id: str, paths: str, mode: Mode = EXCLUSIVE, *, rank: int = 2, at: float = 0) -> Ticket:
        asked = wanted(agent_id, paths, mode)
        return self.queue.place(asked, rank, "prj_a", self.table, after(at), lambda: f"tkt_{agent_id}")

    def wait(self, agent_id: str, paths: str, mode: Mode = EXCLUSIVE, *, rank: int = 2, at: float = 0) -> Ticket:
        ticket = self.ask(agent_id, paths, mode, rank=rank, at=at)
        self.queue.put(ticket)
        return ticket

    def grant(self, ticket: Ticket, lock_id: str) -> Lease:
        lease, _ = self.table.decide_acquire(ticket.wanted, "prj_a", NOW, lambda: lock_id, beside=True)
        self.table.put(lease)
        return lease

    def next(self, at: float = 0, *, asleep: Sequence[str] = (), freed: Sequence[str] | None = None) -> list[str]:
        chosen = self.queue.next_grants(self.table, after(at), lambda agent_id: agent_id not in asleep, freed=freed)
        return [ticket.agent_id for ticket in chosen]

    def cycle(self, ticket: Ticket) -> tuple[str, ...] | None:
        cycle = self.queue.closing_cycle(ticket, self.table, NOW)
        return None if cycle is None else cycle.agents


def test_who_came_first_is_granted_first_and_the_others_wait_on() -> None:
    room = Room()
    lease = room.lease("ada", "a.py")
    tickets = [room.wait(agent_id, "a.py", at=place) for place, agent_id in enumerate(["bob", "cyd", "dan"])]

    assert room.next(3) == []
    room.table.drop(lease.id)

    assert room.next(3) == ["bob"]
    assert [room.queue.position(ticket, after(3)) for ticket in tickets] == [1, 2, 3]


def test_shared_grants_are_made_together_up_to_the_first_who_wants_it_alone() -> None:
    room = Room()
    room.wait("ada", "src/", SHARED)
    room.wait("bob", "src/a.py", SHARED)
    room.wait("cyd", "src/a.py", EXCLUSIVE)
    room.wait("dan", "src/a.py", SHARED)
    room.wait("eve", "docs/")

    assert room.next() == ["ada", "bob", "eve"]


def test_a_fresh_request_does_not_pass_who_waits_for_more_than_is_free() -> None:
    room = Room()
    room.lease("ada", "b.py")
    waiting = room.wait("bob", "a.py b.py")

    fresh = room.ask("cyd", "a.py")

    assert room.queue.blockers(fresh, room.table, NOW) == Blockers((), (waiting,))
    assert room.queue.may_be_granted(room.ask("cyd", "c.py"), room.table, NOW)


@pytest.mark.parametrize(("late_s", "first"), [(599, "urgent"), (1199, "urgent"), (1201, "patient")])
def test_two_steps_of_priority_go_first_until_two_ageings_have_passed(late_s: float, first: str) -> None:
    room = Room()
    room.wait("patient", "a.py", rank=2)
    room.queue.put(room.queue.get("tkt_patient").renewed(after(late_s)))  # type: ignore[union-attr]  # It was just put.
    room.wait("urgent", "a.py", rank=0, at=late_s)

    assert room.next(late_s) == [first]


def test_the_order_does_not_change_by_waiting() -> None:
    room = Room()
    tickets = [room.wait(f"agent-{rank}", "a.py", rank=rank, at=50.0 * (3 - rank)) for rank in range(4)]

    lines = [
        [ticket.id for ticket in sorted(tickets, key=lambda one: room.queue.position(one, after(second)))]
        for second in range(0, 60)
    ]

    assert all(line == lines[0] for line in lines)


def test_what_an_agent_leases_already_is_never_kept_from_it_by_who_waits_for_it() -> None:
    room = Room()
    room.lease("ada", "src/")
    room.wait("bob", "src/")
    room.wait("cyd", "src/a.py", rank=0)

    assert room.queue.may_be_granted(room.ask("ada", "src/a.py"), room.table, NOW)


def test_who_shares_and_wants_it_alone_waits_at_the_head_for_the_others_who_share() -> None:
    room = Room()
    room.lease("ada", "a.py", SHARED)
    other = room.lease("bob", "a.py", SHARED)
    room.wait("cyd", "a.py", rank=0)

    upgrade = room.ask("ada", "a.py")
    assert room.cycle(upgrade) is None
    room.queue.put(upgrade)
    room.table.drop(other.id)

    assert room.queue.position(upgrade, NOW) == 1
    assert room.next() == ["ada"]


def test_a_second_upgrade_of_what_is_shared_is_refused_with_the_cycle() -> None:
    room = Room()
    room.lease("ada", "a.py", SHARED)
    room.lease("bob", "a.py", SHARED)
    room.wait("ada", "a.py")

    assert room.cycle(room.ask("bob", "a.py")) == ("bob", "ada", "bob")


def test_a_more_urgent_request_for_what_an_upgrader_shares_waits_behind_it_instead_of_for_ever() -> None:
    room = Room()
    room.lease("ada", "a.py", SHARED)
    other = room.lease("bob", "a.py", SHARED)
    room.wait("ada", "a.py", rank=3)

    urgent = room.ask("cyd", "a.py", rank=0)
    assert room.cycle(urgent) is None
    room.queue.put(urgent)
    room.table.drop(other.id)

    assert room.next() == ["ada"]


def test_a_cycle_over_locks_tickets_and_tasks_is_found() -> None:
    room = Room()
    room.lease("ada", "a.py")
    room.lease("cyd", "c.py")
    room.wait("bob", "a.py b.py")
    room.wait("cyd", "b.py")
    by_task = {"dan": [Wait("dan", "cyd", Kind.TASK, "tsk_c")]}
    room.lease("dan", "d.py")

    cycle = room.queue.closing_cycle(room.ask("ada", "d.py"), room.table, NOW, lambda agent: by_task.get(agent, []))

    assert cycle is not None
    assert [(wait.waiter, wait.kind, wait.where) for wait in cycle.waits] == [
        ("ada", Kind.LOCK, "d.py"),
        ("dan", Kind.TASK, None),
        ("cyd", Kind.TICKET, "b.py"),
        ("bob", Kind.LOCK, "a.py"),
    ]


@pytest.mark.parametrize("seed", range(60))
def test_a_cycle_is_found_exactly_when_comparing_all_with_all_finds_one(seed: int) -> None:
    dice, room = Random(seed), Room()
    for step in range(60):
        if dice.random() < 0.3 and room.table.live():
            room.table.drop(dice.choice(room.table.live()).id)
            for ticket in room.queue.next_grants(room.table, NOW):
                room.grant(ticket, f"lck_{ticket.id}")
                room.queue.drop(ticket.id)
        paths = " ".join(dice.sample(["a.py", "b.py", "c.py"], dice.choice([1, 1, 2])))
        mode, rank = dice.choice([EXCLUSIVE, EXCLUSIVE, SHARED]), dice.choice([0, 2, 2, 3])
        asked = replace(room.ask(f"agent-{dice.randrange(6)}", paths, mode, rank=rank), id=f"tkt_{step}")

        cycle = room.cycle(asked)

        assert (cycle is not None) == is_deadlocked(room, [*room.queue.waiting(NOW), asked])
        if cycle is None and room.queue.may_be_granted(asked, room.table, NOW):
            room.grant(asked, f"lck_{step}")
        elif cycle is None:
            room.queue.put(asked)


def is_deadlocked(room: Room, waiting: list[Ticket]) -> bool:
    waits: dict[str, set[str]] = {}
    for one in waiting:
        held = {lease.agent_id for lease in room.table.live() if conflict(lease, one)}
        ahead = {other.agent_id for other in waiting if conflict(other, one) and room.queue.goes_before(other, one)}
        waits.setdefault(one.agent_id, set()).update(held | ahead)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError:
        return True
    return False


def conflict(one: Lease | Ticket, other: Ticket) -> bool:
    return (
        one.agent_id != other.agent_id and EXCLUSIVE in (one.mode, other.mode) and bool({*one.paths} & {*other.paths})
    )


def test_a_lease_that_would_keep_waiting_for_whom_its_agent_waits_is_a_cycle_too() -> None:
    room = Room()
    room.lease("bob", "b.py")
    room.lease("cyd", "c.py")
    room.wait("ada", "b.py")
    room.wait("bob", "a.py c.py", rank=3)

    assert room.queue.may_be_granted(room.ask("ada", "a.py"), room.table, NOW)
    assert room.cycle(room.ask("ada", "a.py")) == ("ada", "bob", "ada")
    assert room.cycle(room.ask("dan", "a.py")) is None


def test_a_sleeper_is_passed_over_and_keeps_its_place() -> None:
    room = Room()
    sleeper = room.wait("ada", "a.py")
    room.wait("bob", "a.py")

    assert room.next(asleep=["ada"]) == ["bob"]
    assert room.queue.get(sleeper.id) == sleeper
    assert room.next() == ["ada"]


def test_a_sleeper_is_not_passed_over_by_who_waits_elsewhere_too() -> None:
    room = Room()
    room.lease("ada", "b.py")
    room.wait("ada", "a.py")
    room.wait("bob", "a.py")
    room.queue.put(room.queue.place(wanted("bob", "b.py"), 2, "prj_a", room.table, NOW, lambda: "tkt_other"))

    assert room.next(asleep=["ada"]) == []


def test_a_place_lasts_while_its_agent_asks_again_and_a_lost_one_is_in_nobodys_way() -> None:
    room = Room()
    lost, kept = room.wait("ada", "a.py"), room.wait("bob", "a.py")
    assert room.queue.next_deadline() == after(PLACE_S)

    room.queue.put(kept.renewed(after(PLACE_S - 1)))

    assert room.next(PLACE_S) == ["bob"]
    assert room.queue.overdue(after(PLACE_S)) == [lost]
    room.queue.drop(lost.id)
    assert room.queue.next_deadline() == after(2 * PLACE_S - 1)


def test_a_grant_that_nobody_collects_is_overdue_and_takes_back_no_more_than_it_gave() -> None:
    room = Room()
    own = room.lease("ada", "a.py", SHARED)
    ticket = room.wait("ada", "a.py")

    lease, kind = room.table.decide_acquire(ticket.wanted, "prj_a", NOW, lambda: "lck_new", beside=True)
    room.table.put(lease)
    room.queue.put(ticket.granted(lease.id, NOW))

    assert kind is Grant.NEW
    assert room.queue.of_lease(lease) == ticket.granted("lck_new", NOW)
    assert room.queue.waiting(NOW) == []
    assert room.queue.overdue(after(COLLECT_S)) == [ticket.granted("lck_new", NOW)]
    room.queue.drop(ticket.id)
    room.table.drop(lease.id)
    assert room.table.live() == [own]
    assert len(room.queue) == 0


def test_who_asks_twice_has_one_place() -> None:
    room = Room()
    ticket = room.wait("ada", "a.py")

    assert room.queue.same_as(wanted("ada", "a.py"), NOW) == ticket
    assert room.queue.same_as(wanted("ada", "a.py", SHARED), NOW) is None
    assert room.queue.same_as(wanted("bob", "a.py"), NOW) is None
    assert room.queue.same_as(wanted("ada", "a.py"), after(PLACE_S)) is None


def test_an_own_lease_does_not_grow_over_who_waits_there() -> None:
    room = Room()
    room.lease("ada", "a.py b.py", SHARED)
    room.lease("cyd", "c.py")
    waiting = room.wait("bob", "b.py c.py", SHARED)
    asked = room.ask("ada", "a.py")

    lease, kind = room.table.decide_acquire(
        asked.wanted,
        "prj_a",
        NOW,
        lambda: "lck_new",
        bars=lambda whole: room.queue.bars(whole, asked.wanted, room.table, NOW),
    )

    assert room.queue.may_be_granted(asked, room.table, NOW)
    assert (kind, lease.paths) == (Grant.NEW, ("a.py",))
    room.queue.drop(waiting.id)
    assert not room.queue.bars(wanted("ada", "a.py b.py"), asked.wanted, room.table, NOW)


def test_a_request_that_would_not_wait_is_told_who_holds_and_who_waits() -> None:
    room = Room()
    room.lease("ada", "b.py")
    room.wait("bob", "a.py b.py")

    behind = room.ask("cyd", "a.py")
    waits = lock_tickets.refusal(room.queue.blockers(behind, room.table, NOW), behind.wanted, NOW)
    both = room.ask("cyd", "b.py")
    holds = lock_tickets.refusal(room.queue.blockers(both, room.table, NOW), both.wanted, NOW)

    line = [{"agent_id": "bob", "paths": ["a.py", "b.py"], "since": NOW.isoformat()}]
    assert waits.message == (
        "a.py, b.py is waited for by bob since 12:00:00Z, before you. Take your place in line with acquire_lock and "
        "wait_s, or take a ready task elsewhere with claim_task."
    )
    assert (waits.facts["holder"], waits.facts["waiting"]) == (None, line)
    assert (holds.facts["holder"], holds.facts["waiting"], holds.wait_s) == ("ada", line, 900)
    assert holds.message.startswith("b.py is leased by ada (exclusive)")
    assert "acquire_lock and wait_s" in holds.message


def test_a_hand_over_costs_what_overlaps_however_many_wait_elsewhere() -> None:
    room = Room()
    for number in range(4_000):
        room.wait(f"agent-{number}", f"src/{number % 400}.py")

    started = time.perf_counter()
    for number in range(100):
        assert room.next(freed=[f"src/{number}.py"]) == [f"agent-{number}"]

    assert (time.perf_counter() - started) / 100 < 0.005


def test_a_long_line_at_one_path_is_settled_without_comparing_all_with_all() -> None:
    room = Room()
    room.lease("zoe", "z.py")
    room.wait("agent-0", "a.py z.py")
    for number in range(1, 1_000):
        room.queue.put(replace(room.ask("x", "b.py"), id=f"tkt_{number}", agent_id=f"agent-{number}", paths=("a.py",)))
    late = room.ask("late", "a.py")

    started = time.perf_counter()
    for _ in range(5):
        assert room.cycle(late) is None
        assert room.next(freed=["a.py"]) == []

    assert (time.perf_counter() - started) / 5 < 0.1


def test_a_cycle_at_the_head_of_a_long_line_is_found_from_its_end() -> None:
    room = Room()
    room.lease("late", "z.py")
    room.wait("agent-0", "a.py b.py", rank=0)
    room.lease("bob", "b.py")
    room.wait("bob", "z.py")
    for number in range(1, 50):
        room.wait(f"agent-{number}", "a.py")

    assert room.cycle(room.ask("late", "a.py")) == ("late", "agent-0", "bob", "late")


def test_a_cycle_by_a_ticket_that_passed_another_is_found_behind_those_in_line_between_them() -> None:
    room = Room()
    room.lease("bob", "p.py")
    room.lease("root", "z.py")
    held = room.lease("fay", "q.py")
    room.wait("eve", "p.py q.py")
    room.wait("lou", "p.py")
    room.wait("liz", "q.py")
    assert room.wait("fay", "p.py z.py").passes == {"tkt_eve"}
    room.table.drop(held.id)

    assert room.next(freed=held.paths) == []
    assert room.cycle(room.ask("root", "p.py q.py")) == ("root", "eve", "fay", "root")
