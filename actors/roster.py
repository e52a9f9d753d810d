"""The agents of a project in memory: their records, and when each was last heard of.

Signs of life are many, so they are kept here and flushed every few seconds; a crash loses seconds of silence, which
lengthens an agent's life by as much and harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from conductor.domain import errors
from conductor.domain.agents import Agent
from conductor.domain.deadlines import Deadlines
from storage.unit_of_work import UnitOfWork


class Roster:
    """Agents by name.

    lost_after_s: silence after which an agent is lost. grace_until: nobody is lost before.
    """

    def __init__(self, project_id: str, agents: Iterable[Agent], lost_after_s: int, grace_until: datetime) -> None:
        self._project_id = project_id
        self._agents = {agent.agent_id: agent for agent in agents}
        self._seen: dict[str, datetime] = {}
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

    def add(self, agent: Agent, tx: UnitOfWork) -> None:
        """Write and remember a new agent."""
        tx.agents.add(agent)
        self._agents[agent.agent_id] = agent

    def save(self, agent: Agent, tx: UnitOfWork) -> None:
        """Write and remember an agent's new state."""
        tx.agents.save(agent)
        self._agents[agent.agent_id] = agent

    def resume(self, stopped_at: datetime | None, now: datetime) -> None:
        """Begin to count silence again: what passed while nothing ran does not count."""
        for agent in self._agents.values():
            if agent.last_seen_at is None or agent.lost_at is not None:
                continue
            pause = now - stopped_at if stopped_at is not None and stopped_at < now else timedelta()
            self._hear(agent.agent_id, min(agent.last_seen_at + pause, now))

    def touch(self, agent_id: str, now: datetime) -> None:
        """Take note of a sign of life."""
        self._hear(agent_id, now)
        self._unflushed.add(agent_id)

    def silence_s(self, agent_id: str, now: datetime) -> float | None:
        """Tell how long an agent has been silent; None: it was never heard of in this run."""
        seen = self._seen.get(agent_id)
        return None if seen is None else (now - seen).total_seconds()

    def lost(self, now: datetime) -> list[Agent]:
        """List the agents that are lost as of now and were not before."""
        return [self._agents[agent_id] for agent_id in self._deadlines.due(now)]

    def forget_deadline(self, agent_id: str) -> None:
        """Wait for an agent no longer: it was found lost."""
        self._deadlines.drop(agent_id)

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next agent will be lost if it stays silent."""
        return self._deadlines.next()

    @property
    def has_news(self) -> bool:
        """Tell whether somebody was heard of since the last flush."""
        return bool(self._unflushed)

    def flush(self, tx: UnitOfWork) -> None:
        """Write when agents were last heard of."""
        if self._unflushed:
            names, self._unflushed = self._unflushed, set()
            tx.agents.seen(self._project_id, [(name, self._seen[name]) for name in sorted(names)])

    def _hear(self, agent_id: str, at: datetime) -> None:
        self._seen[agent_id] = at
        self._deadlines.set(agent_id, max(at + timedelta(seconds=self.lost_after_s), self._grace_until))
