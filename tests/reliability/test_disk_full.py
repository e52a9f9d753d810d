"""A full disk: clear errors, reads as before, and when there is room again all goes on without a person."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import psutil
import pytest

from tests.support.daemon import DaemonProcess, eventually

DISK_BYTES = 8 << 20
RECOVERY_S = 5.0
WRITES_AT_MOST = 400


class Room(Protocol):
    """Where the database lies, and how its room is taken away and given back."""

    @property
    def folder(self) -> Path: ...

    def take(self, daemon: DaemonProcess) -> None: ...

    def give_back(self) -> None: ...


@dataclass
class SmallDisk:
    """A file system in memory, of a few megabytes, that is filled by somebody else."""

    folder: Path

    def take(self, daemon: DaemonProcess) -> None:
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                continue

    def give_back(self) -> None:
        (self.folder / "ballast").unlink()


@dataclass
class ShortFiles:
    """Where nobody may mount: no file that the host writes may grow beyond what the database's log has now."""

    folder: Path
    host: psutil.Process | None = None
    limits: tuple[int, int] = (0, 0)

    def take(self, daemon: DaemonProcess) -> None:
        self.host = daemon.host()
        self.limits = self.host.rlimit(resource.RLIMIT_FSIZE)
        self.host.rlimit(resource.RLIMIT_FSIZE, ((self.folder / "conductor.db-wal").stat().st_size, self.limits[1]))

    def give_back(self) -> None:
        assert self.host is not None
        self.host.rlimit(resource.RLIMIT_FSIZE, self.limits)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A real small disk where we may mount one, else files that may not grow."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield ShortFiles(folder)
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_writes_clearly_and_passes_without_a_person(room: Room, tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path / "home", environment={"CONDUCTOR_DB": str(room.folder / "conductor.db")})
    try:
        daemon.start()
        host = daemon.host()

        room.take(daemon)
        acknowledged, refused = _write_until_refused(daemon)
        seen = _titles(daemon)
        room.give_back()
        took_s = eventually(lambda: _write(daemon, "after").status_code == 200, "a write is taken", RECOVERY_S)

        assert refused.status_code == 503
        assert refused.json()["code"] == "unavailable"
        assert refused.json()["retryable"]
        assert float(refused.headers["Retry-After"]) > 0
        if isinstance(room, SmallDisk):
            assert "disk is full" in refused.json()["message"]
        assert seen == acknowledged
        assert took_s < RECOVERY_S
        assert _titles(daemon) == {*acknowledged, "after"}
        assert daemon.host() == host
        assert daemon.stop() == 0
    finally:
        daemon.close()


def _write_until_refused(daemon: DaemonProcess) -> tuple[set[str], httpx.Response]:
    """Create large tasks until one is refused, and some more after it; gives those that were acknowledged."""
    acknowledged: set[str] = set()
    refusals: list[httpx.Response] = []
    for number in range(WRITES_AT_MOST):
        answer = _write(daemon, f"task {number}")
        if answer.status_code == 200:
            acknowledged.add(f"task {number}")
        else:
            refusals.append(answer)
            if len(refusals) == 3:
                return acknowledged, refusals[0]
    raise AssertionError(f"{WRITES_AT_MOST} writes fitted")


def _write(daemon: DaemonProcess, title: str) -> httpx.Response:
    return daemon.ask("create_task", None, {"title": title, "description": "x" * 20_000})


def _titles(daemon: DaemonProcess) -> set[str]:
    return {task["title"] for task in daemon.every("list_tasks")}
