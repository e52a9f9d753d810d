"""Reassigning: a task goes from one agent to another, who is the best for it unless a lead names one.

Whoever holds it is told and has a time of grace to finish or hand over; what it completes by then counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from actors.attempts import Attempts
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.lock_manager import LockManager
from actors.roster import Roster
from conductor.domain import agents, errors, pauses
from conductor.domain.access import WORKERS
from conductor.domain.agents import Agent, AgentStatus, Health, Thresholds
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.domain.pauses import Pause
from conductor.domain.tasks import HELD, Outcome, Task, TaskStatus
from conductor.operations import work as ops
from storage.unit_of_work import UnitOfWork

MOST_REASSIGNMENTS = 3
"""A task that was handed on three times needs a person's thought, not a fourth agent."""


class Reassigning:
    """Reassigns tasks of one project."""

    def __init__(
        self,
        memory: BoardMemory,
        locks: LockManager,
        roster: Roster,
        attempts: Attempts,
        project: Callable[[], Project],
        thresholds: Callable[[], Thresholds],
    ) -> None:
        self._memory = memory
        self._locks = locks
        self._roster = roster
        self._attempts = attempts
        self._project = project
        self._thresholds = thresholds

    def reassign(self, task: Task, request: ops.ReassignTask, call: Call) -> tuple[Task, str]:
        """Give a task to another agent, at once or when its holder's time is over; returns it and the agent's name.

        Raises IllegalMove, Invalid, NotFound, NotReady.
        """
        _require_reassignable(task)
        target = self._best(task, call) if request.agent_id is None else self._named(request.agent_id, task, call)
        # Who only corrects the time of grace has not moved the task once more.
        counted = replace(task, reassignments=task.reassignments + (task.reassign_to != target))
        if task.status not in HELD:
            return self._reserve(counted, target, request.reason, call), target
        if request.grace_s == 0:
            leaving = replace(counted, reassign_to=target)
            return self._take_away(leaving, call.now, call.tx, request.reason), target
        at = call.now + timedelta(seconds=request.grace_s)
        leaving = replace(counted, reassign_to=target, reassign_at=at)
        self._attempts.keep(replace(leaving, updated_at=call.now), call.tx)
        call.tx.notices.leave(
            task.project_id,
            task.holder or "",
            "task_leaves_you",
            f"{task.id} goes to {target} in {request.grace_s} s: complete it by then, or release it with a note.",
        )
        call.tx.record(
            EventKind.TASK_UPDATED,
            task.id,
            project_id=task.project_id,
            agent_id=task.holder,
            reassign_to=target,
            reassign_at=at.isoformat(),
            reason=request.reason,
            reassignments=leaving.reassignments,
        )
        return leaving, target

    def elapse(self, now: datetime, tx: UnitOfWork) -> None:
        """Take away the tasks whose holders' time is over."""
        for task in self._memory.due_reassignments(now):
            self._take_away(task, now, tx, None)

    def _reserve(self, task: Task, target: str, reason: str, call: Call) -> Task:
        kept = replace(self._attempts.reserved(task, target, call.now, call.tx), updated_at=call.now)
        self._attempts.keep(kept, call.tx)
        call.tx.record(
            EventKind.TASK_REASSIGNED,
            task.id,
            project_id=task.project_id,
            reserved_for=target,
            reserved_until=kept.reserved_until.isoformat() if kept.reserved_until else None,
            reason=reason,
            reassignments=task.reassignments,
        )
        return kept

    def _take_away(self, task: Task, now: datetime, tx: UnitOfWork, reason: str | None) -> Task:
        told = f"reassigned to {task.reassign_to}" + (f": {reason}" if reason else "")
        facts = {"reassignments": task.reassignments}
        stopped = self._attempts.stop(task, Outcome.REASSIGNED, told, now, tx, facts)
        tx.notices.leave(
            task.project_id,
            task.holder or "",
            "task_left_you",
            f"{task.id} belongs to {task.reassign_to} now: stop working on it and leave its files alone.",
        )
        return stopped

    def _named(self, agent_id: str, task: Task, call: Call) -> str:
        agent = self._roster.get(agent_id)
        if agent_id == task.holder and task.status in HELD:
            raise errors.Invalid(
                f"{agent_id} holds {task.id} already: name another agent, or none for the best other one.",
                facts={"argument": "agent_id", "holder": agent_id},
            )
        hindrance = self._hindrance(agent, task)
        if hindrance is not None:
            raise errors.Invalid(
                f"{agent_id} cannot take {task.id}: {hindrance}. Name another agent, or none for the best other one.",
                facts={"argument": "agent_id", "agent_id": agent_id, "why": hindrance},
            )
        return agent_id

    def _best(self, task: Task, call: Call) -> str:
        """Choose the agent that lives, may and can, and has the least to do."""
        standing = call.tx.pauses.of_organization()
        load = self._load(call.now)
        why: Counter[str] = Counter()
        found: list[tuple[int, int, str]] = []
        for agent in call.tx.agents.of_project(task.project_id):
            if agent.agent_id == task.holder:
                continue
            hindrance = self._absence(agent, standing, call.now) or self._hindrance(agent, task)
            if hindrance is not None:
                why[hindrance] += 1
                continue
            surplus = len(set(agent.capabilities) - set(task.requires))
            found.append((load[agent.agent_id], surplus, agent.agent_id))
        if not found:
            told = "; ".join(f"{count} {reason}" for reason, count in sorted(why.items())) or "there is no other agent"
            raise errors.NotReady(
                f"No other agent can take {task.id} now: {told}. Nothing was changed; name one with agent_id to keep "
                "the task for it all the same.",
                facts={"task_id": task.id, "reasons": dict(why)},
                next=[NextStep("list_agents", {}, "see who is here")],
            )
        return min(found)[2]

    def _load(self, now: datetime) -> Counter[str]:
        """Count what each agent holds and what is about to come to it."""
        load: Counter[str] = Counter()
        for task in self._memory.tasks.values():
            if task.holder is not None and task.status in HELD:
                load[task.holder] += 1
            if task.reassign_to is not None:
                load[task.reassign_to] += 1
            elif task.reserved_for is not None and task.reserved_until is not None and now < task.reserved_until:
                load[task.reserved_for] += 1
        return load

    def _absence(self, agent: Agent, standing: list[Pause], now: datetime) -> str | None:
        silence_s = self._roster.silence_s(agent.agent_id, now)
        health = agents.health(silence_s, self._thresholds())
        if silence_s is None or agent.status is AgentStatus.OFFLINE or health not in {Health.HEALTHY, Health.LATE}:
            return "not heard of lately"
        if pauses.bearing(standing, agent.project_id, agent.agent_id) is not None:
            return "paused"
        return None

    def _hindrance(self, agent: Agent, task: Task) -> str | None:
        if agent.role not in WORKERS:
            return f"{agent.role} by role, which claims nothing"
        missing = sorted(set(task.requires) - set(agent.capabilities))
        if missing and not self._project().settings.partial_match:
            return f"without {', '.join(missing)}"
        try:
            self._locks.require_allowed(agent.agent_id, self._locks.as_compared(task.files))
        except errors.ZoneDenied:
            return "not allowed on its files"
        return None


def _require_reassignable(task: Task) -> None:
    allowed = sorted({TaskStatus.PENDING, *HELD})
    if task.status not in allowed:
        raise errors.IllegalMove(
            f"Task {task.id} is {task.status}: only what is pending or held can be reassigned. Nothing was changed.",
            facts={"task_id": task.id, "status": task.status.value, "allowed": [status.value for status in allowed]},
            next=[NextStep("get_task", {"task_id": task.id}, "see where it stands")],
        )
    if task.reassignments >= MOST_REASSIGNMENTS:
        raise errors.IllegalMove(
            f"Task {task.id} was reassigned {task.reassignments} times, which is the most: look why nobody finishes "
            "it, then change, split or cancel it.",
            facts={"task_id": task.id, "reassignments": task.reassignments, "most": MOST_REASSIGNMENTS},
            next=[NextStep("get_task", {"task_id": task.id}, "see its attempts and what happened")],
        )
