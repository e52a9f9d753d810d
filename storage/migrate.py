"""Brings a database to this release's schema, one at a time and all or nothing.

Every start calls `migrate`; when nothing is to be done that is one query, and Alembic is not even imported. A newer
schema is refused, since this release would misread it. There is no way back to an older one: restore a backup.

For developers: after a change of storage/tables draft its revision, read what was written, and run the tests:

    python -c "from storage import migrate; migrate.draft('what is now true')" && ruff format storage/migrations

A new table with an organization_id also needs `row_security.guard`; a test says so. Released revisions never change.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import ProgrammingError

from conductor.domain import errors
from storage import outages, tables
from storage.database_url import DatabaseUrl
from storage.engine import open_engine

if TYPE_CHECKING:
    from alembic.config import Config

Progress = Callable[[str], None]
"""Takes a sentence for whoever waits."""

_FOLDER = Path(__file__).parent / "migrations"
_LOCK_KEY = 0x636F_6E64_6D69_6772
"""`condmigr` in ASCII: the number of the advisory lock of those who migrate."""

_PATIENCE_S = 60.0
"""How long to wait for another process that migrates, or for the last transactions of an old daemon."""

_NOT_ALLOWED = "42501"


def revisions() -> list[str]:
    """Give the schemas that this release knows, oldest first; the last is its own."""
    return sorted(file.name.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*_*.py"))


def current(url: str) -> str | None:
    """Read which schema a database has; None: none yet."""
    parsed = DatabaseUrl.parse(url)
    if parsed.path is not None and not parsed.path.exists():
        return None
    engine = open_engine(url, read_only=True, pool_size=1, statement_timeout_s=_PATIENCE_S)
    try:
        with outages.answered(), engine.connect() as connection:
            return _current(connection)
    finally:
        engine.dispose()


def require_current(url: str) -> None:
    """Refuse a database whose schema is not this release's, for whoever must not migrate it.

    Raises Invalid.
    """
    found, known = current(url), revisions()
    _require_known(found, known)
    if found != known[-1]:
        raise errors.Invalid(
            f"{DatabaseUrl.parse(url)} has schema {found or 'none'} and this release works with {known[-1]}: start "
            "the daemon of this release once, it brings the database forward.",
            facts={"found": found, "needed": known[-1]},
        )


def migrate(url: str, progress: Progress | None = None) -> bool:
    """Bring a database to this release's schema; a new one gets all of it. False: it was there already.

    url: of the role that owns the tables. Of several processes that come at once one migrates, the others wait.
    Raises Invalid for a newer schema, for tables that are not ours and for a role that may not; Unavailable when the
    database does not answer.
    """
    engine = open_engine(url, read_only=False, pool_size=1, statement_timeout_s=_PATIENCE_S)
    try:
        with outages.answered():
            with engine.connect() as connection:
                if _is_done(connection):
                    return False
            with engine.connect() as connection:
                return _migrate(connection, progress or (lambda sentence: None))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        raise errors.Invalid(
            f"The role in the URL of {DatabaseUrl.parse(url)} may not make or change tables there. Give the role that "
            "owns them in CONDUCTOR_MIGRATION_URL."
        ) from error
    finally:
        engine.dispose()


def draft(message: str) -> None:
    """Write the revision that leads from the last one to storage/tables into the folder of revisions."""
    from alembic import command  # noqa: PLC0415  # see the module

    number = f"{len(revisions()) + 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/draft.db"
        migrate(url)
        engine = open_engine(url, read_only=False, pool_size=1, statement_timeout_s=_PATIENCE_S)
        with engine.connect() as connection:
            command.revision(_config(connection), message=message, autogenerate=True, rev_id=number)
        engine.dispose()


def _migrate(connection: Connection, progress: Progress) -> bool:
    from alembic import command  # noqa: PLC0415  # see the module

    if connection.dialect.name == "sqlite":
        # A table that is made anew is emptied on the way; its children must not go with it. Only outside of a
        # transaction, and BEGIN IMMEDIATE, the engine's, is what keeps a second one from migrating.
        connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', %s, true),"
                " set_config('idle_in_transaction_session_timeout', '0', true)",
                (f"{_PATIENCE_S:.0f}s",),
            )
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        if _is_done(connection):
            return False
        found = _current(connection)
        if found is None:
            _require_empty(connection)
        progress(f"Bringing the database from schema {found or 'none'} to {revisions()[-1]}.")
        command.upgrade(_config(connection), "head")
        if connection.dialect.name == "sqlite":
            _require_references(connection)
    return True


def _is_done(connection: Connection) -> bool:
    found, known = _current(connection), revisions()
    _require_known(found, known)
    return found == known[-1]


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _require_known(found: str | None, known: list[str]) -> None:
    if found is not None and found not in known:
        raise errors.Invalid(
            f"The database has schema {found}, made by a newer release of Conductor; this one knows schemas up to "
            f"{known[-1]} and changes nothing. Install that release again, or restore the backup from before it.",
            facts={"found": found, "known": known[-1]},
        )


def _require_empty(connection: Connection) -> None:
    foreign = sorted(set(inspect(connection).get_table_names()) & set(tables.metadata.tables))
    if foreign:
        raise errors.Invalid(
            f"The database already has tables named {', '.join(foreign)} that Conductor did not make. Give Conductor "
            "a database of its own.",
            facts={"tables": foreign},
        )


def _require_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        names = ", ".join(sorted({row[0] for row in broken}))
        raise errors.Invalid(
            f"The database was damaged before: rows of {names} refer to rows that are not there. Nothing was changed; "
            "restore the latest backup."
        )


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415  # see the module

    config = Config(attributes={"connection": connection})
    # The option is read through interpolation.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
