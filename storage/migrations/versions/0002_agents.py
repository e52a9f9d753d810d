"""The schema, 2 of 6: agents, requests for access and what agents are told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage import row_security

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("allowed_paths", sa.Text(), nullable=False),
        sa.Column("denied_paths", sa.Text(), nullable=False),
        sa.Column("token_budget", sa.BigInteger(), nullable=True),
        sa.Column("instructions_file", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("lost_at", sa.BigInteger(), nullable=True),
        sa.Column("current_task_id", sa.Text(), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("context_used", sa.BigInteger(), nullable=True),
        sa.Column("context_limit", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_agents_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_agents"),
        sa.UniqueConstraint(
            "organization_id", "project_id", "agent_id", name="uq_agents_organization_id_project_id_agent_id"
        ),
    )
    op.create_table(
        "access_requests",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_type", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("requested_role", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("claim_hash", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=True),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("review_reason", sa.Text(), nullable=True),
        sa.Column("token_expires_in_days", sa.Integer(), nullable=True),
        sa.Column("deliver_to_requester", sa.Boolean(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_access_requests_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_access_requests"),
    )
    op.create_index(
        "ix_access_requests_organization_id_project_id_agent_id",
        "access_requests",
        ["organization_id", "project_id", "agent_id"],
    )
    op.create_index(
        "ix_access_requests_organization_id_project_id_requested_at_id",
        "access_requests",
        ["organization_id", "project_id", "requested_at", "id"],
    )
    op.create_table(
        "onboarding",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("welcome", sa.Text(), nullable=True),
        sa.Column("focus", sa.Text(), nullable=True),
        sa.Column("goals", sa.Text(), nullable=False),
        sa.Column("style_guide", sa.Text(), nullable=True),
        sa.Column("instruction_files", sa.Text(), nullable=False),
        sa.Column("checkpoint_rules", sa.Text(), nullable=False),
        sa.Column("remind_every_tasks", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_onboarding_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "project_id", name="pk_onboarding"),
    )
    op.create_table(
        "notices",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_notices_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "project_id", "agent_id", "number", name="pk_notices"),
    )
    row_security.guard(op.get_bind(), "agents", "access_requests", "onboarding", "notices")


def downgrade() -> None:
    raise NotImplementedError("There is no way back to an older schema: restore the backup from before the upgrade.")
