"""Counts what is asked, how it ends and how long it takes; keeps what the daemon last saw of the installation.

This sits on the way of every call and is a few dictionary steps; `exposition` does everything dear when it is
scraped. Keys are bounded: operations, outcomes, organisations; never an agent, a task or a token.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DONE = "done"
"""The outcome of a call that was not refused."""

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0)
"""Upper bounds of the histogram, in seconds: from a read on an idle machine to `batch.deadline_s`."""

ORGANIZATIONS_AT_MOST = 500

OTHER = "_other"
"""Stands for every organisation beyond the first 500 that were active. No slug and no id begins so."""


@dataclass(frozen=True, slots=True)
class OrganizationCounts:
    """What one organisation holds. agents: by state. tasks: open ones by status. locks: live ones."""

    id: str
    slug: str
    agents: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[str, int] = field(default_factory=dict)
    locks: int = 0


@dataclass(frozen=True, slots=True)
class HostCounts:
    """One host process. name: its number. queued: commands waiting. batch_commands: mean size of its last batches."""

    name: str
    is_up: bool
    queued: int = 0
    batch_commands: float = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the daemon saw when it looked last. taken_at: monotonic seconds of the daemon's clock."""

    taken_at: float
    organizations: Sequence[OrganizationCounts] = ()
    hosts: Sequence[HostCounts] = ()


class Durations:
    """How many calls fell into each bucket, and the sum of their seconds."""

    __slots__ = ("_counts", "sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one call."""
        self._counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Calls up to each bound, as Prometheus wants them."""
        total, rows = 0, []
        for bound, count in zip((*BUCKETS_S, float("inf")), self._counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return rows


class Metrics:
    """All figures of this process, by organisation's id. Belongs to one event loop: nothing here locks."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.slugs: Mapping[str, str] = {}
        self.operations: Counter[tuple[str, str, str]] = Counter()
        self.seconds: dict[tuple[str, str], Durations] = {}
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rate_limited: Counter[str] = Counter()
        self.auth_failures = 0
        self._organizations: set[str] = set()

    def observe(self, operation: str, code: str | None, seconds: float, organization_id: str = "") -> None:
        """Count one call of an operation; code: None when done. The dispatcher calls this for every call."""
        whose = self._bounded(organization_id)
        self.operations[whose, operation, code or DONE] += 1
        durations = self.seconds.get((whose, operation))
        if durations is None:
            durations = self.seconds[whose, operation] = Durations()
        durations.add(seconds)

    def count_request(self, route: str, status: int) -> None:
        """Count one HTTP response; route: one of the few names that the routes have."""
        self.requests[route, status] += 1

    def count_auth_failure(self) -> None:
        """Count one request without a valid token."""
        self.auth_failures += 1

    def count_rate_limited(self, organization_id: str) -> None:
        """Count one request that came too soon after others with the same token."""
        self.rate_limited[self._bounded(organization_id)] += 1

    def show(self, snapshot: Snapshot) -> None:
        """Take what the daemon saw just now; it replaces what it saw before."""
        self.snapshot = snapshot
        self.slugs = {organization.id: organization.slug for organization in snapshot.organizations}

    def _bounded(self, organization_id: str) -> str:
        if organization_id in self._organizations:
            return organization_id
        if len(self._organizations) >= ORGANIZATIONS_AT_MOST:
            return OTHER
        self._organizations.add(organization_id)
        return organization_id
