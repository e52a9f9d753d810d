"""Tasks, their dependencies and attempts as they are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, exists, func, not_, or_, select, type_coerce

from conductor.domain import errors, ids, paths
from conductor.domain.events import EventKind
from conductor.domain.tasks import CLOSED, Attempt, Priority, Task, TaskStatus
from storage import pages, searching, tables
from storage.columns import to_micros
from storage.records import ATTEMPT, TASK
from storage.unit import Unit

_tasks = tables.tasks
_edges = tables.task_dependencies
_CREATED = type_coerce(_tasks.c.created_at, BigInteger)

LOOKED_UP_AT_ONCE = 1000
"""A database bounds the values of one statement; five hundred new tasks may name more others than that."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows; what is empty or None does not narrow it.

    tags: all of them. due_before: only tasks that are due, and earlier. subtasks_first: what has open subtasks is not
    ready, as where these complete their parent.
    """

    status: Sequence[TaskStatus] = ()
    priority: Sequence[Priority] = ()
    assigned_to: str | None = None
    tags: Sequence[str] = ()
    ready: bool | None = None
    text: str | None = None
    parent_id: str | None = None
    due_before: datetime | None = None
    subtasks_first: bool = False


class Tasks:
    """The tasks of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def create(
        self,
        project_id: str,
        title: str,
        *,
        description: str | None = None,
        priority: Priority = Priority.MEDIUM,
        dependencies: Sequence[str] = (),
        parent_id: str | None = None,
        files: Sequence[str] = (),
        tags: Sequence[str] = (),
        requires: Sequence[str] = (),
        assigned_to: str | None = None,
        due_at: datetime | None = None,
        max_attempts: int = 3,
        estimated_cost_nano: int | None = None,
        evidence: Sequence[str] = (),
        fold_case: bool = False,
    ) -> Task:
        """Add a task; files become canonical.

        Raises UnknownDependency for a dependency or parent that is no task of the project, PathInvalid.
        """
        unit = self._unit
        wanted = tuple(dict.fromkeys(dependencies))
        self.require_known(project_id, [*wanted, *([parent_id] if parent_id else [])])
        task = Task(
            id=unit.make_id(ids.Kind.TASK),
            project_id=project_id,
            title=title,
            description=description,
            status=TaskStatus.PENDING,
            priority=priority,
            dependencies=wanted,
            files=tuple(sorted({paths.canonical(path, fold_case=fold_case) for path in files})),
            tags=tuple(dict.fromkeys(tags)),
            requires=tuple(dict.fromkeys(requires)),
            max_attempts=max_attempts,
            created_by=unit.actor,
            created_at=unit.now,
            updated_at=unit.now,
            parent_id=parent_id,
            reserved_for=assigned_to,
            evidence_required=tuple(dict.fromkeys(evidence)),
            estimated_cost_nano=estimated_cost_nano,
            due_at=due_at,
        )
        self.add(task)
        return task

    def add(self, task: Task) -> None:
        """Keep a new task; what it waits for and its parent are there, or are added in the same flush before it."""
        unit = self._unit
        unit.add_record(TASK, task)
        self._add_edges(task, task.dependencies)
        unit.record(
            EventKind.TASK_CREATED,
            task.id,
            project_id=task.project_id,
            title=task.title,
            priority=task.priority.value,
            dependencies=list(task.dependencies),
            files=list(task.files),
            parent_id=task.parent_id,
            status=task.status.value if task.status in CLOSED else None,
        )

    def require_known(self, project_id: str, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Refuse ids that are no tasks of the project, give where the others stand. Raises UnknownDependency."""
        if not task_ids:
            return {}
        known = self.statuses(project_id, task_ids)
        unknown = [task_id for task_id in task_ids if task_id not in known]
        if unknown:
            raise errors.UnknownDependency(
                f"No such task in this project: {', '.join(unknown)}. Nothing was changed; list_tasks has the ids.",
                facts={"unknown": unknown},
                next=[errors.NextStep("list_tasks", {}, "find the ids")],
            )
        return known

    def save(self, task: Task) -> None:
        """Keep a task's new state."""
        self._unit.save_record(TASK, task)

    def replace_dependencies(self, task: Task, wanted: Sequence[str]) -> Task:
        """Give a task a whole new list of dependencies; the caller has checked it for cycles."""
        for gone in set(task.dependencies) - set(wanted):
            self._unit.delete(_edges, self._edge(task, gone))
        self._add_edges(task, [new for new in wanted if new not in task.dependencies])
        return replace(task, dependencies=tuple(wanted))

    def get(self, task_id: str) -> Task | None:
        """Read a task by its id, whatever its project."""
        if not ids.is_id(task_id, ids.Kind.TASK):
            return None
        return self._unit.one(TASK, _tasks.c.id == task_id)

    def open_of(self, project_id: str) -> list[Task]:
        """Read the open tasks of a project."""
        closed = _tasks.c.status.in_(sorted(CLOSED))
        return self._unit.records(TASK, _tasks.c.project_id == project_id, not_(closed), order=[_tasks.c.id])

    def statuses(self, project_id: str, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Read where tasks of a project stand; unknown ids are left out."""
        wanted = sorted({task_id for task_id in task_ids if ids.is_id(task_id, ids.Kind.TASK)})
        found: dict[str, TaskStatus] = {}
        for start in range(0, len(wanted), LOOKED_UP_AT_ONCE):
            rows = self._unit.rows(
                # updated_at is not wanted: it keeps SQLite off the index that has id and status, for it would go
                # through the whole project in it rather than look up each id.
                select(_tasks.c.id, _tasks.c.status, _tasks.c.updated_at).where(
                    _tasks.c.organization_id == self._unit.organization_id,
                    _tasks.c.project_id == project_id,
                    _tasks.c.id.in_(wanted[start : start + LOOKED_UP_AT_ONCE]),
                )
            )
            found.update((row[0], row[1]) for row in rows)
        return found

    def subtasks(self, project_id: str, parent_ids: Collection[str]) -> dict[str, dict[TaskStatus, int]]:
        """Count the subtasks of parents by status; a task without any is left out."""
        found: dict[str, dict[TaskStatus, int]] = {}
        wanted = sorted(parent_ids)
        for start in range(0, len(wanted), LOOKED_UP_AT_ONCE):
            rows = self._unit.rows(
                select(_tasks.c.parent_id, _tasks.c.status, func.count())
                .where(
                    _tasks.c.organization_id == self._unit.organization_id,
                    _tasks.c.project_id == project_id,
                    _tasks.c.parent_id.in_(wanted[start : start + LOOKED_UP_AT_ONCE]),
                )
                .group_by(_tasks.c.parent_id, _tasks.c.status)
            )
            for parent_id, status, count in rows:
                found.setdefault(parent_id, {})[status] = count
        return found

    def related(self, project_id: str, task_ids: Collection[str]) -> list[Task]:
        """Read tasks by their ids, in the order of the ids."""
        wanted = sorted(set(task_ids))
        if not wanted:
            return []
        return self._unit.records(TASK, _tasks.c.project_id == project_id, _tasks.c.id.in_(wanted), order=[_tasks.c.id])

    def dependencies_of(self, project_id: str, task_id: str) -> list[str]:
        """Read what a task depends on."""
        return self._ends(_edges.c.depends_on, project_id, _edges.c.task_id == task_id)

    def dependants_of(self, project_id: str, task_id: str) -> list[str]:
        """Read which tasks depend on one."""
        return self._ends(_edges.c.task_id, project_id, _edges.c.depends_on == task_id)

    def begin_attempt(self, attempt: Attempt) -> None:
        """Keep that an attempt has begun."""
        self._unit.add_record(ATTEMPT, attempt)

    def end_attempt(self, attempt: Attempt) -> None:
        """Keep how an attempt ended."""
        self._unit.save_record(ATTEMPT, attempt)

    def attempt(self, task_id: str, number: int) -> Attempt | None:
        """Read one attempt."""
        table = tables.attempts
        return self._unit.one(ATTEMPT, table.c.task_id == task_id, table.c.number == number)

    def attempts(self, task_id: str) -> list[Attempt]:
        """Read the attempts of a task, the first first."""
        table = tables.attempts
        return self._unit.records(ATTEMPT, table.c.task_id == task_id, order=[table.c.number])

    def counts(self, project_id: str) -> dict[str, int]:
        """Count a project's tasks by status."""
        rows = self._unit.rows(
            select(_tasks.c.status, func.count())
            .where(_tasks.c.organization_id == self._unit.organization_id, _tasks.c.project_id == project_id)
            .group_by(_tasks.c.status)
        )
        return {row[0].value: row[1] for row in rows}

    def page(
        self, project_id: str, wanted: TaskFilter = TaskFilter(), *, limit: int = 20, cursor: str | None = None
    ) -> pages.Page[Task]:
        """List tasks, the newest first."""
        where = [
            _tasks.c.project_id == project_id,
            *self._narrowed(wanted),
            *pages.beyond([_CREATED, _tasks.c.id], cursor, (int, str), newest_first=True),
        ]
        found = self._unit.records(
            TASK, *where, order=[_tasks.c.created_at.desc(), _tasks.c.id.desc()], limit=limit + 1
        )
        return pages.cut(found, limit, lambda task: (to_micros(task.created_at), task.id))

    def waits(self, tasks: Iterable[Task]) -> Mapping[str, list[str]]:
        """Tell what tasks of one project still wait for: dependencies and declared waits that are not completed."""
        listed = list(tasks)
        wanted = {other for task in listed for other in (*task.dependencies, *task.blocked_on)}
        statuses = self.statuses(listed[0].project_id, wanted) if wanted else {}
        return {
            task.id: [
                other
                for other in dict.fromkeys((*task.dependencies, *task.blocked_on))
                if statuses.get(other) is not TaskStatus.COMPLETED
            ]
            for task in listed
        }

    def _narrowed(self, wanted: TaskFilter) -> list[Any]:
        where: list[Any] = []
        if wanted.status:
            where.append(_tasks.c.status.in_(wanted.status))
        if wanted.priority:
            where.append(_tasks.c.priority.in_(wanted.priority))
        if wanted.assigned_to is not None:
            holder = func.coalesce(_tasks.c.holder, _tasks.c.reserved_for)
            where.append(holder == wanted.assigned_to)
        where.extend(searching.holds(_tasks.c.tags, tag) for tag in wanted.tags)
        if wanted.text is not None:
            where.append(
                or_(
                    searching.contains(_tasks.c.title, wanted.text),
                    searching.contains(func.coalesce(_tasks.c.description, ""), wanted.text),
                )
            )
        if wanted.parent_id is not None:
            where.append(_tasks.c.parent_id == wanted.parent_id)
        if wanted.due_before is not None:
            where.append(_tasks.c.due_at < wanted.due_before)
        if wanted.ready is not None:
            ready = self._ready(wanted.subtasks_first)
            where.append(ready if wanted.ready else not_(ready))
        return where

    def _ready(self, subtasks_first: bool) -> ColumnElement[bool]:
        needed, below = _tasks.alias("needed"), _tasks.alias("below")
        unfinished = exists().where(
            _edges.c.organization_id == _tasks.c.organization_id,
            _edges.c.project_id == _tasks.c.project_id,
            _edges.c.task_id == _tasks.c.id,
            needed.c.organization_id == _edges.c.organization_id,
            needed.c.id == _edges.c.depends_on,
            needed.c.status != TaskStatus.COMPLETED,
        )
        rested = or_(_tasks.c.retry_at.is_(None), _tasks.c.retry_at <= self._unit.now)
        ready = and_(_tasks.c.status == TaskStatus.PENDING, rested, not_(unfinished))
        if not subtasks_first:
            return ready
        open_below = exists().where(
            below.c.organization_id == _tasks.c.organization_id,
            below.c.project_id == _tasks.c.project_id,
            below.c.parent_id == _tasks.c.id,
            below.c.status.not_in(sorted(CLOSED)),
        )
        return and_(ready, not_(open_below))

    def _ends(self, column: Any, project_id: str, where: Any) -> list[str]:
        rows = self._unit.rows(
            select(column)
            .where(_edges.c.organization_id == self._unit.organization_id, _edges.c.project_id == project_id, where)
            .order_by(column)
        )
        return [row[0] for row in rows]

    def _add_edges(self, task: Task, targets: Iterable[str]) -> None:
        for target in targets:
            self._unit.insert(_edges, self._edge(task, target))

    def _edge(self, task: Task, target: str) -> dict[str, str]:
        return {
            "organization_id": self._unit.organization_id,
            "project_id": task.project_id,
            "task_id": task.id,
            "depends_on": target,
        }
