"""`GET /metrics`: the figures in Prometheus' form, to each viewer those of its own organisation.

The owner of the installation sees everything; a service or an organisation's owner sees the series of that
organisation and no others, so that no tenant learns how busy another one is or how the machines are doing.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from conductor.clock import Clock
from conductor.domain import errors
from conductor.domain.access import Role
from mcp_server.faults import WrongMethod
from mcp_server.metrics import ORGANIZATIONS_AT_MOST, Metrics, Snapshot
from mcp_server.serving import Request, Response

_VIEWERS = frozenset({Role.ROOT, Role.OWNER, Role.SERVICE})


class MetricsPage:
    """Answers a scrape."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """Give the figures that the caller may see."""
        if request.method not in {"GET", "HEAD"}:
            raise WrongMethod("GET")
        caller = request.caller
        if caller.role not in _VIEWERS:
            raise errors.Forbidden("Metrics are for service tokens and owners: make one with create_token, kind svc.")
        only = None if caller.role is Role.ROOT else caller.organization_id
        page = generate_latest(Figures(self._metrics, self._clock.monotonic(), only))
        return Response(200, page, content_type=CONTENT_TYPE_PLAIN_0_0_4.encode())


class Figures(Collector):
    """The figures that one viewer may see.

    now: monotonic seconds. only: the viewer's organisation; None: the owner of the installation, who sees all.
    """

    def __init__(self, metrics: Metrics, now: float, only: str | None) -> None:
        self._metrics = metrics
        self._now = now
        self._only = only

    def collect(self) -> Iterator[Metric]:
        """Give every figure, by the slug of its organisation."""
        yield from self._of_calls()
        if self._metrics.snapshot is not None:
            yield from self._of_organizations(self._metrics.snapshot)
        if self._only is None:
            yield from self._of_the_installation()

    def _of_calls(self) -> Iterator[Metric]:
        operations = CounterMetricFamily(
            "conductor_operations",
            "Calls of operations by how they ended.",
            labels=("organization", "operation", "outcome"),
        )
        seconds = HistogramMetricFamily(
            "conductor_operation_seconds", "Seconds from call to answer.", labels=("organization", "operation")
        )
        limited = CounterMetricFamily(
            "conductor_rate_limited", "Requests refused because their token called too often.", labels=("organization",)
        )
        for (whose, operation, outcome), count in self._metrics.operations.items():
            if self._may_see(whose):
                operations.add_metric((self._slug(whose), operation, outcome), count)
        for (whose, operation), durations in self._metrics.seconds.items():
            if self._may_see(whose):
                seconds.add_metric((self._slug(whose), operation), durations.cumulative(), durations.sum_s)
        for whose, count in self._metrics.rate_limited.items():
            if self._may_see(whose):
                limited.add_metric((self._slug(whose),), count)
        yield from (operations, seconds, limited)

    def _of_organizations(self, snapshot: Snapshot) -> Iterator[Metric]:
        agents = GaugeMetricFamily("conductor_agents", "Agents by state.", labels=("organization", "state"))
        tasks = GaugeMetricFamily("conductor_tasks", "Open tasks by status.", labels=("organization", "status"))
        locks = GaugeMetricFamily("conductor_locks", "Live locks.", labels=("organization",))
        seen = [organization for organization in snapshot.organizations if self._may_see(organization.id)]
        for organization in seen[:ORGANIZATIONS_AT_MOST]:
            for state, count in organization.agents.items():
                agents.add_metric((organization.slug, state), count)
            for status, count in organization.tasks.items():
                tasks.add_metric((organization.slug, status), count)
            locks.add_metric((organization.slug,), organization.locks)
        age = GaugeMetricFamily("conductor_snapshot_age_seconds", "Seconds since the daemon counted what it holds.")
        age.add_metric((), max(0.0, self._now - snapshot.taken_at))
        yield from (agents, tasks, locks, age)

    def _of_the_installation(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("conductor_http_requests", "HTTP responses.", labels=("route", "status"))
        for (route, status), count in self._metrics.requests.items():
            requests.add_metric((route, str(status)), count)
        failures = CounterMetricFamily("conductor_auth_failures", "Requests without a valid token.")
        failures.add_metric((), self._metrics.auth_failures)
        yield from (requests, failures)
        if self._metrics.snapshot is not None:
            yield from _of_hosts(self._metrics.snapshot)

    def _may_see(self, organization_id: str) -> bool:
        return self._only is None or organization_id == self._only

    def _slug(self, organization_id: str) -> str:
        return self._metrics.slugs.get(organization_id, organization_id)


def _of_hosts(snapshot: Snapshot) -> Iterator[Metric]:
    up = GaugeMetricFamily("conductor_host_up", "1 when the host process answers.", labels=("host",))
    queue = GaugeMetricFamily("conductor_host_queue_commands", "Commands that wait for the host.", labels=("host",))
    batch = GaugeMetricFamily("conductor_host_batch_commands", "Mean size of its last batches.", labels=("host",))
    for host in snapshot.hosts:
        up.add_metric((host.name,), float(host.is_up))
        queue.add_metric((host.name,), host.queued)
        batch.add_metric((host.name,), host.batch_commands)
    yield from (up, queue, batch)
