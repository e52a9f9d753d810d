"""Conflicts seen from outside: who is in whose way, and what a project's strategy says to do about it.

Pure functions over tasks and locks, given as Conductor's own records or as replies of its faces (both have the
attributes named in the protocols). Nothing is changed here; the observer and people decide. Who meets whom is asked of
the lease index, so that ten thousand locks take a second and not minutes.
"""

from __future__ import annotations

import contextlib
import graphlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar, assert_never

from conductor.domain import dependencies, globs
from conductor.domain.agents import Agent
from conductor.domain.lease_index import LeaseIndex
from conductor.domain.locks import Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.tasks import CLOSED, HELD
from conductor.domain.zones import ZoneMap

T = TypeVar("T")


class TaskLike(Protocol):
    """What is read of a task; status as in TaskStatus, files as canonical patterns.

    Its declared waits are read too where it has them: `blocked_on` of a record, `blocked_by` of a reply.
    """

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def assigned_to(self) -> str | None: ...
    @property
    def files(self) -> Sequence[str]: ...
    @property
    def dependencies(self) -> Sequence[str]: ...


class LockLike(Protocol):
    """What is read of a lock; mode as in Mode, paths as canonical patterns."""

    @property
    def id(self) -> str: ...
    @property
    def agent_id(self) -> str: ...
    @property
    def paths(self) -> Sequence[str]: ...
    @property
    def mode(self) -> str: ...


class ConflictKind(StrEnum):
    """What kind of trouble it is."""

    OVERLAPPING_LOCKS = "overlapping_locks"
    OVERLAPPING_TASKS = "overlapping_tasks"
    TASK_WITHOUT_ITS_LOCK = "task_without_its_lock"
    ZONE_VIOLATION = "zone_violation"
    DEADLOCK = "deadlock"


@dataclass(frozen=True, slots=True)
class Conflict:
    """One conflict: the agents in it, the ids of tasks and locks that show it, the patterns that meet."""

    kind: ConflictKind
    agents: tuple[str, ...]
    subjects: tuple[str, ...]
    paths: tuple[str, ...]
    message: str


class Answer(StrEnum):
    """What to do about a conflict."""

    REFUSE = "refuse"
    ASK_OWNERS = "ask_owners"
    TRY_MERGE = "try_merge"
    REVIEW = "review"
    BREAK_CYCLE = "break_cycle"


@dataclass(frozen=True, slots=True)
class Handling:
    """A conflict with what to do about it and why."""

    conflict: Conflict
    answer: Answer
    because: str


def detect_conflicts(
    tasks: Sequence[TaskLike],
    locks: Sequence[LockLike],
    *,
    zones: ZoneMap | None = None,
    agents: Sequence[Agent] = (),
    most: int | None = None,
) -> list[Conflict]:
    """Find who is in whose way.

    - locks of two agents that overlap and are not both shared,
    - held tasks of two agents whose files overlap,
    - a held task with files that its agent has not leased and another one has,
    - locks of agents that a zone keeps out of there, where zones and the agents are given,
    - open tasks whose dependencies and declared waits form a cycle.

    most: pairs that are looked at, of each kind; None: all. The order is stable; each pair is named once, and each task
    of a cycle at least once.
    """
    held = [task for task in tasks if task.status in HELD and task.assigned_to]
    return [
        *_locks(locks, most),
        *_tasks(held, most),
        *_tasks_against_locks(held, locks, most),
        *_violations(locks, zones or ZoneMap(), agents),
        *_cycles(tasks),
    ]


def handle_conflicts(conflicts: Sequence[Conflict], strategy: ConflictStrategy | str) -> list[Handling]:
    """Say what a project's strategy does about each conflict; deadlocks and zones are the same under every strategy.

    Raises ValueError for a text that names no strategy.
    """
    answer, because = _answer(ConflictStrategy(strategy))
    always = {
        ConflictKind.DEADLOCK: (Answer.BREAK_CYCLE, "nobody in a cycle can go on: drop one of its dependencies"),
        ConflictKind.ZONE_VIOLATION: (Answer.ASK_OWNERS, "whose the zone is decides, whatever was leased before"),
    }
    return [Handling(conflict, *always.get(conflict.kind, (answer, because))) for conflict in conflicts]


def _answer(strategy: ConflictStrategy) -> tuple[Answer, str]:
    match strategy:
        case ConflictStrategy.LOCK:
            return Answer.REFUSE, "edits need an exclusive lease: whoever came later waits or works elsewhere"
        case ConflictStrategy.ZONE:
            return Answer.ASK_OWNERS, "the owners of the path decide who goes first"
        case ConflictStrategy.MERGE:
            return Answer.TRY_MERGE, "both may edit; merge early to see whether they clash"
        case ConflictStrategy.REVIEW:
            return Answer.REVIEW, "both may edit; a person looks at the overlap"
        case _:
            assert_never(strategy)


def _locks(locks: Sequence[LockLike], most: int | None) -> list[Conflict]:
    found = []
    ordered = sorted(locks, key=lambda lock: lock.id)
    for one, other in itertools.islice(_pairs(ordered, [lock.paths for lock in ordered]), most):
        if one.agent_id == other.agent_id or (one.mode == Mode.SHARED and other.mode == Mode.SHARED):
            continue
        paths = _meeting(one.paths, other.paths)
        found.append(
            Conflict(
                ConflictKind.OVERLAPPING_LOCKS,
                (one.agent_id, other.agent_id),
                (one.id, other.id),
                paths,
                f"{one.agent_id} and {other.agent_id} both lease {', '.join(paths)}",
            )
        )
    return found


