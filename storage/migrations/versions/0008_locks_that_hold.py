"""Locks that hold: places in the queues for leases, zones, and leased patterns by where they are found."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from storage import row_security

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_lock_waits()
    _create_zones()
    _create_lock_paths()
    _place_what_is_there()
    row_security.guard(op.get_bind(), "lock_waits", "zones", "lock_paths")


def _create_lock_waits() -> None:
    op.create_table(
        "lock_waits",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("paths", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("ttl_s", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("renew_by", sa.BigInteger(), nullable=False),
        sa.Column("passes", sa.Text(), nullable=False),
        sa.Column("yields", sa.Text(), nullable=False),
        sa.Column("lock_id", sa.Text(), nullable=True),
        sa.Column("collect_by", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name=op.f("fk_lock_waits_organization_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_lock_waits")),
    )
    with op.batch_alter_table("lock_waits", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_lock_waits_organization_id_project_id_number"),
            ["organization_id", "project_id", "number"],
            unique=False,
        )


def _create_zones() -> None:
    op.create_table(
        "zones",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_zones_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "project_id", name="pk_zones"),
    )


def _create_lock_paths() -> None:
    op.create_table(
        "lock_paths",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("lock_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"],
            ["projects.organization_id", "projects.id"],
            name="fk_lock_paths_organization_id_project_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "lock_id", "path", name="pk_lock_paths"),
    )
    op.create_index(
        "ix_lock_paths_organization_id_project_id_place", "lock_paths", ["organization_id", "project_id", "place"]
    )
    with op.batch_alter_table("fences", schema=None) as batch_op:
        batch_op.add_column(sa.Column("place", sa.Text(), server_default="//", nullable=False))
    op.create_index("ix_fences_organization_id_project_id_place", "fences", ["organization_id", "project_id", "place"])


def _place_what_is_there() -> None:
    """Put leases and fences of the older release where this one looks for them."""
    connection = op.get_bind()
    row_security.enter_cross_tenant(connection)
    fences = connection.execute(sa.text("SELECT organization_id, project_id, path, agent_id FROM fences")).all()
    if fences:
        connection.execute(
            sa.text(
                "UPDATE fences SET place = :place WHERE organization_id = :organization_id "
                "AND project_id = :project_id AND path = :path AND agent_id = :agent_id"
            ),
            [
                {"organization_id": row[0], "project_id": row[1], "path": row[2], "agent_id": row[3]}
                | {"place": _place(row[2])}
                for row in fences
            ],
        )
    leases = connection.execute(sa.text("SELECT organization_id, id, project_id, paths FROM locks")).all()
    rows = [
        {"organization_id": row[0], "lock_id": row[1], "project_id": row[2], "path": path, "place": _place(path)}
        for row in leases
        for path in dict.fromkeys(json.loads(row[3]))
    ]
    if rows:
        connection.execute(
            sa.text(
                "INSERT INTO lock_paths (organization_id, lock_id, path, project_id, place) "
                "VALUES (:organization_id, :lock_id, :path, :project_id, :place)"
            ),
            rows,
        )


def _place(path: str) -> str:
    """As storage.touching.place_of was when this revision was made."""
    if "*" not in path and "?" not in path and not path.endswith("/"):
        return path
    names = path.removesuffix("/").split("/")
    fixed = next((place for place, name in enumerate(names) if "*" in name or "?" in name), len(names))
    return "/".join(names[:fixed]) + "//"


def downgrade() -> None:
    raise NotImplementedError("There is no way back to an older schema: restore the backup from before the upgrade.")
