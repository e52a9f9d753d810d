"""How an attempt begins and ends: the moves of a task that touch its locks, its agent and its dependants at once.

Shared by everything that ends an attempt (completion, failure, release, loss, cancellation), so that each leaves
the same things behind: no lock, no holder, one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from actors.board_memory import BoardMemory
from actors.lock_manager import LockManager
from actors.roster import Roster
from conductor.domain import tasks
from conductor.domain.agents import AgentStatus
from conductor.domain.errors import Fact
from conductor.domain.events import EventKind
from conductor.domain.tasks import HELD, Attempt, Evidence, Move, Outcome, Task, TaskStatus
from conductor.setting_groups import Tasks as TaskSettings
from storage.unit_of_work import UnitOfWork

_EVENTS = {
    Outcome.RELEASED: EventKind.TASK_RELEASED,
    Outcome.CANCELLED: EventKind.TASK_CANCELLED,
    Outcome.FAILED: EventKind.TASK_REQUEUED,
    Outcome.AGENT_LOST: EventKind.TASK_REQUEUED,
    Outcome.LEASE_EXPIRED: EventKind.TASK_REQUEUED,
    Outcome.REVOKED: EventKind.TASK_REQUEUED,
    Outcome.REASSIGNED: EventKind.TASK_REASSIGNED,
}


class Attempts:
    """Begins and ends attempts of one project's tasks.

    jitter: gives a number in [0, 1) for each back-off.
    """

    def __init__(
        self,
        memory: BoardMemory,
        locks: LockManager,
        roster: Roster,
        settings: TaskSettings,
        jitter: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._locks = locks
        self._roster = roster
        self._settings = settings
        self._jitter = jitter

    def begin(self, task: Task, agent_id: str, lease_s: int, now: datetime, tx: UnitOfWork) -> Task:
        """Give a pending task to an agent."""
        claimed = replace(
            task,
            status=tasks.moved(task, Move.CLAIM),
            holder=agent_id,
            attempt=task.attempt + 1,
            lease_s=lease_s,
            lease_expires_at=now + timedelta(seconds=lease_s),
            # A reservation that reassigning made has done its work.
            reserved_for=task.reserved_for if task.reserved_until is None else None,
            reserved_until=None,
            retry_at=None,
            error=None,
            progress=None,
            verification=None,
            problems=(),
            reviewed_by=None,
            updated_at=now,
        )
        tx.tasks.begin_attempt(Attempt(task.id, claimed.attempt, agent_id, now))
        self.keep(claimed, tx)
        self.settle(agent_id, now, tx, claimed=1)
        tx.record(
            EventKind.TASK_CLAIMED, task.id, project_id=task.project_id, agent_id=agent_id, attempt=claimed.attempt
        )
        return claimed

    def complete(
        self, task: Task, result: str, evidence: Evidence | None, tokens: int | None, now: datetime, tx: UnitOfWork
    ) -> tuple[Task, list[str], list[str]]:
        """Finish the present attempt; returns the task, the tasks set free, the locks released."""
        done = replace(_finished(task, result, evidence, now), status=tasks.moved(task, Move.COMPLETE), closed_at=now)
        released = self._end(task, Outcome.COMPLETED, None, now, tx)
        unblocked = self.keep(done, tx)
        self.settle(task.holder, now, tx, completed=1)
        _record_finish(EventKind.TASK_COMPLETED, done, released, tokens, tx, unblocked)
        return done, unblocked, released

    def submit(
        self, task: Task, result: str, evidence: Evidence | None, tokens: int | None, now: datetime, tx: UnitOfWork
    ) -> tuple[Task, list[str]]:
        """Hand the present attempt's result in for a review; returns the task and the locks released."""
        handed_in = replace(_finished(task, result, evidence, now), status=tasks.moved(task, Move.SUBMIT))
        released = self._end(task, Outcome.SUBMITTED, None, now, tx)
        self.keep(handed_in, tx)
        self.settle(task.holder, now, tx)
        _record_finish(EventKind.TASK_SUBMITTED, handed_in, released, tokens, tx)
        return handed_in, released

    def stop(
        self,
        task: Task,
        outcome: Outcome,
        error: str | None,
        now: datetime,
        tx: UnitOfWork,
        changed: Mapping[str, Fact] | None = None,
    ) -> Task:
        """End the present attempt without success: the task is pending again, resting, failed for good or cancelled.

        A task that was to be reassigned is kept for its new agent. changed: what else the same command changed of
        the task, for its one event.
        """
        failures = task.failures + (outcome in {Outcome.FAILED, Outcome.AGENT_LOST, Outcome.LEASE_EXPIRED})
        is_failure = failures > task.failures
        is_over = is_failure and failures >= task.max_attempts
        status = tasks.moved(task, _move(outcome, is_over))
        retry_at = None
        if is_failure and not is_over:
            delay_s = tasks.retry_delay_s(
                failures, self._jitter(), base_s=self._settings.backoff_s, most_s=self._settings.backoff_max_s
            )
            retry_at = now + timedelta(seconds=delay_s)
        reason = error or (outcome.value if is_failure else None)
        stopped = replace(
            task,
            status=status,
            holder=None,
            lease_expires_at=None,
            lease_s=None,
            blocked_on=(),
            failures=failures,
            retry_at=retry_at,
            error=reason,
            reassign_to=None,
            reassign_at=None,
            updated_at=now,
            closed_at=now if status in tasks.CLOSED else None,
        )
        if task.reassign_to is not None and status is TaskStatus.PENDING:
            stopped = self.reserved(stopped, task.reassign_to, now, tx)
        released = self._end(task, outcome, reason, now, tx)
        self.keep(stopped, tx)
        self.settle(task.holder, now, tx)
        facts: dict[str, Fact] = {
            **(changed or {}),
            "agent_id": task.holder,
            "attempt": task.attempt,
            "outcome": outcome.value,
            "error": reason,
            "failures": failures,
            "retry_at": retry_at.isoformat() if retry_at else None,
            "released": list(released),
        }
        if task.reassign_to is not None:
            facts["reserved_for"] = stopped.reserved_for
        kind = EventKind.TASK_FAILED if is_over else _EVENTS[outcome]
        tx.record(kind, task.id, project_id=task.project_id, **facts)
        return stopped

    def cancel(
        self,
        task: Task,
        reason: str | None,
        now: datetime,
        tx: UnitOfWork,
        changed: Mapping[str, Fact] | None = None,
    ) -> Task:
        """Cancel one open task, held or not. changed: what else the same command changed, for its one event."""
        status = tasks.moved(task, Move.CANCEL)
        if task.status in HELD:
            return self.stop(task, Outcome.CANCELLED, reason, now, tx, changed)
        cancelled = replace(
            task, status=status, holder=None, error=reason or task.error, retry_at=None, updated_at=now, closed_at=now
        )
        self.keep(cancelled, tx)
        facts: dict[str, Fact] = {**(changed or {}), "status": status.value, "error": reason}
        tx.record(EventKind.TASK_CANCELLED, task.id, project_id=task.project_id, **facts)
        return cancelled

    def conclude(self, parent: Task, result: str, now: datetime, tx: UnitOfWork) -> list[str]:
        """Complete a pending task by its subtasks; returns the tasks set free."""
        done = replace(
            parent,
            status=tasks.moved(parent, Move.CONCLUDE),
            progress=1.0,
            result=result,
            error=None,
            retry_at=None,
            updated_at=now,
            closed_at=now,
        )
        unblocked = self.keep(done, tx)
        facts: dict[str, Fact] = {"result": result, "unblocked": list(unblocked)}
        tx.record(EventKind.TASK_COMPLETED, parent.id, project_id=parent.project_id, **facts)
        return unblocked

    def reserved(self, task: Task, agent_id: str, now: datetime, tx: UnitOfWork) -> Task:
        """Give a pending task as it is kept for an agent for a while, and tell the agent."""
        until = max(now, task.retry_at or now) + timedelta(seconds=self._settings.reservation_s)
        told = f"{task.id} was reassigned to you and is kept until {until:%H:%MZ}: take it with claim_task."
        tx.notices.leave(task.project_id, agent_id, "task_reassigned", told)
        return replace(task, reserved_for=agent_id, reserved_until=until)

    def renew(self, agent_id: str, now: datetime, tx: UnitOfWork) -> None:
        """Give an agent's claims new life after a sign of it, where less than two thirds are left."""
        for task in self._memory.held_by(agent_id):
            if task.lease_s is None or task.lease_expires_at is None:
                continue
            left = (task.lease_expires_at - now).total_seconds()
            if 0 < left < task.lease_s * 2 / 3:
                self.keep(replace(task, lease_expires_at=now + timedelta(seconds=task.lease_s)), tx)

    def keep(self, task: Task, tx: UnitOfWork) -> list[str]:
        """Write and remember a task's new state; returns the pending tasks that this set free."""
        tx.tasks.save(task)
        return self._memory.put(task, lambda others: self._lookup(task.project_id, others, tx))

    def settle(
        self, agent_id: str | None, now: datetime, tx: UnitOfWork, *, claimed: int = 0, completed: int = 0
    ) -> None:
        """Bring an agent's record to what it holds now. claimed, completed: tasks to count for it."""
        agent = self._roster.find(agent_id) if agent_id is not None else None
        if agent is None:
            return
        held = self._memory.held_by(agent.agent_id)
        status = AgentStatus.WORKING if held else AgentStatus.IDLE
        if agent.status is AgentStatus.OFFLINE:
            status = AgentStatus.OFFLINE
        settled = replace(
            agent,
            status=status,
            current_task_id=held[0].id if held else None,
            tasks_claimed=agent.tasks_claimed + claimed,
            tasks_completed=agent.tasks_completed + completed,
            updated_at=now,
        )
        self._roster.save(settled, tx)

    def _end(self, task: Task, outcome: Outcome, error: str | None, now: datetime, tx: UnitOfWork) -> list[str]:
        holder = task.holder
        if holder is None:
            raise ValueError(f"{task.id} has no attempt to end")
        attempt = tx.tasks.attempt(task.id, task.attempt)
        if attempt is not None:
            tx.tasks.end_attempt(replace(attempt, ended_at=now, outcome=outcome, error=error))
        return self._locks.end_of_task(task.id, holder, tx)

    @staticmethod
    def _lookup(project_id: str, others: Iterable[str], tx: UnitOfWork) -> dict[str, TaskStatus]:
        return tx.tasks.statuses(project_id, list(others))


