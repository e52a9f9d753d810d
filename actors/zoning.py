"""Whose which part of a repository is: a project's zones, as they are kept and asked at each lease and claim.

Changed version by version, so that nobody overwrites what he has not read. Part of the project's keeper; the lock
manager asks the map that is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from actors.call import Call
from actors.roster import Roster
from conductor.domain import errors, zones
from conductor.domain.errors import NextStep
from conductor.domain.zones import Zone, ZoneList, ZoneMap
from conductor.operations import zones as ops
from storage.unit_of_work import UnitOfWork


class Zoning:
    """Keeps the zones of one project. path: brings a pattern into the project's spelling."""

    def __init__(self, project_id: str, kept: ZoneList, roster: Roster) -> None:
        self._project_id = project_id
        self._roster = roster
        self._take(kept)

    def set(self, request: ops.SetZones, path: Callable[[str], str], call: Call) -> ops.Zones:
        """Change the list. Raises VersionConflict, Invalid, PathInvalid."""
        before = self._kept
        if request.version != before.version:
            raise _overtaken(before.version, request.version)
        given = tuple(
            Zone(path(zone.pattern), zone.mode, tuple(dict.fromkeys(zone.owners)), zone.note) for zone in request.zones
        )
        names = {owner for zone in given for owner in zone.owners}
        agents = {name for name in names if self._roster.find(name) is not None}
        teams = {name.removeprefix(zones.TEAM) for name in names if name.startswith(zones.TEAM)}
        zones.require_sound(given, agents, call.tx.teams.slugs(teams) if teams else ())
        if given == before.zones:
            return shown(before)
        after = ZoneList(before.version + 1, given, call.caller.actor, call.now)
        call.tx.zones.save(self._project_id, after)
        call.tx.zones.record(self._project_id, after)
        self._take(after)
        return shown(after)

    def respell(self, path: Callable[[str], str], tx: UnitOfWork) -> None:
        """Spell the patterns as the project now compares them; of two that become one the first has decided always."""
        spelt: dict[str, Zone] = {}
        for zone in self._kept.zones:
            pattern = path(zone.pattern)
            spelt.setdefault(pattern, replace(zone, pattern=pattern))
        after = replace(self._kept, zones=tuple(spelt.values()))
        if after != self._kept:
            tx.zones.save(self._project_id, after)
            self._take(after)

    def _take(self, kept: ZoneList) -> None:
        self._kept = kept
        self.map = ZoneMap(kept.zones)


def shown(kept: ZoneList) -> ops.Zones:
    """Show a project's zones."""
    return ops.Zones(
        zones=[
            ops.Zone(pattern=zone.pattern, owners=list(zone.owners), mode=zone.mode, note=zone.note)
            for zone in kept.zones
        ],
        version=kept.version,
        changed_by=kept.changed_by,
        changed_at=kept.changed_at,
    )


def _overtaken(present: int, given: int) -> errors.VersionConflict:
    return errors.VersionConflict(
        f"The zones are at version {present}, you changed version {given}. Nothing was changed: read them again and "
        "apply your change to that.",
        facts={"version": present, "given": given},
        next=[NextStep("get_zones", {}, "read the present version")],
    )
