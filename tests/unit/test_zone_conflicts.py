"""Conflicts with zones, and a bound on how many conflicts are looked for."""

from __future__ import annotations

from conductor.domain import conflicts
from conductor.domain.conflicts import ConflictKind
from conductor.domain.locks import Mode
from conductor.domain.zones import Zone, ZoneMap, ZoneMode
from tests.unit.test_verdicts import lease
from tests.unit.test_zones import agent

ZONES = ZoneMap([Zone("gen/", ZoneMode.READ_ONLY), Zone("core/", ZoneMode.OWNED, ("ada",))])


def test_what_is_leased_in_a_zone_that_bars_its_agent_is_a_conflict() -> None:
    held = [
        lease("ada", "core/a.py", token=1),
        lease("bob", "core/b.py", "docs/", token=2),
        lease("bob", "gen/a.py", token=3),
        lease("ada", "gen/b.py", token=4, mode=Mode.SHARED),
    ]

    seen = conflicts.detect_conflicts([], held, zones=ZONES, agents=[agent("ada"), agent("bob")])

    assert [(each.kind, each.agents, each.subjects, each.paths) for each in seen] == [
        (ConflictKind.ZONE_VIOLATION, ("bob",), ("lck_bob2",), ("core/b.py",)),
        (ConflictKind.ZONE_VIOLATION, ("bob",), ("lck_bob3",), ("gen/a.py",)),
    ]
    assert conflicts.detect_conflicts([], held) == []


def test_where_all_meet_all_the_search_ends() -> None:
    held = [lease(f"agent-{number:04}", "src/", token=number) for number in range(2_000)]

    assert len(conflicts.detect_conflicts([], held, most=500)) == 500
