"""The schema, 3 of 6: tasks, their dependencies and attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage import row_security

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("dependencies", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("requires", sa.Text(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("reserved_for", sa.Text(), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lease_s", sa.Integer(), nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("blocked_on", sa.Text(), nullable=False),
        sa.Column("evidence_required", sa.Text(), nullable=False),
        sa.Column("estimated_cost_nano", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id", "parent_id"],
            ["tasks.organization_id", "tasks.project_id", "tasks.id"],
            name="fk_tasks_organization_id_project_id_parent_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_tasks_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name="pk_tasks"),
        sa.UniqueConstraint("organization_id", "project_id", "id", name="uq_tasks_organization_id_project_id_id"),
    )
    op.create_index(
        "ix_tasks_open",
        "tasks",
        ["organization_id", "project_id", "id"],
        sqlite_where=sa.text("NOT (status IN ('completed', 'failed', 'cancelled'))"),
        postgresql_where=sa.text("NOT (status IN ('completed', 'failed', 'cancelled'))"),
    )
    op.create_index(
        "ix_tasks_organization_id_project_id_created_at_id",
        "tasks",
        ["organization_id", "project_id", "created_at", "id"],
    )
    op.create_index(
        "ix_tasks_organization_id_project_id_status_created_at_id",
        "tasks",
        ["organization_id", "project_id", "status", "created_at", "id"],
    )
    op.create_index(
        "ix_tasks_parent",
        "tasks",
        ["organization_id", "project_id", "parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_table(
        "task_dependencies",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("depends_on", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id", "depends_on"],
            ["tasks.organization_id", "tasks.project_id", "tasks.id"],
            name="fk_task_dependencies_organization_id_project_id_depends_on",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id", "task_id"],
            ["tasks.organization_id", "tasks.project_id", "tasks.id"],
            name="fk_task_dependencies_organization_id_project_id_task_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "project_id", "task_id", "depends_on", name="pk_task_dependencies"),
    )
    op.create_index(
        "ix_task_dependencies_organization_id_project_id_depends_on",
        "task_dependencies",
        ["organization_id", "project_id", "depends_on"],
    )
    op.create_table(
        "attempts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "task_id"],
            ["tasks.organization_id", "tasks.id"],
            name="fk_attempts_organization_id_task_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "task_id", "number", name="pk_attempts"),
    )
    row_security.guard(op.get_bind(), "tasks", "task_dependencies", "attempts")


def downgrade() -> None:
    raise NotImplementedError("There is no way back to an older schema: restore the backup from before the upgrade.")
