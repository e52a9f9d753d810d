"""Limits on what one caller may put in: how much, how slowly, how often.

Every limit answers before the work is done and says when to go on. Memory is bounded: nothing is kept for callers
that never got in.
"""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.types import Message, Receive

from conductor.domain import errors
from mcp_server.faults import SlowBody
from mcp_server.serving import ClientGone, Headers

_KEYS_AT_MOST = 16_384


class Bodies:
    """Reads bodies, each whole: bounded in bytes, and in the seconds it may take to arrive."""

    def __init__(self, limit_bytes: int, timeout_s: float) -> None:
        self._limit = limit_bytes
        self._timeout_s = timeout_s
        # Who reads, and until when, the earliest first. One timer watches all: one each would cost more than the read.
        self._reading: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def check_declared(self, headers: Headers) -> None:
        """Refuse a body that is announced as too large, before anything else is done. Raises TooLarge."""
        declared = headers.get(b"content-length")
        if declared is None:
            return
        if not declared.isdigit():
            raise errors.Invalid("Content-Length is not a number.")
        # Python refuses to read a number of thousands of digits.
        if len(declared) > 15 or int(declared) > self._limit:
            raise self._too_large()

    async def read(self, receive: Receive) -> bytes:
        """Take the whole body. Raises TooLarge, SlowBody, and ClientGone when the caller hung up."""
        loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._reading[task] = loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._end_late)
        try:
            message = await receive()
            body = _piece(message)
            if message.get("more_body", False):
                body = await self._rest(body, receive)
            self._bound(len(body))
            return body
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel() > 0:
                raise
            raise SlowBody(
                f"The body did not arrive within {self._timeout_s:g} s: send it at once.",
                facts={"timeout_s": self._timeout_s},
            ) from None
        finally:
            del self._reading[task]
            self._late.discard(task)

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        body = bytearray(first)
        has_more = True
        while has_more:
            self._bound(len(body))
            message = await receive()
            body += _piece(message)
            has_more = message.get("more_body", False)
        return bytes(body)

    def _bound(self, length: int) -> None:
        if length > self._limit:
            raise self._too_large()

    def _too_large(self) -> errors.TooLarge:
        return errors.TooLarge(
            f"The body is larger than {self._limit} bytes: send less, or split the call.",
            facts={"limit_bytes": self._limit},
        )

    def _end_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, until in self._reading.items():
            if until > now:
                self._timer = loop.call_at(until, self._end_late)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()


def _piece(message: Message) -> bytes:
    if message["type"] != "http.request":
        raise ClientGone
    body: bytes = message.get("body", b"")
    return body


class Rate:
    """A token bucket for each key, kept as one number: the time at which it will be full again.

    per_s: calls a second in the long run. burst: calls at once after a pause.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._interval_s = 1 / per_s
        self._slack_s = (burst - 1) / per_s
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """Take one call; returns 0, or the seconds after which it would be let in.

        now: monotonic seconds.
        """
        full_at = max(self._full_at.get(key, now), now)
        wait_s = full_at - now - self._slack_s
        # A millionth of the interval forgives the rounding of a sum.
        if wait_s > self._interval_s * 1e-6:
            return wait_s
        if len(self._full_at) >= _KEYS_AT_MOST and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = full_at + self._interval_s
        return 0

    def _forget(self, now: float) -> None:
        # A full bucket is the same as none. Should none be full, the oldest goes: its caller gains one burst.
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]
        while len(self._full_at) >= _KEYS_AT_MOST:
            del self._full_at[next(iter(self._full_at))]
