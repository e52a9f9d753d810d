"""Many tasks at once: made with all that they wait for among each other, or closed, in one transaction.

A list is taken whole or not at all: everything is looked at before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.board_memory import BoardMemory
from actors.call import Call
from actors.lock_manager import LockManager
from actors.subtasks import Subtasks
from conductor.domain import dependencies, errors, ids
from conductor.domain.errors import NextStep
from conductor.domain.organizations import Project
from conductor.domain.tasks import CLOSED, Priority, Task, TaskStatus

MOST_DEPTH = 16
"""Levels of subtasks: what goes upwards from a task ends soon."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be made.

    name: what others of the same list call it; dependencies and parent_id hold such names or ids of tasks.
    status: pending, or completed or cancelled for what was closed elsewhere before it came here.
    """

    title: str
    name: str | None = None
    description: str | None = None
    priority: Priority = Priority.MEDIUM
    dependencies: Sequence[str] = ()
    parent_id: str | None = None
    files: Sequence[str] = ()
    tags: Sequence[str] = ()
    requires: Sequence[str] = ()
    assigned_to: str | None = None
    due_at: datetime | None = None
    max_attempts: int = 3
    estimated_cost_nano: int | None = None
    evidence: Sequence[str] = ()
    status: TaskStatus = TaskStatus.PENDING
    result: str | None = None
    external_id: str | None = None


class Bulk:
    """Makes and closes many tasks of one project."""

    def __init__(
        self, memory: BoardMemory, locks: LockManager, project: Callable[[], Project], subtasks: Subtasks
    ) -> None:
        self._memory = memory
        self._locks = locks
        self._project = project
        self._subtasks = subtasks

    def create(self, wanted: Sequence[NewTask], call: Call) -> list[Task]:
        """Make tasks, in whatever order they are given; returns them in that order.

        Raises Invalid, UnknownDependency, DependencyCycle, PathInvalid; then nothing was written.
        """
        drafts = self._drafts(wanted, call)
        labels = {draft.id: new.name or draft.title for draft, new in zip(drafts, wanted, strict=True)}
        by_id = {draft.id: draft for draft in drafts}
        _require_no_circle({draft.id: draft.dependencies for draft in drafts}, labels, "wait for each other")
        parents = {draft.id: [draft.parent_id] if draft.parent_id else [] for draft in drafts}
        _require_no_circle(parents, labels, "are each other's parents")
        known = self._known(by_id, call)
        self._require_places(by_id, known, labels, call)
        if self._project().settings.complete_parents:
            self._require_no_wait_for_parents(by_id, labels)
        stands = known | {draft.id: draft.status for draft in drafts}
        for task_id in dependencies.in_order(parents):
            call.tx.tasks.add(by_id[task_id])
        for task_id in dependencies.in_order({draft.id: draft.dependencies for draft in drafts}):
            self._memory.put(by_id[task_id], lambda others: {other: stands[other] for other in others})
        return drafts

    def close(self, task_ids: Sequence[str], reason: str, call: Call) -> tuple[list[str], list[str]]:
        """Cancel open tasks with their subtasks; returns what was cancelled, and what had been closed before.

        Raises NotFound for ids that are no tasks here; then nothing was changed.
        """
        wanted = list(dict.fromkeys(task_ids))
        before = [task_id for task_id in wanted if task_id not in self._memory.tasks]
        known = call.tx.tasks.statuses(self._project().id, before)
        unknown = [task_id for task_id in before if task_id not in known]
        if unknown:
            raise errors.NotFound(
                f"No such task here: {', '.join(unknown)}. Nothing was changed; find the ids with list_tasks.",
                facts={"unknown": unknown},
                next=[NextStep("list_tasks", {}, "find the ids")],
            )
        cancelled: list[Task] = []
        for task_id in wanted:
            # A subtask may have been cancelled with its parent, earlier in the list.
            task = self._memory.tasks.get(task_id)
            if task is not None:
                cancelled.extend(self._subtasks.cancel(task, reason, call))
        self._subtasks.conclude(cancelled, [], call.now, call.tx)
        return [task.id for task in cancelled], before

    def _drafts(self, wanted: Sequence[NewTask], call: Call) -> list[Task]:
        project, tx = self._project(), call.tx
        made = [tx.make_id(ids.Kind.TASK) for _ in wanted]
        named: dict[str, str] = {}
        for new, task_id in zip(wanted, made, strict=True):
            if new.name is not None and named.setdefault(new.name, task_id) != task_id:
                raise errors.Invalid(
                    f"Two tasks of the list are called {new.name}: nobody could say which is meant. Nothing was made.",
                    facts={"argument": "tasks", "name": new.name},
                )
        # Of one moment, but in the order in which they were written down: who takes the oldest begins at the top.
        times = [call.now + timedelta(microseconds=place) for place in range(len(wanted))]
        return [
            Task(
                id=task_id,
                project_id=project.id,
                title=new.title,
                description=new.description,
                status=new.status,
                priority=new.priority,
                dependencies=tuple(dict.fromkeys(named.get(other, other) for other in new.dependencies)),
                files=self._files(new, len(wanted) > 1),
                tags=tuple(dict.fromkeys(new.tags)),
                requires=tuple(dict.fromkeys(new.requires)),
                max_attempts=new.max_attempts,
                created_by=tx.actor,
                created_at=at,
                updated_at=at,
                parent_id=named.get(new.parent_id, new.parent_id) if new.parent_id else None,
                reserved_for=new.assigned_to,
                evidence_required=tuple(dict.fromkeys(new.evidence)),
                estimated_cost_nano=new.estimated_cost_nano,
                result=new.result,
                due_at=new.due_at,
                closed_at=call.now if new.status in CLOSED else None,
                external_id=new.external_id,
            )
            for new, task_id, at in zip(wanted, made, times, strict=True)
        ]

    def _files(self, new: NewTask, is_one_of_many: bool) -> tuple[str, ...]:
        try:
            return self._locks.canonical(new.files)
        except errors.PathInvalid as error:
            if not is_one_of_many:
                raise
            told = f"{new.name or new.title}: {error.message}"
            raise errors.PathInvalid(told, facts=error.facts, next=error.next) from None

    def _known(self, drafts: Mapping[str, Task], call: Call) -> dict[str, TaskStatus]:
        """Find where the tasks stand that the new ones name. Raises UnknownDependency."""
        named = [
            other
            for draft in drafts.values()
            for other in (*draft.dependencies, *([draft.parent_id] if draft.parent_id else []))
        ]
        outside = [other for other in dict.fromkeys(named) if other not in drafts]
        known = {other: self._memory.tasks[other].status for other in outside if other in self._memory.tasks}
        beyond = [other for other in outside if other not in known]
        return known | call.tx.tasks.require_known(self._project().id, beyond)

    def _require_places(
        self, drafts: Mapping[str, Task], known: Mapping[str, TaskStatus], labels: Mapping[str, str], call: Call
    ) -> None:
        """Refuse open tasks below closed ones, and trees that grow too deep."""
        seen: dict[str, list[str]] = {}
        for draft in drafts.values():
            if draft.parent_id is None:
                continue
            stands = drafts[draft.parent_id].status if draft.parent_id in drafts else known[draft.parent_id]
            if stands in CLOSED and draft.status not in CLOSED:
                parent = labels.get(draft.parent_id, draft.parent_id)
                raise errors.Invalid(
                    f"{labels[draft.id]!r} cannot be a subtask of {parent}, which is {stands}: leave parent_id out, or "
                    "have a person reopen the parent first. Nothing was made.",
                    facts={"argument": "parent_id", "parent_id": draft.parent_id, "status": stands.value},
                    next=[NextStep("list_tasks", {"status": ["pending"]}, "see what is open")],
                )
            if len(self._above(draft.parent_id, drafts, seen, call)) >= MOST_DEPTH:
                raise errors.Invalid(
                    f"{labels[draft.id]!r} would lie more than {MOST_DEPTH} levels deep. Put it under a task further "
                    "up. Nothing was made.",
                    facts={"argument": "parent_id", "parent_id": draft.parent_id, "most": MOST_DEPTH},
                )

    def _require_no_wait_for_parents(self, drafts: Mapping[str, Task], labels: Mapping[str, str]) -> None:
        """Refuse a subtask that would wait for what waits for it, where parents are completed by their subtasks."""
        below: dict[str, list[str]] = {}
        for draft in drafts.values():
            if draft.parent_id is not None:
                below.setdefault(draft.parent_id, []).append(draft.id)

        def edges(task_id: str) -> Iterable[str]:
            task = drafts.get(task_id) or self._memory.tasks.get(task_id)
            waits = () if task is None else (*task.dependencies, *task.blocked_on)
            return (*waits, *below.get(task_id, ()), *(child.id for child in self._memory.open_children(task_id)))

        waiting = [draft for draft in drafts.values() if draft.parent_id is not None and draft.dependencies]
        cycle = dependencies.cycle_from([draft.id for draft in waiting], edges)
        if cycle and drafts.keys().isdisjoint(cycle):
            # A circle of old, from before parents were completed so, is no fault of this list: look for one of its own.
            ways = (dependencies.cycle_through(draft.id, draft.dependencies, edges) for draft in waiting)
            cycle = next(filter(None, ways), None)
        if cycle:
            names = [labels.get(task_id, task_id) for task_id in cycle]
            raise errors.DependencyCycle(
                f"A parent is completed by its subtasks here, so these would wait for each other: "
                f"{' -> '.join(names)}. Nothing was made; leave out one of these edges.",
                facts={"cycle": names},
            )

    def _above(self, task_id: str, drafts: Mapping[str, Task], seen: dict[str, list[str]], call: Call) -> list[str]:
        """List a task and those above it, the nearest first, as far as the bound."""
        way: list[str] = []
        current: str | None = task_id
        while current is not None and len(way) < MOST_DEPTH:
            if current in seen:
                way.extend(seen[current])
                break
            way.append(current)
            found = drafts.get(current) or self._memory.tasks.get(current) or call.tx.tasks.get(current)
            current = found.parent_id if found is not None else None
        seen[task_id] = way
        return way


def _require_no_circle(edges: Mapping[str, Sequence[str]], labels: Mapping[str, str], told: str) -> None:
    cycle = dependencies.cycle_among(edges)
    if cycle:
        names = [labels[task_id] for task_id in cycle]
        raise errors.DependencyCycle(
            f"These tasks of the list {told}: {' -> '.join(names)}. Nothing was made; leave out one of these edges.",
            facts={"cycle": names},
        )
