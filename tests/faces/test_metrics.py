"""Figures: what is counted, who sees what, and that memory stays bounded."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from conductor.domain.access import Role, TokenKind
from mcp_server.app import build_app
from mcp_server.exposition import Figures
from mcp_server.metrics import (
    ORGANIZATIONS_AT_MOST,
    HostCounts,
    Metrics,
    OrganizationCounts,
    Snapshot,
)
from tests.faces.double import Faces, client, served, tool_call

ACME, OTHER = "org_aaaaaaaaaa", "org_bbbbbbbbbb"

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def filled() -> Metrics:
    metrics = Metrics()
    metrics.observe("claim_task", None, 0.004, ACME)
    metrics.observe("claim_task", "lock_held", 0.2, ACME)
    metrics.observe("claim_task", None, 60, OTHER)
    metrics.count_request("rest", 200)
    metrics.count_auth_failure()
    metrics.count_rate_limited(OTHER)
    metrics.show(
        Snapshot(
            taken_at=100,
            organizations=[
                OrganizationCounts(ACME, "acme", {"idle": 2, "working": 1}, {"pending": 4}, 3),
                OrganizationCounts(OTHER, "other", {"idle": 9}, {}, 1),
            ],
            hosts=[HostCounts("0", True, 5, 12.5), HostCounts("1", False)],
        )
    )
    return metrics


def shown(metrics: Metrics, only: str | None, now: float = 103) -> Series:
    page = generate_latest(Figures(metrics, now, only)).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_the_owner_of_the_installation_sees_every_figure() -> None:
    figures = shown(filled(), None)

    assert (
        figures[series("conductor_operations_total", organization="acme", operation="claim_task", outcome="done")] == 1
    )
    refused = series("conductor_operations_total", organization="acme", operation="claim_task", outcome="lock_held")
    assert figures[refused] == 1
    assert figures[series("conductor_agents", organization="acme", state="idle")] == 2
    assert figures[series("conductor_tasks", organization="acme", status="pending")] == 4
    assert figures[series("conductor_locks", organization="other")] == 1
    assert figures[series("conductor_host_up", host="0")] == 1
    assert figures[series("conductor_host_up", host="1")] == 0
    assert figures[series("conductor_host_queue_commands", host="0")] == 5
    assert figures[series("conductor_host_batch_commands", host="0")] == 12.5
    assert figures[series("conductor_http_requests_total", route="rest", status="200")] == 1
    assert figures[series("conductor_auth_failures_total")] == 1
    assert figures[series("conductor_rate_limited_total", organization="other")] == 1
    assert figures[series("conductor_snapshot_age_seconds")] == 3


def test_seconds_fall_into_their_buckets() -> None:
    figures = shown(filled(), ACME)
    labels = {"organization": "acme", "operation": "claim_task"}

    assert figures[series("conductor_operation_seconds_bucket", le="0.0025", **labels)] == 0
    assert figures[series("conductor_operation_seconds_bucket", le="0.005", **labels)] == 1
    assert figures[series("conductor_operation_seconds_bucket", le="0.25", **labels)] == 2
    assert figures[series("conductor_operation_seconds_bucket", le="+Inf", **labels)] == 2
    assert figures[series("conductor_operation_seconds_count", **labels)] == 2
    assert figures[series("conductor_operation_seconds_sum", **labels)] == pytest.approx(0.204)


def test_an_organisation_sees_its_own_series_and_nothing_of_others_or_of_the_machines() -> None:
    figures = shown(filled(), ACME)

    assert {dict(labels).get("organization") for _, labels in figures} == {"acme", None}
    assert {name for name, labels in figures if "organization" not in dict(labels)} == {
        "conductor_snapshot_age_seconds"
    }


def test_figures_of_what_is_gone_are_gone() -> None:
    metrics = filled()

    metrics.show(Snapshot(taken_at=200, organizations=[OrganizationCounts(ACME, "acme", {"idle": 1})]))

    figures = shown(metrics, None)
    assert series("conductor_agents", organization="acme", state="working") not in figures
    assert series("conductor_agents", organization="other", state="idle") not in figures
    assert series("conductor_host_up", host="0") not in figures


def test_a_thousand_organisations_take_bounded_memory_and_none_sees_the_rest() -> None:
    metrics = Metrics()

    for number in range(1000):
        metrics.observe("whoami", None, 0.001, f"org_{number:010d}")

    assert len(metrics.operations) == ORGANIZATIONS_AT_MOST + 1
    assert not any("operations" in name for name, _ in shown(metrics, "org_0000000999"))


@pytest.mark.parametrize(
    ("kind", "role", "status"),
    [
        (TokenKind.USER, Role.ROOT, 200),
        (TokenKind.USER, Role.OWNER, 200),
        (TokenKind.SERVICE, Role.SERVICE, 200),
        (TokenKind.USER, Role.ADMIN, 403),
        (TokenKind.USER, Role.VIEWER, 403),
        (TokenKind.AGENT, Role.LEAD, 403),
        (TokenKind.ENROLMENT, Role.ENROLMENT, 403),
    ],
)
def test_metrics_are_for_services_and_owners(kind: TokenKind, role: Role, status: int) -> None:
    faces = Faces()
    token = faces.desk.add(kind, role, "m")

    with served(build_app(faces.parts())) as url, client(url, token) as ask:
        assert ask.get("/metrics").status_code == status


def test_responses_are_counted_by_route_and_status_and_nothing_of_the_path() -> None:
    faces = Faces()

    with served(build_app(faces.parts())) as url, client(url, faces.root) as ask, client(url) as nobody:
        ask.post("/v1/whoami")
        ask.post("/v1/nothing")
        ask.post("/mcp", json=tool_call("conductor_whoami", {}))
        ask.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        ask.get("/some/where?token=x")
        nobody.post("/mcp", json={})
        # A streamed answer is counted when it has ended, which may be after its last byte was read here.
        for _ in range(100):
            page = ask.get("/metrics")
            figures = {
                tuple(sample.labels.values()): sample.value
                for family in text_string_to_metric_families(page.text)
                for sample in family.samples
                if sample.name == "conductor_http_requests_total" and sample.labels["route"] != "metrics"
            }
            if sum(figures.values()) == 6:
                break
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert figures == {
        ("rest", "200"): 1,
        ("rest", "404"): 1,
        ("mcp", "200"): 2,
        ("mcp", "401"): 1,
        ("none", "404"): 1,
    }
    assert faces.metrics.auth_failures == 1
