"""Who is in whose way, over Conductor's own records and over replies of its faces alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise, product
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import conductor
from conductor.domain import conflicts, globs, tasks
from conductor.domain.conflicts import Answer, Conflict, ConflictKind, LockLike, TaskLike
from conductor.domain.locks import Lease, Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.tasks import CLOSED, HELD, Priority, TaskStatus
from conductor.operations.locks import Lock as LockReply
from conductor.operations.tasks import Task as TaskReply

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=900)
MANY = settings(max_examples=60, deadline=None)

LOCKS, TASKS, BARE, DEADLOCK = (
    ConflictKind.OVERLAPPING_LOCKS,
    ConflictKind.OVERLAPPING_TASKS,
    ConflictKind.TASK_WITHOUT_ITS_LOCK,
    ConflictKind.DEADLOCK,
)


def lock_record(key: str, agent_id: str, *paths: str, mode: Mode = Mode.EXCLUSIVE) -> Lease:
    return Lease(key, "prj_a", agent_id, paths, mode, 1, 900, NOW, LATER)


def lock_reply(key: str, agent_id: str, *paths: str, mode: Mode = Mode.EXCLUSIVE) -> LockReply:
    return LockReply(
        id=key, paths=list(paths), mode=mode, agent_id=agent_id, token=1, acquired_at=NOW, expires_at=LATER
    )


def task_record(
    key: str,
    agent_id: str | None,
    *files: str,
    status: TaskStatus = TaskStatus.IN_PROGRESS,
    dependencies: Sequence[str] = (),
    waits: Sequence[str] = (),
) -> tasks.Task:
    return tasks.Task(
        id=key,
        project_id="prj_a",
        title=key,
        description=None,
        status=status,
        priority=Priority.MEDIUM,
        dependencies=tuple(dependencies),
        files=files,
        tags=(),
        requires=(),
        max_attempts=3,
        created_by="member:mbr_a",
        created_at=NOW,
        updated_at=NOW,
        holder=agent_id,
        blocked_on=tuple(waits),
    )


def task_reply(
    key: str,
    agent_id: str | None,
    *files: str,
    status: TaskStatus = TaskStatus.IN_PROGRESS,
    dependencies: Sequence[str] = (),
    waits: Sequence[str] = (),
) -> TaskReply:
    return TaskReply(
        id=key,
        project_id="prj_a",
        title=key,
        status=status,
        priority=Priority.MEDIUM,
        assigned_to=agent_id,
        attempt=1,
        max_attempts=3,
        dependencies=list(dependencies),
        blocked_by=[*dependencies, *waits],
        files=list(files),
        tags=[],
        requires=[],
        evidence=[],
        created_at=NOW,
        updated_at=NOW,
    )


class LockMaker(Protocol):
    def __call__(self, key: str, agent_id: str, *paths: str, mode: Mode = ...) -> LockLike: ...


class TaskMaker(Protocol):
    def __call__(
        self,
        key: str,
        agent_id: str | None,
        *files: str,
        status: TaskStatus = ...,
        dependencies: Sequence[str] = ...,
        waits: Sequence[str] = ...,
    ) -> TaskLike: ...


both_locks = pytest.mark.parametrize("lock", [lock_record, lock_reply], ids=["records", "replies"])
both_tasks = pytest.mark.parametrize("task", [task_record, task_reply], ids=["records", "replies"])

agent_ids = st.sampled_from(["ada", "bob", "cyd"])
some_paths = st.lists(
    st.sampled_from(["a.py", "src/a.py", "src/", "src/**", "**/*.py", "docs/x.md", "docs/*"]), unique=True, max_size=2
).map(lambda texts: tuple(sorted(texts)))
some_locks = st.lists(st.tuples(agent_ids, some_paths.filter(bool), st.sampled_from(Mode)), max_size=5).map(
    lambda rows: [lock_record(f"l{n}", who, *paths, mode=mode) for n, (who, paths, mode) in enumerate(rows)]
)
some_tasks = st.lists(
    st.tuples(
        st.none() | agent_ids,
        some_paths,
        st.sampled_from(TaskStatus),
        st.lists(st.integers(0, 5).map(lambda n: f"t{n}"), max_size=2),
        st.lists(st.integers(0, 5).map(lambda n: f"t{n}"), max_size=1),
    ),
    max_size=6,
).map(
    lambda rows: [
        task_record(f"t{n}", who, *files, status=status, dependencies=needs, waits=waits)
        for n, (who, files, status, needs, waits) in enumerate(rows)
    ]
)


def meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(globs.overlapping(globs.parse(a), globs.parse(b)) for a, b in product(one, other))


def found(conflict: Conflict) -> tuple[ConflictKind, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return conflict.kind, conflict.agents, conflict.subjects, conflict.paths


@both_locks
def test_locks_of_two_agents_that_overlap_are_a_conflict(lock: LockMaker) -> None:
    held: list[LockLike] = [lock("l2", "bob", "src/a.py"), lock("l1", "ada", "src/**"), lock("l3", "cyd", "docs/")]

    assert [found(one) for one in conflicts.detect_conflicts([], held)] == [
        (LOCKS, ("ada", "bob"), ("l1", "l2"), ("src/** & src/a.py",))
    ]


@both_locks
def test_locks_that_bear_each_other_are_none(lock: LockMaker) -> None:
    held: list[LockLike] = [
        lock_record("l1", "ada", "a.py", mode=Mode.SHARED),
        lock_reply("l2", "bob", "a.py", mode=Mode.SHARED),
        lock("l3", "cyd", "b.py"),
        lock("l4", "cyd", "b.py"),
    ]

    assert conflicts.detect_conflicts([], held) == []


@both_tasks
def test_held_tasks_of_two_agents_that_touch_the_same_files_are_a_conflict(task: TaskMaker) -> None:
    board: list[TaskLike] = [
        task_record("t1", "ada", "src/"),
        task_reply("t2", "bob", "src/a.py", status=TaskStatus.BLOCKED),
        task_record("t3", "cyd", "src/a.py", status=TaskStatus.COMPLETED),
        task_reply("t4", "cyd", "src/a.py", status=TaskStatus.PENDING),
        task("t5", "ada", "src/b.py"),
    ]

    assert [found(one) for one in conflicts.detect_conflicts(board, [])] == [
        (TASKS, ("ada", "bob"), ("t1", "t2"), ("src/ & src/a.py",))
    ]


@pytest.mark.parametrize("mode", Mode)
def test_a_held_task_whose_files_only_another_has_leased_is_a_conflict(mode: Mode) -> None:
    board = [task_record("t1", "ada", "docs/x.md", "src/a.py")]
    held: list[LockLike] = [lock_record("l1", "bob", "src/", mode=mode), lock_reply("l2", "ada", "docs/")]

    assert [found(one) for one in conflicts.detect_conflicts(board, held)] == [
        (BARE, ("ada", "bob"), ("t1", "l1"), ("src/a.py & src/",))
    ]


def test_a_held_task_with_its_own_lock_is_not_told_twice() -> None:
    board = [task_record("t1", "ada", "src/a.py")]
    held = [lock_record("l1", "ada", "src/"), lock_record("l2", "bob", "src/a.py")]

    assert [one.kind for one in conflicts.detect_conflicts(board, held)] == [LOCKS]


@both_tasks
@pytest.mark.parametrize("declared", [False, True], ids=["dependencies", "declared waits"])
def test_tasks_that_wait_in_a_circle_are_a_deadlock(task: TaskMaker, declared: bool) -> None:
    edges, kept = (("t3",), ("t1", "t4")), ((), ())
    dependencies, waits = (kept, edges) if declared else (edges, kept)
    board: list[TaskLike] = [
        task_record("t1", "ada", status=TaskStatus.BLOCKED, dependencies=["t2"]),
        task("t2", None, status=TaskStatus.PENDING, dependencies=dependencies[0], waits=waits[0]),
        task("t3", "bob", status=TaskStatus.BLOCKED, dependencies=dependencies[1], waits=waits[1]),
        task_record("t4", None, status=TaskStatus.PENDING),
    ]

    assert [found(one) for one in conflicts.detect_conflicts(board, [])] == [
        (DEADLOCK, ("ada", "bob"), ("t1", "t2", "t3", "t1"), ())
    ]


def test_a_closed_task_breaks_the_circle() -> None:
    board = [
        task_record("t1", None, status=TaskStatus.PENDING, dependencies=["t2"]),
        task_record("t2", "ada", status=TaskStatus.COMPLETED, dependencies=["t1"]),
    ]

    assert conflicts.detect_conflicts(board, []) == []


@given(some_tasks, some_locks)
@MANY
def test_exactly_the_pairs_that_meet_are_found(board: list[tasks.Task], held: list[Lease]) -> None:
    busy = [task for task in board if task.status in HELD and task.holder]
    leased = {
        who: [globs.parse(path) for lock in held if lock.agent_id == who for path in lock.paths]
        for who in ["ada", "bob", "cyd"]
    }
    bare = {
        task.id: [file for file in task.files if not globs.covers(leased[task.holder or ""], globs.parse(file))]
        for task in busy
    }
    expected = {
        *((LOCKS, (one.id, other.id)) for one, other in combinations(held, 2)
          if one.agent_id != other.agent_id and Mode.EXCLUSIVE in (one.mode, other.mode)
          and meet(one.paths, other.paths)),
        *((TASKS, (one.id, other.id)) for one, other in combinations(busy, 2)
          if one.holder != other.holder and meet(one.files, other.files)),
        *((BARE, (task.id, lock.id)) for task, lock in product(busy, held)
          if task.holder != lock.agent_id and meet(bare[task.id], lock.paths)),
    }  # fmt: skip

    got = [(one.kind, one.subjects) for one in conflicts.detect_conflicts(board, held) if one.kind is not DEADLOCK]

    assert set(got) == expected
    assert len(got) == len(expected)


@given(some_tasks)
@MANY
def test_a_task_is_named_in_a_deadlock_exactly_when_it_waits_for_itself_in_the_end(board: list[tasks.Task]) -> None:
    waits = {task.id: {*task.dependencies, *task.blocked_on} for task in board if task.status not in CLOSED}
    reached = {key: {other for other in waits[key] if other in waits} for key in waits}
    for middle, one in product(waits, waits):
        if middle in reached[one]:
            reached[one] |= reached[middle]

    circles = [one.subjects for one in conflicts.detect_conflicts(board, []) if one.kind is DEADLOCK]

    assert {key for circle in circles for key in circle} == {key for key in waits if key in reached[key]}
    assert all(circle[0] == circle[-1] for circle in circles)
    assert all(target in waits[source] for circle in circles for source, target in pairwise(circle))


@given(some_tasks, some_locks)
@MANY
def test_the_answer_depends_on_nothing_but_what_is_given_and_changes_none_of_it(
    board: list[tasks.Task], held: list[Lease]
) -> None:
    shown = repr((board, held))

    first = conflicts.detect_conflicts(board, held)
    again = conflicts.detect_conflicts(board[::-1], held[::-1])

    assert first == again
    assert repr((board, held)) == shown


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [
        ("lock", Answer.REFUSE),
        ("zone", Answer.ASK_OWNERS),
        ("merge", Answer.TRY_MERGE),
        ("review", Answer.REVIEW),
    ],
)
def test_a_strategy_says_what_to_do_and_a_deadlock_is_broken_under_each(strategy: str, answer: Answer) -> None:
    seen = [Conflict(kind, ("ada", "bob"), ("a", "b"), ("a.py",), "") for kind in ConflictKind]

    by_word = conflicts.handle_conflicts(seen, strategy)
    by_member = conflicts.handle_conflicts(seen, ConflictStrategy(strategy))

    assert by_word == by_member
    assert [handling.conflict for handling in by_word] == seen
    assert {handling.conflict.kind: handling.answer for handling in by_word} == {
        LOCKS: answer,
        TASKS: answer,
        BARE: answer,
        ConflictKind.ZONE_VIOLATION: Answer.ASK_OWNERS,
        DEADLOCK: Answer.BREAK_CYCLE,
    }
    assert all(handling.because for handling in by_word)


def test_a_word_that_is_no_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="hope"):
        conflicts.handle_conflicts([], "hope")


def test_the_package_exports_both_functions() -> None:
    assert conductor.detect_conflicts is conflicts.detect_conflicts
    assert conductor.handle_conflicts is conflicts.handle_conflicts


def test_thousands_of_locks_and_a_long_chain_of_tasks_take_no_more_than_a_moment() -> None:
    held = [lock_record(f"l{n:05}", f"agent-{n % 50}", f"src/m{n}/a.py", f"lib/m{n}/**") for n in range(3_000)]
    board = [
        task_record(f"t{n:05}", None, status=TaskStatus.PENDING, dependencies=[f"t{n + 1:05}"]) for n in range(3_000)
    ]

    started = time.perf_counter()
    seen = conflicts.detect_conflicts(board, held)

    assert seen == []
    assert time.perf_counter() - started < 1
