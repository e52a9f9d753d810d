"""All that an organisation has, for taking it along and for its end.

Replies kept for who asks again are left out of an export: they repeat what the other tables say, for a few minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, Table, Text, and_, delete, false, or_, select, type_coerce

from conductor.domain.organizations import Organization
from storage import pages, tables
from storage.columns import UtcTime
from storage.unit import Unit

ROWS = 200
"""Rows of a page."""

PAGE_BYTES = 256 * 1024
"""A page ends at the row that makes it larger than this; one row alone may be larger."""

_EXPORTED: dict[str, Table] = {
    table.name: table for table in tables.TENANT_TABLES if table.name not in {"batches", "idempotency"}
}
"""By name, parents first."""

_ORDER = list(_EXPORTED)
_tombstones = tables.tombstones


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An organisation that was deleted."""

    id: str
    name: str
    slug: str
    deleted_by: str
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class TablePage:
    """Rows of one table as JSON values by column, without those that are null; next_cursor None: that was all."""

    table: str
    rows: list[dict[str, Any]]
    next_cursor: str | None


class Tenancy:
    """One organisation as a whole."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def page(self, cursor: str | None) -> TablePage:
        """Read the next rows, table by table, without what proves a secret. Raises Invalid for a foreign cursor."""
        begin, key = self._place(cursor)
        for name in _ORDER[_ORDER.index(begin) :]:
            table = _EXPORTED[name]
            found = self._rows(table, key)
            key = None
            if found:
                shown, last = self._bounded(table, found)
                if last is not None:
                    return TablePage(name, shown, pages.encode([name, *last]))
                following = _ORDER.index(name) + 1
                return TablePage(name, shown, pages.encode([_ORDER[following]]) if following < len(_ORDER) else None)
        return TablePage(_ORDER[-1], [], None)

    def tombstone(self) -> Tombstone | None:
        """Read what is left of this unit's organisation; None: it was not deleted."""
        rows = self._unit.rows(select(_tombstones).where(_tombstones.c.id == self._unit.organization_id))
        return Tombstone(*rows[0]) if rows else None

    def dissolve(self, organization: Organization) -> None:
        """Delete everything of the organisation, and leave a tombstone with who did it."""
        unit = self._unit
        unit.insert(
            _tombstones,
            {
                "id": organization.id,
                "name": organization.name,
                "slug": organization.slug,
                "deleted_by": unit.actor,
                "deleted_at": unit.now,
            },
        )
        for table in reversed(tables.TENANT_TABLES):
            unit.execute(delete(table).where(table.c.organization_id == unit.organization_id))

    def _place(self, cursor: str | None) -> tuple[str, list[Any] | None]:
        if cursor is None:
            return _ORDER[0], None
        for name, table in _EXPORTED.items():
            shape = [str, *(int if _is_number(column) else str for column in _key(table))]
            for expected in (shape, [str]):
                if pages.fits(cursor, expected) and pages.decode(cursor, expected)[0] == name:
                    return name, pages.decode(cursor, expected)[1:] or None
        raise pages.foreign()

    def _rows(self, table: Table, after: list[Any] | None) -> list[tuple[Any, ...]]:
        # As it is stored: a cursor that somebody made up must find nothing, not fail to be a word or a time.
        key = [type_coerce(column, BigInteger if _is_number(column) else Text) for column in _key(table)]
        where: list[ColumnElement[bool]] = [table.c.organization_id == self._unit.organization_id]
        if after is not None:
            where.append(_beyond(key, after))
        statement = select(*key, *_shown(table)).where(*where).order_by(*key).limit(ROWS + 1)
        return [tuple(row) for row in self._unit.rows(statement)]

    @staticmethod
    def _bounded(table: Table, found: list[tuple[Any, ...]]) -> tuple[list[dict[str, Any]], list[int | str] | None]:
        """Give rows up to the bound, and the key of the last one when there is more of the table."""
        width, names = len(_key(table)), [str(column.name) for column in _shown(table)]
        shown: list[dict[str, Any]] = []
        size = 0
        for row in found[:ROWS]:
            values = zip(names, map(_plain, row[width:]), strict=True)
            shown.append({name: value for name, value in values if value is not None})
            size += len(orjson.dumps(shown[-1]))
            if size >= PAGE_BYTES:
                break
        if len(shown) == len(found):
            return shown, None
        return shown, list(found[len(shown) - 1][:width])


def _beyond(key: list[Any], after: list[Any]) -> ColumnElement[bool]:
    # Written out: a row value compares only where both databases take one, and this reads the same index.
    levels = []
    for depth, column in enumerate(key):
        same = [before == value for before, value in zip(key[:depth], after[:depth], strict=True)]
        levels.append(and_(*same, column > after[depth]))
    return or_(false(), *levels)


def _key(table: Table) -> list[Any]:
    """Give what tells a table's rows apart within the organisation."""
    return [column for column in table.primary_key if column.name != "organization_id"]


def _is_number(column: Any) -> bool:
    return isinstance(column.type, UtcTime) or column.type.python_type is int


def _shown(table: Table) -> list[Any]:
    return [column for column in table.c if not column.name.endswith("_hash")]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Enum():
            return value.value
        case tuple():
            return list(value)
        case _:
            return value
