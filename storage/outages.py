"""What a database's error means: wait and try again, or a defect of ours.

An outage is what passes without a change of the program: the database is held, full, away, or it broke off our
transaction in favour of another. Everything else (a broken constraint, wrong SQL) is no outage. Drivers' texts are
not passed on: they can hold values and addresses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, TimeoutError

from conductor.domain import errors


class Outage(Enum):
    """Why the database does not serve now; the value is the sentence for whoever waits."""

    HELD = "The database is held by other work and did not come free in time."
    FULL = "The database's disk is full: free some space there; nothing else needs to be done."
    AWAY = "The database cannot be reached: see that it runs and that its address is right."
    CONFLICT = "The database broke this transaction off in favour of another one."
    SLOW = "The database took longer than storage.statement_timeout_s allows."
    READ_ONLY = "The database takes no changes now: its disk or its server is read-only."
    DAMAGED = "The database is damaged: stop the daemon and restore the latest backup."


_WAIT_S = {Outage.HELD: 1.0, Outage.CONFLICT: 0.1, Outage.SLOW: 5.0, Outage.FULL: 30.0, Outage.DAMAGED: 300.0}
_DEFAULT_WAIT_S = 2.0

_SQLITE = {
    sqlite3.SQLITE_BUSY: Outage.HELD,
    sqlite3.SQLITE_LOCKED: Outage.HELD,
    sqlite3.SQLITE_PROTOCOL: Outage.HELD,
    sqlite3.SQLITE_FULL: Outage.FULL,
    sqlite3.SQLITE_IOERR: Outage.AWAY,
    sqlite3.SQLITE_CANTOPEN: Outage.AWAY,
    sqlite3.SQLITE_NOMEM: Outage.AWAY,
    sqlite3.SQLITE_READONLY: Outage.READ_ONLY,
    sqlite3.SQLITE_INTERRUPT: Outage.SLOW,
    sqlite3.SQLITE_CORRUPT: Outage.DAMAGED,
    sqlite3.SQLITE_NOTADB: Outage.DAMAGED,
}

_POSTGRESQL = {
    # Whole codes before classes; https://www.postgresql.org/docs/current/errcodes-appendix.html
    "40001": Outage.CONFLICT,
    "40P01": Outage.CONFLICT,
    "55P03": Outage.HELD,
    "57014": Outage.SLOW,
    "25P03": Outage.SLOW,
    "25P04": Outage.SLOW,
    "25006": Outage.READ_ONLY,
    "53100": Outage.FULL,
    "57P": Outage.AWAY,
    "08": Outage.AWAY,
    "53": Outage.AWAY,
    "58": Outage.AWAY,
    "XX001": Outage.DAMAGED,
    "XX002": Outage.DAMAGED,
}


def outage_of(error: BaseException) -> Outage | None:
    """Tell which outage an error of the database is; None: none, the statement or the data are wrong."""
    if isinstance(error, TimeoutError):
        # No connection of the pool came free.
        return Outage.HELD
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = getattr(error.orig, "sqlstate", None) or ""
    # Without a code the server never answered, or went away before it did.
    silent = not state and isinstance(error, OperationalError)
    found = next((outage for code, outage in _POSTGRESQL.items() if state.startswith(code)), None)
    return found or (Outage.AWAY if silent or error.connection_invalidated else None)


def is_outage(error: BaseException) -> bool:
    """Tell whether the same work may succeed later, without a change of ours."""
    return outage_of(error) is not None


def is_full(error: BaseException) -> bool:
    """Tell whether the disk is full: smaller work may still find room."""
    return outage_of(error) is Outage.FULL


def is_conflict(error: BaseException) -> bool:
    """Tell whether the transaction gave way to another one: to run it again at once makes sense."""
    return outage_of(error) is Outage.CONFLICT


def is_integrity(error: BaseException) -> bool:
    """Tell whether a key, a reference or a not-null rule refused the data."""
    return isinstance(error, IntegrityError | sqlite3.IntegrityError)


def unavailable(outage: Outage) -> errors.Unavailable:
    """Give the error that callers get for an outage."""
    return errors.Unavailable(
        outage.value, facts={"database": outage.name.lower()}, wait_s=_WAIT_S.get(outage, _DEFAULT_WAIT_S)
    )


@contextmanager
def answered() -> Iterator[None]:
    """Let an outage in the block leave as Unavailable, and every other error as it is."""
    try:
        yield
    except (DBAPIError, TimeoutError, sqlite3.Error) as error:
        outage = outage_of(error)
        if outage is None:
            raise
        raise unavailable(outage) from error


def is_transaction_open(connection: Connection) -> bool:
    """Tell whether the transaction that we think we are in still is one, and can go on.

    SQLite ends a transaction by itself when the disk is full, PostgreSQL refuses all more after any error.
    """
    if connection.closed or connection.invalidated:
        return False
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return driver.in_transaction
    # Who keeps the store in SQLite is spared the import.
    from psycopg.pq import TransactionStatus  # noqa: PLC0415

    return bool(driver is not None and driver.info.transaction_status == TransactionStatus.INTRANS)


def _of_sqlite(error: sqlite3.Error) -> Outage | None:
    # The lower eight bits are the kind, those above say more of it. sqlite3's own complaints have no code.
    return _SQLITE.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)
