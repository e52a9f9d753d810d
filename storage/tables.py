"""The schema: what is kept, with the tenant in every key.

Primary keys and foreign keys begin with organization_id, so that a link across tenants cannot exist. Rows that say
what is live now (locks, open tasks) are kept apart by index from what is history; nothing on a hot path scans history.
Private to storage. A change here needs a migration; a test compares both.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from conductor.domain.access import Role, TokenKind
from conductor.domain.agents import AgentStatus, RequestStatus
from conductor.domain.events import EventKind
from conductor.domain.locks import Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.quotas import Scope, Window
from conductor.domain.tasks import Outcome, Priority, TaskStatus
from storage.columns import Json, UtcTime, Word

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _tenant() -> Column[str]:
    return Column("organization_id", Text, primary_key=True)


def _of_organization() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["organization_id"], ["organizations.organization_id"], ondelete="CASCADE")


def _of_project() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "project_id"], ["projects.organization_id", "projects.id"], ondelete="CASCADE"
    )


installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The daemon's last sign of life: what tells a lease that ended before a stop from one that the stop interrupted.
    Column("alive_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("claimed_by", Text, nullable=False),
    Column("claimed_at", UtcTime, nullable=False),
)

organizations = Table(
    "organizations",
    metadata,
    _tenant(),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("plan", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

members = Table(
    "members",
    metadata,
    _tenant(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("role", Word(Role), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    _of_organization(),
)

projects = Table(
    "projects",
    metadata,
    _tenant(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("conflict_strategy", Word(ConflictStrategy), nullable=False),
    Column("root_path", Text),
    Column("git_remote", Text),
    Column("settings", Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("organization_id", "slug"),
    _of_organization(),
)

tokens = Table(
    "tokens",
    metadata,
    _tenant(),
    Column("id", Text, primary_key=True),
    Column("kind", Word(TokenKind), nullable=False),
    Column("role", Word(Role), nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("name", Text),
    Column("project_id", Text),
    Column("agent_name", Text),
    Column("member_id", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("used_at", UtcTime),
    Column("replaced_by", Text),
    _of_organization(),
    _of_project(),
    ForeignKeyConstraint(
        ["organization_id", "member_id"], ["members.organization_id", "members.id"], ondelete="CASCADE"
    ),
    # The key id is looked up before the tenant is known, so it must be unique among all.
    Index("ix_tokens_id", "id", unique=True),
)

agents = Table(
    "agents",
    metadata,
    _tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("provider", Text),
    Column("model", Text),
    Column("role", Word(Role), nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("allowed_paths", Json, nullable=False),
    Column("denied_paths", Json, nullable=False),
    Column("token_budget", BigInteger),
    Column("instructions_file", Text),
    Column("status", Word(AgentStatus), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime),
    Column("lost_at", UtcTime),
    Column("current_task_id", Text),
    Column("stage", Text),
    Column("note", Text),
    Column("context_used", BigInteger),
    Column("context_limit", BigInteger),
    UniqueConstraint("organization_id", "project_id", "agent_id"),
    _of_project(),
)

access_requests = Table(
    "access_requests",
    metadata,
    _tenant(),
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("agent_type", Text, nullable=False),
    Column("provider", Text),
    Column("model", Text),
    Column("capabilities", Json, nullable=False),
    Column("requested_role", Word(Role), nullable=False),
    Column("reason", Text),
    Column("status", Word(RequestStatus), nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("claim_hash", Text, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("reviewed_at", UtcTime),
    Column("reviewed_by", Text),
    Column("review_reason", Text),
    Column("token_expires_in_days", Integer),
    Column("deliver_to_requester", Boolean, nullable=False),
    Column("token_id", Text),
    _of_project(),
    Index(None, "organization_id", "project_id", "agent_id"),
    Index(None, "organization_id", "project_id", "requested_at", "id"),
)

onboarding = Table(
    "onboarding",
    metadata,
    _tenant(),
    Column("project_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("welcome", Text),
    Column("focus", Text),
    Column("goals", Json, nullable=False),
    Column("style_guide", Text),
    Column("instruction_files", Json, nullable=False),
    Column("checkpoint_rules", Json, nullable=False),
    Column("remind_every_tasks", Integer, nullable=False),
    _of_project(),
)

_CLOSED = "status IN ('completed', 'failed', 'cancelled')"

tasks = Table(
    "tasks",
    metadata,
    _tenant(),
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
    _of_project(),
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
    _tenant(),
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
    _tenant(),
    Column("task_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("agent_id", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", Word(Outcome)),
    Column("error", Text),
    ForeignKeyConstraint(["organization_id", "task_id"], ["tasks.organization_id", "tasks.id"], ondelete="CASCADE"),
)

locks = Table(
    "locks",
    metadata,
    _tenant(),
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
    _of_project(),
    Index(None, "organization_id", "project_id", "acquired_at", "id"),
)
"""Live leases only: an ended one leaves its events and its fences."""

fences = Table(
    "fences",
    metadata,
    _tenant(),
    Column("project_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    _of_project(),
    # A lock manager that wakes counts on from the highest token of its project.
    Index(None, "organization_id", "project_id", "token"),
)
"""The highest token that each agent was granted on each pattern, for ever: what the gates compare with."""

costs = Table(
    "costs",
    metadata,
    _tenant(),
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
    _of_organization(),
    Index(None, "organization_id", "occurred_at"),
    Index(None, "organization_id", "project_id", "agent_id", "occurred_at"),
)

spend = Table(
    "spend",
    metadata,
    _tenant(),
    Column("scope", Word(Scope), primary_key=True),
    # '' for the organisation, the project's id, or project's id and agent's name with a slash between.
    Column("subject", Text, primary_key=True),
    # Days since the epoch; -1 holds the total of all days.
    Column("day", Integer, primary_key=True),
    Column("cost_nano", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    _of_organization(),
)

quotas = Table(
    "quotas",
    metadata,
    _tenant(),
    Column("scope", Word(Scope), primary_key=True),
    # Whose it is, as in spend.
    Column("subject", Text, primary_key=True),
    Column("window", Word(Window), primary_key=True),
    Column("project_id", Text),
    Column("agent_id", Text),
    Column("limit_nano", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    _of_organization(),
    _of_project(),
)

events = Table(
    "events",
    metadata,
    _tenant(),
    Column("number", BigInteger, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("kind", Word(EventKind), nullable=False),
    Column("actor", Text, nullable=False),
    Column("project_id", Text),
    Column("subject_id", Text),
    Column("facts", Json, nullable=False),
    _of_organization(),
    Index(None, "organization_id", "project_id", "number"),
    Index(None, "organization_id", "subject_id", "number"),
)

counters = Table(
    "counters",
    metadata,
    _tenant(),
    Column("name", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    _of_organization(),
)
"""The last number given in each ledger of an organisation (`events`, `costs`): no gaps, in the order of commits."""

notices = Table(
    "notices",
    metadata,
    _tenant(),
    Column("project_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    _of_project(),
)
"""What agents have not been told yet; a row goes when it is handed over."""

idempotency = Table(
    "idempotency",
    metadata,
    _tenant(),
    Column("caller", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    _of_organization(),
    Index(None, "organization_id", "expires_at"),
)

batches = Table(
    "batches",
    metadata,
    _tenant(),
    Column("batch", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    # JSON: replies by the commands' places in the batch.
    Column("replies", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    _of_organization(),
    Index(None, "organization_id", "expires_at"),
)
"""Replies of committed batches, for a dispatcher that lost the answer: one row a transaction, not one a command."""

TENANT_TABLES = tuple(table for table in metadata.sorted_tables if "organization_id" in table.c)
"""Every table that row-level security guards."""
