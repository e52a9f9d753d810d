"""Replies that were given, for callers that ask again: by idempotency key, and by batch for the dispatcher.

A reply is stored in the transaction of its effect, so that it exists exactly when the effect does.
"""

from __future__ import annotations

from datetime import datetime

import orjson
from sqlalchemy import delete, select, tuple_

from storage import tables
from storage.unit import Unit

_keys = tables.idempotency
_batches = tables.batches


class Replies:
    """Stored replies of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def find(self, caller: str, operation: str, key: str) -> tuple[str, str] | None:
        """Read the body's hash and the reply of a call with this key, while the key is honoured."""
        rows = self._unit.rows(
            select(_keys.c.body_hash, _keys.c.reply).where(
                _keys.c.organization_id == self._unit.organization_id,
                _keys.c.caller == caller,
                _keys.c.operation == operation,
                _keys.c.key == key,
                _keys.c.expires_at > self._unit.now,
            )
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def keep(self, caller: str, operation: str, key: str, body_hash: str, reply: str, expires_at: datetime) -> None:
        """Store a reply; a key whose time was over is taken anew."""
        self._unit.merge(
            "upsert",
            _keys,
            {
                "organization_id": self._unit.organization_id,
                "caller": caller,
                "operation": operation,
                "key": key,
                "body_hash": body_hash,
                "reply": reply,
                "expires_at": expires_at,
            },
        )

    def of_batch(self, batch: str) -> dict[int, str]:
        """Read the replies of a batch by the commands' places; empty: it was not committed here."""
        rows = self._unit.rows(
            select(_batches.c.replies).where(
                _batches.c.organization_id == self._unit.organization_id, _batches.c.batch == batch
            )
        )
        return {int(place): reply for row in rows for place, reply in orjson.loads(row[0]).items()}

    def keep_batch(self, batch: str, part: int, replies: dict[int, str], expires_at: datetime) -> None:
        """Store the replies of a batch, or of one command of it that is run alone."""
        stored = {str(place): reply for place, reply in replies.items()}
        self._unit.insert(
            _batches,
            {
                "organization_id": self._unit.organization_id,
                "batch": batch,
                "part": part,
                "replies": orjson.dumps(stored).decode(),
                "expires_at": expires_at,
            },
        )

    def prune(self, most: int) -> None:
        """Forget what is honoured no longer: at most so many rows of each kind, the oldest first."""
        for table in (_keys, _batches):
            key = list(table.primary_key)
            over = (
                select(*key)
                .where(table.c.organization_id == self._unit.organization_id, table.c.expires_at <= self._unit.now)
                .order_by(table.c.expires_at)
                .limit(most)
            )
            self._unit.execute(delete(table).where(tuple_(*key).in_(over)))
