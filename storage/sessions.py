"""Sessions of agents as they are kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Text, bindparam, type_coerce, update

from conductor.domain.agents import Session
from storage import pages, tables
from storage.columns import to_micros
from storage.records import SESSION
from storage.unit import Unit

_sessions = tables.sessions
_STARTED = type_coerce(_sessions.c.started_at, BigInteger)


class Sessions:
    """The sessions of one organisation's agents."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, session: Session) -> None:
        """Keep a new session."""
        self._unit.add_record(SESSION, session)

    def save(self, session: Session) -> None:
        """Keep a session's new state."""
        self._unit.save_record(SESSION, session)

    def get(self, session_id: str) -> Session | None:
        """Read a session by its id."""
        return self._unit.one(SESSION, _sessions.c.id == session_id)

    def live(self, project_id: str) -> list[Session]:
        """Read the sessions of a project that have not ended, the oldest first."""
        return self._unit.records(
            SESSION,
            _sessions.c.project_id == project_id,
            _sessions.c.ended_at.is_(None),
            order=[_sessions.c.started_at, _sessions.c.id],
        )

    def seen(self, times: Iterable[tuple[str, datetime]]) -> None:
        """Keep when sessions were last heard of; writes no event."""
        rows = [{"at_id": session_id, "at": at, "at_org": self._unit.organization_id} for session_id, at in times]
        if rows:
            statement = (
                update(_sessions)
                .where(
                    _sessions.c.organization_id == bindparam("at_org", type_=Text),
                    _sessions.c.id == bindparam("at_id", type_=Text),
                )
                .values(last_seen_at=bindparam("at", type_=_sessions.c.last_seen_at.type))
            )
            self._unit.execute_many(statement, rows)

    def page(
        self, project_id: str, *, agent_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> pages.Page[Session]:
        """List a project's sessions, or one agent's, the newest first."""
        where = [
            _sessions.c.project_id == project_id,
            *pages.beyond([_STARTED, _sessions.c.id], cursor, (int, str), newest_first=True),
        ]
        if agent_id is not None:
            where.append(_sessions.c.agent_id == agent_id)
        order = [_sessions.c.started_at.desc(), _sessions.c.id.desc()]
        found = self._unit.records(SESSION, *where, order=order, limit=limit + 1)
        return pages.cut(found, limit, lambda session: (to_micros(session.started_at), session.id))
