"""Which task an agent gets: obstacles, the order of the ready ones, and the index against a look at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.board_memory import BoardMemory
from conductor.domain import selection, tasks
from conductor.domain.selection import Obstacle, Place, Rules, Seeker
from conductor.domain.tasks import Priority, Task, TaskStatus
from tests.support.records import NOW, task

HOUR_S = 3600.0
MANY = settings(max_examples=100, deadline=None)
PLAIN = Rules(HOUR_S)
PARENTS = Rules(HOUR_S, complete_parents=True)
PARTIAL = Rules(HOUR_S, partial_match=True)
ADA = Seeker("ada", frozenset({"python", "sql"}))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def best(ready: Sequence[Task], now: datetime = NOW, rules: Rules = PLAIN) -> Task:
    return min(ready, key=lambda one: selection.place(one, ADA, now, rules))


@pytest.mark.parametrize(
    ("particulars", "rules", "waits", "has_open_children", "expected"),
    [
        ({}, PLAIN, [], False, None),
        ({"requires": ("sql",)}, PLAIN, [], False, None),
        ({"reserved_for": "ada"}, PLAIN, [], False, None),
        ({"retry_at": NOW}, PLAIN, [], False, None),
        ({"retry_at": after(1)}, PLAIN, [], False, Obstacle.RETRY_LATER),
        ({"reserved_for": "bob"}, PLAIN, [], False, Obstacle.ASSIGNED_ELSEWHERE),
        ({"reserved_for": "bob", "reserved_until": after(1)}, PLAIN, [], False, Obstacle.ASSIGNED_ELSEWHERE),
        ({"reserved_for": "bob", "reserved_until": NOW}, PLAIN, [], False, None),
        ({"requires": ("sql", "rust")}, PLAIN, [], False, Obstacle.MISSING_CAPABILITY),
        ({"requires": ("sql", "rust")}, PARTIAL, [], False, None),
        ({}, PLAIN, [], True, None),
        ({}, PARENTS, [], True, Obstacle.SUBTASKS),
        ({"requires": ("rust",), "reserved_for": "bob"}, PARENTS, ["tsk_b"], True, Obstacle.DEPENDENCIES),
    ],
)
def test_an_obstacle_is_named(
    particulars: dict[str, Any], rules: Rules, waits: list[str], has_open_children: bool, expected: Obstacle | None
) -> None:
    found = selection.obstacle(task(**particulars), ADA, NOW, rules, waits=waits, has_open_children=has_open_children)

    assert found is expected


@pytest.mark.parametrize(
    ("better", "worse", "rules"),
    [
        (
            {"priority": Priority.HIGH},
            {"priority": Priority.MEDIUM, "reserved_for": "ada", "requires": ("sql",)},
            PLAIN,
        ),
        ({"reserved_for": "ada"}, {"requires": ("python", "sql")}, PLAIN),
        ({"requires": ("python", "sql")}, {"requires": ("python",)}, PLAIN),
        ({"requires": ("python",)}, {"requires": ()}, PLAIN),
        ({}, {"requires": ("python", "sql", "rust")}, PARTIAL),
        ({"requires": ("rust",)}, {"requires": ("python", "sql", "rust", "go")}, PARTIAL),
        ({"requires": ("python", "rust")}, {"requires": ("rust",)}, PARTIAL),
        ({"requires": ("python",)}, {"created_at": after(-3000)}, PLAIN),
        ({"created_at": after(-2)}, {"created_at": after(-1)}, PLAIN),
        ({"id": "tsk_a"}, {"id": "tsk_b"}, PLAIN),
    ],
    ids=[
        "priority",
        "kept for this agent",
        "all capabilities used",
        "one capability used",
        "nothing missing",
        "fewer missing",
        "fewer missing alike, fewer to spare",
        "match before age",
        "age",
        "id",
    ],
)
def test_the_finer_criterion_decides_where_the_coarser_are_equal(
    better: dict[str, Any], worse: dict[str, Any], rules: Rules
) -> None:
    one, other = task(**better), task(**worse)

    assert best([other, one], rules=rules) is one


def test_a_reservation_that_lapsed_counts_for_nothing() -> None:
    lapsed = task(id="tsk_b", reserved_for="ada", reserved_until=NOW)

    assert best([lapsed, task(id="tsk_a")]).id == "tsk_a"


@pytest.mark.parametrize(("hours", "wins"), [(0, False), (1, False), (2, False), (3, True), (4, True), (5, True)])
def test_waiting_lifts_the_lowest_to_the_top_in_three_steps_and_past_it_in_four(hours: int, wins: bool) -> None:
    waiting = task(id="tsk_z", priority=Priority.LOW, created_at=NOW - timedelta(hours=hours))
    fresh = task(id="tsk_a", priority=Priority.CRITICAL, created_at=NOW)

    assert (best([fresh, waiting]) is waiting) is wins


CAPABILITIES = ["python", "sql", "rust", "go"]

any_task = st.builds(
    lambda number, priority, age_s, kept, until_s, rests_s, requires: task(
        id=f"tsk_{number:02d}",
        priority=priority,
        created_at=after(-age_s),
        reserved_for=kept,
        reserved_until=after(until_s) if kept is not None and until_s is not None else None,
        retry_at=after(rests_s) if rests_s is not None else None,
        requires=tuple(sorted(requires)),
    ),
    st.integers(0, 99),
    st.sampled_from(Priority),
    st.sampled_from([-60, 0, 60, 3599, 3600, 7200, 20_000]),
    st.sampled_from([None, None, "ada", "bob"]),
    st.sampled_from([None, -1, 0, 30, 3600]),
    st.sampled_from([None, None, -1, 0, 30, 3600]),
    st.sets(st.sampled_from(CAPABILITIES)),
)
any_rules = st.builds(
    Rules, st.sampled_from([60.0, HOUR_S, 1e5]), partial_match=st.booleans(), complete_parents=st.booleans()
)
any_seeker = st.builds(Seeker, st.sampled_from(["ada", "bob", "eve"]), st.frozensets(st.sampled_from(CAPABILITIES)))


@given(st.lists(any_task, max_size=8, unique_by=lambda one: one.id), any_seeker, any_rules)
@MANY
def test_no_two_tasks_have_the_same_place(ready: list[Task], seeker: Seeker, rules: Rules) -> None:
    assert len({selection.place(one, seeker, NOW, rules) for one in ready}) == len(ready)


@given(any_task, any_task, st.floats(4, 100), st.floats(0, 1e6), any_rules)
@MANY
def test_nothing_made_four_steps_later_ever_goes_before_a_waiting_task(
    waiting: Task, later: Task, steps: float, passed_s: float, rules: Rules
) -> None:
    waiting = replace(waiting, created_at=NOW)
    later = replace(later, id="later", created_at=after(steps * rules.aging_s))
    now = later.created_at + timedelta(seconds=passed_s)

    assert best([later, waiting], now, rules) is waiting


def test_the_lowest_task_is_taken_although_more_critical_ones_come_than_are_done() -> None:
    lowest = task(id="tsk_lowest", priority=Priority.LOW)
    ready, taken_before = [lowest], list[Task]()

    # Two critical tasks every ten minutes come, and one is taken: the queue only grows.
    for step in range(200):
        now = NOW + timedelta(minutes=10 * step)
        ready += [task(id=f"tsk_{step}.{n}", priority=Priority.CRITICAL, created_at=now) for n in range(2)]
        taken = best(ready, now)
        ready.remove(taken)
        if taken is lowest:
            break
        taken_before.append(taken)

    assert lowest not in ready
    assert max(one.created_at for one in taken_before) <= NOW + timedelta(hours=4)


class Oracle:
    """A board that looks at all tasks for every question."""

    def __init__(self, known: dict[str, Task]) -> None:
        self.known = known

    def waits(self, one: Task) -> list[str]:
        return tasks.unfinished(one, lambda other: self.known[other].status if other in self.known else None)

    def pending(self) -> list[Task]:
        return [one for one in self.known.values() if one.status is TaskStatus.PENDING]

    def children(self, task_id: str) -> list[Task]:
        found = [one for one in self.known.values() if one.parent_id == task_id and one.status not in tasks.CLOSED]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    def obstacle(self, one: Task, seeker: Seeker, now: datetime, rules: Rules) -> Obstacle | None:
        return selection.obstacle(
            one, seeker, now, rules, waits=self.waits(one), has_open_children=bool(self.children(one.id))
        )

    def ready(self, seeker: Seeker, now: datetime, rules: Rules) -> list[tuple[Place, Task]]:
        able = [one for one in self.pending() if self.obstacle(one, seeker, now, rules) is None]
        return sorted((selection.place(one, seeker, now, rules), one) for one in able)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_index_gives_what_a_look_at_all_tasks_gives_whatever_happened_before(data: st.DataObject) -> None:
    oracle, memory = Oracle({}), BoardMemory([], lambda others: {})
    now = NOW
    for _ in range(data.draw(st.integers(1, 25), "steps")):
        # Few ids, so that most changes are of a task that others wait for already.
        change = replace(data.draw(any_task), id=f"tsk_{data.draw(st.integers(0, 7))}")
        ids = sorted(oracle.known)
        change = replace(
            change,
            status=data.draw(st.sampled_from([TaskStatus.PENDING, TaskStatus.PENDING, *TaskStatus])),
            dependencies=tuple(data.draw(st.sets(st.sampled_from(ids), max_size=2)) - {change.id}) if ids else (),
            parent_id=data.draw(st.sampled_from([None, *(key for key in ids if key != change.id)])),
        )
        if change.status in tasks.HELD:
            change = replace(change, holder="bob", lease_expires_at=after(600))
        oracle.known[change.id] = change
        memory.put(change, _lookup(oracle))
        now += timedelta(seconds=data.draw(st.sampled_from([0, 1, 30, 4000])))
        seeker, rules = data.draw(any_seeker), data.draw(any_rules)

        _require_agreement(memory, oracle, seeker, now, rules)

    loaded = BoardMemory([one for one in oracle.known.values() if one.status not in tasks.CLOSED], _lookup(oracle))
    _require_agreement(loaded, oracle, ADA, now, PARENTS)


def _lookup(oracle: Oracle) -> Any:
    return lambda others: {other: oracle.known[other].status for other in others if other in oracle.known}


def _require_agreement(memory: BoardMemory, oracle: Oracle, seeker: Seeker, now: datetime, rules: Rules) -> None:
    """See that memory gives the same candidates, the same reasons and the same children."""
    assert list(memory.ready.candidates(seeker, now, rules)) == oracle.ready(seeker, now, rules)
    obstacles = [found for one in oracle.pending() if (found := oracle.obstacle(one, seeker, now, rules)) is not None]
    counted = memory.ready.reasons(seeker, now, rules)
    counted[Obstacle.DEPENDENCIES] = memory.waiting
    assert {kind: count for kind, count in counted.items() if count} == {
        kind: obstacles.count(kind) for kind in set(obstacles)
    }
    assert memory.pending == len(oracle.pending())
    for task_id in oracle.known:
        assert memory.open_children(task_id) == oracle.children(task_id)


@pytest.mark.parametrize(
    ("particulars", "changes_at"),
    [
        ({}, None),
        ({"retry_at": after(5)}, after(5)),
        ({"reserved_for": "bob", "reserved_until": after(7)}, after(7)),
        ({"reserved_for": "bob", "reserved_until": after(7), "retry_at": after(5)}, after(5)),
        ({"reserved_for": "bob", "reserved_until": NOW}, None),
    ],
)
def test_the_next_change_is_the_end_of_the_first_rest_or_reservation(
    particulars: dict[str, Any], changes_at: datetime | None
) -> None:
    memory = BoardMemory([task(**particulars)], lambda others: {})

    assert memory.ready.next_change(NOW) == changes_at


def test_tasks_in_grace_are_told_when_their_time_is_over_and_no_more_when_they_are_given_back() -> None:
    held = task(status=TaskStatus.CLAIMED, holder="bob", lease_expires_at=after(900), reassign_at=after(60))
    memory = BoardMemory([held], lambda others: {})

    assert memory.next_deadline() == after(60)
    assert (memory.due_reassignments(after(59)), memory.due_reassignments(after(60))) == ([], [held])
    memory.put(task(), lambda others: {})
    assert (memory.next_deadline(), memory.due_reassignments(after(60))) == (None, [])


FREE, LEASED, DENIED, LATER = (
    task(id="tsk_4", created_at=after(4)),
    task(id="tsk_2", created_at=after(2)),
    task(id="tsk_1", created_at=after(1)),
    task(id="tsk_5", priority=Priority.LOW),
)
HINDRANCES = {"tsk_2": Obstacle.FILES_LEASED, "tsk_1": Obstacle.OUTSIDE_PATHS}


@pytest.mark.parametrize(
    ("ready", "must_be_free", "chosen", "passed"),
    [
        ([], True, None, []),
        ([DENIED, LEASED, FREE, LATER], True, FREE, [DENIED, LEASED]),
        ([DENIED, LEASED, LATER], True, LATER, [DENIED, LEASED]),
        ([DENIED, LEASED], True, None, [DENIED, LEASED]),
        ([DENIED, LEASED, FREE, LATER], False, FREE, [DENIED]),
        ([DENIED, LEASED, LATER], False, LEASED, [DENIED]),
        ([DENIED], False, None, [DENIED]),
    ],
)
def test_the_best_task_that_nothing_hinders_is_chosen_and_a_leased_one_only_where_it_may_be(
    ready: list[Task], must_be_free: bool, chosen: Task | None, passed: list[Task]
) -> None:
    told: list[Task] = []

    found = selection.choose(
        [(selection.place(one, ADA, NOW, PLAIN), one) for one in ready],
        lambda one: HINDRANCES.get(one.id),
        lambda one, _: told.append(one),
        must_be_free=must_be_free,
    )

    assert (found, told) == (chosen, passed)


@pytest.mark.parametrize(("most", "held", "loaded"), [(None, 99, False), (2, 1, False), (2, 2, True), (2, 3, True)])
def test_an_agent_is_loaded_when_it_holds_as_much_as_the_project_lets_it(
    most: int | None, held: int, loaded: bool
) -> None:
    assert selection.is_loaded([task()] * held, Rules(HOUR_S, max_held_tasks=most)) is loaded


def test_what_happens_to_a_task_short_of_its_end_is_not_reckoned_for_who_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = task(id="tsk_1"), task(id="tsk_2")
    waiting = task(id="tsk_3", dependencies=("tsk_1", "tsk_2"))
    memory = BoardMemory([first, second, waiting], lambda others: {})
    reckoned: list[str] = []
    unfinished = tasks.unfinished

    def counted(one: Task, status_of: Any) -> list[str]:
        reckoned.append(one.id)
        return unfinished(one, status_of)

    monkeypatch.setattr(tasks, "unfinished", counted)

    memory.put(replace(first, status=TaskStatus.CLAIMED, holder="ada"), lambda others: {})
    memory.put(replace(first, status=TaskStatus.COMPLETED), lambda others: {})

    assert memory.waits(waiting) == ["tsk_2"]
    assert memory.put(replace(second, status=TaskStatus.COMPLETED), lambda others: {}) == ["tsk_3"]
    assert "tsk_3" not in reckoned
    assert memory.put(first, lambda others: {}) == []
    assert memory.waits(waiting) == ["tsk_1"]
