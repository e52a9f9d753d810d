"""When a call is sent again, and when the caller is told instead.

Only a failure after which a repetition cannot do harm is retried: nothing was sent, or the call is a read, or it
carries an idempotency key. A refusal by a rule (lock_held, not_ready) is an answer and never retried here.
Must never wait longer than it was told to.
"""

import random
import ssl
from dataclasses import dataclass

import httpx

from conductor.domain import errors

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client tries.

    tries: how often one call is sent at most. first_wait_s: before the second time, doubled each time, with jitter.
    longest_wait_s: a server that asks for more is not waited for. refused_connections: whether to try again when
    nobody listens; a person at a terminal wants to know at once.
    """

    tries: int = 4
    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    refused_connections: bool = True


class Tries:
    """The tries of one call. Each method gives the seconds to wait before the next, or raises the last error."""

    def __init__(self, patience: Patience, url: str, *, repeatable: bool) -> None:
        self._patience = patience
        self._url = url
        self._repeatable = repeatable
        self._made = 0

    def wait_after_failure(self, failure: httpx.HTTPError) -> float:
        """No answer came."""
        error = explain(failure, self._url)
        unsent = isinstance(failure, _NOT_SENT)
        # Who has waited for an answer as long as it was willing to has waited long enough.
        is_over = isinstance(failure, httpx.TimeoutException) and not unsent
        is_hopeless = not isinstance(failure, httpx.TransportError) or untrusted_because(failure) is not None
        is_unwanted = unsent and not self._patience.refused_connections
        if is_over or is_hopeless or is_unwanted or not (unsent or self._repeatable):
            raise error from failure
        wait = self._next(None)
        if wait is None:
            raise error from failure
        return wait

    def wait_after_refusal(self, error: errors.ConductorError, retry_after: str | None) -> float:
        """The server answered with an error."""
        if not self._repeatable or not isinstance(error, errors.Unavailable | errors.RateLimited):
            raise error
        wait = self._next(_seconds(retry_after, error.wait_s))
        if wait is None:
            raise error
        return wait

    def _next(self, asked_s: float | None) -> float | None:
        self._made += 1
        if self._made >= self._patience.tries:
            return None
        if asked_s is not None:
            return asked_s if asked_s <= self._patience.longest_wait_s else None
        # Jitter, so that clients which lost one server do not come back in one moment.
        wait = self._patience.first_wait_s * 2.0 ** (self._made - 1) * random.uniform(0.5, 1.0)  # noqa: S311
        return min(wait, self._patience.longest_wait_s)


def _seconds(header: str | None, told: float | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else told
    except ValueError:
        return told


def explain(failure: httpx.HTTPError, url: str) -> errors.Unavailable:
    """Say why no answer came and what to do about it."""
    untrusted = untrusted_because(failure)
    if untrusted is not None:
        return errors.Unavailable(
            f"The TLS connection to {url} failed ({untrusted}): set SSL_CERT_FILE to the file of the authority that "
            "signed its certificate, or correct the address."
        )
    match failure:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return errors.Unavailable(f"No daemon answers at {url}: start one with `conductor up`.")
        case httpx.TimeoutException():
            return errors.Unavailable(f"The daemon at {url} did not answer in time: try again.")
        case _:
            return errors.Unavailable(
                f"The connection to {url} broke ({type(failure).__name__}): try again; does the address need https://?"
            )


def untrusted_because(failure: BaseException) -> str | None:
    """The TLS reason behind a failure, if there is one."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return str(getattr(seen, "verify_message", "") or getattr(seen, "reason", "") or "TLS error")
        seen = seen.__cause__ or seen.__context__
    return None
