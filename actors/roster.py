"""The agents of a project in memory: their records, and when each was last heard of.

Signs of life are many, so they are kept here and flushed every few seconds. A crash of the host loses the last of
them, which is why nobody is lost in the first minute of a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from actors.sessions import Sessions
from conductor.domain import errors
from conductor.domain.agents import Agent, Session
from conductor.domain.deadlines import Deadlines
from storage.unit_of_work import UnitOfWork


class Roster:
    """Agents by name.

    lost_after_s: silence after which an agent is lost. grace_until: nobody is lost before. seen: when each was last
    heard of in this run of the host; it outlives the roster, since a batch that failed takes back no sign of life.
    sessions: those that have not ended.
    """

    def __init__(
        self,
        project_id: str,
        agents: Iterable[Agent],
        lost_after_s: int,
        grace_until: datetime,
        seen: dict[str, datetime],
        sessions: Iterable[Session] = (),
    ) -> None:
        self._project_id = project_id
        self.sessions = Sessions(project_id, sessions)
        self._agents = {agent.agent_id: agent for agent in agents}
        self._seen = seen
        self._unflushed: set[str] = set()
        self._deadlines = Deadlines()
        self._grace_until = grace_until
        self.lost_after_s = lost_after_s

    def get(self, agent_id: str) -> Agent:
        """Give an agent.

        Raises NotFound.
        """
        agent = self._agents.get(agent_id)
        if agent is None:
            raise errors.NotFound(
                f"No agent {agent_id} in this project. See who is here with list_agents.",
                facts={"agent_id": agent_id},
                next=[errors.NextStep("list_agents", {}, "see who is here")],
            )
        return agent

    def find(self, agent_id: str) -> Agent | None:
        """Give an agent; None: there is none of this name."""
        return self._agents.get(agent_id)

    def all(self) -> list[Agent]:
        """Give all agents."""
        return list(self._agents.values())

    def add(self, agent: Agent, tx: UnitOfWork) -> None:
        """Write and remember a new agent."""
        tx.agents.add(agent)
        self._agents[agent.agent_id] = agent

    def save(self, agent: Agent, tx: UnitOfWork) -> None:
        """Write and remember an agent's new state, with when it was last heard of."""
        agent = replace(agent, last_seen_at=self._seen.get(agent.agent_id, agent.last_seen_at))
        tx.agents.save(agent)
        self._agents[agent.agent_id] = agent
        self._unflushed.discard(agent.agent_id)

    def resume(self, pause: timedelta, now: datetime, tx: UnitOfWork) -> None:
        """Begin to count silence, or go on.

        pause: how long nothing ran before. It does not count as silence, so all that was heard moves on by it, in
        the store as well: otherwise it would count after the next stop.
        """
        for agent in self._agents.values():
            if agent.lost_at is not None:
                continue
            seen = self._seen.get(agent.agent_id)
            if seen is None:
                if agent.last_seen_at is None:
                    continue
                seen = min(agent.last_seen_at + pause, now)
            if seen != agent.last_seen_at:
                self._unflushed.add(agent.agent_id)
            self._hear(agent.agent_id, seen)
        if pause:
            self.flush(tx)

    def lose_after(self, seconds: int) -> None:
        """Bear so much silence from now on, also of those who are silent already."""
        if seconds == self.lost_after_s:
            return
        self.lost_after_s = seconds
        for agent_id in self._agents:
            if (seen := self._seen.get(agent_id)) is not None:
                self._hear(agent_id, seen)

    def touch(self, agent_id: str, now: datetime) -> None:
        """Take note of a sign of life; the deadline is moved only when it comes, because signs are many."""
        self._seen[agent_id] = now
        self._unflushed.add(agent_id)
        if agent_id not in self._deadlines:
            self._hear(agent_id, now)

    def silence_s(self, agent_id: str, now: datetime) -> float | None:
        """Tell how long an agent has been silent; None: it was never heard of in this run."""
        seen = self._seen.get(agent_id)
        return None if seen is None else (now - seen).total_seconds()

    def lost(self, now: datetime) -> list[Agent]:
        """List the agents that are lost as of now and were not before."""
        found = []
        for agent_id in self._deadlines.due(now):
            if self._end(agent_id) > now:
                self._hear(agent_id, self._seen[agent_id])
            else:
                found.append(self._agents[agent_id])
        return found

    def forget(self, agent_id: str) -> None:
        """Wait for an agent no longer: it was found lost."""
        self._deadlines.drop(agent_id)
        self._seen.pop(agent_id, None)
        self._unflushed.discard(agent_id)

    def next_deadline(self) -> datetime | None:
        """Give the time at which an agent may be lost, at the earliest."""
        return self._deadlines.next()

    @property
    def has_news(self) -> bool:
        """Tell whether somebody was heard of since the last flush."""
        return bool(self._unflushed) or self.sessions.has_news

    def flush(self, tx: UnitOfWork) -> None:
        """Write when agents and their sessions were last heard of."""
        self.sessions.flush(tx)
        if self._unflushed:
            names, self._unflushed = self._unflushed, set()
            times = [(name, self._seen[name]) for name in sorted(names)]
            tx.agents.seen(self._project_id, times)
            for name, seen in times:
                self._agents[name] = replace(self._agents[name], last_seen_at=seen)

    def _hear(self, agent_id: str, at: datetime) -> None:
        self._seen[agent_id] = at
        self._deadlines.set(agent_id, self._end(agent_id))

    def _end(self, agent_id: str) -> datetime:
        return max(self._seen[agent_id] + timedelta(seconds=self.lost_after_s), self._grace_until)
