"""What agents have not been told yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from storage import tables
from storage.unit import Unit

_notices = tables.notices
TOLD_AT_ONCE = 20
"""A returning agent reads at most so many at a time: its context is dear."""

MOST_CHARACTERS = 160
"""About 40 tokens: whoever wants to know more asks."""


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
                "text": _short(text),
                "at": unit.now,
            },
        )

    def leave_all(self, project_id: str, agent_ids: Sequence[str], kind: str, text: str) -> None:
        """Leave a notice for several agents."""
        unit = self._unit
        first = unit.next_numbers("notices", len(agent_ids)) - len(agent_ids) + 1
        for number, agent_id in enumerate(agent_ids, start=first):
            unit.insert(
                _notices,
                {
                    "organization_id": unit.organization_id,
                    "project_id": project_id,
                    "agent_id": agent_id,
                    "number": number,
                    "kind": kind,
                    "text": _short(text),
                    "at": unit.now,
                },
            )

    def has(self, project_id: str, agent_id: str, kind: str) -> bool:
        """Tell whether an agent has not been told a notice of that kind."""
        return bool(self._of_kind(project_id, agent_id, kind, 1))

    def take(self, project_id: str, agent_id: str, kind: str) -> tuple[str | None, bool]:
        """Take out an agent's oldest notice of a kind; returns its text, and whether there are more."""
        found = self._of_kind(project_id, agent_id, kind, 2)
        if not found:
            return None, False
        self._unit.delete(
            _notices,
            {
                "organization_id": self._unit.organization_id,
                "project_id": project_id,
                "agent_id": agent_id,
                "number": found[0][0],
            },
        )
        return found[0][1], len(found) > 1

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

    def _of_kind(self, project_id: str, agent_id: str, kind: str, most: int) -> Sequence[tuple[Any, ...]]:
        return self._unit.rows(
            select(_notices.c.number, _notices.c.text)
            .where(
                _notices.c.organization_id == self._unit.organization_id,
                _notices.c.project_id == project_id,
                _notices.c.agent_id == agent_id,
                _notices.c.kind == kind,
            )
            .order_by(_notices.c.number)
            .limit(most)
        )


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1].rstrip()}…"
