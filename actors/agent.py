"""An agent's keeper: it hears signs of life, hands over notices, and tells the agent where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from actors import views
from actors.call import Call
from actors.checkpointing import Checkpointing
from actors.lock_manager import LockManager
from actors.mailbox import Mailbox
from actors.roster import Roster
from actors.task_board import TaskBoard
from conductor.domain import agents, pauses, tasks
from conductor.domain.access import WORKERS, Role
from conductor.domain.agents import AgentStatus, SessionEnd
from conductor.domain.organizations import Project
from conductor.domain.pauses import Pause, PauseMode
from conductor.domain.quotas import Scope, Window
from conductor.integrations.coding_agents import Profiles
from conductor.operations import agents as ops
from conductor.operations import checkpoints as checkpoint_ops
from conductor.operations import messages as message_ops


class Agent:
    """Keeps one agent of a project.

    thresholds: gives the silences that count as late, critical and lost. heartbeat_s: what it is asked for.
    profiles: what is known of kinds of agents.
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
        profiles: Profiles,
        mailbox: Mailbox,
        checkpointing: Checkpointing,
    ) -> None:
        self._name = name
        self._roster = roster
        self._board = board
        self._locks = locks
        self._project = project
        self._thresholds = thresholds
        self._heartbeat_s = heartbeat_s
        self._profiles = profiles
        self._mailbox = mailbox
        self._checkpointing = checkpointing

    def heartbeat(self, request: ops.Heartbeat, call: Call) -> ops.HeartbeatReply:
        """Take note of what the agent does, and tell it what it has not been told."""
        if request.task_id is not None:
            self._board.require_held(request.task_id, self._name, call.tx)
        told = self._hear_session(request.session_id, call)
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
        limit = after.context_limit or self._profiles.context_limit(after.kind)
        after = replace(after, context_advised=agents.context_is_full(after.context_used, limit))
        if after.context_advised and not before.context_advised:
            told.append(_context_notice(after.context_used or 0, limit or 1))
        if after != before:
            self._roster.save(replace(after, updated_at=call.now), call.tx)
        return ops.HeartbeatReply(
            next_heartbeat_s=self._next_heartbeat_s(),
            notices=[*told, *self._notices(call)],
            leases_renewed=list(call.renewed),
        )

    def start_session(self, request: ops.StartSession, call: Call) -> ops.Session:
        """Tell the agent who it is, what it holds, what is left to spend, and what to do next."""
        tx = call.tx
        project = self._project()
        agent = self._roster.get(self._name)
        session = self._roster.sessions.start(agent, request.client, tx, supersede=request.supersede)
        held = self._board.memory.held_by(self._name)
        task = held[0] if held else None
        levels = tx.quotas.levels(tx.costs, project.id, self._name)
        health = agents.health(self._roster.silence_s(self._name, call.now), self._thresholds())
        pause = pauses.bearing(tx.pauses.of_organization(), project.id, self._name)
        return ops.Session(
            session_id=session.id,
            agent=views.agent(agent, health, tx.costs.spent_today(project.id).get(self._name, 0), pause),
            project=views.project(project, tx, call.caller),
            task=views.task(task, self._board.memory.waits(task)) if task else None,
            locks=[views.lock(lease) for lease in self._locks.table.of_agent(self._name) if lease.is_live(call.now)],
            budget=views.budget(levels, tx.costs.spent(Scope.AGENT, project.id, self._name, Window.MONTH)),
            notices=self._notices(call),
            next=_held_up(pause, task)
            or self._next(agent, task, is_spent=any(level.quota.hard and level.exceeded for level in levels)),
        )

    def end_session(self, request: ops.EndSession, call: Call) -> ops.EndedSessions:
        """End one of the agent's sessions, or all; what the agent holds stays its own."""
        sessions = self._roster.sessions
        ending = sessions.of_agent(self._name)
        if request.session_id is not None:
            wanted = sessions.find(request.session_id, self._name, call.tx)
            ending = [session for session in ending if session.id == wanted.id]
        return ops.EndedSessions(ended=sessions.end(ending, SessionEnd.ENDED, self._roster.get(self._name), call.tx))

    def read_messages(self, request: message_ops.ReadMessages, call: Call) -> message_ops.Mail:
        """Give the agent its mail."""
        return self._mailbox.read(self._name, request, call)

    def save_checkpoint(self, request: checkpoint_ops.SaveCheckpoint, call: Call) -> checkpoint_ops.SavedCheckpoint:
        """Keep where the agent stands."""
        return self._checkpointing.save(self._name, request, call)

    def resume_checkpoint(
        self, request: checkpoint_ops.ResumeCheckpoint, call: Call
    ) -> checkpoint_ops.ResumedCheckpoint:
        """Give the agent the checkpoint to go on from."""
        return self._checkpointing.resume(self._name, request, call)

    def _next_heartbeat_s(self) -> int:
        """Ask again soon enough for the shortest lease: a third of it is renewed when two thirds are left."""
        spans = [lease.ttl_s for lease in self._locks.table.of_agent(self._name)]
        spans += [task.lease_s for task in self._board.memory.held_by(self._name) if task.lease_s is not None]
        if (late_after_s := self._project().settings.late_after_s) is not None:
            # Who keeps to what it was asked for must not be shown as late.
            spans.append(late_after_s)
        return max(1, min(self._heartbeat_s, self._roster.lost_after_s // 3, *(span // 3 for span in spans)))

    def _hear_session(self, session_id: str | None, call: Call) -> list[ops.Notice]:
        """Take a session's sign of life; one that is over is told so, each time. Raises NotFound."""
        if session_id is None:
            return []
        session = self._roster.sessions.find(session_id, self._name, call.tx)
        if session.ended_at is None:
            self._roster.sessions.hear(session, call.now)
            return []
        if session.end_reason == SessionEnd.SUPERSEDED:
            text = "Another session took over: stop working in this one, and change nothing more."
            return [ops.Notice(kind="session_superseded", text=text)]
        text = f"This session is over ({session.end_reason}): begin anew with start_session."
        return [ops.Notice(kind="session_ended", text=text)]

    def _notices(self, call: Call) -> list[ops.Notice]:
        told = call.tx.notices.hand_over(call.project_id, self._name)
        return [ops.Notice(kind=kind, text=text) for kind, text in told]

    def _next(self, agent: agents.Agent, task: tasks.Task | None, *, is_spent: bool) -> list[ops.NextCall]:
        if agent.role is Role.REVIEWER:
            because = "see whose results wait for a review: accept or send back with review_task"
            return [ops.NextCall(tool="list_tasks", args={"status": ["in_review"]}, because=because)]
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


def _held_up(pause: Pause | None, task: tasks.Task | None) -> list[ops.NextCall]:
    """Give what an agent does that may not go on; nothing for one that may, or that drains and has work to finish."""
    if pause is None or (pause.mode is PauseMode.DRAINING and task is not None):
        return []
    because = f"the {pause.scope} is {pause.mode}: {pause.reason}"[:200]
    return [ops.NextCall(tool="heartbeat", args={"status": "idle"}, because=because)]


def _context_notice(used: int, limit: int) -> ops.Notice:
    text = f"Your context is {used * 100 // limit} % full: save_checkpoint now, so that you can go on from there."
    return ops.Notice(kind="context", text=text)
