"""Changes of a task by update_task: who may change what, and what each new status means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.subtasks import Subtasks
from conductor.domain import dependencies, errors, tasks
from conductor.domain.errors import Fact, NextStep
from conductor.domain.events import EventKind
from conductor.domain.tasks import HELD, Move, Outcome, Task, TaskStatus
from conductor.operations import tasks as ops

_PLAIN = ("title", "description", "priority", "note", "progress", "due_at")
_LEADS_OWN = ("dependencies", "due_at", "assigned_to")


class TaskChanges:
    """Changes of one project's tasks. require_may_wait: refuses a declared wait that would never end."""

    def __init__(
        self,
        memory: BoardMemory,
        attempts: Attempts,
        subtasks: Subtasks,
        require_may_wait: Callable[[Task, datetime], None],
    ) -> None:
        self._require_may_wait = require_may_wait
        self._memory = memory
        self._attempts = attempts
        self._subtasks = subtasks

    def update(self, task: Task, request: ops.UpdateTask, files: Sequence[str] | None, call: Call) -> Task:
        """Apply a request, fields first, then the status; one event tells of both.

        Raises Forbidden, StaleAttempt, IllegalMove, DependencyCycle, UnknownDependency.
        """
        is_holder = self._require_right(task, request, call)
        changed = self._fields(task, request, files)
        if request.dependencies is not None:
            self._require_new_dependencies(task, request.dependencies, call)
        if request.status is None:
            self._require_no_wait(request)
            if changed == task and request.dependencies is None:
                return task
            return self._keep(task, changed, request.dependencies, EventKind.TASK_UPDATED, call)
        if request.status is not TaskStatus.BLOCKED:
            self._require_no_wait(request)
        return self._to_status(task, changed, request, is_holder, call)

    def _require_right(self, task: Task, request: ops.UpdateTask, call: Call) -> bool:
        """Tell whether the caller acts as the holder; refuse who is neither holder nor lead."""
        name = call.caller.agent_name
        if request.attempt is not None:
            if name is None:
                raise errors.Invalid(
                    "attempt is the holder's own: whoever holds no task leaves it out. Nothing was changed.",
                    facts={"argument": "attempt"},
                )
            tasks.require_attempt(task, name, request.attempt)
            is_holder = True
        else:
            is_holder = False
            if not call.may_lead:
                if task.holder == name and task.status in HELD:
                    raise errors.Invalid(
                        f"Give the attempt you hold, attempt={task.attempt}: a lost attempt must not change the next.",
                        facts={"argument": "attempt", "task_id": task.id, "attempt": task.attempt},
                    )
                raise errors.Forbidden(
                    f"Only the holder of {task.id}, a lead, or a person from member up may change it.",
                    facts={"task_id": task.id, "holder": task.holder if task.status in HELD else None},
                    next=[NextStep("claim_task", {}, "take a task of your own")],
                )
        for argument in _LEADS_OWN if not call.may_lead else ():
            if getattr(request, argument) is not None:
                raise errors.Forbidden(
                    f"Only a lead, or a person from member up, may change the {argument} of a task. As its holder say "
                    "what you wait for with status blocked and blocked_by.",
                    facts={"argument": argument, "role": call.caller.role.value},
                )
        return is_holder

    def _fields(self, task: Task, request: ops.UpdateTask, files: Sequence[str] | None) -> Task:
        changed: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(request, name)) is not None}
        if files is not None:
            changed["files"] = tuple(files)
        if request.tags is not None:
            changed["tags"] = tuple(dict.fromkeys(request.tags))
        if request.assigned_to is not None:
            changed |= {"reserved_for": request.assigned_to, "reserved_until": None}
        return replace(task, **changed) if changed else task

    def _require_new_dependencies(self, task: Task, wanted: Sequence[str], call: Call) -> None:
        if task.status not in {TaskStatus.PENDING, TaskStatus.BLOCKED}:
            raise errors.IllegalMove(
                f"Task {task.id} is {task.status}: its dependencies can change only while it is pending or blocked.",
                facts={"task_id": task.id, "status": task.status.value, "allowed": ["pending", "blocked"]},
            )
        call.tx.tasks.require_known(task.project_id, list(dict.fromkeys(wanted)))
        self._require_no_cycle(task, [*wanted, *task.blocked_on], call)

    def _to_status(self, task: Task, changed: Task, request: ops.UpdateTask, is_holder: bool, call: Call) -> Task:
        match request.status:
            case TaskStatus.IN_PROGRESS | TaskStatus.BLOCKED:
                return self._go_on(task, changed, request, is_holder, call)
            case TaskStatus.PENDING if task.status in tasks.CLOSED:
                return self._reopen(task, changed, request, call)
            case TaskStatus.PENDING:
                tasks.moved(task, Move.RELEASE)
                return self._stop(task, changed, request, Outcome.RELEASED, call)
            case TaskStatus.FAILED:
                tasks.moved(task, Move.FAIL)
                return self._stop(task, changed, request, Outcome.FAILED, call)
            case TaskStatus.CANCELLED:
                tasks.moved(task, Move.CANCEL)
                changed = self._with_dependencies(changed, request.dependencies, call)
                cancelled = self._subtasks.cancel(changed, None, call, _difference(task, changed))
                self._subtasks.conclude(cancelled[:1], [], call.now, call.tx)
                return cancelled[0]
            case _:
                tool = "claim_task" if request.status is TaskStatus.CLAIMED else "complete_task"
                raise errors.Invalid(
                    f"status {request.status} is not set by update_task: use {tool}. Nothing was changed.",
                    facts={
                        "argument": "status",
                        "allowed": ["in_progress", "blocked", "pending", "failed", "cancelled"],
                    },
                )

    def _go_on(self, task: Task, changed: Task, request: ops.UpdateTask, is_holder: bool, call: Call) -> Task:
        blocks = request.status is TaskStatus.BLOCKED
        status = tasks.moved(task, Move.BLOCK if blocks else Move.START)
        if not is_holder:
            raise errors.Forbidden(
                f"Only the holder of {task.id} ({task.holder}) says that it goes on or is blocked, with its attempt.",
                facts={"task_id": task.id, "holder": task.holder},
            )
        waits: tuple[str, ...] = ()
        if blocks:
            waits = tuple(dict.fromkeys(request.blocked_by or ()))
            call.tx.tasks.require_known(task.project_id, waits)
            wanted = request.dependencies if request.dependencies is not None else task.dependencies
            self._require_no_cycle(task, [*wanted, *waits], call)
        moved = replace(changed, status=status, blocked_on=waits)
        self._require_may_wait(moved, call.now)
        return self._keep(task, moved, request.dependencies, EventKind.TASK_UPDATED, call)

    def _reopen(self, task: Task, changed: Task, request: ops.UpdateTask, call: Call) -> Task:
        tasks.moved(task, Move.REOPEN)
        if not call.is_person:
            raise errors.Forbidden(
                f"Task {task.id} is {task.status}: only a person reopens it.",
                facts={"task_id": task.id, "status": task.status.value},
            )
        dependants = call.tx.tasks.related(task.project_id, call.tx.tasks.dependants_of(task.project_id, task.id))
        # A parent that its subtasks completed was never claimed, and stands on this result all the same.
        begun = [other.id for other in dependants if other.attempt > 0 or other.status is TaskStatus.COMPLETED]
        if begun:
            raise errors.IllegalMove(
                f"Task {task.id} cannot be reopened: {', '.join(begun)} was begun on the strength of its result. "
                "Make a new task for what is to be done again.",
                facts={"task_id": task.id, "status": task.status.value, "claimed_dependants": begun},
                next=[NextStep("create_task", {"title": f"Redo: {task.title}"[:300]}, "do it as a new task")],
            )
        self._require_open_parent(task, call)
        self._require_no_cycle(task, task.dependencies, call)
        reopened = replace(
            changed,
            status=TaskStatus.PENDING,
            holder=None,
            failures=0,
            retry_at=None,
            closed_at=None,
            progress=None,
            result=None,
            evidence=None,
            error=None,
            verification=None,
            problems=(),
            reviewed_by=None,
            reassignments=0,
        )
        return self._keep(task, reopened, request.dependencies, EventKind.TASK_REOPENED, call)

    def _stop(self, task: Task, changed: Task, request: ops.UpdateTask, outcome: Outcome, call: Call) -> Task:
        changed = self._with_dependencies(changed, request.dependencies, call)
        error = request.note if outcome is Outcome.FAILED else None
        return self._attempts.stop(changed, outcome, error, call.now, call.tx, _difference(task, changed))

    def _keep(self, task: Task, changed: Task, wanted: Sequence[str] | None, kind: EventKind, call: Call) -> Task:
        changed = replace(self._with_dependencies(changed, wanted, call), updated_at=call.now)
        self._attempts.keep(changed, call.tx)
        call.tx.record(kind, task.id, project_id=task.project_id, **_difference(task, changed))
        return changed

    @staticmethod
    def _with_dependencies(task: Task, wanted: Sequence[str] | None, call: Call) -> Task:
        return task if wanted is None else call.tx.tasks.replace_dependencies(task, list(dict.fromkeys(wanted)))

    def _require_open_parent(self, task: Task, call: Call) -> None:
        parent = None
        if task.parent_id is not None and task.parent_id not in self._memory.tasks:
            parent = call.tx.tasks.get(task.parent_id)
        if parent is not None and parent.status in tasks.CLOSED:
            raise errors.IllegalMove(
                f"Task {task.id} cannot be reopened: its parent {parent.id} is {parent.status}. Reopen that first, or "
                "make a new task for what is to be done again.",
                facts={"task_id": task.id, "status": task.status.value, "parent_id": parent.id},
                next=[NextStep("update_task", {"task_id": parent.id, "status": "pending"}, "reopen the parent")],
            )

    def _require_no_wait(self, request: ops.UpdateTask) -> None:
        if request.blocked_by is not None:
            raise errors.Invalid(
                "blocked_by goes with status blocked: it says what the holder waits for. Nothing was changed.",
                facts={"argument": "blocked_by"},
            )

    def _require_no_cycle(self, task: Task, waits_for: Sequence[str], call: Call) -> None:
        def edges(task_id: str) -> Iterable[str]:
            other = self._memory.tasks.get(task_id)
            if other is not None:
                return (*other.dependencies, *other.blocked_on, *self._subtasks.awaited(task_id))
            # A closed task still leads on: it may be reopened.
            return call.tx.tasks.dependencies_of(task.project_id, task_id)

        cycle = dependencies.cycle_through(task.id, waits_for, edges)
        if cycle:
            raise errors.DependencyCycle(
                f"That would close a circle of tasks that wait for each other: {' -> '.join(cycle)}. Nothing was "
                "changed; leave out one of these edges.",
                facts={"cycle": cycle},
                next=[NextStep("get_task", {"task_id": cycle[1]}, "see what it waits for")],
            )


def _difference(before: Task, after: Task) -> dict[str, Fact]:
    names = (
        "title", "priority", "status", "files", "tags", "dependencies", "blocked_on", "progress", "note", "reserved_for"
    )  # fmt: skip
    facts: dict[str, Fact] = {}
    for name in names:
        value = getattr(after, name)
        if value != getattr(before, name):
            facts[name] = list(value) if isinstance(value, tuple) else value
    if after.description != before.description:
        facts["description_changed"] = True
    if after.due_at is not None and after.due_at != before.due_at:
        facts["due_at"] = after.due_at.isoformat()
    return facts
