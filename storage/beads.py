"""Tasks by the ids that another tracker gives them, and the links of which one end has not come yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import BigInteger, or_, select, type_coerce

from conductor.domain.beads import OpenLink
from conductor.domain.tasks import Task
from storage import pages, tables
from storage.columns import to_micros
from storage.records import OPEN_LINK, TASK
from storage.unit import Unit

_tasks = tables.tasks
_links = tables.bead_links
_CREATED = type_coerce(_tasks.c.created_at, BigInteger)

LOOKED_UP_AT_ONCE = 1000
"""A database bounds the values of one statement."""


class Beads:
    """The beads of one organisation's projects."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def of(self, project_id: str, bead_ids: Collection[str]) -> dict[str, Task]:
        """Read the tasks of beads, and tasks that were made here, by what they are called there."""
        found: dict[str, Task] = {}
        for part in _parts(bead_ids):
            known = or_(_tasks.c.external_id.in_(part), _tasks.c.external_id.is_(None) & _tasks.c.id.in_(part))
            for task in self._unit.records(TASK, _tasks.c.project_id == project_id, known):
                found[task.external_id or task.id] = task
        return found

    def names(self, project_id: str, task_ids: Collection[str]) -> dict[str, str]:
        """Read what tasks are called there; those that were made here are left out."""
        found: dict[str, str] = {}
        for part in _parts(task_ids):
            statement = select(_tasks.c.id, _tasks.c.external_id).where(
                _tasks.c.organization_id == self._unit.organization_id,
                _tasks.c.project_id == project_id,
                _tasks.c.external_id.is_not(None),
                _tasks.c.id.in_(part),
            )
            found.update((row[0], row[1]) for row in self._unit.rows(statement))
        return found

    def page(self, project_id: str, *, limit: int, cursor: str | None) -> pages.Page[Task]:
        """List a project's tasks, the oldest first."""
        beyond = pages.beyond([_CREATED, _tasks.c.id], cursor, (int, str), newest_first=False)
        found = self._unit.records(
            TASK,
            _tasks.c.project_id == project_id,
            *beyond,
            order=[_tasks.c.created_at, _tasks.c.id],
            limit=limit + 1,
        )
        return pages.cut(found, limit, lambda task: (to_micros(task.created_at), task.id))

    def open_links(self, project_id: str, bead_ids: Collection[str]) -> list[OpenLink]:
        """Read the links that wait for one of these beads."""
        found: dict[OpenLink, None] = {}
        for part in _parts(bead_ids):
            at_an_end: Any = or_(_links.c.source.in_(part), _links.c.target.in_(part))
            order = [_links.c.source, _links.c.kind, _links.c.target]
            records = self._unit.records(OPEN_LINK, _links.c.project_id == project_id, at_an_end, order=order)
            found.update(dict.fromkeys(records))
        return list(found)

    def add_link(self, link: OpenLink) -> None:
        """Keep a link until its other end comes."""
        self._unit.add_record(OPEN_LINK, link)

    def drop_link(self, link: OpenLink) -> None:
        """Forget a link: it was made, or its bead says otherwise now."""
        self._unit.delete(_links, OPEN_LINK.to_row(link, self._unit.organization_id))


def _parts(values: Iterable[str]) -> Iterable[list[str]]:
    listed = sorted(set(values))
    return (listed[start : start + LOOKED_UP_AT_ONCE] for start in range(0, len(listed), LOOKED_UP_AT_ONCE))
