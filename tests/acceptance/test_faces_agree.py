"""One operation is the same on every face: MCP, REST, the command line, the client; replies and refusals alike."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor.client import AsyncClient, Client
from conductor.domain import errors
from conductor.domain.access import Role
from conductor.operations import catalogue
from conductor.operations.row import Face
from tests.support.daemon import DaemonProcess


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon with a task that ada holds and a reader of it all."""
    process = DaemonProcess(tmp_path_factory.mktemp("faces") / "home")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module")
def ada(daemon: DaemonProcess) -> str:
    """An agent that holds a lock."""
    token: str = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    daemon.call("acquire_lock", token, paths=["src/app.py"])
    return token


@pytest.fixture(scope="module")
def bob(daemon: DaemonProcess) -> str:
    """An agent that would like to."""
    token: str = daemon.call("register_agent", agent_id="bob", name="Bob")["token"]
    return token


def test_a_reply_is_the_same_on_every_face(daemon: DaemonProcess, ada: str, bob: str) -> None:
    over_rest = daemon.call("list_locks", bob)

    over_mcp = asyncio.run(_tool(daemon, bob, "list_locks", {}))
    on_the_line = _command(daemon, bob, "lock", "list")
    with Client(daemon.url, bob) as client:
        from_python = json.loads(client.list_locks().model_dump_json(exclude_none=True))
    from_async = asyncio.run(_from_async(daemon, bob))

    assert over_rest["items"][0]["agent_id"] == "ada"
    assert over_mcp == (False, over_rest)
    assert on_the_line == (0, over_rest)
    assert from_python == from_async == over_rest


def test_a_refusal_is_the_same_on_every_face(daemon: DaemonProcess, ada: str, bob: str) -> None:
    wanted = {"paths": ["src/**"]}
    answer = daemon.ask("acquire_lock", bob, wanted)
    over_rest = _steady(answer.json())

    over_mcp = asyncio.run(_tool(daemon, bob, "acquire_lock", wanted))
    on_the_line = _command(daemon, bob, "lock", "acquire", "src/**")
    with Client(daemon.url, bob) as client, pytest.raises(errors.LockHeld) as raised:
        client.acquire_lock(**wanted)  # type: ignore[arg-type]  # the same arguments as above

    assert (answer.status_code, over_rest["code"]) == (409, "lock_held")
    assert (over_mcp[0], _steady(over_mcp[1])) == (True, over_rest)
    assert (on_the_line[0], _steady(on_the_line[1])) == (5, over_rest)
    assert _steady({"facts": dict(raised.value.facts)})["facts"] == over_rest["facts"]


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.REVIEWER, Role.LEAD])
def test_the_list_of_tools_shows_just_what_the_role_may_call(daemon: DaemonProcess, role: Role) -> None:
    token = daemon.call("register_agent", agent_id=f"a-{role}", name="A", role=role.value)["token"]

    async def names() -> set[str]:
        async with daemon.mcp(token) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    assert asyncio.run(names()) == {row.tool for row in catalogue.allowed(role, Face.MCP)}


async def _tool(
    daemon: DaemonProcess, token: str, operation: str, arguments: dict[str, Any]
) -> tuple[bool, dict[str, Any]]:
    async with daemon.mcp(token) as client:
        result = await client.call_tool(f"conductor_{operation}", arguments)
    return bool(result.is_error), result.structured_content or {}


async def _from_async(daemon: DaemonProcess, token: str) -> dict[str, Any]:
    async with AsyncClient(daemon.url, token) as client:
        reply: dict[str, Any] = json.loads((await client.list_locks()).model_dump_json(exclude_none=True))
    return reply


def _command(daemon: DaemonProcess, token: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")},
        "CONDUCTOR_URL": daemon.url,
        "CONDUCTOR_TOKEN": token,
    }
    command = [str(Path(sys.executable).with_name("conductor")), *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def _steady(fault: dict[str, Any]) -> dict[str, Any]:
    """Leave out what passes while the faces are asked one after another."""
    return {name: value for name, value in fault.items() if name != "wait_s"}
