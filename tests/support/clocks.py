"""Clocks that tests set: one in memory, one shared by all processes of a test daemon through a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._at = at
        self._passed = 0.0

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds


@dataclass(frozen=True)
class FileClock:
    """The machine's clock, ahead by the seconds that a file holds; every process that has the path is ahead alike."""

    path: Path

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead())

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead()

    def move(self, seconds: float) -> None:
        """Let time pass for everybody."""
        moved = self.path.with_name(f"{self.path.name}.moved")
        moved.write_text(str(self._ahead() + seconds))
        # In one piece: who reads a file that is just being written would be thrown back in time.
        moved.replace(self.path)

    def _ahead(self) -> float:
        return float(self.path.read_text() or 0) if self.path.exists() else 0.0
