"""PostgreSQL stopped under load: clear errors, recovery without a person, nothing acknowledged lost or done twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.callers import Answer, RestCaller, calling
from tests.support.daemon import DaemonProcess, eventually, running
from tests.support.postgres import Cluster, StopMode

RECOVERY_S = 5.0
WORKERS = 8
WAYS: tuple[tuple[str, Callable[[Cluster], None]], ...] = (
    ("stopped in order", lambda cluster: cluster.stop(StopMode.FAST)),
    ("stopped at once", lambda cluster: cluster.stop(StopMode.IMMEDIATE)),
    ("killed", lambda cluster: cluster.kill()),
)


@dataclass
class Load:
    """What callers were told. unknown: titles with their keys, whose creation was not acknowledged."""

    acknowledged: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    refusals: list[Answer] = field(default_factory=list)
    is_over: bool = False


@dataclass
class Outage:
    """One stop. recovered_s: from the server's start to the next write that was acknowledged, and to readiness."""

    way: str
    recovered_s: float
    ready_s: float


@pytest.mark.timeout(3600)
def test_postgresql_may_be_restarted_under_load(postgres_cluster: Cluster, tmp_path: Path, is_soak: bool) -> None:
    url = postgres_cluster.create_database("restarts").single
    ways = WAYS * (5 if is_soak else 1)

    with running(tmp_path, database_url=url) as daemon:
        load, outages = asyncio.run(_restart_under_load(daemon, postgres_cluster, ways))
        titles = Counter(task["title"] for task in daemon.every("list_tasks"))
        host_log = (daemon.home / "logs/host-0.log").read_text()

    assert {answer.status for answer in load.refusals} == {503}
    assert {answer.json()["code"] for answer in load.refusals} == {"unavailable"}
    assert all(float(answer.headers["retry-after"]) > 0 for answer in load.refusals)
    slow = [outage for outage in outages if max(outage.recovered_s, outage.ready_s) > RECOVERY_S]
    assert slow == []
    assert set(titles) == load.acknowledged
    assert {title: count for title, count in titles.items() if count > 1} == {}
    assert "command_failed" not in host_log


async def _restart_under_load(
    daemon: DaemonProcess, cluster: Cluster, ways: tuple[tuple[str, Callable[[Cluster], None]], ...]
) -> tuple[Load, list[Outage]]:
    load, outages = Load(), []
    async with calling(daemon) as owner:
        workers = [asyncio.create_task(_create(owner, f"worker {number}", load)) for number in range(WORKERS)]
        for way, end in ways:
            await _grown(load.acknowledged, 50)
            await asyncio.to_thread(end, cluster)
            await _grown(load.refusals, WORKERS)
            await asyncio.to_thread(_wait_for, daemon, 503)
            await asyncio.to_thread(cluster.start)
            began = time.monotonic()
            ready = asyncio.create_task(asyncio.to_thread(_wait_for, daemon, 200))
            await _grown(load.acknowledged, 1)
            outages.append(Outage(way, time.monotonic() - began, await ready))
        load.is_over = True
        await asyncio.gather(*workers)
        for title in load.unknown:
            await owner.surely("create_task", title=title, idempotency_key=title)
            load.acknowledged.add(title)
    return load, outages


async def _create(owner: RestCaller, name: str, load: Load) -> None:
    number = 0
    while not load.is_over:
        number += 1
        title = f"{name}, {number}"
        answer = await owner.ask("create_task", title=title, idempotency_key=title)
        if answer.status == 200:
            load.acknowledged.add(title)
        else:
            load.unknown.append(title)
            load.refusals.append(answer)
            await asyncio.sleep(0.05)


async def _grown(what: Sized, by: int) -> None:
    """Wait until the workers have put so many more into it."""
    wanted = len(what) + by
    async with asyncio.timeout(30):
        while len(what) < wanted:  # noqa: ASYNC110  # it grows in the workers, call by call
            await asyncio.sleep(0.005)


def _wait_for(daemon: DaemonProcess, status: int) -> float:
    return eventually(lambda: httpx.get(f"{daemon.url}/readyz").status_code == status, f"/readyz says {status}", 30)
