"""The stop button: a person holds all agents up from another terminal, through a crash, and lets them go on."""

from __future__ import annotations

import json
import os
import subprocess

import httpx
import pytest

from tests.support.daemon import DaemonProcess, installed


def conductor(daemon: DaemonProcess, token: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as somebody."""
    environment = os.environ | {"CONDUCTOR_URL": daemon.url, "CONDUCTOR_TOKEN": token}
    command = [installed("conductor"), *words, "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_person_stops_all_agents_and_no_crash_lets_them_go_on(daemon: DaemonProcess) -> None:
    ada = daemon.call("register_agent", agent_id="ada", name="Ada", agent_type="codex")["token"]
    task = daemon.call("create_task", title="Work", files=["src/"])
    claimed = daemon.call("claim_task", ada)
    stopped = conductor(daemon, daemon.owner_token, "work", "pause", "organization", "--reason", "A leak.")
    assert stopped.returncode == 0, stopped.stderr

    daemon.kill()
    daemon.start()

    done = {"task_id": task["id"], "attempt": 1, "result": "done"}
    refused = daemon.ask("complete_task", ada, done)
    assert refused.status_code == httpx.codes.LOCKED
    assert refused.json()["facts"]["reason"] == "A leak."
    async with daemon.mcp(ada) as client:
        answer = await client.call_tool("conductor_complete_task", done)
        assert answer.is_error
        assert (answer.structured_content or {})["code"] == "paused"
        told = await client.call_tool("conductor_heartbeat", {"status": "blocked"})
        assert [notice["kind"] for notice in (told.structured_content or {})["notices"]] == ["paused"]
    assert conductor(daemon, ada, "task", "claim").returncode == 7
    held = daemon.call("list_locks")["items"]
    assert [lock["id"] for lock in held] == [lock["id"] for lock in claimed["locks"]]

    resumed = conductor(daemon, daemon.owner_token, "work", "resume", "organization")

    assert json.loads(resumed.stdout)["lifted"] is True
    assert daemon.call("complete_task", ada, **done)["task"]["status"] == "completed"
