"""Tables of tenants: organisations, people, projects, tokens; and of the installation itself."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, Table, Text, UniqueConstraint

from conductor.domain.access import Role, TokenKind
from conductor.domain.organizations import ConflictStrategy
from storage.columns import Json, UtcTime, Word
from storage.tables.schema import metadata, of_organization, of_project, tenant

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The daemon's last sign of life: what tells a lease that ended before a stop from one that the stop interrupted.
    Column("alive_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("deleted_by", Text, nullable=False),
    Column("deleted_at", UtcTime, nullable=False),
)
"""Organisations that were deleted with all they had: what is left of them, so that it can be told who did it."""

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
    tenant(),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("plan", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

members = Table(
    "members",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("role", Word(Role), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
    of_organization(),
)

projects = Table(
    "projects",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("conflict_strategy", Word(ConflictStrategy), nullable=False),
    Column("root_path", Text),
    Column("git_remote", Text),
    Column("settings", Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("archived_at", UtcTime),
    UniqueConstraint("organization_id", "slug"),
    of_organization(),
)

teams = Table(
    "teams",
    metadata,
    tenant(),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("organization_id", "slug"),
    of_organization(),
)

team_members = Table(
    "team_members",
    metadata,
    tenant(),
    Column("team_id", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    ForeignKeyConstraint(["organization_id", "team_id"], ["teams.organization_id", "teams.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["organization_id", "member_id"], ["members.organization_id", "members.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "member_id"),
)

team_projects = Table(
    "team_projects",
    metadata,
    tenant(),
    Column("team_id", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    ForeignKeyConstraint(["organization_id", "team_id"], ["teams.organization_id", "teams.id"], ondelete="CASCADE"),
    of_project(),
    Index(None, "organization_id", "project_id"),
)

tokens = Table(
    "tokens",
    metadata,
    tenant(),
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
    of_organization(),
    of_project(),
    ForeignKeyConstraint(
        ["organization_id", "member_id"], ["members.organization_id", "members.id"], ondelete="CASCADE"
    ),
    # The key id is looked up before the tenant is known, so it must be unique among all.
    Index("ix_tokens_id", "id", unique=True),
)
