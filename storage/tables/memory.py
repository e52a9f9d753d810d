"""Tables of what happened: events, the counters of all ledgers, and replies for who asks again."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from conductor.domain.events import EventKind
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_organization, tenant

events = Table(
    "events",
    metadata,
    tenant(),
    Column("number", BigInteger, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", Word(EventKind), nullable=False),
    Column("actor", Text, nullable=False),
    Column("project_id", Text),
    Column("subject_id", Text),
    Column("facts", Json, nullable=False),
    of_organization(),
    Index(None, "organization_id", "project_id", "number"),
    Index(None, "organization_id", "subject_id", "number"),
)

counters = Table(
    "counters",
    metadata,
    tenant(),
    Column("name", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    of_organization(),
)
"""The last number given in each ledger of an organisation (`events`, `costs`): no gaps, in the order of commits."""

idempotency = Table(
    "idempotency",
    metadata,
    tenant(),
    Column("caller", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    of_organization(),
    Index(None, "organization_id", "expires_at"),
)

batches = Table(
    "batches",
    metadata,
    tenant(),
    Column("batch", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    # JSON: replies by the commands' places in the batch.
    Column("replies", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    of_organization(),
    Index(None, "organization_id", "expires_at"),
)
"""Replies of committed batches, for a dispatcher that lost the answer: one row a transaction, not one a command."""
