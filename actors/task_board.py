"""The task board: the tasks of one project, who holds which attempt, what waits for what.

Completing a task releases its locks and frees its dependants in one commit, because the board uses its project's
lock manager inside the same unit of work. Must never write before it has decided.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from actors import views
from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.claims import Claims
from actors.lock_manager import LockManager
from actors.roster import Roster
from actors.task_changes import TaskChanges
from conductor.domain import errors, tasks
from conductor.domain.organizations import Project
from conductor.domain.tasks import Evidence, Outcome, Task
from conductor.operations import tasks as ops
from conductor.operations import words
from conductor.setting_groups import Tasks as TaskSettings
from storage.unit_of_work import UnitOfWork


class TaskBoard:
    """Keeps the tasks of a project."""

    def __init__(
        self,
        memory: BoardMemory,
        locks: LockManager,
        roster: Roster,
        project: Callable[[], Project],
        settings: TaskSettings,
        jitter: Callable[[], float],
    ) -> None:
        self.memory = memory
        self._locks = locks
        self._project = project
        self._attempts = Attempts(memory, locks, roster, settings, jitter)
        self._claims = Claims(memory, locks, roster, self._attempts, settings)
        self._changes = TaskChanges(memory, self._attempts)

    def create_task(self, request: ops.CreateTask, call: Call) -> ops.Task:
        """Add a task."""
        project = self._project()
        task = call.tx.tasks.create(
            project.id,
            request.title,
            description=request.description,
            priority=request.priority,
            dependencies=request.dependencies,
            parent_id=request.parent_id,
            files=self._locks.canonical(request.files),
            tags=request.tags,
            requires=request.requires,
            assigned_to=request.assigned_to,
            due_at=request.due_at,
            max_attempts=request.max_attempts,
            estimated_cost_nano=words.nano(request.estimated_cost_usd),
            evidence=request.evidence,
            fold_case=project.settings.fold_case,
        )
        self.memory.put(task, lambda others: call.tx.tasks.statuses(project.id, list(others)))
        return views.task(task, self.memory.waits(task))

    def claim_task(self, request: ops.ClaimTask, call: Call) -> ops.ClaimedTask:
        """Give the caller a task: the one it names, else the best one that is ready."""
        if request.task_id is not None:
            wanted = self._find(request.task_id, call.tx)
            task, leases = self._claims.claim(wanted, request, call)
        else:
            task, leases = self._claims.claim_best(request, call)
        if task.lease_expires_at is None:
            raise ValueError(f"{task.id} was claimed without a lease")
        return ops.ClaimedTask(
            task=views.task(task, self.memory.waits(task)),
            attempt=task.attempt,
            lease_expires_at=task.lease_expires_at,
            locks=[views.lock(lease) for lease in leases],
            context=self._claims.context(task, call),
        )

    def update_task(self, request: ops.UpdateTask, call: Call) -> ops.Task:
        """Change a task: its texts, its place in the graph, or where it stands."""
        task = self._find(request.task_id, call.tx)
        files = None if request.files is None else self._locks.canonical(request.files)
        changed = self._changes.update(task, request, files, call)
        return views.task(changed, self.memory.waits(changed))

    def complete_task(self, request: ops.CompleteTask, call: Call) -> ops.CompletedTask:
        """Finish the caller's attempt."""
        task = self._find(request.task_id, call.tx)
        tasks.require_attempt(task, call.agent_name, request.attempt)
        evidence = self._evidence(request.evidence)
        if self._project().settings.require_evidence:
            tasks.require_evidence(task, evidence)
        done, unblocked, released = self._attempts.complete(
            task, request.result, evidence, request.tokens, call.now, call.tx
        )
        return ops.CompletedTask(task=views.task(done, []), unblocked=unblocked, released=released)

    def require_held(self, task_id: str, agent_id: str, tx: UnitOfWork) -> None:
        """Refuse a task that the agent does not hold. Raises NotFound, Forbidden."""
        task = self._find(task_id, tx)
        if task.holder != agent_id or task.status not in tasks.HELD:
            raise errors.Forbidden(
                f"You do not hold task {task_id}, which is {task.status}: claim it first with claim_task, or leave "
                "task_id out. If you did hold it, your attempt is over: stop working on it.",
                facts={"task_id": task_id, "status": task.status.value},
                next=[errors.NextStep("claim_task", {"task_id": task_id}, "hold the task first")],
            )

    def lose(self, agent_id: str, now: datetime, tx: UnitOfWork) -> list[str]:
        """End every attempt of an agent that was lost; returns the tasks."""
        lost = self.memory.held_by(agent_id)
        for task in lost:
            self._attempts.stop(task, Outcome.AGENT_LOST, f"{agent_id} fell silent", now, tx)
        return [task.id for task in lost]

    def renew(self, agent_id: str, now: datetime, tx: UnitOfWork) -> None:
        """Give an agent's claims new life after a sign of it."""
        self._attempts.renew(agent_id, now, tx)

    def elapse(self, now: datetime, tx: UnitOfWork) -> None:
        """End the attempts whose lease is over, and tell their agents."""
        for task in self.memory.expired_claims(now):
            holder = task.holder or ""
            self._attempts.stop(task, Outcome.LEASE_EXPIRED, "the claim's lease ran out", now, tx)
            tx.notices.leave(
                task.project_id,
                holder,
                "claim_expired",
                f"Your claim of {task.id} ran out: stop working on it, or claim it again.",
            )

    def _find(self, task_id: str, tx: UnitOfWork) -> Task:
        task = self.memory.tasks.get(task_id) or tx.tasks.get(task_id)
        if task is None or task.project_id != self._project().id:
            raise no_task(task_id)
        return task

    def _evidence(self, shown: ops.Evidence | None) -> Evidence | None:
        if shown is None:
            return None
        try:
            files = self._locks.canonical(shown.files)
        except errors.PathInvalid as error:
            raise errors.Invalid(f"evidence.files: {error.message}", facts=error.facts) from None
        return Evidence(shown.commit, files, tuple(shown.checks))


def no_task(task_id: str) -> errors.NotFound:
    """Word that a task does not exist for the caller."""
    return errors.NotFound(
        f"No task {task_id} here. Find the id with list_tasks.",
        facts={"task_id": task_id},
        next=[errors.NextStep("list_tasks", {}, "find the id")],
    )