def _tasks(held: Sequence[TaskLike], most: int | None) -> list[Conflict]:
    found = []
    ordered = sorted(held, key=lambda task: task.id)
    for one, other in itertools.islice(_pairs(ordered, [task.files for task in ordered]), most):
        if one.assigned_to == other.assigned_to:
            continue
        paths = _meeting(one.files, other.files)
        found.append(
            Conflict(
                ConflictKind.OVERLAPPING_TASKS,
                (str(one.assigned_to), str(other.assigned_to)),
                (one.id, other.id),
                paths,
                f"{one.assigned_to} and {other.assigned_to} hold tasks that both touch {', '.join(paths)}",
            )
        )
    return found


def _tasks_against_locks(held: Sequence[TaskLike], locks: Sequence[LockLike], most: int | None) -> list[Conflict]:
    found: list[Conflict] = []
    ordered = sorted(locks, key=lambda lock: lock.id)
    index = _index([lock.paths for lock in ordered])
    leased: dict[str, list[globs.Pattern]] = {}
    for lock in ordered:
        leased.setdefault(lock.agent_id, []).extend(globs.parse(path) for path in lock.paths)
    for task in sorted(held, key=lambda task: task.id):
        if most is not None and len(found) >= most:
            break
        own = leased.get(str(task.assigned_to), [])
        # Where the task's agent has a lease of its own, the two locks are the conflict, and are named as such.
        bare = [file for file in task.files if not globs.covers(own, globs.parse(file))]
        for lock in (ordered[place] for place in _touched(index, bare)):
            if lock.agent_id == task.assigned_to:
                continue
            paths = _meeting(bare, lock.paths)
            found.append(
                Conflict(
                    ConflictKind.TASK_WITHOUT_ITS_LOCK,
                    (str(task.assigned_to), lock.agent_id),
                    (task.id, lock.id),
                    paths,
                    f"{task.assigned_to} holds {task.id}, but {lock.agent_id} leases {', '.join(paths)}",
                )
            )
    return found


def _violations(locks: Sequence[LockLike], zones: ZoneMap, agents: Sequence[Agent]) -> list[Conflict]:
    known = {agent.agent_id: agent for agent in agents} if zones.zones else {}
    found = []
    for lock in sorted(locks, key=lambda lock: lock.id):
        agent = known.get(lock.agent_id)
        if agent is None:
            continue
        for path in lock.paths:
            zone = zones.barring(agent, path, changes=lock.mode == Mode.EXCLUSIVE)
            if zone is not None:
                told = f"{lock.agent_id} leases {path}, and the zone {zone.pattern} keeps it out of there"
                found.append(Conflict(ConflictKind.ZONE_VIOLATION, (lock.agent_id,), (lock.id,), (path,), told))
    return found


def _cycles(tasks: Sequence[TaskLike]) -> list[Conflict]:
    open_tasks = {task.id: task for task in tasks if task.status not in CLOSED}
    waits: Mapping[str, Sequence[str]] = {
        key: [other for other in _waits(task) if other in open_tasks] for key, task in open_tasks.items()
    }
    found, seen = [], set[str]()
    for key in _stuck(waits):
        if key in seen:
            continue
        cycle = dependencies.cycle_through(key, waits[key], lambda task_id: waits[task_id])
        if cycle:
            seen.update(cycle)
            agents = tuple(dict.fromkeys(agent for one in cycle if (agent := open_tasks[one].assigned_to)))
            found.append(
                Conflict(
                    ConflictKind.DEADLOCK, agents, tuple(cycle), (), f"tasks wait in a circle: {' -> '.join(cycle)}"
                )
            )
    return found


def _waits(task: TaskLike) -> tuple[str, ...]:
    declared = getattr(task, "blocked_on", None) or getattr(task, "blocked_by", None) or ()
    return (*task.dependencies, *declared)


def _stuck(waits: Mapping[str, Sequence[str]]) -> list[str]:
    """List the tasks that are in a cycle or wait for one, in linear time: most graphs have none."""
    sorter = graphlib.TopologicalSorter(waits)
    with contextlib.suppress(graphlib.CycleError):
        sorter.prepare()
    free = set[str]()
    while ready := sorter.get_ready():
        free.update(ready)
        sorter.done(*ready)
    return sorted(waits.keys() - free)


def _pairs(things: Sequence[T], patterns: Sequence[Sequence[str]]) -> Iterator[tuple[T, T]]:
    """Give the pairs of things of which some patterns meet, in the order of the things."""
    index = _index(patterns)
    for place, one in enumerate(things):
        for other in _touched(index, patterns[place]):
            if other > place:
                yield one, things[other]


def _index(patterns: Sequence[Sequence[str]]) -> LeaseIndex[int]:
    index = LeaseIndex[int]()
    for place, texts in enumerate(patterns):
        for text in texts:
            index.add(place, globs.parse(text))
    return index


def _touched(index: LeaseIndex[int], texts: Sequence[str]) -> list[int]:
    return sorted({place for text in texts for place in index.overlapping(globs.parse(text))})


def _meeting(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    parsed = [(path, globs.parse(path)) for path in other]
    return tuple(
        dict.fromkeys(
            path if path == against else f"{path} & {against}"
            for path in one
            for against, pattern in parsed
            if globs.overlapping(globs.parse(path), pattern)
        )
    )
