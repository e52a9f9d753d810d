"""Every error has the code, status and exit code of OPERATIONS.md, and survives the way between processes."""

from __future__ import annotations

import pickle

import pytest

from conductor.domain import errors
from conductor.domain.errors import ConductorError, NextStep
from conductor.operations import faults

TABLE = [
    ("invalid", 400, 2),
    ("path_invalid", 400, 2),
    ("unknown_dependency", 400, 2),
    ("evidence_missing", 400, 2),
    ("unauthenticated", 401, 3),
    ("budget_exceeded", 402, 6),
    ("forbidden", 403, 3),
    ("zone_denied", 403, 3),
    ("not_found", 404, 4),
    ("already_claimed", 409, 5),
    ("lock_held", 409, 5),
    ("not_ready", 409, 5),
    ("nothing_ready", 409, 5),
    ("illegal_move", 409, 5),
    ("stale_attempt", 409, 5),
    ("version_conflict", 409, 5),
    ("dependency_cycle", 409, 5),
    ("not_holder", 409, 5),
    ("not_pending", 409, 5),
    ("agent_exists", 409, 5),
    ("deadlock", 409, 5),
    ("too_large", 413, 2),
    ("idempotency_mismatch", 422, 2),
    ("paused", 423, 7),
    ("rate_limited", 429, 8),
    ("internal", 500, 1),
    ("unavailable", 503, 8),
]

TIME_HELPS = {
    "already_claimed",
    "lock_held",
    "not_ready",
    "nothing_ready",
    "paused",
    "rate_limited",
    "unavailable",
}
"""The same call, unchanged, may succeed later."""


@pytest.mark.parametrize(("code", "http", "exit_code"), TABLE, ids=[code for code, _, _ in TABLE])
def test_a_code_has_its_status_and_exit_code(code: str, http: int, exit_code: int) -> None:
    kind = errors.BY_CODE[code]

    assert (kind.code, kind.http, kind.exit_code) == (code, http, exit_code)
    assert kind.retryable == (code in TIME_HELPS)


def test_the_table_has_every_error_and_each_code_once() -> None:
    codes = [kind.code for kind in ConductorError.__subclasses__()]

    assert sorted(codes) == sorted(errors.BY_CODE) == sorted(code for code, _, _ in TABLE)


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=errors.BY_CODE)
def test_an_error_is_named_after_its_code_and_says_what_it_means(kind: type[ConductorError]) -> None:
    assert kind.__name__ == "".join(word.title() for word in kind.code.split("_"))
    assert (kind.__doc__ or "").endswith(".")


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=errors.BY_CODE)
def test_an_error_crosses_a_process_whole(kind: type[ConductorError]) -> None:
    step = NextStep("claim_task", {"task_id": "tsk_7f3kq2m9xd"}, "another one is ready")
    error = kind("It cannot be.", facts={"path": "a.py", "holders": [{"agent_id": "ada"}]}, next=[step], wait_s=1.5)

    other = pickle.loads(pickle.dumps(error))  # noqa: S301  # made here

    assert type(other) is kind
    assert faults.fault_of(other) == faults.fault_of(error)


def test_an_error_says_its_sentence_and_carries_nothing_that_was_not_given() -> None:
    error = errors.Forbidden("Only a lead may.")

    assert str(error) == error.message == "Only a lead may."
    assert (dict(error.facts), error.next, error.wait_s) == ({}, (), None)


def test_facts_given_once_do_not_change_with_the_giver() -> None:
    facts: dict[str, errors.Fact] = {"path": "a.py"}
    error = errors.LockHeld("It is held.", facts=facts)

    facts["path"] = "b.py"

    assert error.facts == {"path": "a.py"}
