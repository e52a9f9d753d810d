"""Tables of tasks, what they wait for, and their attempts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from conductor.domain.tasks import Outcome, Priority, TaskStatus, Verification
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_project, tenant

_CLOSED = "status IN ('completed', 'failed', 'cancelled')"

tasks = Table(
    "tasks",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text),
    Column("status", Word(TaskStatus), nullable=False),
    Column("priority", Word(Priority), nullable=False),
    Column("dependencies", Json, nullable=False),
    Column("files", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("requires", Json, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("parent_id", Text),
    Column("reserved_for", Text),
    Column("holder", Text),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lease_s", Integer),
    Column("lease_expires_at", UtcTime),
    Column("blocked_on", Json, nullable=False),
    Column("evidence_required", Json, nullable=False),
    Column("estimated_cost_nano", BigInteger),
    Column("progress", Float),
    Column("note", Text),
    Column("result", Text),
    Column("evidence", Json),
    Column("error", Text),
    Column("due_at", UtcTime),
    Column("retry_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("reserved_until", UtcTime),
    Column("reassign_to", Text),
    Column("reassign_at", UtcTime),
    Column("reassignments", Integer, nullable=False, server_default="0"),
    Column("verification", Word(Verification)),
    Column("problems", Json, nullable=False, server_default="[]"),
    Column("reviewed_by", Text),
    Column("external_id", Text),
    of_project(),
    UniqueConstraint("organization_id", "project_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "project_id", "parent_id"], ["tasks.organization_id", "tasks.project_id", "tasks.id"]
    ),
    Index(None, "organization_id", "project_id", "created_at", "id"),
    Index(None, "organization_id", "project_id", "status", "created_at", "id"),
    # Whoever changes a task has its subtasks looked for, because they refer to it.
    Index(
        "ix_tasks_parent",
        "organization_id",
        "project_id",
        "parent_id",
        sqlite_where=text("parent_id IS NOT NULL"),
        postgresql_where=text("parent_id IS NOT NULL"),
    ),
    Index(
        "ix_tasks_external",
        "organization_id",
        "project_id",
        "external_id",
        unique=True,
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    # What a board loads when it wakes: the open tasks, however many are closed.
    Index(
        "ix_tasks_open",
        "organization_id",
        "project_id",
        "id",
        sqlite_where=text(f"NOT ({_CLOSED})"),
        postgresql_where=text(f"NOT ({_CLOSED})"),
    ),
)

task_dependencies = Table(
    "task_dependencies",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("depends_on", Text, primary_key=True),
    ForeignKeyConstraint(
        ["organization_id", "project_id", "task_id"],
        ["tasks.organization_id", "tasks.project_id", "tasks.id"],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["organization_id", "project_id", "depends_on"],
        ["tasks.organization_id", "tasks.project_id", "tasks.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "project_id", "depends_on"),
)

attempts = Table(
    "attempts",
    metadata,
    tenant(),
    Column("task_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("agent_id", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", Word(Outcome)),
    Column("error", Text),
    ForeignKeyConstraint(["organization_id", "task_id"], ["tasks.organization_id", "tasks.id"], ondelete="CASCADE"),
)
