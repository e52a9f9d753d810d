"""When time will end something: keys with deadlines that move, in order.

A deadline that is moved leaves its old entry in the heap; it is dropped when it comes to the top, so that moving
costs as little as setting and nothing ever looks at all keys.
"""

from __future__ import annotations

import heapq
from datetime import datetime


class Deadlines:
    """One deadline a key."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def set(self, key: str, at: datetime) -> None:
        """Give a key its deadline, or move it."""
        if self._at.get(key) == at:
            return
        self._at[key] = at
        heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._heap = sorted((at, key) for key, at in self._at.items())

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def drop(self, key: str) -> None:
        """Forget a key."""
        self._at.pop(key, None)

    def next(self) -> datetime | None:
        """Give the nearest deadline."""
        while self._heap:
            at, key = self._heap[0]
            if self._at.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: datetime) -> list[str]:
        """List the keys whose deadline has come, the earliest first; they stay until dropped or moved."""
        if (nearest := self.next()) is None or nearest > now:
            return []
        # Whoever asks will drop or move what is due: looking at all keys then costs what ending them costs.
        return [key for at, key in sorted((at, key) for key, at in self._at.items() if at <= now)]
