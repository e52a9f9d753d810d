"""Agents and their requests for access as they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, func, select, type_coerce, update

from conductor.domain.agents import AccessRequest, Agent, AgentStatus, RequestStatus
from storage import pages, tables
from storage.columns import to_micros
from storage.records import ACCESS_REQUEST, AGENT
from storage.unit import Unit

_agents = tables.agents
_requests = tables.access_requests
_REQUESTED = type_coerce(_requests.c.requested_at, BigInteger)


class Agents:
    """The agents of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, agent: Agent) -> None:
        """Keep a new agent."""
        self._unit.add_record(AGENT, agent)

    def save(self, agent: Agent) -> None:
        """Keep an agent's new state."""
        self._unit.save_record(AGENT, agent)

    def get(self, project_id: str, agent_id: str) -> Agent | None:
        """Read an agent by its name."""
        return self._unit.one(AGENT, _agents.c.project_id == project_id, _agents.c.agent_id == agent_id)

    def of_project(self, project_id: str) -> list[Agent]:
        """Read all agents of a project, by name."""
        return self._unit.records(AGENT, _agents.c.project_id == project_id, order=[_agents.c.agent_id])

    def living(self, project_id: str | None = None) -> list[Agent]:
        """Read the agents of a project, or of the whole organisation, that were not lost."""
        where: list[ColumnElement[bool]] = [_agents.c.lost_at.is_(None)]
        if project_id is not None:
            where.append(_agents.c.project_id == project_id)
        return self._unit.records(AGENT, *where, order=[_agents.c.project_id, _agents.c.agent_id])

    def seen(self, project_id: str, times: Iterable[tuple[str, datetime]]) -> None:
        """Keep when agents were last heard of; writes no event."""
        rows = [
            {"at_project": project_id, "at_agent": agent_id, "at": at, "at_org": self._unit.organization_id}
            for agent_id, at in times
        ]
        if rows:
            statement = (
                update(_agents)
                .where(
                    _agents.c.organization_id == bindparam("at_org", type_=Text),
                    _agents.c.project_id == bindparam("at_project", type_=Text),
                    _agents.c.agent_id == bindparam("at_agent", type_=Text),
                )
                .values(last_seen_at=bindparam("at", type_=_agents.c.last_seen_at.type))
            )
            self._unit.execute_many(statement, rows)

    def counts(self, project_id: str) -> dict[str, int]:
        """Count a project's agents by status."""
        rows = self._unit.rows(
            select(_agents.c.status, func.count())
            .where(_agents.c.organization_id == self._unit.organization_id, _agents.c.project_id == project_id)
            .group_by(_agents.c.status)
        )
        return {row[0].value: row[1] for row in rows}

    def page(
        self, project_id: str, *, status: Sequence[AgentStatus] = (), limit: int = 20, cursor: str | None = None
    ) -> pages.Page[Agent]:
        """List agents by name."""
        where = [
            _agents.c.project_id == project_id,
            *pages.beyond([_agents.c.agent_id], cursor, (str,), newest_first=False),
        ]
        if status:
            where.append(_agents.c.status.in_(status))
        found = self._unit.records(AGENT, *where, order=[_agents.c.agent_id], limit=limit + 1)
        return pages.cut(found, limit, lambda agent: (agent.agent_id,))


class AccessRequests:
    """The requests for access of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, request: AccessRequest) -> None:
        """Keep a new request."""
        self._unit.add_record(ACCESS_REQUEST, request)

    def save(self, request: AccessRequest) -> None:
        """Keep a request's new state."""
        self._unit.save_record(ACCESS_REQUEST, request)

    def get(self, request_id: str) -> AccessRequest | None:
        """Read a request by its id."""
        return self._unit.one(ACCESS_REQUEST, _requests.c.id == request_id)

    def latest(self, project_id: str, agent_id: str) -> AccessRequest | None:
        """Read the last request made under an agent's name."""
        found = self._unit.records(
            ACCESS_REQUEST,
            _requests.c.project_id == project_id,
            _requests.c.agent_id == agent_id,
            order=[_requests.c.requested_at.desc(), _requests.c.id.desc()],
            limit=1,
        )
        return found[0] if found else None

    def pending(self, project_id: str) -> list[AccessRequest]:
        """Read the requests that wait for a decision, the oldest first."""
        return self._unit.records(
            ACCESS_REQUEST,
            _requests.c.project_id == project_id,
            _requests.c.status == RequestStatus.PENDING,
            order=[_requests.c.requested_at, _requests.c.id],
        )

    def page(
        self, project_id: str, *, status: Sequence[RequestStatus] = (), limit: int = 20, cursor: str | None = None
    ) -> pages.Page[AccessRequest]:
        """List requests, the oldest first."""
        where = [
            _requests.c.project_id == project_id,
            *pages.beyond([_REQUESTED, _requests.c.id], cursor, (int, str), newest_first=False),
        ]
        if status:
            where.append(_requests.c.status.in_(status))
        order = [_requests.c.requested_at, _requests.c.id]
        found = self._unit.records(ACCESS_REQUEST, *where, order=order, limit=limit + 1)
        return pages.cut(found, limit, lambda request: (to_micros(request.requested_at), request.id))
