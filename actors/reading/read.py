"""What a read is told besides the request: who asks, where, and the unit to read with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conductor.domain import agents
from conductor.domain.access import Caller
from conductor.domain.organizations import ProjectSettings
from conductor.setting_groups import Leases, Tasks
from storage.store import Store
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Read:
    """One read at hand.

    project_id: '' where no project was named or found. organization_id of the unit is the one that is read.
    running_since: when the daemon started; silence counts from there at the earliest.
    """

    caller: Caller
    project_id: str
    tx: UnitOfWork
    store: Store
    leases: Leases
    tasks: Tasks
    running_since: datetime

    @property
    def now(self) -> datetime:
        """The time of this read."""
        return self.tx.now

    def health(self, agent: agents.Agent, chosen: ProjectSettings) -> agents.Health:
        """Judge an agent's silence by what is stored. chosen: the settings of its project."""
        leases = self.leases
        if agent.lost_at is not None:
            return agents.Health.LOST
        if agent.last_seen_at is None:
            return agents.Health.LATE
        limits = agents.thresholds(
            agents.Thresholds(leases.late_after_s, leases.critical_after_s, leases.lost_after_s),
            late_s=chosen.late_after_s,
            critical_s=chosen.critical_after_s,
            lost_s=chosen.lost_after_s,
        )
        silence_s = (self.now - max(agent.last_seen_at, min(self.running_since, self.now))).total_seconds()
        return agents.health(silence_s, limits)
