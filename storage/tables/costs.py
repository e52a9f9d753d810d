"""Tables of money: the ledger, what was spent each day, the limits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint

from conductor.domain.quotas import Scope, Window
from storage.columns import UtcTime, Word
from storage.tables.schema import metadata, of_organization, of_project, tenant

costs = Table(
    "costs",
    metadata,
    tenant(),
    Column("number", BigInteger, primary_key=True),
    Column("source", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("project_id", Text),
    Column("agent_id", Text),
    Column("task_id", Text),
    Column("model", Text, nullable=False),
    Column("provider", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("reported_nano", BigInteger),
    Column("computed_nano", BigInteger),
    Column("cost_nano", BigInteger),
    Column("price_ref", Text),
    Column("occurred_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    UniqueConstraint("organization_id", "source", "key"),
    of_organization(),
    Index(None, "organization_id", "occurred_at"),
    Index(None, "organization_id", "project_id", "agent_id", "occurred_at"),
)

spend = Table(
    "spend",
    metadata,
    tenant(),
    Column("scope", Word(Scope), primary_key=True),
    # '' for the organisation, the project's id, or project's id and agent's name with a slash between.
    Column("subject", Text, primary_key=True),
    # Days since the epoch; -1 holds the total of all days.
    Column("day", Integer, primary_key=True),
    Column("cost_nano", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    of_organization(),
)

quotas = Table(
    "quotas",
    metadata,
    tenant(),
    Column("scope", Word(Scope), primary_key=True),
    # Whose it is, as in spend.
    Column("subject", Text, primary_key=True),
    Column("window", Word(Window), primary_key=True),
    Column("project_id", Text),
    Column("agent_id", Text),
    Column("limit_nano", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    of_organization(),
    of_project(),
)
