"""How Alembic runs for us: on a connection in whose transaction storage/migrate.py has already taken the lock.

Alembic loads this file by its place. It must not read settings or open databases.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Text

from storage import tables
from storage.columns import Json, UtcTime, Word


def _bare(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Write our own column types as what the database knows: a revision must not change when they do."""
    if kind == "type" and isinstance(item, UtcTime):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, Json | Word | Text):
        return "sa.Text()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_item=_bare,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
