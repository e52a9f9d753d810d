"""Zones: the first that a path lies in decides, and a pattern passes only when all that it means may pass."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import errors, globs, zones
from conductor.domain.access import Role
from conductor.domain.agents import Agent
from conductor.domain.zones import Zone, ZoneMap, ZoneMode
from tests.support import records

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OWNED, SHARED, READ_ONLY = ZoneMode.OWNED, ZoneMode.SHARED, ZoneMode.READ_ONLY


def agent(name: str = "ada", role: Role = Role.CONTRIBUTOR, *capabilities: str) -> Agent:
    return records.agent(agent_id=name, name=name, role=role, capabilities=capabilities)


def barring(kept: list[Zone], path: str, who: Agent | None = None, *, changes: bool = True) -> str | None:
    """Give the pattern of the zone that bars an agent."""
    zone = ZoneMap(kept).barring(who or agent(), path, changes=changes)
    return zone.pattern if zone is not None else None


@pytest.mark.parametrize(
    ("owner", "is_owner"),
    [
        ("ada", True),
        ("bob", False),
        ("role:contributor", True),
        ("role:lead", False),
        ("team:backend", True),
        ("team:frontend", False),
        ("python", False),
        ("contributor", False),
    ],
)
def test_an_owner_is_a_name_a_role_or_a_team_of_the_agent(owner: str, is_owner: bool) -> None:
    who = agent("ada", Role.CONTRIBUTOR, "python", "team:backend")

    assert Zone("src/", OWNED, (owner,)).is_owned_by(who) == is_owner


def test_an_agent_named_as_a_role_is_called_is_not_the_role() -> None:
    assert not Zone("src/", OWNED, ("role:lead",)).is_owned_by(agent("lead"))


@pytest.mark.parametrize(("mode", "reads", "writes"), [(OWNED, True, True), (SHARED, False, False)])
def test_a_zone_bars_who_does_not_own_it_as_its_mode_says(mode: ZoneMode, reads: bool, writes: bool) -> None:
    zone = Zone("src/", mode, ("bob",))

    assert (zone.bars(agent(), changes=False), zone.bars(agent(), changes=True)) == (reads, writes)


def test_what_is_read_only_bars_changes_of_its_owners_too() -> None:
    zone = Zone("src/", READ_ONLY, ("ada",))

    assert (zone.bars(agent(), changes=False), zone.bars(agent(), changes=True)) == (False, True)


def test_the_first_zone_that_a_path_lies_in_decides() -> None:
    kept = [Zone("core/open/", SHARED), Zone("core/", OWNED, ("bob",)), Zone("core/x.py", SHARED)]

    assert barring(kept, "core/open/a.py") is None
    assert barring(kept, "core/x.py") == "core/"
    assert barring(kept, "docs/a.md") is None
    assert barring([], "core/x.py") is None


def test_a_pattern_that_may_reach_into_a_barred_zone_is_refused() -> None:
    kept = [Zone("core/open/", SHARED), Zone("core/", OWNED, ("bob",))]

    assert barring(kept, "**/*.py") == "core/"
    assert barring(kept, "core/open/**") is None
    assert barring(kept, "core/open*/") == "core/"


def test_zones_that_together_let_an_agent_do_all_that_a_pattern_means_let_it_pass() -> None:
    kept = [Zone("src/*", SHARED), Zone("src/*/**", SHARED), Zone("**", OWNED, ("bob",))]

    assert barring(kept, "src/**") is None
    assert barring(kept, "src/") == "**", "the folder itself could be a file, which no zone of ada's holds"


NAMES = ["a", "b"]
FILES = ["/".join(names) for depth in (1, 2, 3) for names in product(NAMES, repeat=depth)]
PATTERNS = st.sampled_from(
    ["a", "b", "a/", "b/", "a/b", "a/*", "*/b", "**", "**/a", "a/**", "*", "a/b/", "?/a", "**/b/*"]
)
ZONES = st.builds(Zone, PATTERNS, st.sampled_from(ZoneMode), st.sampled_from([(), ("ada",), ("bob",)]))


@settings(max_examples=300, deadline=None)
@given(st.lists(ZONES, max_size=6), PATTERNS, st.booleans())
def test_a_pattern_passes_only_when_each_file_it_means_passes(kept: list[Zone], path: str, changes: bool) -> None:
    """Held against looking at the zones one by one, for each file."""
    who, pattern = agent(), globs.parse(path)

    def is_barred(file: str) -> bool:
        first = next((zone for zone in kept if globs.parse(zone.pattern).matches(file)), None)
        return first is not None and first.bars(who, changes=changes)

    barred = [file for file in FILES if pattern.matches(file) and is_barred(file)]
    zone = ZoneMap(kept).barring(who, path, changes=changes)

    assert zone is not None or not barred
    if pattern.is_literal:
        assert (zone is not None) == bool(barred)


def test_a_refusal_names_the_zone_its_owners_and_its_note() -> None:
    owners = tuple(f"agent-{number}" for number in range(20))

    refusal = zones.denied(Zone("core/", OWNED, owners, "the release"), "core/a.py", "ada")

    assert "core/a.py lies in the zone core/ (the release) of agent-0" in str(refusal)
    assert "and 12 more: ada is none of them" in str(refusal)
    assert refusal.facts["owners"] == list(owners)
    assert refusal.code == "zone_denied"


def test_a_refusal_says_whether_a_pattern_lies_in_the_zone_or_only_reaches_into_it() -> None:
    zone = Zone("core/", OWNED, ("bob",))

    told = [str(zones.denied(zone, path, "ada")) for path in ("core/", "core/*.py", "**/*.py")]

    starts = ["core/ is the zone", "core/*.py lies in the zone", "**/*.py reaches into the zone"]
    assert [text.startswith(start) for text, start in zip(told, starts, strict=True)] == [True] * 3, told


def test_a_refusal_of_what_is_read_only_says_what_is_possible() -> None:
    refusal = zones.denied(Zone("gen/", READ_ONLY), "gen/", "ada")

    assert str(refusal).startswith("gen/ is the zone gen/, which is read only: nobody changes it.")
    assert "shared lease" in str(refusal)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ([Zone("a/", SHARED), Zone("a/", READ_ONLY)], "zones.1 (a/) has a pattern that an earlier zone has"),
        ([Zone("a/", OWNED)], "zones.0 (a/) is owned by nobody"),
        ([Zone("a/", OWNED, ("cal",))], "no agent of that name"),
        ([Zone("a/", SHARED, ("role:member",))], "agents' roles are lead, contributor, reviewer, observer"),
        ([Zone("a/", OWNED, ("team:x",))], "no team of that slug"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(kept: list[Zone], told: str) -> None:
    with pytest.raises(errors.Invalid, match="Nothing was changed") as caught:
        zones.require_sound(kept, {"ada"}, {"backend"})

    assert told in str(caught.value)


def test_a_list_that_names_only_who_is_there_is_sound() -> None:
    kept = [Zone("a/", OWNED, ("ada", "role:lead", "team:backend")), Zone("b/", READ_ONLY), Zone("**", SHARED)]

    zones.require_sound(kept, {"ada"}, {"backend"})


def test_patterns_that_are_dear_to_compare_are_bounded_together() -> None:
    dear = "/".join(["**/a"] * 8)
    kept = [Zone(f"{number}/{dear}", SHARED) for number in range(20)]

    with pytest.raises(errors.PathInvalid, match="too many"):
        zones.require_sound(kept, (), ())
