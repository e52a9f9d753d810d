"""Zones: whose which part of a repository is, whatever is leased there.

A project has a list of zones. The first one in the list that a path lies in decides about it; where none does,
everybody may work. What is special therefore stands before what is general. Enforced under every strategy: a lease, a
claim or an edit that a zone bars is refused. Must never guess in favour of a pattern: one that might reach into a zone
that bars its agent is refused, unless zones before that one let the agent do all that the pattern means.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from conductor.domain import errors, globs, paths
from conductor.domain.access import AGENT_ROLES
from conductor.domain.agents import Agent
from conductor.domain.lease_index import LeaseIndex

MOST_ZONES = 200
"""Zones of a project: each request is compared with them, and people still read such a list."""

MOST_WEIGHT = 2_048
"""Weight of all patterns together, see paths.weight."""

ROLE, TEAM = "role:", "team:"
"""How owners begin that are no agent's name. A team's agents are those with the team's owner word as a capability."""

_SHOWN = 8


class ZoneMode(StrEnum):
    """What a zone is for: its owners' work, everybody's, or nobody's."""

    OWNED = "owned"
    SHARED = "shared"
    READ_ONLY = "read_only"


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone; pattern canonical. owners: agents' names, `role:lead`, `team:backend`."""

    pattern: str
    mode: ZoneMode
    owners: tuple[str, ...] = ()
    note: str | None = None

    def is_owned_by(self, agent: Agent) -> bool:
        """Tell whether an agent is among the owners."""
        return any(
            owner in (agent.agent_id, f"{ROLE}{agent.role.value}")
            or (owner.startswith(TEAM) and owner in agent.capabilities)
            for owner in self.owners
        )

    def bars(self, agent: Agent, *, changes: bool) -> bool:
        """Tell whether the zone keeps an agent out. changes: it means to change something, not only to read."""
        match self.mode:
            case ZoneMode.OWNED:
                return not self.is_owned_by(agent)
            case ZoneMode.SHARED:
                return False
            case ZoneMode.READ_ONLY:
                return changes
            case _ as never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class ZoneList:
    """A project's zones in their order. version grows by one with each change; 0: there never were any."""

    version: int = 0
    zones: tuple[Zone, ...] = ()
    changed_by: str | None = None
    changed_at: datetime | None = None


class ZoneMap:
    """A project's zones, so that those which a path lies in are found without looking at all."""

    def __init__(self, zones: Sequence[Zone] = ()) -> None:
        self.zones = tuple(zones)
        self._index: LeaseIndex[int] = LeaseIndex()
        for place, zone in enumerate(self.zones):
            self._index.add(place, globs.parse(zone.pattern))

    def barring(self, agent: Agent, path: str, *, changes: bool) -> Zone | None:
        """Give the zone that keeps an agent from a canonical path or pattern; None: nothing does."""
        wanted = globs.parse(path)
        let_in: list[globs.Pattern] = []
        for place in sorted(self._index.overlapping(wanted)):
            zone = self.zones[place]
            if zone.bars(agent, changes=changes):
                return None if globs.covers(let_in, wanted) else zone
            if wanted.is_literal:
                return None
            let_in.append(globs.parse(zone.pattern))
        return None

    def require_allowed(self, agent: Agent, wanted: Sequence[str], *, changes: bool) -> None:
        """Refuse canonical patterns that reach where a zone keeps the agent out. Raises ZoneDenied."""
        if not self.zones:
            return
        for path in wanted:
            zone = self.barring(agent, path, changes=changes)
            if zone is not None:
                raise denied(zone, path, agent.agent_id)


def denied(zone: Zone, path: str, agent_id: str) -> errors.ZoneDenied:
    """Word the refusal: which zone, whose it is, what to do."""
    note = f" ({zone.note})" if zone.note else ""
    is_inside = globs.covers([globs.parse(zone.pattern)], globs.parse(path))
    reaches = "is" if path == zone.pattern else "lies in" if is_inside else "reaches into"
    if zone.mode is ZoneMode.READ_ONLY:
        sentence = f"{path} {reaches} the zone {zone.pattern}{note}, which is read only: nobody changes it."
        advice = "A shared lease is possible there; for a change work elsewhere, or have a lead change the zones."
    else:
        sentence = f"{path} {reaches} the zone {zone.pattern}{note} of {_few(zone.owners)}: {agent_id} is none of them."
        advice = "Leave that part to its owners: send them a message, or work elsewhere."
    return errors.ZoneDenied(
        f"{sentence} {advice}",
        facts={
            "path": path,
            "zone": zone.pattern,
            "mode": zone.mode.value,
            "owners": list(zone.owners),
            "note": zone.note,
        },
        next=[
            errors.NextStep("claim_task", {}, "another task may lie where you may work"),
            errors.NextStep("get_zones", {}, "see whose what is"),
        ],
    )


def require_sound(zones: Sequence[Zone], agents: Collection[str], teams: Collection[str]) -> None:
    """Refuse a list that cannot be meant.

    agents: names of the project's agents. teams: slugs of the organisation's teams.
    Raises Invalid, naming the zone: twice the same pattern, owned by nobody, or by somebody who is not there;
    PathInvalid when the patterns together are too dear to compare.
    """
    seen = set[str]()
    for place, zone in enumerate(zones):
        where = f"zones.{place} ({paths.shown(zone.pattern)})"
        if zone.pattern in seen:
            raise _unsound(f"{where} has a pattern that an earlier zone has, which decides: leave one out", place)
        seen.add(zone.pattern)
        if zone.mode is ZoneMode.OWNED and not zone.owners:
            raise _unsound(f"{where} is owned by nobody: name owners, or make it read_only or shared", place)
        for owner in zone.owners:
            _require_known(owner, where, place, agents, teams)
    weight = sum(paths.weight(zone.pattern) for zone in zones)
    if weight > MOST_WEIGHT:
        raise errors.PathInvalid(
            f"The zones' patterns have too many ** between too many segments ({weight}, at most {MOST_WEIGHT}): name "
            "folders, such as src/. Nothing was changed.",
            facts={"weight": weight, "most": MOST_WEIGHT},
        )


def _require_known(owner: str, where: str, place: int, agents: Collection[str], teams: Collection[str]) -> None:
    """Refuse an owner that is not there: whoever came under that name later would own the zone."""
    if owner.startswith(ROLE):
        roles = [role.value for role in AGENT_ROLES]
        if owner.removeprefix(ROLE) not in roles:
            raise _unsound(f"{where} names {owner}, and agents' roles are {', '.join(roles)}", place)
    elif owner.startswith(TEAM):
        if owner.removeprefix(TEAM) not in teams:
            step = errors.NextStep("list_teams", {}, "see the teams and their slugs")
            raise _unsound(f"{where} names {owner}, and there is no team of that slug", place, step)
    elif owner not in agents:
        step = errors.NextStep("list_agents", {}, "see who is here")
        raise _unsound(f"{where} names {owner}, and no agent of that name is registered here", place, step)


def _unsound(what: str, place: int, *steps: errors.NextStep) -> errors.Invalid:
    return errors.Invalid(
        f"{what}. Nothing was changed.", facts={"argument": "zones", "place": place}, next=list(steps)
    )


def _few(owners: Sequence[str]) -> str:
    more = f" and {len(owners) - _SHOWN} more" if len(owners) > _SHOWN else ""
    return ", ".join(owners[:_SHOWN]) + more
