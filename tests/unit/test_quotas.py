"""No admission passes a hard budget, and windows begin and end where the calendar says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import errors, quotas
from conductor.domain.money import NANO_PER_USD, UsdNano, format_usd
from conductor.domain.quotas import Level, Quota, Scope, TokenBudget, Window

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
USD = NANO_PER_USD

moments = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone.
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
)
nanos = st.integers(0, 10**18)


def level(limit: int, spent: int = 0, reserved: int = 0, *, hard: bool = True, window: Window = Window.MONTH) -> Level:
    return Level(Quota(Scope.ORGANIZATION, None, None, UsdNano(limit), window, hard), spent, reserved)


levels = st.lists(st.builds(level, nanos, nanos, nanos, hard=st.booleans(), window=st.sampled_from(Window)), max_size=4)


@pytest.mark.parametrize(
    ("window", "now", "start", "reset"),
    [
        (Window.MONTH, "2024-02-29T23:59:59+00:00", "2024-02-01", "2024-03-01"),
        (Window.MONTH, "2025-02-28T00:00:00+00:00", "2025-02-01", "2025-03-01"),
        (Window.MONTH, "2026-12-31T23:59:59+00:00", "2026-12-01", "2027-01-01"),
        (Window.MONTH, "2026-04-30T23:30:00-01:00", "2026-05-01", "2026-06-01"),
        (Window.WEEK, "2026-11-23T00:00:00+00:00", "2026-11-23", "2026-11-30"),
        (Window.WEEK, "2026-11-29T23:59:59+00:00", "2026-11-23", "2026-11-30"),
        (Window.WEEK, "2027-01-01T00:00:00+00:00", "2026-12-28", "2027-01-04"),
        (Window.DAY, "2024-02-28T23:59:59+00:00", "2024-02-28", "2024-02-29"),
        (Window.DAY, "2025-02-28T12:00:00+00:00", "2025-02-28", "2025-03-01"),
        (Window.DAY, "2026-11-24T01:00:00+02:00", "2026-11-23", "2026-11-24"),
        (Window.TOTAL, "2026-11-24T00:00:00+00:00", "1970-01-01", None),
    ],
)
def test_a_window_begins_and_ends_at_midnight_utc(window: Window, now: str, start: str, reset: str | None) -> None:
    moment = datetime.fromisoformat(now)

    assert quotas.window_start(window, moment) == date.fromisoformat(start)
    assert quotas.resets_at(window, moment) == (
        None if reset is None else datetime.fromisoformat(f"{reset}T00:00:00+00:00")
    )


@given(st.sampled_from(Window), moments)
def test_windows_follow_each_other_without_gap_or_overlap(window: Window, now: datetime) -> None:
    start, reset = quotas.window_start(window, now), quotas.resets_at(window, now)

    assert start <= now.astimezone(UTC).date()
    if reset is None:
        assert window is Window.TOTAL
        return
    assert reset > now
    assert quotas.window_start(window, reset) == reset.date()
    assert quotas.window_start(window, reset - timedelta(microseconds=1)) == start


@pytest.mark.parametrize(
    ("scope", "project_id", "agent_id"),
    [
        (Scope.ORGANIZATION, "prj_a", None),
        (Scope.ORGANIZATION, None, "ada"),
        (Scope.PROJECT, None, None),
        (Scope.PROJECT, "prj_a", "ada"),
        (Scope.AGENT, None, "ada"),
        (Scope.AGENT, "prj_a", None),
    ],
)
def test_a_quota_names_exactly_what_its_scope_needs(scope: Scope, project_id: str | None, agent_id: str | None) -> None:
    with pytest.raises(errors.Invalid, match=f"has the scope {scope}"):
        Quota(scope, project_id, agent_id, UsdNano(1))


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="must not be negative"):
        level(-1)


@given(levels, nanos)
def test_admission_is_refused_exactly_when_a_hard_level_is_used_up_or_would_be_passed(
    at: list[Level], estimate: int
) -> None:
    stands_in_the_way = [
        one
        for one in at
        if one.quota.hard
        and (
            one.spent_nano >= one.quota.limit_nano
            or one.spent_nano + one.reserved_nano + estimate > one.quota.limit_nano
        )
    ]

    if not stands_in_the_way:
        quotas.admit(at, estimate, NOW)
        return
    with pytest.raises(errors.BudgetExceeded) as refusal:
        quotas.admit(at, estimate, NOW)

    assert refusal.value.facts["limit_usd"] == format_usd(stands_in_the_way[0].quota.limit_nano)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=3), st.lists(st.integers(0, 400), max_size=30), st.data())
def test_settled_and_reserved_never_pass_a_hard_limit_by_admission(
    limits: list[int], estimates: list[int], data: st.DataObject
) -> None:
    spent, running = 0, list[int]()

    for estimate in estimates:
        try:
            quotas.admit([level(limit, spent, sum(running)) for limit in limits], estimate, NOW)
        except errors.BudgetExceeded:
            continue
        running.append(estimate)
        if data.draw(st.booleans()):
            reservation = running.pop(data.draw(st.integers(0, len(running) - 1)))
            spent += data.draw(st.integers(0, reservation))

        assert spent + sum(running) <= min(limits)


@given(levels, nanos)
def test_headroom_is_what_admission_would_still_let_through(at: list[Level], estimate: int) -> None:
    room = quotas.headroom(at)

    if any(one.quota.hard and one.exceeded for one in at):
        return
    if room is None or estimate <= room:
        quotas.admit(at, estimate, NOW)
    else:
        with pytest.raises(errors.BudgetExceeded):
            quotas.admit(at, estimate, NOW)


def test_a_soft_quota_shows_that_it_was_passed_and_refuses_nothing() -> None:
    passed = level(1 * USD, spent=2 * USD, hard=False)

    quotas.admit([passed], 5 * USD, NOW)

    assert passed.exceeded
    assert passed.remaining_nano == -1 * USD
    assert quotas.headroom([passed]) is None


def test_reservations_alone_do_not_exceed_a_quota() -> None:
    assert not level(10, spent=9, reserved=5).exceeded
    assert level(10, spent=10).exceeded
    assert level(0).exceeded


def test_a_refusal_says_what_is_spent_and_reserved_and_when_it_resets() -> None:
    quota = Quota(Scope.AGENT, "prj_7f3kq2m9xd", "ada", UsdNano(10 * USD), Window.DAY)

    with pytest.raises(errors.BudgetExceeded) as refusal:
        quotas.admit([Level(quota, 9_500_000_000, 200_000_000)], 500_000_000, NOW)

    assert refusal.value.message == (
        "The budget of agent ada is 10 USD (day): 9.5 USD spent, 0.2 USD reserved, and 0.5 USD more would not fit. "
        "It resets at 2026-11-25T00:00:00Z: wait, or ask whoever sets the quota for more."
    )
    assert refusal.value.facts == {
        "scope": "agent",
        "window": "day",
        "project_id": "prj_7f3kq2m9xd",
        "agent_id": "ada",
        "limit_usd": "10",
        "spent_usd": "9.5",
        "reserved_usd": "0.2",
        "estimate_usd": "0.5",
        "resets_at": "2026-11-25T00:00:00Z",
    }
    assert refusal.value.wait_s == 11.5 * 3600


@pytest.mark.parametrize(
    ("limit", "spent", "estimate", "window"),
    [(10, 0, 11, Window.DAY), (0, 0, 0, Window.MONTH), (10, 10, 0, Window.TOTAL)],
    ids=["dearer than the whole limit", "a limit of nothing", "a window that never ends"],
)
def test_nobody_is_told_to_wait_where_waiting_does_not_help(
    limit: int, spent: int, estimate: int, window: Window
) -> None:
    with pytest.raises(errors.BudgetExceeded, match="Waiting does not help") as refusal:
        quotas.admit([level(limit, spent, window=window)], estimate, NOW)

    assert refusal.value.wait_s is None


def test_a_refusal_names_the_first_level_that_stands_in_the_way() -> None:
    open_level, closed = level(100), Level(Quota(Scope.PROJECT, "prj_a", None, UsdNano(5)), 5)
    later = Level(Quota(Scope.AGENT, "prj_a", "ada", UsdNano(0)), 0)

    with pytest.raises(errors.BudgetExceeded, match="The budget of project prj_a") as refusal:
        quotas.admit([open_level, closed, later], 0, NOW)

    assert refusal.value.facts["scope"] == "project"


def test_a_negative_estimate_is_refused_before_it_could_make_room() -> None:
    with pytest.raises(errors.Invalid):
        quotas.admit([level(10)], -1, NOW)
    with pytest.raises(errors.Invalid):
        quotas.admit_tokens(TokenBudget(10, 0), "ada", -1)


@given(st.integers(0, 100), st.integers(0, 120), st.integers(0, 120))
def test_a_token_budget_is_refused_exactly_when_used_up_or_passed(limit: int, used: int, estimate: int) -> None:
    budget = TokenBudget(limit, used)

    if used < limit and used + estimate <= limit:
        quotas.admit_tokens(budget, "ada", estimate)
        return
    with pytest.raises(errors.BudgetExceeded) as refusal:
        quotas.admit_tokens(budget, "ada", estimate)

    assert refusal.value.wait_s is None
    assert refusal.value.facts == {
        "scope": "agent",
        "agent_id": "ada",
        "limit_tokens": limit,
        "used_tokens": used,
        "estimate_tokens": estimate,
    }
