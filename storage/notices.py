"""What agents have not been told yet."""

from __future__ import annotations

from sqlalchemy import select

from storage import tables
from storage.unit import Unit

_notices = tables.notices
TOLD_AT_ONCE = 20
"""A returning agent reads at most so many at a time: its context is dear."""


class Notices:
    """The notices of one organisation's agents."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def leave(self, project_id: str, agent_id: str, kind: str, text: str) -> None:
        """Leave a notice for an agent to find at its next heartbeat."""
        unit = self._unit
        unit.insert(
            _notices,
            {
                "organization_id": unit.organization_id,
                "project_id": project_id,
                "agent_id": agent_id,
                "number": unit.next_numbers("notices", 1),
                "kind": kind,
                "text": text,
                "at": unit.now,
            },
        )

    def hand_over(self, project_id: str, agent_id: str) -> list[tuple[str, str]]:
        """Read and take out what an agent has not been told: pairs of kind and text, the oldest first."""
        unit = self._unit
        rows = unit.rows(
            select(_notices.c.number, _notices.c.kind, _notices.c.text)
            .where(
                _notices.c.organization_id == unit.organization_id,
                _notices.c.project_id == project_id,
                _notices.c.agent_id == agent_id,
            )
            .order_by(_notices.c.number)
            .limit(TOLD_AT_ONCE)
        )
        for row in rows:
            unit.delete(
                _notices,
                {
                    "organization_id": unit.organization_id,
                    "project_id": project_id,
                    "agent_id": agent_id,
                    "number": row[0],
                },
            )
        return [(row[1], row[2]) for row in rows]
