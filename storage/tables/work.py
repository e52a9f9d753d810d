"""Tables of the work's company: sessions, pauses, messages, checkpoints, reported checks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Index, Integer, Table, Text, text

from conductor.domain.beads import LinkKind
from conductor.domain.pauses import PauseMode
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_organization, of_project, tenant

sessions = Table(
    "sessions",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("client", Text),
    Column("started_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("end_reason", Text),
    of_project(),
    Index(None, "organization_id", "project_id", "started_at", "id"),
    Index(
        "ix_sessions_live",
        "organization_id",
        "project_id",
        "agent_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

pauses = Table(
    "pauses",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("mode", Word(PauseMode), nullable=False),
    Column("reason", Text, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("paused_at", UtcTime, nullable=False),
    of_organization(),
)
"""project_id and agent_id are '' where a pause is wider than they are."""

messages = Table(
    "messages",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("sender_agent", Text),
    Column("audience", Text, nullable=False),
    Column("subject", Text),
    Column("text", Text, nullable=False),
    Column("attachments", Json, nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    Column("sent_at", UtcTime, nullable=False),
    Column("reply_to", Text),
    Column("number", BigInteger, nullable=False),
    of_project(),
    Index(None, "organization_id", "project_id", "number"),
    Index(None, "organization_id", "project_id", "thread_id", "number"),
)

deliveries = Table(
    "deliveries",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("delivered_at", UtcTime),
    Column("acknowledged_at", UtcTime),
    of_project(),
    ForeignKeyConstraint(
        ["organization_id", "message_id"], ["messages.organization_id", "messages.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "message_id"),
    # What a reader looks for: however much an agent has read, these hold only what it has not.
    Index(
        "ix_deliveries_unread",
        "organization_id",
        "project_id",
        "agent_id",
        "number",
        sqlite_where=text("delivered_at IS NULL"),
        postgresql_where=text("delivered_at IS NULL"),
    ),
    Index(
        "ix_deliveries_unacknowledged",
        "organization_id",
        "project_id",
        "agent_id",
        "number",
        sqlite_where=text("acknowledged_at IS NULL"),
        postgresql_where=text("acknowledged_at IS NULL"),
    ),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("task_id", Text),
    Column("attempt", Integer),
    Column("summary", Text, nullable=False),
    Column("next_steps", Json, nullable=False),
    Column("state", Json, nullable=False),
    Column("files", Json, nullable=False),
    Column("locks", Json, nullable=False),
    Column("is_automatic", Boolean, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    of_project(),
    Index(None, "organization_id", "project_id", "made_at", "id"),
    Index(None, "organization_id", "project_id", "task_id", "made_at"),
    Index(None, "organization_id", "project_id", "agent_id", "made_at"),
    Index(None, "organization_id", "expires_at"),
)

checks = Table(
    "checks",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("commit_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("passed", Boolean, nullable=False),
    Column("details", Text),
    Column("reported_by", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    of_project(),
)

bead_links = Table(
    "bead_links",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("kind", Word(LinkKind), primary_key=True),
    Column("target", Text, primary_key=True),
    of_project(),
    Index(None, "organization_id", "project_id", "target"),
)
