"""The task board: the tasks of one project, who holds which attempt, what waits for what.

Completing a task releases its locks and frees its dependants in one commit, because the board uses its project's
lock manager inside the same unit of work. Must never write before it has decided.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from actors import views
from actors.attempts import Attempts
from actors.beads import BeadImport
from actors.board_memory import BoardMemory
from actors.briefing import Briefings
from actors.bulk import Bulk, NewTask
from actors.call import Call
from actors.claims import Claims
from actors.lock_manager import LockManager
from actors.reassigning import Reassigning
from actors.reviewing import Reviewing
from actors.roster import Roster
from actors.subtasks import Subtasks
from actors.task_changes import TaskChanges
from actors.verifying import Verifying
from conductor.domain import errors, tasks
from conductor.domain.agents import Thresholds
from conductor.domain.organizations import Project
from conductor.domain.tasks import Evidence, Outcome, Task
from conductor.operations import beads as bead_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import tasks as ops
from conductor.operations import work as work_ops
from conductor.operations.words import nano
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
        thresholds: Callable[[], Thresholds],
    ) -> None:
        self.memory = memory
        self._locks = locks
        self._project = project
        self._attempts = Attempts(memory, locks, roster, settings, jitter)
        self._claims = Claims(memory, locks, roster, self._attempts, project, settings)
        self._subtasks = Subtasks(memory, self._attempts, project)
        self._changes = TaskChanges(memory, self._attempts, self._subtasks, locks.waits.require_may_wait)
        self._reviewing = Reviewing(self._attempts, self._subtasks, roster)
        self._reassigning = Reassigning(memory, locks, roster, self._attempts, project, thresholds)
        self._verifying = Verifying(locks, project)
        self._briefings = Briefings(memory, roster)
        self.bulk = Bulk(memory, locks, project, self._subtasks)
        self._beads = BeadImport(
            memory, lambda name: roster.find(name) is not None, self._attempts, self._subtasks, self.bulk, project
        )

    def create_task(self, request: ops.CreateTask, call: Call) -> ops.Task:
        """Add a task."""
        task = self.bulk.create([_new_task(request, None)], call)[0]
        return views.task(task, self.memory.waits(task))

    def create_tasks(self, request: work_ops.CreateTasks, call: Call) -> work_ops.CreatedTasks:
        """Add many tasks, all or none."""
        made = self.bulk.create([_new_task(wanted, wanted.name) for wanted in request.tasks], call)
        return work_ops.CreatedTasks(
            created=[
                work_ops.CreatedTask(name=wanted.name, task_id=task.id, title=task.title)
                for wanted, task in zip(request.tasks, made, strict=True)
            ]
        )

    def close_tasks(self, request: work_ops.CloseTasks, call: Call) -> work_ops.ClosedTasks:
        """Cancel open tasks with their subtasks."""
        closed, before = self.bulk.close(request.task_ids, request.reason, call)
        return work_ops.ClosedTasks(closed=closed, already_closed=before)

    def import_beads(self, request: bead_ops.ImportBeads, call: Call) -> bead_ops.ImportedBeads:
        """Bring the issues of another tracker in."""
        return self._beads.run(request, call)

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
            context=self._briefings.at_claim(task, call),
        )

    def update_task(self, request: ops.UpdateTask, call: Call) -> ops.Task:
        """Change a task: its texts, its place in the graph, or where it stands."""
        task = self._find(request.task_id, call.tx)
        files = None if request.files is None else self._locks.canonical(request.files)
        changed = self._changes.update(task, request, files, call)
        return views.brief(changed, self.memory.waits(changed))

    def complete_task(self, request: ops.CompleteTask, call: Call) -> ops.CompletedTask:
        """Finish the caller's attempt."""
        task = self._find(request.task_id, call.tx)
        tasks.require_attempt(task, call.agent_name, request.attempt)
        evidence = self._evidence(request.evidence)
        settings = self._project().settings
        if settings.require_evidence:
            tasks.require_evidence(task, evidence)
        task, evidence = self._verifying.judged(task, evidence, call)
        finish = (request.result, evidence, request.tokens, call.now, call.tx)
        if settings.require_review:
            handed_in, released = self._attempts.submit(task, *finish)
            self._reviewing.announce(handed_in, call.tx)
            return ops.CompletedTask(task=views.brief(handed_in, []), unblocked=[], released=released)
        done, freed, released = self._attempts.complete(task, *finish)
        unblocked = self._subtasks.conclude([done], freed, call.now, call.tx)
        return ops.CompletedTask(task=views.brief(done, []), unblocked=unblocked, released=released)

    def review_task(self, request: work_ops.ReviewTask, call: Call) -> work_ops.ReviewedTask:
        """Accept a result, or send it back."""
        reviewed, unblocked = self._reviewing.review(self._find(request.task_id, call.tx), request, call)
        return work_ops.ReviewedTask(task=views.brief(reviewed, self.memory.waits(reviewed)), unblocked=unblocked)

    def reassign_task(self, request: work_ops.ReassignTask, call: Call) -> work_ops.ReassignedTask:
        """Give a task to another agent."""
        task, agent_id = self._reassigning.reassign(self._find(request.task_id, call.tx), request, call)
        return work_ops.ReassignedTask(
            task=views.brief(task, self.memory.waits(task)), agent_id=agent_id, at=task.reassign_at
        )

    def refresh_context(self, request: onboarding_ops.RefreshContext, call: Call) -> onboarding_ops.RefreshedContext:
        """Tell an agent again what it should know."""
        task = self._find(request.task_id, call.tx) if request.task_id is not None else None
        return self._briefings.refresh(task, request, call)

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
        return self._requeue(agent_id, Outcome.AGENT_LOST, f"{agent_id} fell silent", now, tx)

    def revoke(self, agent_id: str, now: datetime, tx: UnitOfWork) -> list[str]:
        """End every attempt of an agent that may work here no more, which is no failure; returns the tasks."""
        return self._requeue(agent_id, Outcome.REVOKED, f"the access of {agent_id} was revoked", now, tx)

    def renew(self, agent_id: str, now: datetime, tx: UnitOfWork) -> None:
        """Give an agent's claims new life after a sign of it."""
        self._attempts.renew(agent_id, now, tx)

    def elapse(self, now: datetime, tx: UnitOfWork) -> None:
        """End the attempts whose lease or time of grace is over, and tell their agents."""
        self._reassigning.elapse(now, tx)
        for task in self.memory.expired_claims(now):
            holder = task.holder or ""
            self._attempts.stop(task, Outcome.LEASE_EXPIRED, "the claim's lease ran out", now, tx)
            tx.notices.leave(
                task.project_id,
                holder,
                "claim_expired",
                f"Your claim of {task.id} ran out: stop working on it, or claim it again.",
            )

    def _requeue(self, agent_id: str, outcome: Outcome, why: str, now: datetime, tx: UnitOfWork) -> list[str]:
        held = self.memory.held_by(agent_id)
        for task in held:
            self._attempts.stop(task, outcome, why, now, tx)
        return [task.id for task in held]

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


def _new_task(wanted: ops.TaskFields, name: str | None) -> NewTask:
    return NewTask(
        wanted.title,
        name,
        description=wanted.description,
        priority=wanted.priority,
        dependencies=wanted.dependencies,
        parent_id=wanted.parent_id,
        files=wanted.files,
        tags=wanted.tags,
        requires=wanted.requires,
        assigned_to=wanted.assigned_to,
        due_at=wanted.due_at,
        max_attempts=wanted.max_attempts,
        estimated_cost_nano=nano(wanted.estimated_cost_usd),
        evidence=wanted.evidence,
    )


def no_task(task_id: str) -> errors.NotFound:
    """Word that a task does not exist for the caller."""
    return errors.NotFound(
        f"No task {task_id} here. Find the id with list_tasks.",
        facts={"task_id": task_id},
        next=[errors.NextStep("list_tasks", {}, "find the id")],
    )
