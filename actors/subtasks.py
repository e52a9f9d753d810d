"""Subtasks: what the end of a task means for those below it and above it.

Cancelling a task cancels what is open below it. Where the project says so, a parent is completed by its subtasks: in
the commit that closes the last of them, and on upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from conductor.domain.errors import Fact
from conductor.domain.organizations import Project
from conductor.domain.tasks import HELD, Task, TaskStatus
from storage.unit_of_work import UnitOfWork


class Subtasks:
    """The trees of one project's tasks."""

    def __init__(self, memory: BoardMemory, attempts: Attempts, project: Callable[[], Project]) -> None:
        self._memory = memory
        self._attempts = attempts
        self._project = project

    def cancel(
        self, task: Task, reason: str | None, call: Call, changed: Mapping[str, Fact] | None = None
    ) -> list[Task]:
        """Cancel an open task and all that is open below it; returns them, the task first.

        changed: what else the same command changed of the task itself. Holders are told, but for the caller.
        Raises IllegalMove when the task is not open.
        """
        cancelled: list[Task] = []
        below: list[tuple[Task, str | None, Mapping[str, Fact] | None]] = [(task, reason, changed)]
        while below:
            each, why, facts = below.pop()
            cancelled.append(self._attempts.cancel(each, why, call.now, call.tx, facts))
            if each.status in HELD and each.holder is not None and each.holder != call.caller.agent_name:
                call.tx.notices.leave(
                    each.project_id,
                    each.holder,
                    "task_cancelled",
                    f"{each.id} was cancelled, your attempt is over: stop working on it and leave its files alone.",
                )
            below.extend(
                (child, reason or f"its parent {each.id} was cancelled", {"with_parent": each.id})
                for child in reversed(self._memory.open_children(each.id))
            )
        return cancelled

    def conclude(self, closed: Iterable[Task], freed: Iterable[str], now: datetime, tx: UnitOfWork) -> list[str]:
        """Complete the parents that nothing keeps open any more, where the project says so; returns all set free.

        closed: tasks that were just closed. freed: tasks that this set free; a parent may have waited only for that.
        A parent is completed when none of its subtasks is open, none failed, and one at least is completed.
        """
        found = list(freed)
        if not self._project().settings.complete_parents:
            return found
        above = {task.parent_id for task in closed if task.parent_id is not None} | set(found)
        while parents := self._without_open_subtasks(above):
            above = set()
            counts = tx.tasks.subtasks(parents[0].project_id, [parent.id for parent in parents])
            for parent in parents:
                stand = counts.get(parent.id, {})
                if not stand.get(TaskStatus.COMPLETED) or stand.get(TaskStatus.FAILED):
                    continue
                unblocked = self._attempts.conclude(parent, _told(stand), now, tx)
                found.extend(unblocked)
                above.update(unblocked)
                if parent.parent_id is not None:
                    above.add(parent.parent_id)
        return [task_id for task_id in dict.fromkeys(found) if task_id in self._memory.tasks]

    def awaited(self, task_id: str) -> list[str]:
        """List the subtasks that a task waits for, where the project has parents completed by them."""
        if not self._project().settings.complete_parents:
            return []
        return [child.id for child in self._memory.open_children(task_id)]

    def _without_open_subtasks(self, task_ids: Iterable[str]) -> list[Task]:
        found = []
        for task_id in sorted(task_ids):
            task = self._memory.tasks.get(task_id)
            if task is None or task.status is not TaskStatus.PENDING or self._memory.waits(task):
                continue
            if not self._memory.open_children(task_id):
                found.append(task)
        return found


def _told(stand: Mapping[TaskStatus, int]) -> str:
    completed, cancelled = stand[TaskStatus.COMPLETED], stand.get(TaskStatus.CANCELLED, 0)
    told = f"All {completed} subtasks are completed" if completed > 1 else "The subtask is completed"
    return f"{told}; {cancelled} more cancelled." if cancelled else f"{told}."
