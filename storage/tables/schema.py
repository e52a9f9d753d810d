"""What every table is made of: the metadata, and keys that begin with the tenant."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def tenant() -> Column[str]:
    """Give the column that every key begins with."""
    return Column("organization_id", Text, primary_key=True)


def of_organization() -> ForeignKeyConstraint:
    """Tie a row to its organisation; it goes with it."""
    return ForeignKeyConstraint(["organization_id"], ["organizations.organization_id"], ondelete="CASCADE")


def of_project() -> ForeignKeyConstraint:
    """Tie a row to its project; it goes with it."""
    return ForeignKeyConstraint(
        ["organization_id", "project_id"], ["projects.organization_id", "projects.id"], ondelete="CASCADE"
    )
