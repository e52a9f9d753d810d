"""Which pause an agent is told of, and how the refusal reads."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import pauses
from conductor.domain.pauses import Pause, PauseMode, PauseScope

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROJECT, OTHER = "prj_a", "prj_b"


def pause(project_id: str = "", agent_id: str = "", mode: PauseMode = PauseMode.PAUSED, reason: str = "Stop.") -> Pause:
    return Pause(project_id, agent_id, mode, reason, "member:mbr_a", NOW)


places = st.sampled_from([("", ""), (PROJECT, ""), (OTHER, ""), (PROJECT, "ada"), (PROJECT, "bob"), (OTHER, "ada")])
sets_of_pauses = st.dictionaries(places, st.sampled_from(PauseMode)).map(
    lambda modes: [pause(*place, mode=mode) for place, mode in modes.items()]
)


@pytest.mark.parametrize(
    ("place", "scope"),
    [(("", ""), PauseScope.ORGANIZATION), ((PROJECT, ""), PauseScope.PROJECT), ((PROJECT, "ada"), PauseScope.AGENT)],
)
def test_a_pause_has_the_scope_of_what_it_names(place: tuple[str, str], scope: PauseScope) -> None:
    assert pause(*place).scope is scope


@given(sets_of_pauses)
def test_an_agent_stands_still_exactly_when_it_its_project_or_its_organisation_does(found: list[Pause]) -> None:
    told = pauses.bearing(found, PROJECT, "ada")

    own = [each for each in found if (each.project_id, each.agent_id) in {("", ""), (PROJECT, ""), (PROJECT, "ada")}]
    assert (told is None) == (not own)
    assert told is None or told in own


@given(sets_of_pauses)
def test_what_only_drains_never_hides_what_is_paused(found: list[Pause]) -> None:
    told = pauses.bearing(found, PROJECT, "ada")

    is_paused = any(each.mode is PauseMode.PAUSED and each.bears_on(PROJECT, "ada") for each in found)
    assert is_paused == (told is not None and told.mode is PauseMode.PAUSED)


def test_the_narrowest_pause_is_told_whatever_the_order() -> None:
    found = [pause(), pause(PROJECT), pause(PROJECT, "ada")]

    for order in permutations(found):
        assert pauses.bearing(order, PROJECT, "ada") == found[2]
        assert pauses.bearing(order, PROJECT, "bob") == found[1]
        assert pauses.bearing(order, OTHER, "ada") == found[0]


@pytest.mark.parametrize("mode", PauseMode)
@pytest.mark.parametrize("place", [("", ""), (PROJECT, ""), (PROJECT, "ada")])
def test_a_refusal_says_who_stands_still_since_when_and_why(place: tuple[str, str], mode: PauseMode) -> None:
    refusal = pauses.paused(pause(*place, mode=mode, reason="The disk is full"))

    assert refusal.code == "paused"
    assert refusal.retryable
    assert refusal.wait_s
    assert f"is {mode} since 2026-11-24 12:00Z: The disk is full. " in refusal.message.replace("are", "is")
    assert dict(refusal.facts) == {
        "scope": pause(*place).scope.value,
        "mode": mode.value,
        "reason": "The disk is full",
        "by": "member:mbr_a",
        "since": "2026-11-24T12:00:00+00:00",
    }


def test_an_archived_project_says_so() -> None:
    refusal = pauses.archived(PROJECT, NOW)

    assert refusal.code == "paused"
    assert refusal.facts["reason"] == "the project is archived"
    assert "restore_project" in refusal.message
