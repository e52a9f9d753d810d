"""A request that comes a thousand times, at once, with one idempotency key, happens once and is answered alike."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.callers import RestCaller, calling
from tests.support.daemon import DaemonProcess

TIMES = 1000
CONNECTIONS = 100
COST = {"model": "m-1", "input_tokens": 10, "output_tokens": 5, "cost_usd": "0.25"}


def test_a_thousand_duplicates_of_a_request_have_one_effect_and_one_answer(daemon: DaemonProcess) -> None:
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]

    first = asyncio.run(_flood(daemon, ada))
    second = asyncio.run(_flood(daemon, ada))

    assert [len(answers) for answers in first] == [1, 1]
    assert second == first
    made = daemon.call("list_tasks", limit=200)["items"]
    assert [task["title"] for task in made] == ["Once"]
    spent = daemon.call("get_costs", group_by=["agent"])
    assert [(row["agent"], row["events"], row["cost_usd"]) for row in spent["rows"]] == [("ada", 1, "0.25")]
    kinds = [event["kind"] for event in daemon.call("list_events", limit=200)["items"]]
    assert (kinds.count("task.created"), kinds.count("cost.recorded")) == (1, 1)


async def _flood(daemon: DaemonProcess, ada: str) -> tuple[set[bytes], set[bytes]]:
    """Send both requests a thousand times each, mixed; gives the distinct answers."""
    async with calling(daemon) as owner:
        agent = owner.like(ada)
        sent = iter(range(TIMES))
        tasks, costs = set(), set()

        async def send() -> None:
            for _ in sent:
                tasks.add(await _body(owner, "create_task", title="Once", idempotency_key="one"))
                costs.add(await _body(agent, "record_cost", **COST, idempotency_key="one"))

        await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    return tasks, costs


async def _body(caller: RestCaller, operation: str, **arguments: Any) -> bytes:
    answer = await caller.ask(operation, **arguments)
    assert answer.status == 200, answer.body
    return answer.body
