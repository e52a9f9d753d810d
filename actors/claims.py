"""Claims: whether an agent may take a task, which one is best for it, and what it should know before it starts."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime

from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.lock_manager import LockManager
from actors.roster import Roster
from conductor.domain import agents, errors, quotas, tasks
from conductor.domain.errors import NextStep
from conductor.domain.locks import Lease, Mode, Wanted
from conductor.domain.tasks import HELD, Obstacle, Seeker, Task, TaskStatus
from conductor.operations import tasks as ops
from conductor.setting_groups import Tasks as TaskSettings

ASK_AGAIN_S = 60.0
"""When nothing is ready and nothing says when something will be: a minute costs an agent little."""


class Claims:
    """Claims on one project's board."""

    def __init__(
        self, memory: BoardMemory, locks: LockManager, roster: Roster, attempts: Attempts, settings: TaskSettings
    ) -> None:
        self._memory = memory
        self._locks = locks
        self._roster = roster
        self._attempts = attempts
        self._settings = settings

    def claim(self, task: Task, request: ops.ClaimTask, call: Call) -> tuple[Task, list[Lease]]:
        """Give the caller the task it names.

        Raises AlreadyClaimed, NotReady, ZoneDenied, BudgetExceeded, LockHeld.
        """
        agent = self._roster.get(call.agent_name)
        if task.status in HELD:
            raise _already_claimed(task, agent.agent_id)
        if task.status is not TaskStatus.PENDING:
            raise errors.NotReady(
                f"Task {task.id} is {task.status}: it can be claimed only while it is pending. Take another one.",
                facts={"task_id": task.id, "status": task.status.value, "blocked_by": []},
                next=[NextStep("claim_task", {}, "take the best ready task")],
            )
        waits = self._memory.waits(task)
        obstacle = tasks.obstacle(task, Seeker(agent.agent_id, agent.capabilities), call.now, waits)
        if obstacle is not None:
            raise self._not_ready(task, obstacle, waits, agent, call.now)
        self._locks.require_allowed(agent.agent_id, self._locks.as_compared(task.files))
        self._admit(task, agent, self._tokens(agent, call), call)
        return self._take(task, agent, request, call)

    def claim_best(self, request: ops.ClaimTask, call: Call) -> tuple[Task, list[Lease]]:
        """Give the caller the best ready task that it can work on now.

        Raises NothingReady saying why and when to ask again; BudgetExceeded when only money is missing.
        """
        agent = self._roster.get(call.agent_name)
        why: Counter[Obstacle] = Counter()
        ready = self._ready(Seeker(agent.agent_id, agent.capabilities), call.now, why)
        tokens = self._tokens(agent, call) if ready else None
        must_be_free = request.acquire_locks and self._locks.refuses
        refusal: errors.BudgetExceeded | None = None
        # Where a task may be taken although others lease its files, a free one of the same rank goes before it.
        second: tuple[tuple[float, int, int], Task] | None = None
        for place, task in ready:
            if second is not None and second[0] != place[:3]:
                break
            try:
                self._locks.require_allowed(agent.agent_id, self._locks.as_compared(task.files))
                self._admit(task, agent, tokens, call)
            except errors.ZoneDenied:
                why[Obstacle.OUTSIDE_PATHS] += 1
                continue
            except errors.BudgetExceeded as error:
                refusal = refusal or error
                why[Obstacle.BUDGET] += 1
                continue
            if not self._locks.table.conflicts(self._wanted(task, agent, request), call.now):
                return self._take(task, agent, request, call)
            why[Obstacle.FILES_LEASED] += 1
            if not must_be_free:
                second = second or (place[:3], task)
        if second is not None:
            return self._take(second[1], agent, request, call)
        if refusal is not None and set(why) == {Obstacle.BUDGET}:
            raise refusal
        why[Obstacle.DEPENDENCIES] += sum(1 for task in self._memory.pending() if self._memory.waits(task))
        raise self._nothing_ready(+why, agent.agent_id, call.now)

    def context(self, task: Task, call: Call) -> ops.TaskContext:
        """Gather what the agent should know before it starts."""
        agent = self._roster.get(call.agent_name)
        config = call.tx.projects.onboarding(task.project_id)
        related = call.tx.tasks.related(task.project_id, task.dependencies)
        attempts = call.tx.tasks.attempts(task.id) if task.attempt > 1 else []
        errors_before = [attempt.error for attempt in attempts if attempt.error]
        return ops.TaskContext(
            focus=config.focus,
            goals=list(config.goals),
            instructions=agent.instructions_file or config.instruction_files.get(agent.provider or ""),
            style_guide=config.style_guide,
            checkpoint_rules=list(config.checkpoint_rules),
            allowed_paths=list(agent.allowed_paths),
            denied_paths=list(agent.denied_paths),
            related=[
                ops.RelatedTask(task_id=other.id, title=other.title, status=other.status, result=other.result)
                for other in related
            ],
            last_error=errors_before[-1] if errors_before else None,
        )

    def _ready(
        self, seeker: Seeker, now: datetime, why: Counter[Obstacle]
    ) -> list[tuple[tuple[float, int, int, datetime, str], Task]]:
        """List what the agent could claim as far as the tasks know, the best first; counts why the rest is not."""
        found = []
        for task in self._memory.ready():
            obstacle = tasks.obstacle(task, seeker, now, ())
            if obstacle is None:
                found.append((tasks.order(task, seeker, now, aging_s=self._settings.aging_s), task))
            else:
                why[obstacle] += 1
        # The place ends with the id, so that tasks themselves are never compared.
        found.sort(key=lambda placed: placed[0])
        return found

    def _take(self, task: Task, agent: agents.Agent, request: ops.ClaimTask, call: Call) -> tuple[Task, list[Lease]]:
        leases = []
        if request.acquire_locks and task.files:
            leases.append(self._locks.acquire(self._wanted(task, agent, request), call))
        return self._attempts.begin(task, agent.agent_id, request.lease_s, call.now, call.tx), leases

    def _wanted(self, task: Task, agent: agents.Agent, request: ops.ClaimTask) -> Wanted:
        files = self._locks.as_compared(task.files)
        return Wanted(agent.agent_id, files, Mode.EXCLUSIVE, request.lease_s, task.id, f"claim of {task.id}")

    def _admit(self, task: Task, agent: agents.Agent, tokens: quotas.TokenBudget | None, call: Call) -> None:
        quotas.admit(call.levels, task.estimated_cost_nano or 0, call.now)
        if tokens is not None:
            quotas.admit_tokens(tokens, agent.agent_id)

    def _tokens(self, agent: agents.Agent, call: Call) -> quotas.TokenBudget | None:
        if agent.token_budget is None:
            return None
        return quotas.TokenBudget(agent.token_budget, call.tx.costs.tokens_used(agent.project_id, agent.agent_id))

    def _not_ready(
        self, task: Task, obstacle: Obstacle, waits: list[str], agent: agents.Agent, now: datetime
    ) -> errors.NotReady:
        facts: dict[str, errors.Fact] = {"task_id": task.id, "obstacle": obstacle.value, "blocked_by": waits}
        wait_s = None
        match obstacle:
            case Obstacle.DEPENDENCIES:
                named = [f"{other} ({self._memory.status(other) or 'unknown'})" for other in waits]
                sentence = f"waits for {', '.join(named)}"
                given_up = [other for other in waits if self._memory.status(other) in tasks.GIVEN_UP]
                if given_up:
                    facts["given_up"] = given_up
                    sentence += (
                        f"; {', '.join(given_up)} will not complete by itself: a person must reopen it or drop the edge"
                    )
            case Obstacle.RETRY_LATER:
                wait_s = (task.retry_at - now).total_seconds() if task.retry_at else None
                facts["retry_at"] = task.retry_at.isoformat() if task.retry_at else None
                sentence = f"rests after a failed attempt until {task.retry_at:%H:%M:%SZ}"
            case Obstacle.ASSIGNED_ELSEWHERE:
                facts["assigned_to"] = task.reserved_for
                sentence = f"is kept for {task.reserved_for}"
            case _:
                missing = sorted(set(task.requires) - set(agent.capabilities))
                facts["missing_capabilities"] = missing
                sentence = f"requires {', '.join(missing)}, which {agent.agent_id} does not have"
        return errors.NotReady(
            f"Task {task.id} cannot be claimed now: it {sentence}. Take another ready task with claim_task.",
            facts=facts,
            next=[NextStep("claim_task", {}, "take the best ready task")],
            wait_s=wait_s,
        )

    def _nothing_ready(self, why: Counter[Obstacle], agent_id: str, now: datetime) -> errors.NothingReady:
        times = [task.retry_at for task in self._memory.pending() if task.retry_at is not None and task.retry_at > now]
        ends = self._locks.table.next_deadline() if why.get(Obstacle.FILES_LEASED) else None
        times.extend([ends] if ends is not None and ends > now else [])
        left_s = min((min(times) - now).total_seconds() if times else ASK_AGAIN_S, ASK_AGAIN_S)
        # Upwards: who asks again when told to must not come a moment too early.
        wait_s = math.ceil(left_s * 1000) / 1000
        reasons = {obstacle.value: count for obstacle, count in sorted(why.items())}
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in reasons.items()) or "no task is pending"
        return errors.NothingReady(
            f"Nothing is ready for {agent_id}: {told}. Ask again in {math.ceil(wait_s)} s, or look with list_tasks.",
            facts={"reasons": reasons, "pending": len(self._memory.pending())},
            next=[NextStep("list_tasks", {"status": ["pending"]}, "see what waits and for what")],
            wait_s=wait_s,
        )


def _already_claimed(task: Task, agent_id: str) -> errors.AlreadyClaimed:
    if task.holder == agent_id:
        sentence = f"You hold task {task.id} already (attempt {task.attempt}): go on and finish it with complete_task."
        step = NextStep("get_task", {"task_id": task.id}, "see your attempt")
    else:
        sentence = f"Task {task.id} is held by {task.holder} (attempt {task.attempt}). Take another ready task."
        step = NextStep("claim_task", {}, "take the best ready task")
    expires_at = task.lease_expires_at.isoformat() if task.lease_expires_at else None
    return errors.AlreadyClaimed(
        sentence,
        facts={"task_id": task.id, "holder": task.holder, "attempt": task.attempt, "lease_expires_at": expires_at},
        next=[step],
    )
