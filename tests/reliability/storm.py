"""A storm: agents that call as fast as they can while time runs and hosts and daemons are killed under them.

Paced by operations, not by seconds: a slow machine gives the same number of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.daemon import DaemonProcess

_PAUSE_S = 0.01


@dataclass
class Storm:
    """What happens while agents work.

    operations: at how many of them it is over. host_kills, daemon_kills: kill -9, spread over the operations.
    hurry_s: seconds by which the clock is set ahead at every tenth operation.
    """

    daemon: DaemonProcess
    operations: int
    host_kills: int
    daemon_kills: int
    hurry_s: float = 0.0
    done: int = 0
    started: Callable[[], None] = lambda: None
    killed: list[str] = field(default_factory=list)

    def count(self) -> None:
        """One operation was answered."""
        self.done += 1
        if self.hurry_s and self.done % 10 == 0:
            self.daemon.clock.move(self.hurry_s)

    @property
    def is_over(self) -> bool:
        """Whether all operations are done."""
        return self.done >= self.operations

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
            while self.done < number * self.operations // (len(kinds) + 1):
                await asyncio.sleep(_PAUSE_S)
            await asyncio.to_thread(self._kill_host if kind == "host" else self._kill_daemon)
            self.killed.append(kind)

    def _kill_host(self) -> None:
        self.daemon.kill_host()

    def _kill_daemon(self) -> None:
        self.daemon.kill()
        self.daemon.start()
        self.started()
