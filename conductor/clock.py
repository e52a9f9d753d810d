"""The one clock: read here, passed down, never read elsewhere.

Rules take the time as an argument; the daemon's main makes one clock and hands it to every part and every host,
so that a test can give all processes the same adjustable one.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Two readings: the wall, for what is stored and shown; the monotonic, for what is waited for."""

    def now(self) -> datetime:
        """The wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class SteadyClock:
    """Wall-clock time that never jumps: read once from the wall, then carried on by the monotonic clock.

    A host judges leases by it, so that setting the machine's clock ends no lease early and keeps none alive.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun_at = clock.now()
        self._begun = clock.monotonic()

    def now(self) -> datetime:
        return self._begun_at + timedelta(seconds=self._clock.monotonic() - self._begun)

    def monotonic(self) -> float:
        return self._clock.monotonic()
