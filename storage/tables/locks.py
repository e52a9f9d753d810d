"""Tables of live leases and of the fencing tokens that were granted."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from conductor.domain.locks import Mode
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_project, tenant

locks = Table(
    "locks",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("paths", Json, nullable=False),
    Column("mode", Word(Mode), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("ttl_s", Integer, nullable=False),
    Column("acquired_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("task_id", Text),
    Column("reason", Text),
    of_project(),
    Index(None, "organization_id", "project_id", "acquired_at", "id"),
)
"""Live leases only: an ended one leaves its events and its fences."""

fences = Table(
    "fences",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    of_project(),
    # A lock manager that wakes counts on from the highest token of its project.
    Index(None, "organization_id", "project_id", "token"),
)
"""The highest token that each agent was granted on each pattern, for ever: what the gates compare with."""
