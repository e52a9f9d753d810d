"""What the daemon looks at while it serves: its hosts, its database, its lock, its Ray, and the figures for metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.commands import HostStats
from actors.dispatch import Dispatcher
from actors.fleet import Fleet
from conductor import telemetry
from conductor.clock import Clock
from conductor.domain import errors
from mcp_server.health import Health
from mcp_server.metrics import HostCounts, Metrics, OrganizationCounts, Snapshot
from storage import outages
from storage.cross_tenant import Measure
from storage.data_lock import DataLock
from storage.store import Store

log = telemetry.logger("watch")

LOOK_S = 2.0
"""A database that comes back is noticed, and readiness told, well within five seconds."""


class Runtime(Protocol):
    """What is asked of the actor runtime here."""

    def missing(self) -> Sequence[str]:
        """Name the parts that died, without which no host comes back."""
        ...


class Watch:
    """Looks every few seconds and tells health and metrics; ends the daemon when only a restart helps."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        fleet: Fleet,
        lock: DataLock,
        runtime: Runtime,
        health: Health,
        metrics: Metrics,
        clock: Clock,
        give_up: Callable[[str], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._lock = lock
        self._runtime = runtime
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._give_up = give_up

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once."""
        if missing := self._runtime.missing():
            self._health.dead(f"Ray has lost {', '.join(missing)}")
            self._give_up(f"Ray has lost {', '.join(missing)}: no host could come back. Start the daemon again.")
            return
        try:
            measures = await self._dispatcher.read(_measure)
            await asyncio.to_thread(self._lock.renew)
        except errors.Unavailable as error:
            self._unready(error.message)
            return
        except Exception as error:  # sorted into outages and defects at once
            outage = outages.outage_of(error)
            if outage is None:
                log.error("look_failed", exc_info=error)
            self._unready(f"the database does not answer ({type(error).__name__})")
            return
        stats = await self._fleet.stats()
        self._metrics.show(self._snapshot(measures, stats))
        if len(stats) == self._fleet.hosts:
            self._health.ready()
        else:
            self._unready(f"{self._fleet.hosts - len(stats)} of {self._fleet.hosts} hosts do not answer")

    def _unready(self, why: str) -> None:
        log.warning("not_ready", why=why)
        self._health.unready(why)

    def _snapshot(self, measures: Sequence[Measure], stats: Sequence[HostStats]) -> Snapshot:
        by_organization: dict[str, tuple[str, dict[str, dict[str, int]]]] = {}
        for measure in measures:
            _, counts = by_organization.setdefault(measure.organization_id, (measure.organization, {}))
            counts.setdefault(measure.what, {})[measure.state] = measure.count
        organizations = [
            OrganizationCounts(
                id=organization_id,
                slug=slug,
                agents=counts.get("agents", {}),
                tasks=counts.get("tasks", {}),
                locks=sum(counts.get("locks", {}).values()),
            )
            for organization_id, (slug, counts) in sorted(by_organization.items())
        ]
        answered = {host.name: host for host in stats}
        hosts = []
        for index, queued in enumerate(self._fleet.queued()):
            host = answered.get(f"host-{index}")
            mean = host.commands / host.batches if host is not None and host.batches else 0.0
            hosts.append(HostCounts(str(index), host is not None, queued, mean))
        return Snapshot(self._clock.monotonic(), organizations, hosts)


def _measure(store: Store) -> list[Measure]:
    with store.cross_tenant() as everything:
        return everything.measures()
