"""What a task board remembers: the open tasks of a project and what each still waits for.

Closed tasks are looked up in the store when an open one names them; nothing here grows with history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from conductor.domain import tasks
from conductor.domain.deadlines import Deadlines
from conductor.domain.tasks import CLOSED, HELD, Task, TaskStatus

LOOKED_UP_AT_ONCE = 1000
"""A database bounds the values of one statement; ten thousand open tasks may name more closed ones than that."""

StatusLookup = Callable[[Iterable[str]], dict[str, TaskStatus]]
"""Reads where tasks stand in the store."""


class BoardMemory:
    """Open tasks by id, who holds what, and the edges between them."""

    def __init__(self, tasks: Iterable[Task], lookup: StatusLookup) -> None:
        self.tasks: dict[str, Task] = {}
        self._closed: dict[str, TaskStatus] = {}
        self._held: dict[str, set[str]] = {}
        self._dependants: dict[str, set[str]] = {}
        self._waits: dict[str, list[str]] = {}
        self._deadlines = Deadlines()
        loaded = list(tasks)
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
        return self._reckon(self._dependants.get(task.id, ()))

    def status(self, task_id: str) -> TaskStatus | None:
        """Tell where a remembered task stands."""
        task = self.tasks.get(task_id)
        return task.status if task is not None else self._closed.get(task_id)

    def waits(self, task: Task) -> list[str]:
        """List what an open task still waits for."""
        return self._waits.get(task.id, [])

    def held_by(self, agent_id: str) -> list[Task]:
        """List the tasks that an agent holds, the longest held first."""
        held = [self.tasks[task_id] for task_id in self._held.get(agent_id, ())]
        return sorted(held, key=lambda task: (task.updated_at, task.id))

    def holders(self) -> list[str]:
        """List the agents that hold something."""
        return sorted(self._held)

    def ready(self) -> list[Task]:
        """List the pending tasks that wait for nothing."""
        return [task for task in self.tasks.values() if task.status is TaskStatus.PENDING and not self._waits[task.id]]

    def pending(self) -> list[Task]:
        """List the pending tasks."""
        return [task for task in self.tasks.values() if task.status is TaskStatus.PENDING]

    def expired_claims(self, now: datetime) -> list[Task]:
        """List the held tasks whose lease is over."""
        return [self.tasks[task_id] for task_id in self._deadlines.due(now)]

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next claim ends."""
        return self._deadlines.next()

    def _link(self, task: Task) -> None:
        for other in _edges(task):
            self._dependants.setdefault(other, set()).add(task.id)
        if task.holder is not None and task.status in HELD:
            self._held.setdefault(task.holder, set()).add(task.id)
            if task.lease_expires_at is not None:
                self._deadlines.set(task.id, task.lease_expires_at)
        self._waits[task.id] = tasks.unfinished(task, self.status)

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
        self._waits.pop(task.id, None)
        self._deadlines.drop(task.id)

    def _reckon(self, task_ids: Iterable[str]) -> list[str]:
        freed = []
        for task_id in sorted(task_ids):
            task = self.tasks.get(task_id)
            if task is None:
                continue
            before, self._waits[task_id] = self._waits[task_id], tasks.unfinished(task, self.status)
            if before and not self._waits[task_id] and task.status is TaskStatus.PENDING:
                freed.append(task_id)
        return freed


def _edges(task: Task) -> Iterable[str]:
    return dict.fromkeys((*task.dependencies, *task.blocked_on))
