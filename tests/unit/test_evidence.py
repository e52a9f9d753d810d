"""Evidence judged by the rule alone: leases against what was touched, in every order of grants."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import errors, evidence, globs, locks
from conductor.domain.evidence import SKEW, Check, Commit, Granted, Known, Sight
from conductor.domain.locks import Lease, Mode
from conductor.domain.tasks import Evidence, TaskStatus
from tests.support import records

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
COMMIT = Commit("a" * 40, ("src/a.py",), is_whole=True, committed_at=NOON)
TASK = records.task(status=TaskStatus.CLAIMED)
SHOWN = Evidence(commit="a" * 40)


def granted(*paths: str, by: str = "ada", shared: bool = False, after_s: float = -10) -> Granted:
    return Granted(by, paths, not shared, NOON + timedelta(seconds=after_s))


def known(
    commit: Commit | None = COMMIT, *, held: tuple[Granted, ...] = (), log: tuple[Granted, ...] = (), **changed: object
) -> Known:
    whole = Known("ada", Sight(commit), NOON - timedelta(minutes=5), held, lambda: log, {})
    return replace(whole, **changed)  # type: ignore[arg-type]  # its own fields


def test_what_was_leased_in_time_and_is_held_has_no_problem() -> None:
    assert evidence.problems(TASK, SHOWN, known(held=(granted("src/"),))) == ()


def test_a_missing_sight_is_told_apart_from_a_missing_commit() -> None:
    told = [
        evidence.problems(TASK, None, known()),
        evidence.problems(TASK, Evidence(files=("a",)), known()),
        evidence.problems(TASK, SHOWN, known(sight=None)),
        evidence.problems(TASK, SHOWN, known(sight=Sight(why="it is night"))),
        evidence.problems(TASK, SHOWN, known(None)),
    ]

    assert [len(each) for each in told] == [1] * 5
    assert told[0] == told[1]
    assert "root_path" in told[2][0]
    assert "it is night" in told[3][0]
    assert "no commit of the project's repository" in told[4][0]


@pytest.mark.parametrize(("late", "is_old"), [(timedelta(), False), (SKEW, False), (SKEW + timedelta(seconds=1), True)])
def test_clocks_may_differ_a_little_and_no_more(late: timedelta, is_old: bool) -> None:
    told = evidence.problems(TASK, SHOWN, known(held=(granted("src/", after_s=-3600),), began_at=NOON + late))

    assert bool(told) == is_old


def test_more_files_than_can_be_looked_at_are_no_work_that_can_be_checked() -> None:
    told = evidence.problems(TASK, SHOWN, known(replace(COMMIT, is_whole=False), held=(granted("**"),)))

    assert "split it" in told[0]


@pytest.mark.parametrize(
    ("log", "is_covered"),
    [
        ((), False),
        ((granted("src/a.py"),), True),
        ((granted("src/a.py", shared=True),), False),
        ((granted("src/a.py", after_s=61),), False),
        ((granted("src/a.py", by="bob"),), False),
        ((granted("src/a.py"), granted("src/**", by="bob")), False),
        ((granted("src/a.py"), granted("src/a.py", by="bob", shared=True)), False),
        ((granted("src/a.py"), granted("src/b.py", by="bob")), True),
        ((granted("src/**", by="bob"), granted("src/a.py")), True),
        ((granted("src/a.py"), granted("src/a.py", by="bob"), granted("src/", after_s=5)), True),
        ((granted("src/a.py"), granted("src/a.py", by="bob"), granted("src/", after_s=120)), False),
        ((granted("src/a.py"), granted("src/", after_s=120)), True),
    ],
)
def test_a_released_lease_counts_while_nobody_else_has_had_the_path(log: tuple[Granted, ...], is_covered: bool) -> None:
    assert (evidence.uncovered(["src/a.py"], COMMIT, known(log=log)) == []) == is_covered


def test_the_log_is_not_asked_when_what_is_held_is_enough() -> None:
    def unasked() -> tuple[Granted, ...]:
        raise AssertionError("asked")

    assert evidence.uncovered(["src/a.py"], COMMIT, replace(known(held=(granted("src/"),)), log=unasked)) == []


paths = st.sampled_from(["a", "b", "c", "d/e", "d/f"])
patterns = st.sampled_from(["a", "b", "c", "d/", "d/e", "**", "?", "d/*"])
grants = st.builds(
    lambda by, path, shared, after: granted(path, by=by, shared=shared, after_s=after),
    st.sampled_from(["ada", "bob"]),
    patterns,
    st.booleans(),
    st.sampled_from([-10, 0, 60, 61, 200]),
)


@given(st.lists(paths, unique=True), st.lists(grants, max_size=8))
def test_a_path_is_covered_exactly_when_its_last_grant_that_counts_is_the_agents(
    touched: list[str], log: list[Granted]
) -> None:
    found = evidence.uncovered(touched, COMMIT, known(log=tuple(log)))

    for path in touched:
        reaching = [each for each in log if globs.parse(each.paths[0]).matches(path)]
        counting = [
            each
            for each in reaching
            if each.agent_id != "ada" or (each.is_exclusive and each.at <= COMMIT.committed_at + SKEW)
        ]
        assert (path not in found) == (bool(counting) and counting[-1].agent_id == "ada")


def test_claimed_files_may_be_folders_and_globs_of_what_was_touched() -> None:
    commit = replace(COMMIT, files=("docs/x.md", "src/a.py"))
    facts = known(commit, held=(granted("**"),))

    assert evidence.problems(TASK, replace(SHOWN, files=("src/", "docs/*.md", "src/a.py")), facts) == ()
    told = evidence.problems(TASK, replace(SHOWN, files=("src/b.py", "lib/", "*.py")), facts)
    assert told == (
        "The commit does not touch src/b.py, lib/, *.py: commit that too, or leave it out of evidence.files.",
    )


def test_checks_that_are_named_or_asked_for_must_be_reported_as_passed() -> None:
    checks = {
        name: Check(name, passed, None, "service:tok_0000000000", NOON) for name, passed in (("a", True), ("b", False))
    }
    task = replace(TASK, evidence_required=("commit", "files", "c", "a"))
    facts = known(held=(granted("src/"),), checks=checks)

    told = evidence.problems(task, replace(SHOWN, checks=("a", "b")), facts)

    assert [each.split(":")[0] for each in told] == [
        "Reported as failed for this commit",
        "Nobody has reported for this commit",
    ]
    assert ": b:" in told[0]
    assert ": c:" in told[1]


@pytest.mark.parametrize("dear", ["*a*b*c*", "**/x/**/y/**/z", "f?/" + "*/" * 20 + "x"])
def test_what_is_made_to_be_dear_is_given_up_and_counts_as_not_covered(dear: str) -> None:
    commit = replace(COMMIT, files=tuple(f"{'a/' * 30}{number}" for number in range(1_000)))
    spread = tuple(f"{dear}{number}" for number in range(1_000))
    log = tuple(granted(*spread[:64], by="bob") for _ in range(1_000))
    began = time.perf_counter()

    told = evidence.problems(TASK, replace(SHOWN, files=spread), known(commit, held=(granted(*spread),), log=log))

    assert time.perf_counter() - began < 2
    assert len(told) == 2


def test_honest_work_on_a_thousand_files_is_verified() -> None:
    commit = replace(COMMIT, files=tuple(f"src/{number % 20}/{number}.py" for number in range(1_000)))
    log = (*(granted(f"lib/{number}/", by="bob") for number in range(30)), granted("src/1/"))
    held = (granted(*(f"src/{number}/" for number in range(20) if number != 1)),)

    assert evidence.problems(TASK, SHOWN, known(commit, held=held, log=log)) == ()


def test_a_problem_names_a_few_and_counts_the_rest() -> None:
    commit = replace(COMMIT, files=tuple(f"f{number}\x1b" for number in range(50)))

    told = evidence.problems(TASK, SHOWN, known(commit))

    assert "and 45 more" in told[0]
    assert told[0].isprintable()
    assert len(told[0]) < 400


@pytest.mark.parametrize(
    ("path", "fold", "spelt"),
    [
        ("Src/App.py", True, "src/app.py"),
        ("Src/App.py", False, "Src/App.py"),
        ("a\nb", False, "a\nb"),
        ("u\u0308.py", False, "ü.py"),
    ],
)
def test_paths_are_spelt_as_leases_are(path: str, fold: bool, spelt: str) -> None:
    assert evidence.spelt(path, fold_case=fold) == spelt


def test_every_problem_stands_in_the_refusal() -> None:
    evidence.require_none(TASK, ())

    with pytest.raises(errors.EvidenceMissing) as caught:
        evidence.require_none(TASK, ("One thing.", "Another thing."))

    assert "One thing. Another thing." in caught.value.message
    assert caught.value.facts["problems"] == ["One thing.", "Another thing."]


def test_a_lease_is_as_old_as_its_last_widening() -> None:
    lease = Lease(
        "lck_0000000000", "prj_0000000000", "ada", ("a",), Mode.EXCLUSIVE, locks.next_token(0, NOON), 900, NOON, NOON
    )
    later = NOON + timedelta(seconds=90)

    assert evidence.granted_at(lease) == NOON
    assert evidence.granted_at(replace(lease, token=locks.next_token(lease.token, later))) == later
