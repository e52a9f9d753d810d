"""A project's room in a host: its lock manager, task board, keeper and agents, activated together from the store.

They share one memory and one unit of work, which is what makes "complete, release and free" one commit. When a
transaction fails the whole room is dropped and loaded anew: memory is never patched.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from actors import lock_waits
from actors.agent import Agent
from actors.board_memory import BoardMemory
from actors.checkpointing import Checkpointing
from actors.issuing import Issuer
from actors.lock_manager import LockManager, survived
from actors.lock_waits import LockWaits
from actors.mailbox import Mailbox
from actors.places import no_project
from actors.project_keeper import ProjectKeeper
from actors.roster import Roster
from actors.task_board import TaskBoard
from actors.zoning import Zoning
from conductor.domain import agents
from conductor.domain.agents import AgentStatus, SessionEnd
from conductor.domain.events import EventKind
from conductor.domain.lock_queue import LockQueue
from conductor.domain.lock_tickets import Ticket
from conductor.domain.locks import Lease, LeaseEnd, LockTable
from conductor.domain.organizations import Project
from conductor.domain.tasks import Task
from conductor.integrations import coding_agents
from conductor.settings import Settings
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Start:
    """When this run of the host began, and when the one before it gave its last sign of life.

    heard: when each agent was last heard of in this run, by organisation and project; what a room that is dropped
    after a failure leaves to the one that is loaded for it.
    """

    began_at: datetime
    stopped_at: datetime | None
    heard: dict[tuple[str, str], dict[str, datetime]] = field(default_factory=dict)

    @property
    def pause(self) -> timedelta:
        """How long nothing ran."""
        return max(self.began_at - (self.stopped_at or self.began_at), timedelta())


class Room:
    """The keepers of one project."""

    def __init__(
        self,
        project: Project,
        tx: UnitOfWork,
        settings: Settings,
        issuer: Issuer,
        start: Start,
        ring: Callable[[str], None],
        *,
        is_first: bool,
    ) -> None:
        """Activate from the store. is_first: for the first time in this run, so that a stop is reckoned with.

        ring: is told the bells of whoever waits for what is done here otherwise than in answer to a call.
        """
        self._settings = settings
        now = tx.now
        grace_until = start.began_at + timedelta(seconds=settings.leases.start_grace_s)
        self.roster = Roster(
            project.id,
            tx.agents.of_project(project.id),
            self._lost_after_s(project),
            grace_until,
            start.heard.setdefault((tx.organization_id, project.id), {}),
            tx.sessions.live(project.id),
        )
        self.roster.resume(start.pause if is_first else timedelta(), now, tx)
        stopped_at = start.stopped_at if is_first else None
        self._profiles = coding_agents.known(settings.agents.profiles)
        self.mailbox = Mailbox(project.id, self.roster)
        self.zoning = Zoning(project.id, tx.zones.of_project(project.id), self.roster)
        self.keeper = ProjectKeeper(
            project,
            self.roster,
            issuer,
            settings.access.request_expires_h,
            self._project_changed,
            self._profiles,
            self.mailbox,
            self._put_out,
            self.zoning,
        )
        table = LockTable(
            self._leases(project.id, tx, stopped_at, now), fencing_token=tx.locks.highest_token(project.id)
        )
        queue = LockQueue(self._tickets(project.id, tx, stopped_at, now), aging_s=settings.tasks.aging_s)
        self.locks = LockManager(
            table,
            self._project,
            self.roster.get,
            lambda: self.roster.lost_after_s,
            self._require_held,
            lambda locks: LockWaits(project.id, locks, queue, self.roster.find, lambda: self.board.memory, ring),
            lambda: self.zoning.map,
        )
        memory = BoardMemory(
            self._tasks(project.id, tx, stopped_at, now), lambda others: tx.tasks.statuses(project.id, list(others))
        )
        # Jitter spreads retries; it decides nothing that must be hard to guess.
        jitter: Callable[[], float] = random.Random().random  # noqa: S311
        self.board = TaskBoard(memory, self.locks, self.roster, self._project, settings.tasks, jitter, self._thresholds)
        self.checkpointing = Checkpointing(project.id, memory, self.locks, self._require_held, settings.checkpoints)
        self.used_at = now

    def agent(self, name: str) -> Agent:
        """Give the keeper of an agent. Raises NotFound."""
        self.roster.get(name)
        return Agent(
            name,
            self.roster,
            self.board,
            self.locks,
            self._project,
            self._thresholds,
            self._settings.leases.heartbeat_s,
            self._profiles,
            self.mailbox,
            self.checkpointing,
        )

    def touch(self, name: str, now: datetime, tx: UnitOfWork) -> list[str]:
        """Take a sign of life of an agent: renew what it holds; returns the locks that were written."""
        agent = self.roster.find(name)
        if agent is None:
            return []
        self.roster.touch(name, now)
        if agent.lost_at is not None or agent.status is AgentStatus.OFFLINE:
            self.roster.save(replace(agent, lost_at=None, status=AgentStatus.IDLE, updated_at=now), tx)
            if agent.lost_at is not None:
                tx.record(EventKind.AGENT_RETURNED, agent.id, project_id=agent.project_id, agent_id=name)
        self.board.renew(name, now, tx)
        return self.locks.renew(name, now, tx)

    def elapse(self, now: datetime, tx: UnitOfWork) -> None:
        """End what time has ended: silent agents with all they hold, leases, claims."""
        for agent in self.roster.lost(now):
            self._lose(agent, now, tx)
        self.locks.elapse(now, tx)
        self.board.elapse(now, tx)
        self.settle(now, tx)

    def settle(self, now: datetime, tx: UnitOfWork) -> None:
        """Hand over what a command, or time, has freed; the last thing of each."""
        self.locks.waits.hand_over(now, tx)

    def next_deadline(self) -> datetime | None:
        """Give the time at which something here will end."""
        ends = (self.roster.next_deadline(), self.locks.next_deadline(), self.board.memory.next_deadline())
        return min((at for at in ends if at is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Tell whether the room may be passivated: time has nothing to end in it."""
        return self.next_deadline() is None

    def _lose(self, agent: agents.Agent, now: datetime, tx: UnitOfWork) -> None:
        silence_s = self.roster.silence_s(agent.agent_id, now) or 0.0
        self.checkpointing.lose(agent, silence_s, now, tx)
        tasks = self.board.lose(agent.agent_id, now, tx)
        locks = self.locks.end_of_agent(agent.agent_id, tx)
        present = self.roster.get(agent.agent_id)
        self.roster.save(
            replace(present, status=AgentStatus.OFFLINE, lost_at=now, current_task_id=None, updated_at=now), tx
        )
        self.roster.forget(agent.agent_id)
        sessions = self.roster.sessions
        sessions.end(sessions.of_agent(agent.agent_id), SessionEnd.LOST, agent, tx)
        tx.record(
            EventKind.AGENT_LOST,
            agent.id,
            project_id=agent.project_id,
            agent_id=agent.agent_id,
            silence_s=round(silence_s),
            tasks=tasks,
            locks=locks,
        )
        if tasks or locks:
            tx.notices.leave(
                agent.project_id,
                agent.agent_id,
                "agent_lost",
                "You were silent too long: your tasks were requeued and your locks freed. Start with start_session.",
            )

    def _put_out(self, agent: agents.Agent, now: datetime, tx: UnitOfWork) -> tuple[list[str], list[str]]:
        """End all that an agent does and holds, because it may work here no more; gives its tasks and its locks."""
        locks = [lease.id for lease in self.locks.table.of_agent(agent.agent_id)]
        tasks = self.board.revoke(agent.agent_id, now, tx)
        self.locks.end_of_agent(agent.agent_id, tx, LeaseEnd.REVOKED)
        present = self.roster.get(agent.agent_id)
        self.roster.save(replace(present, status=AgentStatus.OFFLINE, current_task_id=None, updated_at=now), tx)
        self.roster.forget(agent.agent_id)
        sessions = self.roster.sessions
        sessions.end(sessions.of_agent(agent.agent_id), SessionEnd.REVOKED, agent, tx)
        return tasks, locks

    def _require_held(self, task_id: str, agent_id: str, tx: UnitOfWork) -> None:
        self.board.require_held(task_id, agent_id, tx)

    def _project(self) -> Project:
        return self.keeper.project

    def _project_changed(self, project: Project) -> None:
        self.roster.lose_after(self._lost_after_s(project))
        self.locks.waits.all_freed()

    def _lost_after_s(self, project: Project) -> int:
        return project.settings.lost_after_s or self._settings.leases.lost_after_s

    def _thresholds(self) -> agents.Thresholds:
        leases, chosen = self._settings.leases, self.keeper.project.settings
        return agents.thresholds(
            agents.Thresholds(leases.late_after_s, leases.critical_after_s, leases.lost_after_s),
            late_s=chosen.late_after_s,
            critical_s=chosen.critical_after_s,
            lost_s=chosen.lost_after_s,
        )

    def _leases(self, project_id: str, tx: UnitOfWork, stopped_at: datetime | None, now: datetime) -> list[Lease]:
        stored = tx.locks.of_project(project_id)
        kept = survived(stored, stopped_at, now, self._settings.leases.restart_grace_s)
        for before, after in zip(stored, kept, strict=True):
            if after != before:
                tx.locks.renew(after)
        return kept

    def _tickets(self, project_id: str, tx: UnitOfWork, stopped_at: datetime | None, now: datetime) -> Sequence[Ticket]:
        stored = tx.lock_waits.of_project(project_id)
        kept = lock_waits.survived(stored, stopped_at, now, self._settings.leases.restart_grace_s)
        for before, after in zip(stored, kept, strict=True):
            if after != before:
                tx.lock_waits.save(after)
        return kept

    def _tasks(self, project_id: str, tx: UnitOfWork, stopped_at: datetime | None, now: datetime) -> list[Task]:
        loaded = []
        for task in tx.tasks.open_of(project_id):
            kept = self._survived(task, stopped_at, now) if stopped_at is not None else task
            if kept != task:
                tx.tasks.save(kept)
            loaded.append(kept)
        return loaded

    def _survived(self, task: Task, stopped_at: datetime, now: datetime) -> Task:
        """Say how a task stands after a stop: its claim and its holder's time of grace, if any, go on for a moment."""
        grace_s = self._settings.leases.restart_grace_s
        if task.lease_expires_at is not None and task.lease_expires_at > stopped_at:
            least = now + timedelta(seconds=min(float(task.lease_s or 0), grace_s))
            task = replace(task, lease_expires_at=max(task.lease_expires_at, least))
        if task.reassign_at is not None and task.reassign_at > stopped_at:
            task = replace(task, reassign_at=max(task.reassign_at, now + timedelta(seconds=grace_s)))
        return task


def activate(
    project_id: str,
    tx: UnitOfWork,
    settings: Settings,
    issuer: Issuer,
    start: Start,
    ring: Callable[[str], None],
    *,
    is_first: bool,
) -> Room:
    """Load a project's room. Raises NotFound when there is no such project."""
    project = tx.projects.get(project_id)
    if project is None:
        raise no_project(project_id)
    return Room(project, tx, settings, issuer, start, ring, is_first=is_first)
