"""The state machine move by move, and who may end an attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import errors, tasks
from conductor.domain.tasks import (
    CLOSED,
    HELD,
    MOVES,
    Evidence,
    Move,
    TaskStatus,
)
from tests.support.records import task

HOUR_S = 3600.0
MANY = settings(max_examples=100, deadline=None)

PENDING, CLAIMED, IN_PROGRESS, BLOCKED = (
    TaskStatus.PENDING,
    TaskStatus.CLAIMED,
    TaskStatus.IN_PROGRESS,
    TaskStatus.BLOCKED,
)
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED
IN_REVIEW = TaskStatus.IN_REVIEW

HELD_MOVES = {
    Move.START: IN_PROGRESS,
    Move.BLOCK: BLOCKED,
    Move.COMPLETE: COMPLETED,
    Move.RELEASE: PENDING,
    Move.FAIL: PENDING,
    Move.LOSE: PENDING,
    Move.GIVE_UP: FAILED,
    Move.CANCEL: CANCELLED,
    Move.SUBMIT: IN_REVIEW,
}
LEADS_TO: dict[TaskStatus, dict[Move, TaskStatus]] = {
    PENDING: {Move.CLAIM: CLAIMED, Move.CANCEL: CANCELLED, Move.CONCLUDE: COMPLETED},
    CLAIMED: HELD_MOVES,
    IN_PROGRESS: HELD_MOVES,
    BLOCKED: HELD_MOVES,
    IN_REVIEW: {Move.ACCEPT: COMPLETED, Move.SEND_BACK: PENDING, Move.CANCEL: CANCELLED},
    COMPLETED: {Move.REOPEN: PENDING},
    FAILED: {Move.REOPEN: PENDING},
    CANCELLED: {Move.REOPEN: PENDING},
}
"""OPERATIONS.md, "Tasks", written out."""

PAIRS = [(status, move) for status in TaskStatus for move in Move]


@pytest.mark.parametrize(("status", "move"), PAIRS, ids=[f"{status}-{move}" for status, move in PAIRS])
def test_a_move_leads_where_the_table_says_or_is_refused(status: TaskStatus, move: Move) -> None:
    target = LEADS_TO[status].get(move)

    if target is not None:
        assert tasks.moved(task(status=status), move) is target
        return
    with pytest.raises(errors.IllegalMove) as refusal:
        tasks.moved(task(status=status), move)

    assert refusal.value.facts == {
        "task_id": "tsk_7f3kq2m9xd",
        "status": status.value,
        "move": move.value,
        "allowed": sorted(allowed.value for allowed in LEADS_TO[status]),
    }


@given(st.lists(st.sampled_from(Move), max_size=30))
@MANY
def test_a_task_that_is_moved_at_random_is_always_in_exactly_one_known_state(moves: list[Move]) -> None:
    walking = task()
    for move in moves:
        try:
            walking = replace(walking, status=tasks.moved(walking, move))
        except errors.IllegalMove as refusal:
            allowed = refusal.facts["allowed"]
            assert isinstance(allowed, list)
            assert move.value not in allowed
            continue

        assert walking.status is LEADS_TO[walking.status].get(move, walking.status)
        kinds = [walking.status in {PENDING, IN_REVIEW}, walking.status in HELD, walking.status in CLOSED]
        assert sum(kinds) == 1


def test_only_a_claim_makes_a_task_held_and_only_reopening_opens_a_closed_one() -> None:
    into_held = {move for (source, move), target in MOVES.items() if source not in HELD and target in HELD}
    out_of_closed = {move for (source, move), target in MOVES.items() if source in CLOSED and target not in CLOSED}

    assert into_held == {Move.CLAIM}
    assert out_of_closed == {Move.REOPEN}


def test_every_state_can_be_reached_and_left() -> None:
    assert set(MOVES.values()) == set(TaskStatus)
    assert {source for source, _ in MOVES} == set(TaskStatus)


@pytest.mark.parametrize("status", sorted(HELD))
def test_the_holder_of_the_present_attempt_may_end_it(status: TaskStatus) -> None:
    tasks.require_attempt(task(status=status, holder="ada", attempt=2), "ada", 2)


@pytest.mark.parametrize(
    ("particulars", "agent_id", "attempt", "told"),
    [
        ({"status": CLAIMED, "holder": "ada", "attempt": 2}, "ada", 1, "You hold tsk_7f3kq2m9xd by attempt 2, not 1"),
        (
            {"status": IN_PROGRESS, "holder": "bob", "attempt": 2},
            "ada",
            1,
            "held by bob (attempt 2). Leave its files",
        ),
        (
            {"status": IN_PROGRESS, "holder": "bob", "attempt": 1},
            "ada",
            1,
            "held by bob (attempt 1). Leave its files",
        ),
        ({"status": PENDING, "attempt": 1}, "ada", 1, "is pending"),
        ({"status": COMPLETED, "holder": "ada", "attempt": 1}, "ada", 1, "You completed tsk_7f3kq2m9xd already"),
        ({"status": IN_REVIEW, "holder": "ada", "attempt": 1}, "ada", 1, "You handed tsk_7f3kq2m9xd in already"),
        ({"status": IN_REVIEW, "holder": "ada", "attempt": 2}, "bob", 1, "is in_review"),
        ({"status": FAILED, "attempt": 3}, "ada", 3, "is failed"),
        ({"status": CANCELLED, "attempt": 1}, "ada", 1, "is cancelled"),
        ({"status": PENDING, "attempt": 0}, "ada", 0, "is pending"),
    ],
)
def test_a_stale_attempt_is_refused_and_told_how_the_task_stands(
    particulars: dict[str, Any], agent_id: str, attempt: int, told: str
) -> None:
    with pytest.raises(errors.StaleAttempt) as refusal:
        tasks.require_attempt(task(**particulars), agent_id, attempt)

    assert told in refusal.value.message
    assert refusal.value.facts["holder"] == (particulars["holder"] if particulars["status"] in HELD else None)


@pytest.mark.parametrize(
    ("required", "shown", "missing"),
    [
        ((), None, ["commit"]),
        ((), Evidence(commit="abc1234"), []),
        ((), Evidence(files=("a.py",), checks=("tests",)), ["commit"]),
        (("files",), Evidence(files=("a.py",)), []),
        (("files", "tests"), Evidence(commit="abc1234", checks=("tests",)), ["files"]),
        (("tests", "lint"), Evidence(checks=("lint",)), ["tests"]),
        (("commit", "files"), Evidence(checks=("commit", "files")), ["commit", "files"]),
        (("tests",), Evidence(commit="abc1234", files=("tests",)), ["tests"]),
    ],
)
def test_evidence_that_the_task_names_must_be_shown_and_nothing_else_stands_for_it(
    required: tuple[str, ...], shown: Evidence | None, missing: list[str]
) -> None:
    asked = task(evidence_required=required)

    if not missing:
        tasks.require_evidence(asked, shown)
        return
    with pytest.raises(errors.EvidenceMissing) as refusal:
        tasks.require_evidence(asked, shown)

    assert refusal.value.facts["missing"] == missing


@given(st.integers(1, 33), st.floats(0, 1, exclude_max=True), st.floats(0, 1e5), st.floats(0, 1e6))
@MANY
def test_a_failed_task_rests_between_half_and_all_of_the_doubled_time(
    failures: int, jitter: float, base_s: float, more_s: float
) -> None:
    whole = min(base_s + more_s, base_s * 2.0 ** (failures - 1))

    delay_s = tasks.retry_delay_s(failures, jitter, base_s=base_s, most_s=base_s + more_s)

    assert whole / 2 <= delay_s <= whole


def test_ever_so_many_failures_make_a_finite_rest() -> None:
    assert tasks.retry_delay_s(100_000, 0.0, base_s=5, most_s=600) == 300


def test_rests_double_up_to_the_most() -> None:
    delays = [tasks.retry_delay_s(failures, 0.0, base_s=5, most_s=600) for failures in range(1, 12)]

    assert delays == [2.5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_jitter_spreads_tasks_that_failed_together() -> None:
    delays = [tasks.retry_delay_s(1, jitter / 10, base_s=10, most_s=600) for jitter in range(10)]

    assert delays == sorted(set(delays))
    assert (delays[0], delays[-1]) == (5.0, 9.5)


def test_a_task_waits_for_all_that_is_not_completed_and_names_each_once() -> None:
    stands = {"a": COMPLETED, "b": FAILED, "c": PENDING, "d": CANCELLED, "e": COMPLETED, "f": CLAIMED}
    waiting = task(dependencies=("a", "b", "c", "gone"), blocked_on=("c", "d", "e", "f"))

    assert tasks.unfinished(waiting, stands.get) == ["b", "c", "gone", "d", "f"]


def test_who_a_task_is_kept_for_is_shown_until_somebody_holds_it() -> None:
    assert task().assigned_to is None
    assert task(reserved_for="ada").assigned_to == "ada"
    assert task(reserved_for="ada", holder="bob").assigned_to == "bob"
