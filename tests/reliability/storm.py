"""A storm: agents that call as fast as they can while time runs and hosts and daemons are killed under them.

Paced by operations, not by seconds: a slow machine gives the same number of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.callers import RestCaller

_PAUSE_S = 0.01


@dataclass
class Storm:
    """What happens while agents work.

    operations: at how many of them it is over. host_kills, daemon_kills: kill -9, spread over the operations.
    hurry_s: seconds by which the clock is set ahead at every tenth operation. starts: when something was killed, and
    when after it the daemon was seen to serve again, on the clock of the daemon.
    """

    owner: RestCaller
    operations: int
    host_kills: int
    daemon_kills: int
    hurry_s: float = 0.0
    done: int = 0
    starts: list[tuple[float, float]] = field(default_factory=list)

    def count(self) -> None:
        """One operation was answered."""
        self.done += 1
        if self.done % 100 == 0:
            print(self.done, __import__("time").monotonic())
        if self.hurry_s and self.done % 10 == 0:
            self.hurry(self.hurry_s)

    def hurry(self, seconds: float) -> None:
        """Set the clock of everybody ahead."""
        self.owner.daemon.clock.move(seconds)

    @property
    def is_over(self) -> bool:
        """Whether all operations are done."""
        return self.done >= self.operations

    async def reach(self, operations: int) -> None:
        """Wait until so many operations are done."""
        while self.done < operations:  # noqa: ASYNC110  # an event for each number would be counted just the same
            await asyncio.sleep(_PAUSE_S)

    async def rage(self, agents: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Let the agents work through all kills, to their end."""
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                group.create_task(agent)
            group.create_task(self._kill())

    async def _kill(self) -> None:
        # Hosts and daemons in turn, the first kill well after the begin, the last well before the end.
        kinds = ["host"] * self.host_kills
        for number in range(self.daemon_kills):
            kinds.insert((2 * number + 1) * (len(kinds) + 1) // (2 * self.daemon_kills), "daemon")
        for number, kind in enumerate(kinds, start=1):
            await self.reach(number * self.operations // (len(kinds) + 1))
            killed_at = self.owner.daemon.clock.now().timestamp()
            await asyncio.to_thread(self.owner.daemon.kill_host if kind == "host" else self._restart)
            await self.owner.surely("log_action", action=f"killed a {kind}")
            self.starts.append((killed_at, self.owner.daemon.clock.now().timestamp()))

    def _restart(self) -> None:
        self.owner.daemon.kill()
        self.owner.daemon.start()
