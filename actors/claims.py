"""Claims: whether an agent may take a task, and which one is best for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic

from actors import obstacles
from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.lock_manager import LockManager
from actors.roster import Roster
from conductor.domain import agents, errors, quotas, selection
from conductor.domain.errors import NextStep
from conductor.domain.in_the_way import Line
from conductor.domain.locks import Lease, Mode, Wanted
from conductor.domain.organizations import Project
from conductor.domain.selection import Candidate, Obstacle, Reach, Rules
from conductor.domain.tasks import HELD, Task, TaskStatus
from conductor.operations import tasks as ops
from conductor.setting_groups import Tasks as TaskSettings

ASK_AGAIN_S = 60.0
"""When nothing is ready and nothing says when something will be: a minute costs an agent little."""

MOST_CHOICE_S = 1.0
"""So long the best task is looked for: ten thousand that others lease take less, patterns made to be dear never end."""


class Claims:
    """Claims on one project's board."""

    def __init__(
        self,
        memory: BoardMemory,
        locks: LockManager,
        roster: Roster,
        attempts: Attempts,
        project: Callable[[], Project],
        settings: TaskSettings,
    ) -> None:
        self._memory = memory
        self._locks = locks
        self._roster = roster
        self._attempts = attempts
        self._project = project
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
        rules, reach = self._rules(), self._reach(agent, call)
        held = self._memory.held_by(agent.agent_id)
        obstacle = selection.obstacle(
            task,
            selection.seeker_of(agent),
            call.now,
            rules,
            waits=self._memory.waits(task),
            has_open_children=bool(self._memory.open_children(task.id)),
        )
        if obstacle is None and selection.is_loaded(held, rules):
            raise _loaded(errors.NotReady, agent.agent_id, held, {"task_id": task.id, "obstacle": Obstacle.LOAD.value})
        if obstacle is not None:
            raise self._not_ready(task, obstacle, agent, reach)
        self._locks.require_allowed(agent.agent_id, self._locks.as_compared(task.files))
        refusal = reach.refusal(task)
        if refusal is not None:
            raise refusal
        return self._take(task, agent, request, call)

    def claim_best(self, request: ops.ClaimTask, call: Call) -> tuple[Task, list[Lease]]:
        """Give the caller the best ready task that it can work on now.

        Raises NothingReady saying why and when to ask again; BudgetExceeded when only money is missing.
        """
        agent = self._roster.get(call.agent_name)
        rules, seeker = self._rules(), selection.seeker_of(agent)
        held = self._memory.held_by(agent.agent_id)
        if selection.is_loaded(held, rules):
            facts: dict[str, errors.Fact] = {"reasons": {Obstacle.LOAD.value: len(held)}}
            raise _loaded(errors.NothingReady, agent.agent_id, held, facts | {"pending": self._memory.pending})
        reach = self._reach(agent, call)
        passed: list[tuple[Task, Obstacle]] = []
        chosen = selection.choose(
            in_time(self._memory.ready.candidates(seeker, call.now, rules)),
            reach.obstacle,
            lambda task, obstacle: passed.append((task, obstacle)),
            must_be_free=request.acquire_locks and self._locks.refuses,
        )
        if chosen is not None:
            return self._take(chosen, agent, request, call)
        why = self._memory.ready.reasons(seeker, call.now, rules) + Counter(obstacle for _, obstacle in passed)
        if set(why) == {Obstacle.BUDGET} and (refusal := reach.refusal(passed[0][0])) is not None:
            raise refusal
        why[Obstacle.DEPENDENCIES] = self._memory.waiting
        raise self._nothing_ready(+why, agent.agent_id, reach)

    def _take(self, task: Task, agent: agents.Agent, request: ops.ClaimTask, call: Call) -> tuple[Task, list[Lease]]:
        self._locks.waits.require_may_hold(task, agent.agent_id, call.now)
        leases = []
        if request.acquire_locks and task.files:
            leases.append(self._locks.acquire(self._wanted(task, agent, request), call))
        return self._attempts.begin(task, agent.agent_id, request.lease_s, call.now, call.tx), leases

    def _wanted(self, task: Task, agent: agents.Agent, request: ops.ClaimTask) -> Wanted:
        files = self._locks.as_compared(task.files)
        return Wanted(agent.agent_id, files, Mode.EXCLUSIVE, request.lease_s, task.id, f"claim of {task.id}")

    def _rules(self) -> Rules:
        return selection.rules_of(self._project().settings, self._settings.aging_s)

    def _reach(self, agent: agents.Agent, call: Call) -> Reach:
        return Reach(
            agent,
            Line(self._locks.table, self._locks.waits.queue, self._memory.tasks.get),
            call.levels,
            lambda: self._tokens(agent, call),
            self._locks.as_compared,
            call.now,
            self._locks.zones(),
        )

    def _tokens(self, agent: agents.Agent, call: Call) -> quotas.TokenBudget | None:
        if agent.token_budget is None:
            return None
        return quotas.TokenBudget(agent.token_budget, call.tx.costs.tokens_used(agent.project_id, agent.agent_id))

    def _not_ready(self, task: Task, obstacle: Obstacle, agent: agents.Agent, reach: Reach) -> errors.NotReady:
        what = obstacles.told(task, obstacle, agent, self._memory, reach, reach.now)
        return errors.NotReady(
            f"Task {task.id} cannot be claimed now: it {what.sentence}. Take another ready task with claim_task.",
            facts={
                "task_id": task.id,
                "obstacle": obstacle.value,
                "blocked_by": self._memory.waits(task),
                **what.facts,
            },
            next=[NextStep("claim_task", {}, "take the best ready task")],
            wait_s=what.wait_s,
        )

    def _nothing_ready(self, why: Counter[Obstacle], agent_id: str, reach: Reach) -> errors.NothingReady:
        ends = (self._memory.ready.next_change(reach.now), reach.first_end())
        left_s = min([ASK_AGAIN_S, *((at - reach.now).total_seconds() for at in ends if at is not None)])
        # Upwards: who asks again when told to must not come a moment too early.
        wait_s = math.ceil(left_s * 1000) / 1000
        reasons = {obstacle.value: count for obstacle, count in sorted(why.items())}
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in reasons.items()) or "no task is pending"
        return errors.NothingReady(
            f"Nothing is ready for {agent_id}: {told}. Ask again in {math.ceil(wait_s)} s, or look with list_tasks.",
            facts={"reasons": reasons, "pending": self._memory.pending},
            next=[NextStep("list_tasks", {"status": ["pending"]}, "see what waits and for what")],
            wait_s=wait_s,
        )


def _loaded(
    kind: type[errors.NotReady] | type[errors.NothingReady],
    agent_id: str,
    held: Sequence[Task],
    facts: Mapping[str, errors.Fact],
) -> errors.NotReady | errors.NothingReady:
    ids = [task.id for task in held]
    return kind(
        f"{agent_id} holds {obstacles.few(ids)}, as many tasks as this project lets one agent hold: finish one with "
        "complete_task, or give it back with update_task.",
        facts={**facts, "holding": ids[: obstacles.SHOWN], "held": len(ids)},
        next=[NextStep("get_task", {"task_id": ids[0]}, "see your attempt and finish it")],
    )


def in_time(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Give the candidates of a choice as long as there is time for it, the first one in any case."""
    ends_at = monotonic() + MOST_CHOICE_S
    for candidate in candidates:
        yield candidate
        if monotonic() > ends_at:
            return


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
