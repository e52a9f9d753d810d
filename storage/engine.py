"""Opens a database and refuses one that cannot keep what it acknowledges.

Everything that connections must have is set when each is made, and read back. SQLite: a write-ahead log, an fsync
at each commit, the write lock taken when a transaction begins. PostgreSQL: limits to every wait, UTC, a role that
row-level security holds. Must never show a password.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from conductor.domain import errors
from storage import outages, row_security
from storage.database_url import DatabaseUrl

OLDEST_POSTGRESQL = 14
"""PostgreSQL's own people mend no older one."""

_JOURNAL_LIMIT = 64 << 20
"""Bytes. A log that one large transaction blew up is cut back to this."""

_FILE_MODE = 0o600

_CONNECT_TIMEOUT_S = 5

_IDLE_SHARE, _LOCK_SHARE = 0.6, 0.8
"""Of the statement's time. Whoever waits for a row outwaits a holder that froze in the middle of a transaction."""

_AS_WE_NEED_IT = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
}


def open_engine(url: str, *, read_only: bool, pool_size: int, statement_timeout_s: float) -> Engine:
    """Open a database and see that it answers.

    read_only: no connection of it can change anything. pool_size: connections it keeps at most; a writer of SQLite
    has one, as there can be one writer only. statement_timeout_s: what one statement may take on PostgreSQL, and how
    long it waits for a lock on SQLite.
    A SQLite file that a writer does not find is made, for its owner alone.
    Raises Invalid when the database cannot be used as it is, NotFound for a file that a reader misses, Unavailable
    when it does not answer.
    """
    parsed = DatabaseUrl.parse(url)
    if parsed.path is not None:
        engine = _sqlite(parsed.path, read_only, pool_size, statement_timeout_s)
    else:
        engine = _postgresql(parsed, read_only, pool_size, statement_timeout_s)
    try:
        with outages.answered(), engine.connect() as connection:
            if parsed.path is None:
                _require_server(connection, parsed)
    except errors.Unavailable as unavailable:
        engine.dispose()
        raise _with_reason(unavailable, parsed) from unavailable.__cause__
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_durable(engine: Engine) -> None:
    """Refuse a database that would lose what it acknowledged when the power goes.

    SQLite is read back on every connection; PostgreSQL's settings belong to the server, so they are read at start.
    Raises Invalid with the commands that mend it.
    """
    if engine.dialect.name == "sqlite":
        return
    with outages.answered(), engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in _AS_WE_NEED_IT)
        ).one()
    found: dict[str, str] = dict(row._mapping)
    wrong = [name for name, allowed in _AS_WE_NEED_IT.items() if found[name] not in allowed]
    if wrong:
        mend = "; ".join(f"ALTER SYSTEM SET {name} = on" for name in wrong)
        raise errors.Invalid(
            f"This PostgreSQL would lose acknowledged changes in a crash: {', '.join(wrong)} is off. As its superuser "
            f"run: {mend}; SELECT pg_reload_conf(); (and take the setting out of the role and the database if it is "
            "set there), then start again.",
            facts={name: found[name] for name in wrong},
        )


