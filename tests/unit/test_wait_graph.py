"""Cycles of waits: found exactly when there is one, the shortest named, with a way out that works."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import wait_graph
from conductor.domain.tasks import Priority, Task, TaskStatus
from conductor.domain.wait_graph import Cycle, Kind, Wait

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BLANK = Task("", "prj_a", "", None, TaskStatus.PENDING, Priority.MEDIUM, (), (), (), (), 3, "lead", NOW, NOW)

agent_numbers = st.integers(0, 6)


def at_lock(waiter: str, holder: str) -> Wait:
    return Wait(waiter, holder, Kind.LOCK, f"lck_{holder}", f"{holder}.py", f"tkt_{waiter}")


def find(waiter: str, holders: str, others: dict[str, str]) -> Cycle | None:
    """Names of one letter each: who would wait for whom, and who waits for whom already."""
    return wait_graph.cycle_through(
        waiter,
        [at_lock(waiter, holder) for holder in holders],
        lambda agent: [at_lock(agent, holder) for holder in others.get(agent, "")],
    )


@given(st.lists(st.tuples(agent_numbers, agent_numbers), max_size=14), st.lists(agent_numbers, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_cycle_is_found_exactly_when_the_new_waits_close_one(pairs: list[tuple[int, int]], asked: list[int]) -> None:
    others: dict[str, str] = {}
    for waiter, holder in pairs:
        # Edges only to higher numbers: what was there before has no cycle.
        if waiter < holder:
            others[str(waiter)] = others.get(str(waiter), "") + str(holder)
    holders = "".join(str(holder) for holder in asked if holder != 3)

    cycle = find("3", holders, others)

    whole = {**{agent: set(waits) for agent, waits in others.items()}, "3": {*others.get("3", ""), *holders}}
    try:
        TopologicalSorter(whole).prepare()
    except CycleError:
        assert cycle is not None
        assert cycle.agents[0] == cycle.agents[-1] == "3"
        assert len(set(cycle.agents)) == len(cycle.waits)
        assert all(wait.holder in whole[wait.waiter] for wait in cycle.waits)
        return
    assert cycle is None


def test_the_shortest_cycle_is_named() -> None:
    cycle = find("a", "be", {"b": "c", "c": "d", "d": "a", "e": "a"})

    assert cycle is not None
    assert cycle.agents == ("a", "e", "a")


def test_a_cycle_of_others_is_not_the_callers_and_ends_the_search() -> None:
    assert find("a", "b", {"b": "c", "c": "b"}) is None


def test_an_agent_does_not_wait_for_itself() -> None:
    assert find("a", "a", {}) is None


def test_a_refusal_names_each_step_and_the_lock_to_release() -> None:
    cycle = Cycle(
        (
            Wait("ada", "bob", Kind.LOCK, "lck_b", "b.py", "tkt_a"),
            Wait("bob", "cyd", Kind.TICKET, "tkt_c", "src/", "tkt_b"),
            Wait("cyd", "dan", Kind.TASK, "tsk_d", by="tsk_c"),
            Wait("dan", "ada", Kind.LOCK, "lck_a", "a.py", "tkt_d"),
        )
    )

    error = wait_graph.deadlock(cycle)

    assert error.message == (
        "Waiting here would never end: ada waits for bob, who leases b.py; bob waits for cyd, who is before it at "
        "src/; cyd waits for dan, who holds tsk_d; dan waits for ada, who leases a.py. You did not get a place. "
        "Release a.py (lock lck_a), for which dan waits, or take another task."
    )
    assert error.facts["agents"] == ["ada", "bob", "cyd", "dan", "ada"]
    steps = error.facts["cycle"]
    assert isinstance(steps, list)
    assert steps[1] == {
        "agent_id": "bob",
        "waits_for": "cyd",
        "kind": "ticket",
        "subject": "tkt_c",
        "where": "src/",
        "by": "tkt_b",
    }
    assert [(step.tool, step.args) for step in error.next] == [
        ("release_lock", {"lock_id": "lck_a"}),
        ("claim_task", {}),
    ]


@pytest.mark.parametrize(
    ("last", "advice", "tools"),
    [
        (
            Wait("bob", "ada", Kind.TASK, "tsk_a", by="tsk_b"),
            "Finish tsk_a, for which bob waits, without this, or take another task.",
            ["get_task", "claim_task"],
        ),
        (
            Wait("bob", "ada", Kind.TICKET, "tkt_a", "a.py", "tkt_b"),
            "bob is behind you at a.py: ask for less at once, release what you lease there, or take another task.",
            ["list_locks", "claim_task"],
        ),
    ],
    ids=["by a task", "behind a ticket"],
)
def test_the_way_out_fits_what_the_last_in_the_cycle_waits_for(last: Wait, advice: str, tools: list[str]) -> None:
    error = wait_graph.deadlock(Cycle((at_lock("ada", "bob"), last)))

    assert error.message.endswith(advice)
    assert [step.tool for step in error.next] == tools


def held_by(holder: str, task_id: str, *blocked_on: str) -> Task:
    return replace(BLANK, id=task_id, holder=holder, status=TaskStatus.IN_PROGRESS, blocked_on=blocked_on)


def whom(agent_id: str, *tasks: Task) -> list[tuple[str, str]]:
    known = {task.id: task for task in tasks}
    return [(wait.holder, wait.subject) for wait in wait_graph.task_waits(agent_id, tasks, known.get)]


def test_an_agent_waits_for_the_holders_of_the_tasks_its_own_is_blocked_on() -> None:
    assert whom("ada", held_by("ada", "a", "b"), held_by("bob", "b"), held_by("cyd", "c")) == [("bob", "b")]


def test_behind_a_task_that_nobody_holds_an_agent_waits_for_the_holders_of_what_that_waits_for() -> None:
    free = replace(BLANK, id="b", dependencies=("c", "closed", "gone"))
    closed = replace(held_by("dan", "closed"), status=TaskStatus.COMPLETED)

    assert whom("ada", held_by("ada", "a", "b"), free, closed, held_by("cyd", "c", "d"), held_by("dan", "d")) == [
        ("cyd", "c")
    ]


def test_tasks_that_wait_for_each_other_end_the_search() -> None:
    one, other = replace(BLANK, id="b", blocked_on=("c",)), replace(BLANK, id="c", dependencies=("b", "a"))

    assert whom("ada", held_by("ada", "a", "b"), one, other) == []


@pytest.mark.parametrize("other", [held_by("ada", "b"), replace(held_by("bob", "b"), status=TaskStatus.FAILED)])
def test_an_agent_does_not_wait_for_its_own_or_for_closed_tasks(other: Task) -> None:
    assert whom("ada", held_by("ada", "a", "b"), other) == []


def test_a_task_that_was_given_back_keeps_nobody_waiting() -> None:
    given_back = replace(BLANK, id="a", holder=None, blocked_on=("b",))

    assert whom("ada", given_back, held_by("bob", "b")) == []
