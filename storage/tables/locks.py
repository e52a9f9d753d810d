"""Tables of live leases, of who waits for one, and of the fencing tokens that were granted."""

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

lock_paths = Table(
    "lock_paths",
    metadata,
    tenant(),
    Column("lock_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("place", Text, nullable=False),
    of_project(),
    Index(None, "organization_id", "project_id", "place"),
)
"""The patterns of live leases, each under the place by which it is found: see storage/touching.py."""

lock_waits = Table(
    "lock_waits",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("paths", Json, nullable=False),
    Column("mode", Word(Mode), nullable=False),
    Column("ttl_s", Integer, nullable=False),
    Column("task_id", Text),
    Column("reason", Text),
    Column("rank", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("renew_by", UtcTime, nullable=False),
    Column("passes", Json, nullable=False),
    Column("yields", Json, nullable=False),
    Column("lock_id", Text),
    Column("collect_by", UtcTime),
    of_project(),
    Index(None, "organization_id", "project_id", "number"),
)
"""Places in the queues: of those who wait, and of those who were granted a lease and have not collected it yet."""

fences = Table(
    "fences",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    # Where nothing else is known it is compared with every path, as what begins in the root folder.
    Column("place", Text, nullable=False, server_default="//"),
    of_project(),
    # A lock manager that wakes counts on from the highest token of its project.
    Index(None, "organization_id", "project_id", "token"),
    Index(None, "organization_id", "project_id", "place"),
)
"""The highest token that each agent was granted on each pattern, for ever: what the gates compare with."""