def require_plain_role(engine: Engine, allow_superuser: bool) -> None:
    """Refuse a role that row-level security does not hold: nothing would part the organisations but our own care.

    Raises Invalid with the SQL that makes a right role.
    """
    if engine.dialect.name == "sqlite" or allow_superuser:
        return
    with outages.answered(), engine.connect() as connection:
        role, database, is_superuser, passes = connection.exec_driver_sql(
            "SELECT rolname, current_database(), rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).one()
    if is_superuser or passes:
        what = "is a superuser" if is_superuser else "has BYPASSRLS"
        raise errors.Invalid(
            f"The PostgreSQL role {role} {what}, so row-level security does not hold it and nothing there parts the "
            "organisations. Make an ordinary role and put it into CONDUCTOR_DATABASE_URL; as a superuser, connected "
            f"to {database}, run:\n{row_security.role_sql(database)}\n"
            "Or accept it: storage.allow_superuser = true.",
            facts={"role": role, "superuser": is_superuser, "bypassrls": passes},
        )


def prepare_sqlite(connection: sqlite3.Connection, path: Path, read_only: bool, busy_ms: int) -> None:
    """Set what every connection to a SQLite file must have, and read it back.

    Raises Invalid when something does not stick.
    """
    # The wait first: setting the log may already meet another process.
    wanted: dict[str, int | str] = {"busy_timeout": busy_ms}
    if not read_only:
        # It stays with the file, so readers take it as they find it.
        wanted |= {"journal_mode": "wal", "journal_size_limit": _JOURNAL_LIMIT}
    # macOS alone tells fsync from fullfsync; elsewhere the setting is kept and means nothing.
    wanted |= {
        "synchronous": 2,
        "fullfsync": 1,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "query_only": int(read_only),
    }
    for name, value in wanted.items():
        if name == "journal_mode":
            _begin_wal(connection, busy_ms)
        else:
            connection.execute(f"PRAGMA {name} = {value}")
        (found,) = connection.execute(f"PRAGMA {name}").fetchone() or (None,)
        if found != value:
            raise errors.Invalid(_refusal(path, name, found, value), facts={"pragma": name, "found": found})


def _begin_wal(connection: sqlite3.Connection, busy_ms: int) -> None:
    """Turn the write-ahead log on; SQLite does not wait by itself for another process that is just doing so."""
    until = time.monotonic() + busy_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = wal")
        except sqlite3.OperationalError as busy:
            if busy.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite(path: Path, read_only: bool, pool_size: int, statement_timeout_s: float) -> Engine:
    if read_only and not path.exists():
        raise errors.NotFound(f"There is no database {path}: `conductor up` makes it at its first start.")
    if not read_only:
        _make_file(path)
    address = f"file:{quote(str(path))}?mode=rw"
    busy_ms = round(statement_timeout_s * 1000)

    def connect() -> sqlite3.Connection:
        # Without a level of its own the driver begins nothing by itself: only our BEGIN does.
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        try:
            prepare_sqlite(connection, path, read_only, busy_ms)
        except sqlite3.DatabaseError as wrong:
            connection.close()
            if wrong.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise errors.Invalid(
                    f"{path} is not a SQLite database: name another file with CONDUCTOR_DB, or restore a backup to it."
                ) from None
            raise
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(
        DatabaseUrl.parse(str(path)).address,
        creator=connect,
        poolclass=QueuePool,
        pool_size=pool_size if read_only else 1,
        max_overflow=0,
        pool_timeout=statement_timeout_s,
        hide_parameters=True,
    )
    # SQLite locks the whole file: take the write lock now, not at the first change, or two writers fail each other.
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _make_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE))
    except OSError as wrong:
        raise errors.Invalid(
            f"The database {path} cannot be opened for writing: {wrong.strerror}. Make its folder and see that it "
            "belongs to whom the daemon runs as, or name another file with CONDUCTOR_DB."
        ) from None


def _refusal(path: Path, name: str, found: object, wanted: object) -> str:
    if name == "journal_mode":
        return (
            f"SQLite cannot keep a write-ahead log for {path} (journal_mode is {found}). Network and shared folders "
            "cannot carry one: name a file on a local disk with CONDUCTOR_DB."
        )
    return (
        f"SQLite does not take {name} = {wanted} for {path} (it says {found}), so what it acknowledges would not be "
        "safe. Run Conductor with a Python that has a usual SQLite; python.org's and the distributions' have."
    )


def _postgresql(parsed: DatabaseUrl, read_only: bool, pool_size: int, statement_timeout_s: float) -> Engine:
    # What the URL says itself goes before these.
    usual: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "fallback_application_name": "conductor",
        # A peer that vanished without a word is noticed in the time of a statement.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": round(statement_timeout_s * 1000),
    }
    arguments = {name: value for name, value in usual.items() if name not in parsed.address.query}
    engine = create_engine(
        parsed.address,
        connect_args=arguments,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=statement_timeout_s,
        pool_pre_ping=read_only,
        use_native_hstore=False,
        hide_parameters=True,
    )
    settings = {
        "timezone": "UTC",
        "default_transaction_read_only": "on" if read_only else "off",
        "statement_timeout": f"{round(statement_timeout_s * 1000)}ms",
        "lock_timeout": f"{round(statement_timeout_s * _LOCK_SHARE * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{round(statement_timeout_s * _IDLE_SHARE * 1000)}ms",
    }
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())

    @event.listens_for(engine, "connect")
    def _(connection: Any, record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SELECT {calls}")
        connection.autocommit = False

    return engine


def _with_reason(unavailable: errors.Unavailable, parsed: DatabaseUrl) -> errors.Unavailable:
    """Say also which database it is and what it said: whoever opens it is who can mend it. libpq names no password."""
    original = getattr(unavailable.__cause__, "orig", None)
    said = str(original).partition(" failed: ")[2].partition("\n")[0] if parsed.path is None else str(original)
    reason = f" ({said})" if original is not None and said else ""
    return errors.Unavailable(
        f"{parsed} cannot be opened{reason}. {unavailable.message}", facts=unavailable.facts, wait_s=unavailable.wait_s
    )


def _require_server(connection: Connection, parsed: DatabaseUrl) -> None:
    version, encoding = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding')"
    ).one()
    if version < OLDEST_POSTGRESQL:
        raise errors.Invalid(f"{parsed} is PostgreSQL {version}: Conductor needs {OLDEST_POSTGRESQL} or newer.")
    if encoding != "UTF8":
        raise errors.Invalid(
            f"{parsed} keeps texts as {encoding} and Conductor's are UTF-8. Make another database: "
            "CREATE DATABASE conductor TEMPLATE template0 ENCODING 'UTF8'."
        )
