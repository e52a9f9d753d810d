"""An agent's keeper: it hears signs of life, hands over notices, and tells the agent where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from actors import views
from actors.call import Call
from actors.lock_manager import LockManager
from actors.roster import Roster
from actors.task_board import TaskBoard
from conductor.domain import agents, tasks
from conductor.domain.access import WORKERS
from conductor.domain.agents import AgentStatus
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.domain.quotas import Scope, Window
from conductor.operations import agents as ops


class Agent:
    """Keeps one agent of a project.

    thresholds: gives the silences that count as late, critical and lost. heartbeat_s: what it is asked for.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        board: TaskBoard,
        locks: LockManager,
        project: Callable[[], Project],
        thresholds: Callable[[], agents.Thresholds],
        heartbeat_s: int,
    ) -> None:
        self._name = name
        self._roster = roster
        self._board = board
        self._locks = locks
        self._project = project
        self._thresholds = thresholds
        self._heartbeat_s = heartbeat_s

    def heartbeat(self, request: ops.Heartbeat, call: Call) -> ops.HeartbeatReply:
        """Take note of what the agent does, and tell it what it has not been told."""
        if request.task_id is not None:
            self._board.require_held(request.task_id, self._name, call.tx)
        before = self._roster.get(self._name)
        after = replace(
            before,
            status=AgentStatus(request.status.value),
            current_task_id=request.task_id or before.current_task_id,
            stage=request.stage or before.stage,
            note=request.note or before.note,
            context_used=request.context_used if request.context_used is not None else before.context_used,
            context_limit=request.context_limit if request.context_limit is not None else before.context_limit,
        )
        if after != before:
            self._roster.save(replace(after, updated_at=call.now), call.tx)
        return ops.HeartbeatReply(
            next_heartbeat_s=self._next_heartbeat_s(),
            notices=self._notices(call),
            leases_renewed=list(call.renewed),
        )

    def start_session(self, request: ops.StartSession, call: Call) -> ops.Session:
        """Tell the agent who it is, what it holds, what is left to spend, and what to do next."""
        tx = call.tx
        project = self._project()
        agent = self._roster.get(self._name)
        tx.record(EventKind.SESSION_STARTED, agent.id, project_id=project.id, agent_id=self._name)
        held = self._board.memory.held_by(self._name)
        task = held[0] if held else None
        levels = tx.quotas.levels(tx.costs, project.id, self._name)
        health = agents.health(self._roster.silence_s(self._name, call.now), self._thresholds())
        return ops.Session(
            agent=views.agent(agent, health, tx.costs.spent_today(project.id).get(self._name, 0)),
            project=views.project(project, tx, call.caller),
            task=views.task(task, self._board.memory.waits(task)) if task else None,
            locks=[views.lock(lease) for lease in self._locks.table.of_agent(self._name) if lease.is_live(call.now)],
            budget=views.budget(levels, tx.costs.spent(Scope.AGENT, project.id, self._name, Window.MONTH)),
            notices=self._notices(call),
            next=self._next(agent, task, is_spent=any(level.quota.hard and level.exceeded for level in levels)),
        )

    def _next_heartbeat_s(self) -> int:
        """Ask again soon enough for the shortest lease: a third of it is renewed when two thirds are left."""
        spans = [lease.ttl_s for lease in self._locks.table.of_agent(self._name)]
        spans += [task.lease_s for task in self._board.memory.held_by(self._name) if task.lease_s is not None]
        return max(1, min(self._heartbeat_s, self._roster.lost_after_s // 3, *(span // 3 for span in spans)))

    def _notices(self, call: Call) -> list[ops.Notice]:
        told = call.tx.notices.hand_over(call.project_id, self._name)
        return [ops.Notice(kind=kind, text=text) for kind, text in told]

    def _next(self, agent: agents.Agent, task: tasks.Task | None, *, is_spent: bool) -> list[ops.NextCall]:
        if agent.role not in WORKERS:
            return [ops.NextCall(tool="list_tasks", args={"status": ["in_progress"]}, because="see what is being done")]
        if task is None and is_spent:
            because = "a budget is spent, so no task can be claimed: see which one and when it resets"
            return [ops.NextCall(tool="get_quota", args={}, because=because)]
        if task is None:
            return [ops.NextCall(tool="claim_task", args={}, because="you hold no task: take the best ready one")]
        return [
            ops.NextCall(
                tool="update_task",
                args={"task_id": task.id, "attempt": task.attempt, "status": "in_progress"},
                because=f"go on with {task.title}"[:200],
            ),
            ops.NextCall(
                tool="complete_task",
                args={"task_id": task.id, "attempt": task.attempt, "result": "what you did"},
                because="when it is done",
            ),
        ]
