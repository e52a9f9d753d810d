"""What a request for a lease gets, how tokens grow, and what the refusals say. The table itself: test_lock_table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import errors, locks
from conductor.domain.locks import MAX_PATHS, TOKEN_STEP, Grant, Lease, LockTable, Mode, Wanted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EXCLUSIVE, SHARED = Mode.EXCLUSIVE, Mode.SHARED


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def wanted(agent_id: str, *paths: str, mode: Mode = EXCLUSIVE, ttl_s: int = 900, task_id: str | None = None) -> Wanted:
    return Wanted(agent_id, tuple(sorted(paths)), mode, ttl_s, task_id)


def acquire(table: LockTable, request: Wanted, now: datetime = NOW, *, refuse: bool = True) -> tuple[Lease, Grant]:
    """Decide and remember, as the keeper does."""
    lease, grant = table.decide_acquire(request, "prj_a", now, lambda: f"lck_{table.fencing_token}", refuse=refuse)
    table.put(lease)
    return lease, grant


@given(st.lists(st.integers(-3_000_000, 3_000_000), max_size=30))
@settings(max_examples=50, deadline=None)
def test_tokens_grow_whatever_the_clock_does(jumps_s: list[int]) -> None:
    table, now = LockTable(), NOW
    tokens = [0]

    for number, jump_s in enumerate(jumps_s):
        now += timedelta(seconds=jump_s)
        tokens.append(acquire(table, wanted("ada", f"{number}.py"), now)[0].token)

    assert tokens == sorted(set(tokens))
    assert tokens[-1] < 2**53


def test_a_token_stays_below_what_every_json_reader_keeps_until_the_next_century() -> None:
    assert locks.next_token(0, datetime(2200, 1, 1, tzinfo=UTC)) + TOKEN_STEP < 2**53


def test_a_project_restored_from_an_old_copy_grants_above_all_it_ever_granted() -> None:
    table = LockTable(fencing_token=locks.next_token(0, NOW))
    given_since = [acquire(table, wanted("ada", f"{number}.py"), after(number / 100))[0].token for number in range(500)]

    restored = LockTable(fencing_token=locks.next_token(0, NOW))

    assert acquire(restored, wanted("bob", "0.py"), after(6))[0].token > max(given_since)


def test_a_table_that_is_loaded_counts_on_from_the_highest_token_it_is_told_or_sees() -> None:
    lease = acquire(LockTable(), wanted("ada", "a.py"), after(100))[0]

    assert LockTable([lease], fencing_token=7).fencing_token == lease.token
    assert LockTable([lease], fencing_token=lease.token + 9).fencing_token == lease.token + 9


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (wanted("ada", "a.py"), wanted("ada", "a.py")),
        (wanted("ada", "src/"), wanted("ada", "src/a.py", "src/*.py")),
        (wanted("ada", "src/*", "src/*/**"), wanted("ada", "src/**")),
        (wanted("ada", "a.py"), wanted("ada", "a.py", mode=SHARED)),
        (wanted("ada", "a.py", task_id="tsk_a"), wanted("ada", "a.py", task_id="tsk_a")),
        (wanted("ada", "src/", task_id="tsk_a"), wanted("ada", "src/a.py")),
    ],
    ids=["the same", "inside a folder", "covered by several", "a weaker mode", "for its task", "of a task, named bare"],
)
def test_what_the_agent_leases_already_is_renewed_with_id_and_token(first: Wanted, again: Wanted) -> None:
    table = LockTable()
    lease = acquire(table, first)[0]

    assert acquire(table, again, after(300)) == (replace(lease, expires_at=after(1200)), Grant.RENEWED)


@pytest.mark.parametrize(
    ("first", "more", "paths", "mode"),
    [
        (wanted("ada", "a.py"), wanted("ada", "a.py", "b.py"), ("a.py", "b.py"), EXCLUSIVE),
        (wanted("ada", "src/a.py"), wanted("ada", "src/**"), ("src/**", "src/a.py"), EXCLUSIVE),
        (wanted("ada", "src/"), wanted("ada", "src/a.py", "b.py"), ("b.py", "src/"), EXCLUSIVE),
        (wanted("ada", "a.py", mode=SHARED), wanted("ada", "a.py"), ("a.py",), EXCLUSIVE),
        (wanted("ada", "a.py"), wanted("ada", "a.py", "b.py", mode=SHARED), ("a.py", "b.py"), EXCLUSIVE),
    ],
    ids=["one more", "the folder around it", "covered and more", "a stronger mode", "weaker, and more"],
)
def test_more_than_the_agent_leases_widens_it_under_a_higher_token(
    first: Wanted, more: Wanted, paths: tuple[str, ...], mode: Mode
) -> None:
    table = LockTable()
    lease = acquire(table, first)[0]

    widened, grant = acquire(table, more)

    assert grant is Grant.WIDENED
    assert (widened.id, widened.paths, widened.mode) == (lease.id, paths, mode)
    assert widened.token > lease.token


@pytest.mark.parametrize("task_id", ["tsk_b", "tsk_a"])
def test_each_task_has_a_lease_of_its_own_so_that_its_end_takes_only_that(task_id: str) -> None:
    table = LockTable()
    first = acquire(table, wanted("ada", "a.py", task_id=None if task_id == "tsk_a" else "tsk_a"))[0]

    other, grant = acquire(table, wanted("ada", "a.py", task_id=task_id))

    assert grant is Grant.NEW
    assert table.of_task(task_id, "ada") == [other]
    assert table.of_agent("ada") == [first, other]


def test_a_request_made_again_renews_its_own_lease_among_several_that_it_touches() -> None:
    table = LockTable()
    acquire(table, wanted("ada", "src/a.py", task_id="tsk_a"))
    whole = acquire(table, wanted("ada", "src/", task_id="tsk_b"), after(1))[0]

    again, grant = acquire(table, wanted("ada", "src/"), after(2))

    assert (again.id, again.token, grant) == (whole.id, whole.token, Grant.RENEWED)


@pytest.mark.parametrize(
    ("own", "others", "asked"),
    [
        (wanted("ada", "a.py", "b.py", mode=SHARED), wanted("bob", "b.py", mode=SHARED), wanted("ada", "a.py")),
        (wanted("ada", "a.py"), wanted("bob", "b.py", mode=SHARED), wanted("ada", "a.py", "b.py", mode=SHARED)),
    ],
    ids=["a stronger mode would reach what is shared", "a weaker mode for more would become stronger"],
)
def test_a_request_that_conflicts_with_nobody_is_granted_though_its_lease_cannot_grow(
    own: Wanted, others: Wanted, asked: Wanted
) -> None:
    table = LockTable()
    first, shared = acquire(table, own)[0], acquire(table, others)[0]

    lease, grant = acquire(table, asked)

    assert (grant, lease.paths, lease.mode) == (Grant.NEW, asked.paths, asked.mode)
    assert set(table.live()) == {first, shared, lease}
    assert acquire(table, asked)[1] is Grant.RENEWED


def test_a_lease_grows_to_its_limit_and_the_rest_goes_beside_it() -> None:
    table = LockTable()
    acquire(table, wanted("ada", *(f"{number}.py" for number in range(MAX_PATHS - 1))))

    grants = [acquire(table, wanted("ada", "0.py", f"more/{number}.py"))[1] for number in range(2)]

    assert grants == [Grant.WIDENED, Grant.NEW]
    assert max(len(lease.paths) for lease in table.live()) == MAX_PATHS


def test_a_short_request_inside_a_long_lease_leaves_the_lease_its_length() -> None:
    table = LockTable()
    acquire(table, wanted("ada", "src/", ttl_s=900))

    lease = acquire(table, wanted("ada", "src/a.py", ttl_s=10))[0]

    assert (lease.ttl_s, lease.expires_at) == (900, after(900))


def test_an_ended_lease_that_nobody_took_out_yet_neither_blocks_nor_is_renewed() -> None:
    table = LockTable()
    acquire(table, wanted("ada", "a.py", ttl_s=10))
    acquire(table, wanted("bob", "b.py", ttl_s=10))

    assert acquire(table, wanted("bob", "a.py", "b.py"), after(10))[1] is Grant.NEW
    assert table.renewals("ada", after(10)) == []


def test_where_overlaps_are_only_reported_everybody_is_granted() -> None:
    table = LockTable()
    acquire(table, wanted("ada", "a.py"))

    lease, grant = acquire(table, wanted("bob", "a.py"), refuse=False)

    assert grant is Grant.NEW
    assert table.conflicts(wanted("cyd", "a.py"), NOW) == sorted(table.live(), key=lambda held: held.id)
    assert lease.token == table.fencing_token


def test_a_refusal_says_who_holds_what_since_when_until_when_and_what_to_do() -> None:
    table = LockTable()
    acquire(table, wanted("bob", "src/*.py", "x.md", ttl_s=60, task_id="tsk_b"))
    acquire(table, wanted("cyd", "src/app/", mode=SHARED), after(1))

    with pytest.raises(errors.LockHeld) as refusal:
        acquire(table, wanted("ada", "src/"), after(30))

    error = refusal.value
    assert error.message == (
        "src/*.py is leased by bob (exclusive) since 12:00:00Z until 12:01:00Z, and 1 more until 12:15:01Z, if not "
        "released or renewed before. Wait for it in line with acquire_lock and wait_s, or take a ready task elsewhere "
        "with claim_task."
    )
    facts = {name: error.facts[name] for name in ("path", "holder", "since", "expires_at")}
    assert facts == {
        "path": "src/*.py",
        "holder": "bob",
        "since": "2026-11-24T12:00:00+00:00",
        "expires_at": "2026-11-24T12:01:00+00:00",
    }
    holders = error.facts["holders"]
    assert isinstance(holders, list)
    assert [(one["agent_id"], one["paths"], one["mode"], one["task_id"]) for one in holders] == [
        ("bob", ["src/*.py", "x.md"], "exclusive", "tsk_b"),
        ("cyd", ["src/app/"], "shared", None),
    ]
    assert error.wait_s == 871
    assert [(step.tool, step.args) for step in error.next] == [("claim_task", {}), ("list_locks", {"path": "src/*.py"})]


def test_a_release_of_what_the_caller_does_not_hold_releases_nothing_and_names_who_does() -> None:
    table = LockTable()
    acquire(table, wanted("ada", "a.py"))
    acquire(table, wanted("bob", "b.py"))

    with pytest.raises(
        errors.NotHolder, match=r"^b\.py is leased by bob, not by you\. Nothing was released\."
    ) as other:
        table.decide_release("ada", ["a.py", "b.py"])
    with pytest.raises(errors.NotHolder, match=r"^c\.py is not leased\. Nothing was released\."):
        table.decide_release("ada", ["c.py"], force=True)

    assert other.value.facts == {"what": "b.py", "holders": ["bob"]}
    assert len(table) == 2
