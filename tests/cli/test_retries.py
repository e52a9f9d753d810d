"""When a call is sent again: only if that is harmless, a bounded number of times, after bounded waits."""

import ssl

import httpx
import pytest

from conductor.client.retries import Patience, Tries
from conductor.domain import errors

PATIENCE = Patience(tries=10, first_wait_s=1.0, longest_wait_s=5.0)


def tries(patience: Patience = PATIENCE, *, repeatable: bool = True) -> Tries:
    return Tries(patience, "http://a", repeatable=repeatable)


def test_waits_between_tries_grow_to_their_bound_and_end() -> None:
    made = tries()

    waits = [made.wait_after_refusal(errors.Unavailable("busy"), None) for _ in range(9)]

    assert 0.5 <= waits[0] <= 1.0
    assert waits[-1] == pytest.approx(5.0)
    with pytest.raises(errors.Unavailable, match="busy"):
        made.wait_after_refusal(errors.Unavailable("busy"), None)


@pytest.mark.parametrize(
    ("header", "told", "wait"), [("2", 9.0, 2.0), (None, 3.0, 3.0), ("Wed, 21 Oct 2026", 3.0, 3.0)]
)
def test_the_daemon_says_how_long_to_wait(header: str | None, told: float, wait: float) -> None:
    assert tries().wait_after_refusal(errors.RateLimited("slow", wait_s=told), header) == wait


@pytest.mark.parametrize("failure", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_what_was_never_sent_is_sent_again_whatever_it_is(failure: httpx.HTTPError) -> None:
    assert tries(repeatable=False).wait_after_failure(failure) <= 1.0


def test_what_may_have_been_done_is_not_done_again_without_a_key() -> None:
    broken = httpx.ReadError("x")

    assert tries(repeatable=True).wait_after_failure(broken) <= 1.0
    with pytest.raises(errors.Unavailable, match="broke"):
        tries(repeatable=False).wait_after_failure(broken)


def test_a_busy_daemon_is_not_asked_again_without_a_key() -> None:
    with pytest.raises(errors.Unavailable):
        tries(repeatable=False).wait_after_refusal(errors.Unavailable("busy"), "0")


def test_an_answer_that_did_not_come_in_time_is_not_waited_for_again() -> None:
    with pytest.raises(errors.Unavailable, match="did not answer in time"):
        tries().wait_after_failure(httpx.ReadTimeout("x"))


def test_a_person_is_told_at_once_that_nobody_listens() -> None:
    patience = Patience(refused_connections=False)

    with pytest.raises(errors.Unavailable, match="No daemon answers"):
        tries(patience).wait_after_failure(httpx.ConnectError("x"))


def test_a_certificate_that_is_not_trusted_is_told_and_not_tried_again() -> None:
    failure = httpx.ConnectError("x")
    failure.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")

    with pytest.raises(errors.Unavailable, match="SSL_CERT_FILE"):
        tries().wait_after_failure(failure)
