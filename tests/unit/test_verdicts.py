"""Verdicts: what a lease, a token, a rule, a pause and a budget say about one path, and which of them is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import errors, globs, verdicts
from conductor.domain.access import Role
from conductor.domain.agents import Agent
from conductor.domain.locks import Lease, Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.verdicts import Fence, Given, Intent, Reason, Situation, Verdict
from conductor.domain.zones import Zone, ZoneMap, ZoneMode
from tests.unit.test_zones import NOW, agent

COMMIT = Intent.COMMIT
PAUSED = errors.Paused("You are paused: the rebase.")
SPENT = errors.BudgetExceeded("The budget is spent.")


def lease(who: str, *paths: str, token: int = 1, mode: Mode = Mode.EXCLUSIVE) -> Lease:
    later = NOW + timedelta(seconds=900)
    return Lease(f"lck_{who}{token}", "prj_0000000000", who, paths, mode, token, 900, NOW, later)


def grant(token: int, *paths: str, is_exclusive: bool = True) -> Given:
    return Given(f"lck_ada{token}", token, paths, is_exclusive)


def known(
    paths: Sequence[str],
    leases: Sequence[Lease] = (),
    *,
    who: Agent | None = None,
    fences: Sequence[Fence] = (),
    strategy: ConflictStrategy = ConflictStrategy.LOCK,
    intent: Intent = Intent.EDIT,
    **more: Any,
) -> Situation:
    """Make a situation as the store would: leases and fences by the paths that they touch."""

    def touches(path: str, patterns: Sequence[str]) -> bool:
        return any(globs.overlapping(globs.parse(path), globs.parse(text)) for text in patterns)

    return Situation(
        who or agent(),
        strategy,
        intent,
        more.pop("zones", ZoneMap()),
        {path: [each for each in leases if touches(path, each.paths)] for path in paths},
        fences={path: [each for each in fences if touches(path, [each.path])] for path in paths},
        **more,
    )


def judged(path: str, *leases: Lease, **more: Any) -> Reason:
    return verdicts.judge([path], known([path], leases, **more))[0]


def test_verdicts_come_in_the_order_of_the_paths_and_each_says_why() -> None:
    paths = ["b.py", "a.py", "b.py"]

    reasons = verdicts.judge(paths, known(paths, [lease("ada", "a.py")]))

    assert [(each.path, each.verdict) for each in reasons] == [
        ("b.py", Verdict.NOT_LOCKED),
        ("a.py", Verdict.OK),
        ("b.py", Verdict.NOT_LOCKED),
    ]
    assert all(each.because for each in reasons)


def test_the_own_exclusive_lease_lets_an_agent_edit() -> None:
    assert judged("src/a.py", lease("ada", "src/")) == Reason(
        "src/a.py", Verdict.OK, "you lease it until 12:15:00Z", None, "lck_ada1", 1
    )
    assert judged("src/a.py", lease("ada", "src/", mode=Mode.SHARED)).verdict is Verdict.NOT_LOCKED


@pytest.mark.parametrize("mode", list(Mode))
def test_any_lease_of_another_keeps_an_agent_from_an_edit(mode: Mode) -> None:
    reason = judged("src/a.py", lease("bob", "src/", token=7, mode=mode))

    assert (reason.verdict, reason.holder, reason.token) == (Verdict.LOCKED_BY_OTHER, "bob", 7)


def test_a_reason_names_what_is_leased_of_the_path_and_nothing_else_that_its_holder_has() -> None:
    held = lease("bob", "a.py", "b.py", "c.py", "d.py", "e.py", "src/held.py")

    assert judged("src/", held).because == "bob leases src/held.py (exclusive) until 12:15:00Z"


def test_where_both_lease_it_the_later_grant_stands() -> None:
    ada, bob = lease("ada", "a.py", token=5), lease("bob", "a.py", token=6)

    assert judged("a.py", ada, bob).verdict is Verdict.LOCKED_BY_OTHER
    assert judged("a.py", ada, bob, who=agent("bob")).verdict is Verdict.OK


def test_several_leases_together_cover_a_pattern_that_none_covers_alone() -> None:
    leases = [lease("ada", "src/*", token=5), lease("ada", "src/*/**", token=6)]

    assert judged("src/**", *leases).verdict is Verdict.OK
    assert judged("src/**", leases[0]).verdict is Verdict.NOT_LOCKED
    assert judged("src/**", *leases, lease("bob", "src/a.py", token=6)).verdict is Verdict.LOCKED_BY_OTHER


def test_a_token_passes_until_a_later_grant_to_another_overlaps() -> None:
    earlier, later = Fence("src/", "bob", 4), Fence("**/a.py", "cal", 6)
    given_then = {"intent": COMMIT, "given": [grant(5, "src/")]}

    assert judged("src/a.py", **given_then, fences=[earlier]).verdict is Verdict.OK
    stale = judged("src/a.py", **given_then, fences=[earlier, later])
    assert (stale.verdict, stale.holder, stale.token) == (Verdict.STALE_TOKEN, "cal", 5)
    assert judged("src/b.py", **given_then, fences=[earlier, later]).verdict is Verdict.OK


def test_the_latest_of_several_tokens_that_cover_a_path_counts() -> None:
    tokens = [grant(5, "src/"), grant(7, "src/a.py")]
    fence = [Fence("src/", "bob", 6)]

    assert judged("src/a.py", intent=COMMIT, given=tokens, fences=fence).verdict is Verdict.OK
    assert judged("src/b.py", intent=COMMIT, given=tokens, fences=fence).verdict is Verdict.STALE_TOKEN


def test_of_tokens_that_cover_a_pattern_only_together_the_earliest_counts() -> None:
    tokens = [grant(5, "src/*"), grant(9, "src/*/**")]

    assert judged("src/**", intent=COMMIT, given=tokens).token == 5
    assert judged("src/**", intent=COMMIT, given=tokens, fences=[Fence("src/b/c", "bob", 7)]).holder == "bob"


def test_a_token_of_a_shared_lease_lets_no_change_pass() -> None:
    shared = [grant(5, "src/", is_exclusive=False)]

    assert judged("src/a.py", intent=COMMIT, given=shared).verdict is Verdict.NOT_LOCKED


def test_a_path_that_no_token_covers_is_judged_by_current_leases() -> None:
    more = {"intent": COMMIT, "given": [grant(5, "src/")]}

    assert judged("docs/a.md", lease("ada", "docs/"), **more).verdict is Verdict.OK
    assert judged("docs/a.md", lease("bob", "docs/"), **more).verdict is Verdict.LOCKED_BY_OTHER
    assert judged("docs/a.md", **more).verdict is Verdict.NOT_LOCKED


def test_to_edit_takes_a_live_lease_whatever_tokens_are_shown() -> None:
    more = {"given": [grant(5, "src/")]}

    assert judged("src/a.py", **more).verdict is Verdict.NOT_LOCKED
    assert judged("src/a.py", lease("ada", "src/", token=5), **more).verdict is Verdict.OK
    assert judged("src/a.py", **more, fences=[Fence("src/", "bob", 6)]).verdict is Verdict.STALE_TOKEN


def test_tokens_that_were_never_given_are_named() -> None:
    assert "lck_x#7 was never granted to ada" in judged("a.py", intent=COMMIT, unknown=["lck_x#7"]).because


@pytest.mark.parametrize("strategy", [ConflictStrategy.MERGE, ConflictStrategy.REVIEW])
@pytest.mark.parametrize("intent", list(Intent))
def test_strategies_that_refuse_nothing_tell_who_else_is_there(strategy: ConflictStrategy, intent: Intent) -> None:
    more = {"strategy": strategy, "intent": intent, "given": [grant(5, "a.py")], "fences": [Fence("a.py", "bob", 6)]}

    reason = judged("a.py", lease("bob", "a.py"), **more)

    assert (reason.verdict, reason.holder) == (Verdict.OK, "bob")
    assert "merge early" in reason.because
    assert judged("b.py", **more).holder is None


def test_in_a_project_of_zones_a_lease_is_needed_only_where_another_has_one() -> None:
    more = {"strategy": ConflictStrategy.ZONE}

    assert judged("a.py", **more).verdict is Verdict.OK
    assert judged("a.py", lease("bob", "a.py"), **more).verdict is Verdict.LOCKED_BY_OTHER
    assert (
        judged("a.py", intent=COMMIT, given=[grant(5, "a.py")], fences=[Fence("a.py", "bob", 6)], **more).holder
        == "bob"
    )


@pytest.mark.parametrize("strategy", list(ConflictStrategy))
def test_rules_and_zones_bind_under_every_strategy_and_before_any_lease(strategy: ConflictStrategy) -> None:
    zones = ZoneMap([Zone("core/", ZoneMode.OWNED, ("bob",))])
    ruled = replace(agent(), denied_paths=("secret/",))
    own = lease("ada", "**")

    assert judged("core/a.py", own, strategy=strategy, zones=zones).verdict is Verdict.ZONE_DENIED
    assert judged("secret/a", own, strategy=strategy, who=ruled).verdict is Verdict.PATH_DENIED
    assert judged("secret/a", own, strategy=strategy, who=agent(role=Role.REVIEWER)).verdict is Verdict.PATH_DENIED


@pytest.mark.parametrize("intent", list(Intent))
def test_a_pause_is_told_before_all_else(intent: Intent) -> None:
    reason = judged("a.py", lease("bob", "a.py"), intent=intent, standstill=PAUSED, spent=SPENT)

    assert (reason.verdict, reason.because) == (Verdict.PAUSED, PAUSED.message)


def test_a_spent_budget_ends_edits_and_no_commit() -> None:
    own = lease("ada", "a.py")

    assert judged("a.py", own, spent=SPENT).verdict is Verdict.BUDGET_EXCEEDED
    assert judged("a.py", own, spent=SPENT, intent=COMMIT).verdict is Verdict.OK


def test_a_reason_is_short_however_long_the_refusal_is() -> None:
    ruled = replace(agent(), allowed_paths=tuple(f"{'folder' * 30}{number}/" for number in range(20)))

    assert len(judged("a.py", who=ruled).because) <= 400


def test_own_leases_that_cover_something_are_listed_once() -> None:
    paths = ["src/a.py", "src/b.py", "docs/"]
    leases = [lease("ada", "src/", token=1), lease("ada", "docs/a.md", token=2), lease("bob", "docs/b.md", token=3)]

    assert [each.id for each in verdicts.covering(paths, known(paths, leases))] == ["lck_ada1", "lck_ada2"]


STEPS = st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from(["a", "b", "*", "**"])), max_size=8)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from(["a", "b"]))
def test_a_commit_passes_exactly_when_no_later_grant_to_another_overlaps(
    history: list[tuple[str, str]], path: str
) -> None:
    """Held against the sentence of the rule, over a history of grants that were each released in order."""
    wanted = globs.parse(path)
    touching = [
        (token, who) for token, (who, text) in enumerate(history, 1) if globs.overlapping(globs.parse(text), wanted)
    ]
    own = max((token for token, who in touching if who == "ada"), default=None)
    grants = [grant(token, text) for token, (who, text) in enumerate(history, 1) if who == "ada"]
    highest = {text: Fence(text, "bob", token) for token, (who, text) in enumerate(history, 1) if who == "bob"}

    verdict = judged(path, intent=COMMIT, given=grants, fences=list(highest.values())).verdict

    if own is None:
        assert verdict is Verdict.NOT_LOCKED
    else:
        is_stale = any(who == "bob" and token > own for token, who in touching)
        assert verdict is (Verdict.STALE_TOKEN if is_stale else Verdict.OK)
