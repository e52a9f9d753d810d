"""The log of events as it is read; units write it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from conductor.domain.events import Event, EventKind, NumberedEvent
from storage import pages, tables
from storage.unit import Unit

_events = tables.events


class Events:
    """The events of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def page(
        self,
        *,
        project_id: str | None = None,
        since: int | datetime | None = None,
        kinds: Sequence[EventKind] = (),
        subject_id: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> pages.Page[NumberedEvent]:
        """List events: in order after `since` (a number or a time), without it the newest first."""
        newest_first = since is None
        where = [
            _events.c.organization_id == self._unit.organization_id,
            *pages.beyond([_events.c.number], cursor, (int,), newest_first=newest_first),
        ]
        if project_id is not None:
            where.append(_events.c.project_id == project_id)
        if isinstance(since, datetime):
            where.append(_events.c.at >= since)
        elif since is not None:
            where.append(_events.c.number > since)
        if kinds:
            where.append(_events.c.kind.in_(kinds))
        if subject_id is not None:
            where.append(_events.c.subject_id == subject_id)
        columns = _events.c
        rows = self._unit.rows(
            select(
                columns.number,
                columns.kind,
                columns.at,
                columns.actor,
                columns.project_id,
                columns.subject_id,
                columns.facts,
            )
            .where(*where)
            .order_by(columns.number.desc() if newest_first else columns.number)
            .limit(limit + 1)
        )
        found = [NumberedEvent(row[0], Event(*row[1:])) for row in rows]
        return pages.cut(found, limit, lambda numbered: (numbered.number,))
