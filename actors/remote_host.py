"""A host at a distance: the same host and the same handle, with bytes between them.

Ray passes bytes on as they are; anything else it pickles with a slow pickler that asks Python about every object. A
batch of 64 saves a third of its way.
"""

from __future__ import annotations

import pickle
from typing import Protocol

from actors.commands import HostStats, Outcome
from actors.fleet import BatchOf
from actors.host import Host, HostSetup


class RemoteHost:
    """A host in a process of its own, spoken to in bytes."""

    def __init__(self, setup: HostSetup) -> None:
        self._host = Host(setup)

    def many(self, batch: bytes) -> bytes:
        """Run a packed batch and pack its outcomes."""
        commands: BatchOf = pickle.loads(batch)  # noqa: S301  # from our own dispatcher
        return pickle.dumps(self._host.many(commands), protocol=5)

    def stats(self) -> HostStats:
        """Tell what the host has done."""
        return self._host.stats()


class Wire(Protocol):
    """What reaches a host's process."""

    async def many(self, batch: bytes) -> bytes:
        """Carry a packed batch there and its outcomes back."""
        ...

    async def stats(self) -> HostStats:
        """Ask what the host has done."""
        ...

    async def ready(self, timeout_s: float) -> None:
        """Wait until the host answers."""
        ...


class RemoteHandle:
    """The handle of a remote host, as the fleet wants it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def many(self, batch: BatchOf) -> list[Outcome]:
        """Run a batch. Raises HostLost, HostFailed."""
        outcomes: list[Outcome] = pickle.loads(  # noqa: S301  # from our own host
            await self._wire.many(pickle.dumps(batch, protocol=5))
        )
        return outcomes

    async def stats(self) -> HostStats:
        """Tell what the host has done. Raises HostLost."""
        return await self._wire.stats()

    async def ready(self, timeout_s: float) -> None:
        """Wait until the host answers. Raises HostLost, HostFailed."""
        await self._wire.ready(timeout_s)
