"""Who calls: from the bearer token and from nothing else.

A token's row is kept for at most a second, so a revocation is effective within one; `forget` makes it so at once.
Missing, unknown, expired and revoked look exactly alike from outside. Unknown tokens are looked up in a bounded
number each second, so that a flood of invented ones is turned away here and never reaches the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from conductor import secrets_hash
from conductor.clock import Clock
from conductor.domain import access, errors
from conductor.domain.access import Caller
from mcp_server.limits import Rate
from mcp_server.serving import TokenRow

Lookup = Callable[[str], Awaitable[TokenRow | None]]
"""Reads a token's row by its id (`tok_…`); raises Unavailable when it cannot."""

MarkUsed = Callable[[TokenRow], None]
"""Notes that a token was shown for the first time. Must not block; may be told again until the row has `used_at`."""

KEPT_S = 1.0
"""Seconds from the beginning of a lookup for which its answer counts."""

_KEPT_AT_MOST = 16_384
_STRANGERS_PER_S, _STRANGERS_AT_ONCE = 100, 300
_STRANGERS = "strangers"
_NO_HASH = "0" * 64

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Seen:
    """What a lookup found, and until when it counts (monotonic seconds)."""

    row: TokenRow | None
    caller: Caller | None
    until: float
    is_noted: bool


class Authenticator:
    """Turns an Authorization header into a caller."""

    def __init__(self, lookup: Lookup, pepper: bytes, clock: Clock, mark_used: MarkUsed) -> None:
        self._lookup = lookup
        self._pepper = pepper
        self._clock = clock
        self._mark_used = mark_used
        self._seen: dict[str, _Seen] = {}
        self._pending: dict[str, asyncio.Task[_Seen]] = {}
        # Headers whose token was found right, for as long as the row counts that it was compared with.
        self._right: dict[bytes, _Seen] = {}
        # Ids whose secret was once shown: looking them up again is never refused for the sake of strangers.
        self._proven: dict[str, None] = {}
        self._strangers = Rate(_STRANGERS_PER_S, _STRANGERS_AT_ONCE)

    def recall(self, authorization: bytes | None, now: float) -> Caller | None:
        """Tell who calls when the same header was found right less than a second ago; else authenticate.

        now: monotonic seconds.
        """
        if authorization is None:
            return None
        seen = self._right.get(authorization)
        return seen.caller if seen is not None and seen.until > now else None

    async def authenticate(self, authorization: bytes | None) -> Caller:
        """Tell who calls.

        authorization: the header's value. Raises Unauthenticated, the same for every reason; RateLimited while too
        many unknown tokens are tried; what the lookup raises.
        """
        text = _bearer(authorization)
        token = access.parse_token(text) if text is not None else None
        if authorization is None or text is None or token is None:
            raise refusal()
        seen = self._seen.get(token.token_id)
        if seen is None or seen.until <= self._clock.monotonic():
            seen = await self._look(token.token_id)
        # Hashed also when there is no such token: the time taken must not tell.
        is_right = secrets_hash.matches(self._pepper, text, seen.row.secret_hash if seen.row is not None else _NO_HASH)
        if seen.row is None or seen.caller is None or not is_right or not seen.row.is_valid(self._clock.now()):
            raise refusal()
        _keep(self._proven, token.token_id, None)
        if self._seen.get(token.token_id) is seen:
            # Else it was forgotten while this caller waited, and is believed no longer than for this one call.
            _keep(self._right, authorization, seen)
        if not seen.is_noted:
            seen.is_noted = True
            self._mark_used(seen.row)
        return seen.caller

    def forget(self) -> None:
        """Look every token up again at its next use: one was revoked, rotated or replaced just now."""
        for seen in self._seen.values():
            seen.until = 0
        self._seen.clear()
        self._right.clear()
        # A lookup under way may have read the row as it was before.
        self._pending.clear()

    async def _look(self, token_id: str) -> _Seen:
        task = self._pending.get(token_id)
        if task is None:
            if token_id not in self._proven:
                self._admit_stranger()
            task = asyncio.create_task(self._fetch(token_id))
            self._pending[token_id] = task
        # Shielded: others wait for the same lookup when this caller hangs up.
        return await asyncio.shield(task)

    async def _fetch(self, token_id: str) -> _Seen:
        this = asyncio.current_task()
        began = self._clock.monotonic()
        try:
            row = await self._lookup(token_id)
            seen = self._found(row, began)
            if self._pending.get(token_id) is this:
                _keep(self._seen, token_id, seen)
            return seen
        finally:
            if self._pending.get(token_id) is this:
                del self._pending[token_id]

    def _found(self, row: TokenRow | None, began: float) -> _Seen:
        if row is None:
            return _Seen(None, None, began + KEPT_S, is_noted=True)
        caller = Caller(
            kind=row.kind,
            role=row.role,
            organization_id=row.organization_id,
            token_id=row.id,
            project_id=row.project_id,
            agent_name=row.agent_name,
            member_id=row.member_id,
            expires_at=row.expires_at,
        )
        kept_s = KEPT_S
        if row.expires_at is not None:
            kept_s = min(kept_s, (row.expires_at - self._clock.now()).total_seconds())
        return _Seen(row, caller, began + kept_s, is_noted=row.used_at is not None)

    def _admit_stranger(self) -> None:
        wait_s = self._strangers.take(_STRANGERS, self._clock.monotonic())
        if wait_s > 0:
            raise errors.RateLimited(
                "Too many unknown tokens are being tried on this server: try again in a second.", wait_s=1
            )


def refusal() -> errors.Unauthenticated:
    """The one answer to a token that is missing, unknown, expired or revoked."""
    return errors.Unauthenticated(
        "A valid token is needed: send the header `Authorization: Bearer cdr_…`. "
        "An admin of your organisation makes one."
    )


def _bearer(authorization: bytes | None) -> str | None:
    if authorization is None or len(authorization) > 200:
        return None
    scheme, _, text = authorization.decode("latin-1").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    # The one kept longest goes; at worst it is looked up once more.
    kept.pop(key, None)
    while len(kept) >= _KEPT_AT_MOST:
        del kept[next(iter(kept))]
    kept[key] = value
