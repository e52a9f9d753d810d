"""Rules that several callers test at once hold for all of them: no cycle closes, no claim passes a spent budget."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tests.reliability.conftest import DATABASES, url_for_module
from tests.support.callers import Refused, RestCaller, calling
from tests.support.daemon import DaemonProcess, running

LIMIT, COST = Decimal(5), Decimal("0.25")
AGENTS = 8


@pytest.fixture(scope="module", params=DATABASES)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all races on a database."""
    with running(tmp_path_factory.mktemp("races"), database_url=url_for_module(request)) as process:
        yield process


@pytest.mark.timeout(3600)
def test_of_edges_that_would_close_a_cycle_together_one_is_always_refused(daemon: DaemonProcess, is_soak: bool) -> None:
    ends = asyncio.run(_close_cycles(daemon, times=500 if is_soak else 50))

    for length, outcomes, edges in ends:
        assert outcomes == {"done": length - 1, "dependency_cycle": 1}
        assert edges == length - 1


def test_no_claim_that_is_sent_after_the_budget_is_spent_is_granted(daemon: DaemonProcess) -> None:
    project = daemon.call("create_project", name="Budget")["id"]
    daemon.call("set_quota", scope="project", project_id=project, limit_usd=str(LIMIT), window="total")

    spending = asyncio.run(_spend(daemon, project))

    assert spending.refused == {"budget_exceeded": AGENTS}
    late = [sent for sent in spending.granted if sent > spending.over_at]
    assert late == []
    (quota,) = daemon.call("get_quota", project_id=project)["items"]
    assert Decimal(quota["spent_usd"]) == spending.booked * COST
    assert quota["exceeded"]
    # What was claimed before may still be paid for: one task of each agent at most.
    assert LIMIT <= Decimal(quota["spent_usd"]) <= LIMIT + AGENTS * COST


async def _close_cycles(daemon: DaemonProcess, times: int) -> list[tuple[int, Counter[str], int]]:
    """Let two, or three, tasks be made to wait for each other at once; gives what became of it each time."""
    ends = []
    async with calling(daemon) as owner:
        project = (await owner.call("create_project", name="Cycles"))["id"]
        for number in range(times):
            length = 2 + number % 2
            tasks = [
                (await owner.call("create_task", title=f"{number}, {place}", project_id=project))["id"]
                for place in range(length)
            ]
            pairs = zip(tasks, tasks[1:] + tasks[:1], strict=True)
            outcomes = Counter(await asyncio.gather(*(_depend(owner, task, on) for task, on in pairs)))
            kept = await asyncio.gather(*(owner.call("get_task", task_id=task) for task in tasks))
            ends.append((length, outcomes, sum(len(task["dependencies"]) for task in kept)))
    return ends


async def _depend(owner: RestCaller, task_id: str, on: str) -> str:
    try:
        await owner.call("update_task", task_id=task_id, dependencies=[on])
    except Refused as refused:
        return refused.code
    return "done"


@dataclass
class Spending:
    """What agents were told. granted: when each claim was sent that was granted. over_at: the first word of the end."""

    granted: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    booked: int = 0
    over_at: float = float("inf")


async def _spend(daemon: DaemonProcess, project: str) -> Spending:
    spending = Spending()
    async with calling(daemon) as owner:
        for number in range(60):
            await owner.call("create_task", title=f"task {number}", project_id=project)
        crew = []
        for number in range(AGENTS):
            name = f"agent-{number}"
            token = (await owner.call("register_agent", agent_id=name, name=name, project_id=project))["token"]
            crew.append(_spend_all(owner.like(token), name, spending))
        await asyncio.gather(*crew)
    return spending


async def _spend_all(agent: RestCaller, name: str, spending: Spending) -> None:
    number = 0
    while True:
        sent = time.monotonic()
        try:
            claim = await agent.call("claim_task")
        except Refused as refused:
            spending.refused[refused.code] += 1
            return
        spending.granted.append(sent)
        number += 1
        key = f"{name}, {number}"
        said = await agent.call(
            "record_cost", model="m", input_tokens=1, output_tokens=1, cost_usd=str(COST), idempotency_key=key
        )
        spending.booked += 1
        if said["exceeded"]:
            spending.over_at = min(spending.over_at, time.monotonic())
        await agent.call("complete_task", task_id=claim["task"]["id"], attempt=claim["attempt"], result="done")