def _finished(task: Task, result: str, evidence: Evidence | None, now: datetime) -> Task:
    return replace(
        task,
        lease_expires_at=None,
        lease_s=None,
        blocked_on=(),
        progress=1.0,
        result=result,
        evidence=evidence,
        reassign_to=None,
        reassign_at=None,
        updated_at=now,
    )


def _record_finish(
    kind: EventKind,
    task: Task,
    released: list[str],
    tokens: int | None,
    tx: UnitOfWork,
    unblocked: list[str] | None = None,
) -> None:
    tx.record(
        kind,
        task.id,
        project_id=task.project_id,
        agent_id=task.holder,
        attempt=task.attempt,
        unblocked=unblocked,
        released=released,
        tokens=tokens,
        commit=task.evidence.commit if task.evidence else None,
        verification=task.verification.value if task.verification else None,
    )


def _move(outcome: Outcome, is_over: bool) -> Move:
    if is_over:
        return Move.GIVE_UP
    match outcome:
        case Outcome.RELEASED | Outcome.REASSIGNED | Outcome.REVOKED:
            return Move.RELEASE
        case Outcome.CANCELLED:
            return Move.CANCEL
        case Outcome.FAILED:
            return Move.FAIL
        case Outcome.AGENT_LOST | Outcome.LEASE_EXPIRED:
            return Move.LOSE
        case Outcome.COMPLETED | Outcome.SUBMITTED:
            raise ValueError(f"an attempt that ended as {outcome} was not stopped")
