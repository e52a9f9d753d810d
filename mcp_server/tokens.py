"""How the authenticator reaches the tokens: reads from the store, notes of first use through a host."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from actors.dispatch import Dispatcher
from conductor import telemetry
from conductor.domain import errors, ids
from conductor.domain.access import Role, TokenKind
from mcp_server.serving import TokenRow
from storage import outages
from storage.store import Store

log = telemetry.logger("tokens")

READERS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A token's row with the organisation it belongs to."""

    id: str
    kind: TokenKind
    role: Role
    secret_hash: str
    organization_id: str
    project_id: str | None
    agent_name: str | None
    member_id: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the token lets its bearer in at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenDesk:
    """Finds tokens, and notes that they have reached their bearers."""

    def __init__(self, dispatcher: Dispatcher, store: Store) -> None:
        self._dispatcher = dispatcher
        self._store = store
        # Threads of its own: whoever asks long questions must not keep others from being let in.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tokens")
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, token_id: str) -> Row | None:
        """Read a token's row. Raises Unavailable when the store does not answer."""
        if not ids.is_id(token_id, ids.Kind.TOKEN):
            return None
        return await asyncio.get_running_loop().run_in_executor(self._readers, _find, self._store, token_id)

    def mark_used(self, row: TokenRow) -> None:
        """Note a token's first use without holding up the call that showed it."""
        task = asyncio.get_running_loop().create_task(self._mark(row))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def close(self) -> None:
        """Let notes under way finish."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=1.0)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _mark(self, row: TokenRow) -> None:
        try:
            await self._dispatcher.token_used(row.organization_id, row.id)
        except errors.ConductorError as error:
            log.warning("first_use_not_noted", token_id=row.id, error=error.message)


def _find(store: Store, token_id: str) -> Row | None:
    with outages.answered(), store.cross_tenant() as everything:
        found = everything.token(token_id)
    if found is None:
        return None
    token = found.token
    return Row(
        token.id,
        token.kind,
        token.role,
        token.secret_hash,
        found.organization_id,
        token.project_id,
        token.agent_name,
        token.member_id,
        token.expires_at,
        token.revoked_at,
        token.used_at,
    )
