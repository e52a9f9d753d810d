"""Tables of agents: who they are, who asks to be let in, what they are told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, false

from conductor.domain.access import Role
from conductor.domain.agents import AgentStatus, RequestStatus
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_project, tenant

agents = Table(
    "agents",
    metadata,
    tenant(),
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
    Column("kind", Text),
    Column("tasks_claimed", Integer, nullable=False, server_default="0"),
    Column("tasks_completed", Integer, nullable=False, server_default="0"),
    Column("context_advised", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("organization_id", "project_id", "agent_id"),
    of_project(),
)

access_requests = Table(
    "access_requests",
    metadata,
    tenant(),
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
    of_project(),
    Index(None, "organization_id", "project_id", "agent_id"),
    Index(None, "organization_id", "project_id", "requested_at", "id"),
)

onboarding = Table(
    "onboarding",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("welcome", Text),
    Column("focus", Text),
    Column("goals", Json, nullable=False),
    Column("style_guide", Text),
    Column("instruction_files", Json, nullable=False),
    Column("checkpoint_rules", Json, nullable=False),
    Column("remind_every_tasks", Integer, nullable=False),
    of_project(),
)

onboarding_versions = Table(
    "onboarding_versions",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("config", Json, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    of_project(),
)
"""What a project told its agents before and now, version by version."""

notices = Table(
    "notices",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("agent_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    of_project(),
)
"""What agents have not been told yet; a row goes when it is handed over."""
