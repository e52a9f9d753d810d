"""A PostgreSQL server for tests that we start, stop and kill ourselves, or one that the environment names.

A test that only needs a database takes the fixture `postgres_database`; one that stops or kills the server takes
`postgres_cluster`, a server of its own. It listens on a socket in a private folder and nowhere else. `fsync` stays as
PostgreSQL has it, on: the product reads it back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Self

import psutil
import psycopg

from tests.support import postgres_guard, postgres_programs
from tests.support.postgres_programs import URL_VARIABLE, PostgresUnavailable, Programs
from tests.support.postgres_server import Server, Url, Urls

__all__ = ["Cluster", "PostgresUnavailable", "Server", "StopMode", "Url", "Urls", "open_server"]

_PATIENCE_S = 60.0
_WAY_OUT = f"Mend that, or set {URL_VARIABLE} to the URL of a superuser of another server."
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 1 << 30
_DISKS = (Path(tempfile.gettempdir()), Path("/tmp"))
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "huge_pages": "off",
    # Segments as files in the data folder: a killed server leaves none of them behind.
    "dynamic_shared_memory_type": "mmap",
}


class StopMode(Enum):
    """How a server is asked to end: wait for its clients, end their sessions in order, drop everything at once."""

    SMART = signal.SIGTERM
    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT


@contextlib.contextmanager
def open_server(environment: Mapping[str, str] = os.environ) -> Iterator[Server]:
    """The server that the environment names, or a new cluster from whatever programs there are.

    Raises PostgresUnavailable, never less: a database that was not tried is not a database that works.
    """
    url = environment.get(URL_VARIABLE)
    if url:
        yield _named_server(url)
    else:
        with Cluster() as cluster:
            yield cluster


class Cluster(Server):
    """A server of our own, in a folder that vanishes with it; use as a context manager, which starts it too.

    settings: over postgresql.conf, such as {"fsync": "off"} to see the product refuse it.
    programs: where to look for PostgreSQL; the machine's, then the wheel's, when absent.
    place: where the folder is made. When absent it is in memory if there is room, since 7 MB for each new database
    make a slow disk the longest part of a test; a measurement passes a folder on the disk it means.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        programs: Iterable[Programs] | None = None,
        place: Path | None = None,
    ) -> None:
        self._runner = postgres_programs.account()
        self._settings = _SETTINGS | dict(settings or {})
        self._programs = postgres_programs.candidates() if programs is None else programs
        self._bin: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = subprocess.Popen(
            [sys.executable, "-P", postgres_guard.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        self.folder = self._make_folder([place] if place else [*_memory(), *_DISKS])
        super().__init__(f"postgresql://postgres@/postgres?host={self.folder}&port=5432")

    @property
    def pid(self) -> int | None:
        """Of the server's first process; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def start(self) -> None:
        """Start the server, at the first time make its data folder, and return when it takes connections."""
        if self.pid is not None:
            return
        if self._bin is None:
            self._bin = postgres_programs.find(self._programs, self._runner, lambda: self._make_folder(_DISKS))
        if not (self._data / "PG_VERSION").exists():
            # The folder is new and dies with the test: nothing here needs to survive a power cut before the start.
            quick = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
            made = self._spawn([self._bin / "initdb", "-D", self._data, "-U", "postgres", *quick])
            if made.wait(_PATIENCE_S) != 0:
                raise PostgresUnavailable(f"{self._bin / 'initdb'} failed: {self._last_words()}. {_WAY_OUT}")
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        self._process = process = self._spawn([self._bin / "postgres", "-D", self._data, "-k", self.folder, *options])
        _wait_until(lambda: process.poll() is not None or self._is_ready(process.pid), "The start of PostgreSQL")
        if process.poll() is not None:
            raise PostgresUnavailable(f"{self._bin / 'postgres'} did not start: {self._last_words()}. {_WAY_OUT}")

    def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """Ask the server to end and wait until it has; with SMART that is when the last client has left."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(mode.value)
            self._process.wait(_PATIENCE_S)

    def kill(self) -> None:
        """kill -9 of the server and all its children, as a crash would end them; `start` finds the data as they were.

        Returns when the last of them has let go of the shared memory: until then no new server would start.
        """
        if self._process is not None and self._process.poll() is None:
            postgres_guard.kill_tree(psutil.Process(self._process.pid))
            self._process.wait(_PATIENCE_S)

    def restart(self) -> None:
        """Stop the server if it runs, in order, and start it again on the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its folder; can be called twice."""
        self.stop(StopMode.IMMEDIATE)
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        if self._guard.wait(_PATIENCE_S) != 0:
            raise RuntimeError(f"a process or a folder of the test server is left: remove {self.folder} yourself")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log_path(self) -> Path:
        return self.folder / "log"

    def _make_folder(self, places: Iterable[Path]) -> Path:
        folder = postgres_programs.temporary_folder(places, self._runner)
        self._tell_guard("folder", folder)
        return folder

    def _spawn(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with self._log_path.open("ab") as output:
            process = postgres_programs.spawn(command, self._runner, cwd=self.folder, output=output)
        self._tell_guard("process", process.pid)
        return process

    def _tell_guard(self, kind: str, value: Path | int) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{kind} {value}\n")
        self._guard.stdin.flush()

    def _is_ready(self, pid: int) -> bool:
        # After a crash the file is still there with the old server's pid: only ours counts.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _last_words(self) -> str:
        return " / ".join(self.log.splitlines()[-5:]) or "it wrote nothing"


def _named_server(url: str) -> Server:
    server = Server(url)
    try:
        with psycopg.connect(server.superuser_url()) as connection:
            row = connection.execute("SELECT current_setting('is_superuser'), current_user").fetchone()
    except psycopg.Error as error:
        raise PostgresUnavailable(
            f"The server of {URL_VARIABLE} does not let us in: {error}. Start it or correct the URL, or unset the "
            "variable and the tests start a server of their own."
        ) from error
    assert row is not None
    if row[0] != "on":
        raise PostgresUnavailable(
            f"{URL_VARIABLE} must be the URL of a superuser, who makes the tests' roles and databases; {row[1]} is "
            "none. Name one that is, or unset the variable and the tests start a server of their own."
        )
    return server


def _memory() -> Iterator[Path]:
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
        yield _MEMORY


def _wait_until(is_done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {_PATIENCE_S:.0f} s")
        time.sleep(0.005)
