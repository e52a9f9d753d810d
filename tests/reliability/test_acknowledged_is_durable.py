"""Acknowledged means durable, not acknowledged means all or nothing: the host is killed at each place of each write."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.reliability.conftest import DATABASES, url_for_module
from tests.support.daemon import DaemonProcess, running

PLACES = ("before_commit", "after_commit", "before_reply")
# What time does in a host comes to these places too, and would take the kill away from the write.
QUIET = {"CONDUCTOR_LEASES__ELAPSE_EVERY_S": "60", "CONDUCTOR_LEASES__SIGN_OF_LIFE_S": "60"}


@dataclass(frozen=True)
class Write:
    """A write in the middle of which the host is killed.

    prepare: makes what the write needs; gives its arguments. kind: of the event that tells its effect.
    times: how often the host comes to a place on the way: before a claim it is asked for the budget.
    """

    operation: str
    prepare: Callable[[DaemonProcess, str, str], Mapping[str, Any]]
    kind: str
    by_agent: bool = True
    times: int = 1


def _claimed(daemon: DaemonProcess, ada: str, name: str) -> Mapping[str, Any]:
    task = daemon.call("create_task", title=name)
    daemon.call("claim_task", ada, task_id=task["id"])
    return {"task_id": task["id"], "attempt": 1, "result": "done"}


COST = {"model": "m", "input_tokens": 1, "output_tokens": 1, "cost_usd": "0.5"}
WRITES = (
    Write("create_task", lambda _d, _a, name: {"title": name}, "task.created", by_agent=False),
    Write(
        "claim_task", lambda d, _a, name: {"task_id": d.call("create_task", title=name)["id"]}, "task.claimed", times=2
    ),
    Write("acquire_lock", lambda _d, _a, name: {"paths": [f"{name}/**"]}, "lock.granted"),
    Write("complete_task", _claimed, "task.completed"),
    Write("record_cost", lambda _d, _a, name: {**COST, "idempotency_key": name}, "cost.recorded"),
    Write("register_agent", lambda _d, _a, name: {"agent_id": name, "name": name}, "agent.registered", by_agent=False),
)


@dataclass(frozen=True)
class Scene:
    """A daemon on one of the databases, and an agent in it."""

    database: str
    daemon: DaemonProcess
    ada: str
    numbers: Iterator[int]


@pytest.fixture(scope="module", params=DATABASES)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One daemon for all kills on a database."""
    with running(tmp_path_factory.mktemp("durable"), database_url=url_for_module(request), environment=QUIET) as daemon:
        ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
        # The first use of a token is a write of its own: it is over before the first kill.
        daemon.call("heartbeat", ada, status="idle")
        yield Scene(request.param, daemon, ada, itertools.count(1))


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.operation)
def test_a_write_under_which_the_host_is_killed_has_one_effect(scene: Scene, write: Write, is_soak: bool) -> None:
    for place in PLACES if is_soak else _places_in_turn(scene, write):
        arguments = write.prepare(scene.daemon, scene.ada, f"w{next(scene.numbers)}")
        last = scene.daemon.call("list_events", limit=1)["items"][0]["number"]

        scene.daemon.kill_host_at(place, write.times)
        answer = scene.daemon.ask(write.operation, scene.ada if write.by_agent else None, arguments)

        assert scene.daemon.has_killed
        assert answer.status_code == 200, f"{place}: {answer.text}"
        after = scene.daemon.call("list_events", since=last, kind=[write.kind])["items"]
        assert [event["kind"] for event in after] == [write.kind], place
        _assert_it_stands(scene.daemon, write, place, answer.json())


def test_a_token_that_a_kill_swallowed_is_said_to_be_replaceable_and_is_replaced(scene: Scene) -> None:
    daemon = scene.daemon
    name = f"w{next(scene.numbers)}"

    daemon.kill_host_at("after_commit")
    said, reply = asyncio.run(_register(daemon, name))

    assert "token" not in reply
    assert "rotate_token" in said
    token_id = daemon.call("list_tokens", limit=1)["items"][0]["id"]
    token = daemon.call("rotate_token", token_id=token_id)["token"]
    assert daemon.call("whoami", token)["agent_id"] == name


def _places_in_turn(scene: Scene, write: Write) -> list[str]:
    """The places of the short form: each is tried on one of the databases, and each database has some of each write."""
    turn = WRITES.index(write) + DATABASES.index(scene.database)
    return [place for number, place in enumerate(PLACES) if (number + turn) % len(DATABASES) == 0]


def _assert_it_stands(daemon: DaemonProcess, write: Write, place: str, reply: Mapping[str, Any]) -> None:
    match write.operation:
        case "register_agent":
            # The reply that was stored with the effect holds no token.
            assert ("token" in reply) == (place == "before_commit")
        case "create_task":
            assert daemon.call("get_task", task_id=reply["id"])["status"] == "pending"
        case "claim_task":
            assert daemon.call("get_task", task_id=reply["task"]["id"])["attempt"] == 1
        case "acquire_lock":
            held = daemon.call("list_locks", path=reply["lock"]["paths"][0])["items"]
            assert held == [reply["lock"]]
        case "complete_task":
            assert daemon.call("get_task", task_id=reply["task"]["id"])["status"] == "completed"
        case "record_cost":
            assert daemon.call("get_costs", group_by=["agent"])["rows"][0]["cost_usd"] == reply["spent_usd"]


async def _register(daemon: DaemonProcess, name: str) -> tuple[str, Mapping[str, Any]]:
    async with daemon.mcp(daemon.owner_token) as client:
        result = await client.call_tool("conductor_register_agent", {"agent_id": name, "name": name})
    assert not result.is_error, result.content
    return " ".join(getattr(part, "text", "") for part in result.content), result.structured_content or {}
