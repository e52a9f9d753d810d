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
from conductor.domain.tasks import Attempt, Evidence, Move, Outcome, Task, TaskStatus
from conductor.setting_groups import Tasks as TaskSettings
from storage.unit_of_work import UnitOfWork

_EVENTS = {
    Outcome.RELEASED: EventKind.TASK_RELEASED,
    Outcome.CANCELLED: EventKind.TASK_CANCELLED,
    Outcome.FAILED: EventKind.TASK_REQUEUED,
    Outcome.AGENT_LOST: EventKind.TASK_REQUEUED,
    Outcome.LEASE_EXPIRED: EventKind.TASK_REQUEUED,
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
            retry_at=None,
            error=None,
            progress=None,
            updated_at=now,
        )
        tx.tasks.begin_attempt(Attempt(task.id, claimed.attempt, agent_id, now))
        self.keep(claimed, tx)
        self._settle(agent_id, now, tx)
        tx.record(
            EventKind.TASK_CLAIMED, task.id, project_id=task.project_id, agent_id=agent_id, attempt=claimed.attempt
        )
        return claimed

    def complete(
        self, task: Task, result: str, evidence: Evidence | None, tokens: int | None, now: datetime, tx: UnitOfWork
    ) -> tuple[Task, list[str], list[str]]:
        """Finish the present attempt; returns the task, the tasks set free, the locks released."""
        done = replace(
            task,
            status=tasks.moved(task, Move.COMPLETE),
            lease_expires_at=None,
            lease_s=None,
            blocked_on=(),
            progress=1.0,
            result=result,
            evidence=evidence,
            updated_at=now,
            closed_at=now,
        )
        released = self._end(task, Outcome.COMPLETED, None, now, tx)
        unblocked = self.keep(done, tx)
        self._settle(task.holder, now, tx)
        tx.record(
            EventKind.TASK_COMPLETED,
            task.id,
            project_id=task.project_id,
            agent_id=task.holder,
            attempt=task.attempt,
            unblocked=unblocked,
            released=released,
            tokens=tokens,
            commit=evidence.commit if evidence else None,
        )
        return done, unblocked, released

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

        changed: what else the same command changed of the task, for its one event.
        """
        failures = task.failures + (outcome in {Outcome.FAILED, Outcome.AGENT_LOST, Outcome.LEASE_EXPIRED})
        is_failure = failures > task.failures
        is_over = is_failure and failures >= task.max_attempts
        move = self._move(outcome, is_over)
        status = tasks.moved(task, move)
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
            updated_at=now,
            closed_at=now if status in tasks.CLOSED else None,
        )
        released = self._end(task, outcome, reason, now, tx)
        self.keep(stopped, tx)
        self._settle(task.holder, now, tx)
        tx.record(
            EventKind.TASK_FAILED if is_over else _EVENTS[outcome],
            task.id,
            project_id=task.project_id,
            agent_id=task.holder,
            attempt=task.attempt,
            outcome=outcome.value,
            error=reason,
            failures=failures,
            retry_at=retry_at.isoformat() if retry_at else None,
            released=released,
            **(changed or {}),
        )
        return stopped

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

    def _end(self, task: Task, outcome: Outcome, error: str | None, now: datetime, tx: UnitOfWork) -> list[str]:
        holder = task.holder
        if holder is None:
            raise ValueError(f"{task.id} has no attempt to end")
        attempt = tx.tasks.attempt(task.id, task.attempt)
        if attempt is not None:
            tx.tasks.end_attempt(replace(attempt, ended_at=now, outcome=outcome, error=error))
        return self._locks.end_of_task(task.id, holder, tx)

    def _settle(self, agent_id: str | None, now: datetime, tx: UnitOfWork) -> None:
        agent = self._roster.find(agent_id) if agent_id is not None else None
        if agent is None:
            return
        held = self._memory.held_by(agent.agent_id)
        status = AgentStatus.WORKING if held else AgentStatus.IDLE
        if agent.status is AgentStatus.OFFLINE:
            status = AgentStatus.OFFLINE
        current = held[0].id if held else None
        self._roster.save(replace(agent, status=status, current_task_id=current, updated_at=now), tx)

    @staticmethod
    def _move(outcome: Outcome, is_over: bool) -> Move:
        if is_over:
            return Move.GIVE_UP
        match outcome:
            case Outcome.RELEASED:
                return Move.RELEASE
            case Outcome.CANCELLED:
                return Move.CANCEL
            case Outcome.FAILED:
                return Move.FAIL
            case Outcome.AGENT_LOST | Outcome.LEASE_EXPIRED:
                return Move.LOSE
            case Outcome.COMPLETED:
                raise ValueError("a completed attempt is not stopped")

    @staticmethod
    def _lookup(project_id: str, others: Iterable[str], tx: UnitOfWork) -> dict[str, TaskStatus]:
        return tx.tasks.statuses(project_id, list(others))
