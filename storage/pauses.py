"""What stands still in an organisation: its pauses, and its archived projects."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from conductor.domain.pauses import Pause
from storage import tables
from storage.records import PAUSE
from storage.unit import Unit

_pauses = tables.pauses
_projects = tables.projects


class Pauses:
    """The pauses of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def of_organization(self) -> list[Pause]:
        """Read every pause in the organisation, the oldest first."""
        return self._unit.records(PAUSE, order=[_pauses.c.paused_at, _pauses.c.project_id, _pauses.c.agent_id])

    def get(self, project_id: str, agent_id: str) -> Pause | None:
        """Read the pause set for exactly this; '' stands for the whole project, the whole organisation."""
        return self._unit.one(PAUSE, _pauses.c.project_id == project_id, _pauses.c.agent_id == agent_id)

    def set(self, pause: Pause) -> None:
        """Keep a pause; one that was set for exactly the same is replaced."""
        # In one batch a pause may be lifted and set again: what is kept back goes out before the new row.
        self._unit.flush()
        self._unit.merge("upsert", PAUSE.table, PAUSE.to_row(pause, self._unit.organization_id))

    def lift(self, pause: Pause) -> None:
        """Take a pause away."""
        key = {"organization_id": self._unit.organization_id, "project_id": pause.project_id}
        self._unit.delete(_pauses, {**key, "agent_id": pause.agent_id})

    def archived_projects(self) -> dict[str, datetime]:
        """Read which projects are archived, and since when."""
        rows = self._unit.rows(
            select(_projects.c.id, _projects.c.archived_at).where(
                _projects.c.organization_id == self._unit.organization_id, _projects.c.archived_at.is_not(None)
            )
        )
        return {row[0]: row[1] for row in rows}
