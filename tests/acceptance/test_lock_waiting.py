"""Waiting for locks of a running daemon: told how it stands, woken at the hand-over, and in line through a kill."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess, eventually


def _agents(daemon: DaemonProcess, *names: str) -> list[str]:
    return [daemon.call("register_agent", agent_id=name, name=name)["token"] for name in names]


def _line(daemon: DaemonProcess) -> list[str]:
    return [place["agent_id"] for place in daemon.call("list_locks")["waiting"]]


async def _waits(daemon: DaemonProcess, token: str, told: list[str], **arguments: Any) -> dict[str, Any]:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with daemon.mcp(token) as client:
        result = await client.call_tool(
            "conductor_acquire_lock", {"paths": ["a.py"], "wait_s": 50, **arguments}, progress_callback=hear
        )
    reply: dict[str, Any] = result.structured_content or {}
    return reply


def test_an_agent_that_waits_over_mcp_hears_its_place_and_gets_the_lock_at_the_hand_over(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon()
    daemon.start()
    ada, bob = _agents(daemon, "ada", "bob")
    daemon.call("acquire_lock", ada, paths=["a.py"])
    told: list[str] = []

    async def story() -> dict[str, Any]:
        waiting = asyncio.create_task(_waits(daemon, bob, told))
        await asyncio.to_thread(eventually, lambda: len(told) >= 2, "progress came twice")
        await asyncio.to_thread(daemon.call, "release_lock", ada, all=True)
        began = time.monotonic()
        granted = await waiting
        assert time.monotonic() - began < 5
        return granted

    granted = asyncio.run(story())

    assert granted["status"] == "granted"
    assert granted["lock"]["agent_id"] == "bob"
    assert all(line.startswith("queued at place 1, held by ada until ") for line in told)
    assert not any("ask again" in line for line in told), "it waits"


def test_a_client_that_is_gone_leaves_the_line_on_every_way_in(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    ada, bob = _agents(daemon, "ada", "bob")
    daemon.call("acquire_lock", ada, paths=["a.py"])

    async def over_mcp() -> None:
        waiting = asyncio.create_task(_waits(daemon, bob, []))
        await asyncio.to_thread(eventually, lambda: _line(daemon) == ["bob"], "bob waits")
        waiting.cancel()
        await asyncio.wait([waiting])

    async def over_rest() -> None:
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {bob}"}) as client:
            call = client.post(f"{daemon.url}/v1/acquire_lock", json={"paths": ["a.py"], "wait_s": 50}, timeout=60)
            waiting = asyncio.create_task(call)
            await asyncio.to_thread(eventually, lambda: _line(daemon) == ["bob"], "bob waits")
            waiting.cancel()
            await asyncio.wait([waiting])

    for way in (over_mcp, over_rest):
        asyncio.run(way())
        eventually(lambda: _line(daemon) == [], "nobody waits")


def test_those_in_line_keep_their_places_through_kills_of_the_host_and_of_the_daemon(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    ada, *others = _agents(daemon, "ada", "bob", "cal")
    daemon.call("acquire_lock", ada, paths=["a.py"])
    tickets = [daemon.call("acquire_lock", token, paths=["a.py"], wait_s=1)["ticket"] for token in others]

    async def through_the_hosts_death() -> dict[str, Any]:
        waiting = asyncio.create_task(_waits(daemon, others[0], [], ticket=tickets[0]))
        await asyncio.to_thread(eventually, lambda: _line(daemon) == ["bob", "cal"], "both wait")
        daemon.kill_host()
        await asyncio.to_thread(daemon.call, "release_lock", ada, all=True)
        return await waiting

    granted = asyncio.run(through_the_hosts_death())
    daemon.kill()
    daemon.start()

    assert granted["status"] == "granted"
    assert _line(daemon) == ["cal"]
    daemon.call("release_lock", others[0], all=True)
    collected = daemon.call("acquire_lock", others[1], paths=["a.py"], ticket=tickets[1], wait_s=50)
    assert collected["lock"]["agent_id"] == "cal"
