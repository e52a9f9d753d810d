"""The table of zones: whose which part of a repository is."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from storage.columns import Json, UtcTime
from storage.tables.schema import metadata, of_project, tenant

zones = Table(
    "zones",
    metadata,
    tenant(),
    Column("project_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("zones", Json, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    of_project(),
)
"""A project's zones in one row, for they are judged, read and changed together; no row: there never were any."""
