"""What a task board remembers: the open tasks of a project, what each still waits for, and which are ready.

Closed tasks are looked up in the store when an open one names them; nothing here grows with history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from conductor.domain import tasks
from conductor.domain.deadlines import Deadlines
from conductor.domain.ready_index import ReadyIndex
from conductor.domain.tasks import CLOSED, HELD, Task, TaskStatus

LOOKED_UP_AT_ONCE = 1000
"""A database bounds the values of one statement; ten thousand open tasks may name more closed ones than that."""

StatusLookup = Callable[[Iterable[str]], dict[str, TaskStatus]]
"""Reads where tasks stand in the store."""


class BoardMemory:
    """Open tasks by id, who holds what, the edges between them, and the pending ones that wait for no other."""

    def __init__(self, tasks: Iterable[Task], lookup: StatusLookup) -> None:
        self.tasks: dict[str, Task] = {}
        self.ready = ReadyIndex()
        self._closed: dict[str, TaskStatus] = {}
        self._held: dict[str, set[str]] = {}
        self._pending: set[str] = set()
        self._children: dict[str, set[str]] = {}
        self._dependants: dict[str, set[str]] = {}
        self._waits: dict[str, list[str]] = {}
        self._deadlines = Deadlines()
        self._reassignments = Deadlines()
        # The oldest first: what is kept by age then only grows at its end.
        loaded = sorted(tasks, key=lambda task: (task.created_at, task.id))
        ids = {task.id for task in loaded}
        beyond = sorted({other for task in loaded for other in _edges(task) if other not in ids})
        for start in range(0, len(beyond), LOOKED_UP_AT_ONCE):
            self._closed.update(lookup(beyond[start : start + LOOKED_UP_AT_ONCE]))
        for task in loaded:
            self.tasks[task.id] = task
        for task in loaded:
            self._link(task)

    def put(self, task: Task, lookup: StatusLookup) -> list[str]:
        """Remember a task's new state, or that it is closed; returns the pending tasks that this set free."""
        was_completed = self.status(task.id) is TaskStatus.COMPLETED
        before = self.tasks.pop(task.id, None)
        if before is not None:
            self._unlink(before)
        if task.status in CLOSED:
            if task.id in self._dependants:
                self._closed[task.id] = task.status
        else:
            self._closed.pop(task.id, None)
            unknown = [
                other
                for other in _edges(task)
                if other not in self.tasks and other not in self._closed and other != task.id
            ]
            if unknown:
                self._closed.update(lookup(unknown))
            self.tasks[task.id] = task
            self._link(task)
        for other in _edges(before) if before is not None else ():
            # Closed tasks are remembered as long as an open one waits for them, no longer.
            if other not in self._dependants:
                self._closed.pop(other, None)
        is_completed = task.status is TaskStatus.COMPLETED
        # Whatever else happens to a task, who waits for it waits on; one may be waited for by very many.
        return [] if is_completed is was_completed else self._reckon(task.id, is_completed=is_completed)

    def status(self, task_id: str) -> TaskStatus | None:
        """Tell where a remembered task stands."""
        task = self.tasks.get(task_id)
        return task.status if task is not None else self._closed.get(task_id)

    def waits(self, task: Task) -> list[str]:
        """List what an open task still waits for."""
        return self._waits.get(task.id, [])

    def open_children(self, task_id: str) -> list[Task]:
        """List the open tasks that have this one as their parent, the oldest first."""
        return sorted((self.tasks[key] for key in self._children.get(task_id, ())), key=_age)

    def held_by(self, agent_id: str) -> list[Task]:
        """List the tasks that an agent holds, the longest held first."""
        held = [self.tasks[task_id] for task_id in self._held.get(agent_id, ())]
        return sorted(held, key=lambda task: (task.updated_at, task.id))

    def holders(self) -> list[str]:
        """List the agents that hold something."""
        return sorted(self._held)

    @property
    def pending(self) -> int:
        """How many tasks are pending."""
        return len(self._pending)

    @property
    def waiting(self) -> int:
        """How many pending tasks wait for others."""
        return len(self._pending) - len(self.ready)

    def expired_claims(self, now: datetime) -> list[Task]:
        """List the held tasks whose lease is over."""
        return [self.tasks[task_id] for task_id in self._deadlines.due(now)]

    def due_reassignments(self, now: datetime) -> list[Task]:
        """List the tasks whose holder's time of grace is over, see Task.reassign_at."""
        return [self.tasks[task_id] for task_id in self._reassignments.due(now)]

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next claim ends, or the next time of grace."""
        ends = (self._deadlines.next(), self._reassignments.next())
        return min((at for at in ends if at is not None), default=None)

    def _link(self, task: Task) -> None:
        for other in _edges(task):
            self._dependants.setdefault(other, set()).add(task.id)
        if task.holder is not None and task.status in HELD:
            self._held.setdefault(task.holder, set()).add(task.id)
            if task.lease_expires_at is not None:
                self._deadlines.set(task.id, task.lease_expires_at)
        if task.reassign_at is not None:
            self._reassignments.set(task.id, task.reassign_at)
        if task.status is TaskStatus.PENDING:
            self._pending.add(task.id)
        self._waits[task.id] = tasks.unfinished(task, self.status)
        self._sort_in(task)
        if task.parent_id is not None:
            siblings = self._children.setdefault(task.parent_id, set())
            siblings.add(task.id)
            if len(siblings) == 1:
                self._tell_parent(task.parent_id)

    def _unlink(self, task: Task) -> None:
        for other in _edges(task):
            waiting = self._dependants.get(other)
            if waiting is not None:
                waiting.discard(task.id)
                if not waiting:
                    del self._dependants[other]
        if task.holder is not None and task.holder in self._held:
            self._held[task.holder].discard(task.id)
            if not self._held[task.holder]:
                del self._held[task.holder]
        self._pending.discard(task.id)
        self._waits.pop(task.id, None)
        self._deadlines.drop(task.id)
        self._reassignments.drop(task.id)
        self.ready.drop(task.id)
        if task.parent_id is not None:
            siblings = self._children[task.parent_id]
            siblings.discard(task.id)
            if not siblings:
                del self._children[task.parent_id]
                self._tell_parent(task.parent_id)

    def _reckon(self, changed_id: str, *, is_completed: bool) -> list[str]:
        """Reckon anew who waits for a task that was completed, or that is so no longer."""
        freed = []
        for task_id in sorted(self._dependants.get(changed_id, ())):
            task = self.tasks.get(task_id)
            if task is None:
                continue
            before = self._waits[task_id]
            if is_completed:
                self._waits[task_id] = [other for other in before if other != changed_id]
            else:
                self._waits[task_id] = tasks.unfinished(task, self.status)
            if bool(before) == bool(self._waits[task_id]):
                continue
            self._sort_in(task)
            if before and task.status is TaskStatus.PENDING:
                freed.append(task_id)
        return freed

    def _tell_parent(self, task_id: str) -> None:
        parent = self.tasks.get(task_id)
        # While a board is loaded, a parent may not have been reckoned yet: it will find its children then.
        if parent is not None and task_id in self._waits:
            self._sort_in(parent)

    def _sort_in(self, task: Task) -> None:
        if task.status is TaskStatus.PENDING and not self._waits[task.id]:
            self.ready.put(task, has_open_children=task.id in self._children)
        else:
            self.ready.drop(task.id)


def _edges(task: Task) -> Iterable[str]:
    return dict.fromkeys((*task.dependencies, *task.blocked_on))


def _age(task: Task) -> tuple[datetime, str]:
    return task.created_at, task.id
