"""One writing process for each store: whoever means to write holds the data lock, as long as it lives.

SQLite: a lock of the kernel on `<database>.lock`; it ends with its process, however that ends. PostgreSQL: a lock of
a session of its own; it ends when the session does, so its holder renews it after the server was away.
The lock keeps a second daemon from starting. What a host that outlived its daemon writes is the epochs' business.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from conductor.domain import errors
from storage import outages
from storage.database_url import DatabaseUrl
from storage.engine import open_engine

_KEY = 0x636F_6E64_7563_746F
"""`conducto` in ASCII: the number of our advisory lock, in each database its own."""

_PROBE_S = 0.2
"""How long taking the lock outwaits somebody who only looks whether it is held, and holds it while looking."""

_STATEMENT_TIMEOUT_S = 5.0

_HOLDER = "conductor, pid"


class DataLock(ABC):
    """The right to write a store; use it as a context manager, or `acquire` and `release`."""

    @abstractmethod
    def acquire(self) -> None:
        """Take the lock. Raises Unavailable, which names the holder, when another process has it."""

    @abstractmethod
    def renew(self) -> None:
        """See that the lock is still ours, and take it again when it was lost without anybody's doing.

        Call it every few seconds. Raises Unavailable when another process has taken it or the database is away.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; a second time does nothing."""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def for_url(url: str) -> DataLock:
    """Give the lock of the store at a URL, not yet taken."""
    path = DatabaseUrl.parse(url).path
    return _ServerLock(url) if path is None else _FileLock(path)


def is_held(url: str) -> bool:
    """Tell whether some process, this one included, holds the store for writing."""
    path = DatabaseUrl.parse(url).path
    if path is not None:
        return _is_locked(_beside(path))
    engine = open_engine(url, read_only=True, pool_size=1, statement_timeout_s=_STATEMENT_TIMEOUT_S)
    try:
        with outages.answered(), engine.connect() as connection:
            return _server_holder(connection) is not None
    finally:
        engine.dispose()


class _FileLock(DataLock):
    """Beside a SQLite file. The lock file stays when the lock goes: removing it would part two who wait for it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = _beside(database)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        descriptor = _open(self._path)
        try:
            self._lock(descriptor)
            started_at = datetime.fromtimestamp(psutil.Process().create_time(), UTC).isoformat(timespec="seconds")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "started_at": started_at}).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def renew(self) -> None:
        if self._descriptor is None or not _is_at(self._descriptor, self._path):
            # Somebody removed the file, and the next one to come would lock a new one.
            self.release()
            self.acquire()

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + _PROBE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._refusal(descriptor) from None
            except OSError as wrong:
                raise errors.Invalid(
                    f"{self._path} cannot be locked ({wrong.strerror}): it lies on a file system without locks. Name "
                    "a database on a local disk with CONDUCTOR_DB."
                ) from None
            time.sleep(_PROBE_S / 10)

    def _refusal(self, descriptor: int) -> errors.Unavailable:
        try:
            said = json.loads(os.pread(descriptor, 4096, 0))
            pid, started_at = int(said["pid"]), str(said["started_at"])
        except (ValueError, KeyError, TypeError):
            # It has the lock and has not written its name yet.
            return errors.Unavailable(f"{self._database} is being opened by another process: only one may write it.")
        return errors.Unavailable(
            f"{self._database} is held by process {pid}, which runs since {started_at}: only one may write it. "
            f"Work through that daemon (conductor status), or end it first: kill {pid}",
            facts={"pid": pid, "started_at": started_at},
        )


class _ServerLock(DataLock):
    """Of a PostgreSQL session that does nothing else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def acquire(self) -> None:
        self._engine = open_engine(self._url, read_only=False, pool_size=1, statement_timeout_s=_STATEMENT_TIMEOUT_S)
        try:
            with outages.answered():
                connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                self._connection = connection
                self._take(connection)
        except BaseException:
            self.release()
            raise

    def renew(self) -> None:
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return
        except DBAPIError as error:
            if outages.outage_of(error) is not outages.Outage.AWAY:
                raise
            # The session is gone and the lock with it.
        self.release()
        self.acquire()

    def release(self) -> None:
        if self._connection is not None:
            # Back in the pool the session would go on, with the lock.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _take(self, connection: Connection) -> None:
        name = f"{_HOLDER} {os.getpid()} on {socket.gethostname()}"[:63]
        # Without probes a machine that lost its power would hold the lock for hours.
        connection.exec_driver_sql(
            "SELECT set_config('application_name', %s, false), set_config('idle_session_timeout', '0', false),"
            " set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
            " set_config('tcp_keepalives_count', '3', false)",
            (name,),
        )
        if connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (_KEY,)).scalar():
            return
        holder = _server_holder(connection) or "just leaving"
        raise errors.Unavailable(
            f"{DatabaseUrl.parse(self._url)} is held by another process ({holder}): only one may write it. Work "
            "through that daemon (conductor status), or end it first.",
            facts={"holder": holder},
        )


def _server_holder(connection: Connection) -> str | None:
    """Who holds the advisory lock of this database, by its own words."""
    return connection.exec_driver_sql(
        "SELECT coalesce(nullif(a.application_name, ''), 'session ' || l.pid)"
        " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = %s AND l.objid = %s"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (_KEY >> 32, _KEY & 0xFFFF_FFFF),
    ).scalar()


def _beside(database: Path) -> Path:
    # A link to the file must meet the same lock as the file.
    real = Path(os.path.realpath(database))
    return real.with_name(f"{real.name}.lock")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise errors.Invalid(
            f"{path} cannot be opened: {wrong.strerror}. Make its folder and see that it belongs to whom the daemon "
            "runs as, or name another database with CONDUCTOR_DB."
        ) from None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
