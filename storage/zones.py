"""Zones as they are kept: a project's whole list in one row."""

from __future__ import annotations

from functools import lru_cache

import orjson
from sqlalchemy import Text, select, type_coerce

from conductor.domain.events import EventKind
from conductor.domain.zones import Zone, ZoneList, ZoneMap, ZoneMode
from storage import tables
from storage.unit import Unit

_zones = tables.zones


class Zones:
    """The zones of one organisation's projects."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def of_project(self, project_id: str) -> ZoneList:
        """Read a project's zones; version 0 when there never were any."""
        c = _zones.c
        rows = self._unit.rows(
            select(c.version, type_coerce(c.zones, Text), c.changed_by, c.changed_at).where(
                c.organization_id == self._unit.organization_id, c.project_id == project_id
            )
        )
        if not rows:
            return ZoneList()
        version, kept, changed_by, changed_at = rows[0]
        return ZoneList(version, _map(kept).zones, changed_by, changed_at)

    def map_of_project(self, project_id: str) -> ZoneMap:
        """Read a project's zones as they are asked for each path."""
        rows = self._unit.rows(
            select(type_coerce(_zones.c.zones, Text)).where(
                _zones.c.organization_id == self._unit.organization_id, _zones.c.project_id == project_id
            )
        )
        return _map(rows[0][0]) if rows else ZoneMap()

    def save(self, project_id: str, after: ZoneList) -> None:
        """Keep a project's zones in the place of the former."""
        self._unit.merge(
            "upsert",
            _zones,
            {
                "organization_id": self._unit.organization_id,
                "project_id": project_id,
                "version": after.version,
                "zones": [
                    {"pattern": zone.pattern, "mode": zone.mode.value, "owners": list(zone.owners), "note": zone.note}
                    for zone in after.zones
                ],
                "changed_by": after.changed_by,
                "changed_at": after.changed_at,
            },
        )

    def record(self, project_id: str, after: ZoneList) -> None:
        """Write the event of a change."""
        self._unit.record(
            EventKind.ZONES_SET,
            project_id,
            project_id=project_id,
            version=after.version,
            zones=[f"{zone.pattern} {zone.mode} {' '.join(zone.owners)}".rstrip() for zone in after.zones],
        )


@lru_cache(maxsize=256)
def _map(kept: str) -> ZoneMap:
    """Read the stored list; remembered, for it is asked before every edit and seldom changed."""
    return ZoneMap(
        [
            Zone(each["pattern"], ZoneMode(each["mode"]), tuple(each["owners"]), each["note"])
            for each in orjson.loads(kept)
        ]
    )
