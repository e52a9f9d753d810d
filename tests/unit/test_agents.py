"""Silence is judged by thresholds that grow, and an agent leases nothing outside what it may touch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import agents, errors, globs
from conductor.domain.agents import Agent, Health, Thresholds
from tests.support import records

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MANY = settings(max_examples=100, deadline=None)
WORSENING = [Health.HEALTHY, Health.LATE, Health.CRITICAL, Health.LOST]

PATHS = ["a.py", "src/a.py", "src/b.ts", "src/app/a.py", "src/app/secret.key", "docs/a.md", "docs/app/b.md"]
patterns = st.sampled_from(
    [*PATHS, "**", "src/", "src/**", "src/*", "src/app/", "**/*.py", "**/*.key", "docs/**", "*.py", "src/*/a.py"]
)


def agent(allowed: Sequence[str] = (), denied: Sequence[str] = ()) -> Agent:
    return records.agent(allowed_paths=tuple(allowed), denied_paths=tuple(denied))


def matching(texts: Sequence[str]) -> set[str]:
    return {path for path in PATHS if any(globs.parse(text).matches(path) for text in texts)}


@pytest.mark.parametrize(
    ("silence_s", "health"),
    [
        (0, Health.HEALTHY),
        (119.9, Health.HEALTHY),
        (120, Health.LATE),
        (299.9, Health.LATE),
        (300, Health.CRITICAL),
        (899.9, Health.CRITICAL),
        (900, Health.LOST),
        (1e9, Health.LOST),
    ],
)
def test_health_worsens_at_each_threshold(silence_s: float, health: Health) -> None:
    assert agents.health(silence_s, Thresholds()) is health


def test_an_agent_that_was_never_heard_of_is_late_and_not_lost() -> None:
    assert agents.health(None, Thresholds()) is Health.LATE


@given(st.lists(st.floats(0, 2000), min_size=2, max_size=5), st.integers(10, 86_400))
@MANY
def test_longer_silence_is_never_healthier(silences_s: list[float], lost_after_s: int) -> None:
    limits = agents.thresholds(Thresholds(), lost_s=lost_after_s)

    judged = [WORSENING.index(agents.health(silence_s, limits)) for silence_s in sorted(silences_s)]

    assert all(before <= after for before, after in pairwise(judged))


@given(st.lists(st.integers(1, 86_400), min_size=2, max_size=2, unique=True).map(sorted), st.integers(10, 86_400))
@MANY
def test_thresholds_grow_also_where_a_project_loses_agents_sooner(late: list[int], lost_after_s: int) -> None:
    limits = agents.thresholds(Thresholds(late[0], late[1], 90_000), lost_s=lost_after_s)

    assert 0 < limits.late_after_s < limits.critical_after_s < limits.lost_after_s == lost_after_s
    assert limits.late_after_s <= late[0]
    assert limits.critical_after_s <= late[1]


chosen_seconds = st.none() | st.integers(1, 86_400)


@given(chosen_seconds, chosen_seconds, st.none() | st.integers(10, 86_400))
@MANY
def test_thresholds_grow_whatever_a_project_chose(late: int | None, critical: int | None, lost: int | None) -> None:
    limits = agents.thresholds(Thresholds(), late_s=late, critical_s=critical, lost_s=lost)

    assert 0 < limits.late_after_s <= limits.critical_after_s <= limits.lost_after_s == (lost or 900)


@given(st.lists(st.integers(1, 86_400), min_size=2, max_size=3, unique=True).map(sorted))
@MANY
def test_what_a_project_chose_is_kept_to_the_second(silences: list[int]) -> None:
    late, critical = silences[0], silences[1]
    lost = silences[2] if len(silences) > 2 else 90_000

    limits = agents.thresholds(Thresholds(), late_s=late, critical_s=critical, lost_s=lost)

    assert limits == Thresholds(late, critical, lost)


@pytest.mark.parametrize(("late", "limits"), [(60, (60, 300, 900)), (300, (300, 600, 900)), (500, (500, 700, 900))])
def test_a_late_that_lies_beyond_the_usual_critical_moves_it(late: int, limits: tuple[int, int, int]) -> None:
    assert agents.thresholds(Thresholds(), late_s=late) == Thresholds(*limits)


@pytest.mark.parametrize(
    ("used", "limit", "is_full"),
    [
        (79, 100, False),
        (80, 100, True),
        (200, 100, True),
        (0, 100, False),
        (5, None, False),
        (None, 5, False),
        (0, 0, False),
    ],
)
def test_a_context_is_full_from_four_fifths_on(used: int | None, limit: int | None, is_full: bool) -> None:
    assert agents.context_is_full(used, limit) is is_full


@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=2), st.lists(patterns, min_size=1, max_size=3))
@MANY
def test_no_path_is_leased_that_is_not_allowed_or_is_denied(
    allowed: list[str], denied: list[str], wanted: list[str]
) -> None:
    try:
        agents.require_allowed(agent(allowed, denied), wanted)
    except errors.ZoneDenied:
        return

    assert not matching(wanted) & matching(denied)
    assert matching(wanted) <= (matching(allowed) if allowed else set(PATHS))


@given(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3), st.lists(patterns, max_size=3), st.lists(patterns))
@MANY
def test_a_plain_path_is_refused_only_for_a_reason(wanted: list[str], allowed: list[str], denied: list[str]) -> None:
    outside = set(wanted) - matching(allowed) if allowed else set()
    reasons = outside | (set(wanted) & matching(denied))

    if not reasons:
        agents.require_allowed(agent(allowed, denied), wanted)
        return
    with pytest.raises(errors.ZoneDenied) as refusal:
        agents.require_allowed(agent(allowed, denied), wanted)

    assert refusal.value.facts["path"] in reasons


@pytest.mark.parametrize(
    ("allowed", "denied", "wanted", "told"),
    [
        (["src/"], [], "docs/a.md", "docs/a.md reaches outside the paths that ada may touch: src/."),
        (["src/*.py"], [], "src/**", "src/** reaches outside"),
        ([], ["**/*.key"], "src/app/", "src/app/ overlaps **/*.key, which ada may not touch"),
        (["src/"], ["src/app/"], "src/app/a.py", "src/app/a.py overlaps src/app/"),
    ],
)
def test_a_refusal_names_the_pattern_and_the_rule(
    allowed: list[str], denied: list[str], wanted: str, told: str
) -> None:
    with pytest.raises(errors.ZoneDenied) as refusal:
        agents.require_allowed(agent(allowed, denied), [wanted])

    assert refusal.value.message.startswith(told)
    assert refusal.value.facts["path"] == wanted


def test_several_rules_together_allow_what_none_allows_alone() -> None:
    agents.require_allowed(agent(["src/*", "src/*/**"]), ["src/**"])

    with pytest.raises(errors.ZoneDenied):
        agents.require_allowed(agent(["src/*"]), ["src/**"])


def test_a_refusal_with_many_rules_stays_readable() -> None:
    many = [f"services/team-{number}/" for number in range(64)]

    with pytest.raises(errors.ZoneDenied, match=r"services/team-7/ and 56 more\.") as refusal:
        agents.require_allowed(agent(many), ["docs/"])

    assert refusal.value.facts["allowed_paths"] == tuple(many)
