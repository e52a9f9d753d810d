"""The sessions of a project's agents in memory: the live ones, and when each was last heard of.

An agent may have several at once: two terminals, or one that was left behind. Nothing that an agent holds hangs on a
session; one that was superseded is told so at each of its heartbeats, because its agent's token lives on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from conductor.domain import errors, ids
from conductor.domain.agents import Agent, Session, SessionEnd
from conductor.domain.events import EventKind
from storage.unit_of_work import UnitOfWork

MOST_LIVE = 16
"""Sessions that one agent has at once; one more ends the one that was silent longest: clients forget to end theirs."""


class Sessions:
    """The live sessions of one project."""

    def __init__(self, project_id: str, live: Iterable[Session]) -> None:
        self._project_id = project_id
        self._live: dict[str, Session] = {}
        self._of_agent: dict[str, set[str]] = {}
        for session in live:
            self._add(session)
        self._unflushed: dict[str, datetime] = {}

    def of_agent(self, agent_id: str) -> list[Session]:
        """List an agent's live sessions, the one that was silent longest first."""
        found = [self._live[session_id] for session_id in self._of_agent.get(agent_id, ())]
        return sorted(found, key=lambda session: (session.last_seen_at, session.id))

    def start(self, agent: Agent, client: str | None, tx: UnitOfWork, *, supersede: bool) -> Session:
        """Begin a session; supersede: it ends the agent's others."""
        others = self.of_agent(agent.agent_id)
        if supersede:
            self.end(others, SessionEnd.SUPERSEDED, agent, tx)
        else:
            self.end(others[: max(0, len(others) - MOST_LIVE + 1)], SessionEnd.REPLACED, agent, tx)
        session = Session(
            tx.make_id(ids.Kind.SESSION),
            agent.project_id,
            agent.agent_id,
            client,
            started_at=tx.now,
            last_seen_at=tx.now,
        )
        tx.sessions.add(session)
        self._add(session)
        tx.record(
            EventKind.SESSION_STARTED,
            agent.id,
            project_id=agent.project_id,
            agent_id=agent.agent_id,
            session_id=session.id,
            client=client,
        )
        return session

    def end(self, sessions: Iterable[Session], reason: SessionEnd, agent: Agent, tx: UnitOfWork) -> list[str]:
        """End sessions of an agent; returns their ids."""
        ended = []
        for session in sessions:
            tx.sessions.save(replace(session, ended_at=tx.now, end_reason=reason))
            del self._live[session.id]
            self._of_agent[agent.agent_id].discard(session.id)
            self._unflushed.pop(session.id, None)
            tx.record(
                EventKind.SESSION_ENDED,
                agent.id,
                project_id=agent.project_id,
                agent_id=agent.agent_id,
                session_id=session.id,
                reason=reason.value,
            )
            ended.append(session.id)
        return ended

    def find(self, session_id: str, agent_id: str, tx: UnitOfWork) -> Session:
        """Give a session of an agent, also one that has ended. Raises NotFound."""
        session = self._live.get(session_id)
        if session is None and ids.is_id(session_id, ids.Kind.SESSION):
            session = tx.sessions.get(session_id)
        if session is None or (session.project_id, session.agent_id) != (self._project_id, agent_id):
            raise errors.NotFound(
                f"No session {session_id} of yours: start_session gives one; or leave session_id out.",
                facts={"session_id": session_id},
                next=[errors.NextStep("start_session", {}, "begin a session")],
            )
        return session

    def hear(self, session: Session, now: datetime) -> None:
        """Take note of a sign of life of a live session."""
        if session.id in self._live:
            self._live[session.id] = replace(session, last_seen_at=now)
            self._unflushed[session.id] = now

    @property
    def has_news(self) -> bool:
        """Tell whether a session was heard of since the last flush."""
        return bool(self._unflushed)

    def flush(self, tx: UnitOfWork) -> None:
        """Write when sessions were last heard of."""
        if self._unflushed:
            times, self._unflushed = sorted(self._unflushed.items()), {}
            tx.sessions.seen(times)

    def _add(self, session: Session) -> None:
        self._live[session.id] = session
        self._of_agent.setdefault(session.agent_id, set()).add(session.id)
