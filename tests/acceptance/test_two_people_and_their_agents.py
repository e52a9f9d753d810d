"""Two people in two terminals: one agent asks, the other person lets it in, it works, is lost, and another goes on.

The agents speak MCP through the official client, the people use the installed command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, eventually, installed

ASKING = {"agent_id": "bob", "name": "Bob", "agent_type": "codex"}
STAND = "The parser is done; the writer is missing."


class Terminal:
    """A person's terminal: the home of the daemon, a token, the command line."""

    def __init__(self, daemon: DaemonProcess, token: str) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")},
            "CONDUCTOR_HOME": str(daemon.home),
            "CONDUCTOR_TOKEN": token,
        }

    def __call__(self, *words: str) -> dict[str, Any]:
        """Run a command; gives what it says as JSON."""
        done = subprocess.run(
            [installed("conductor"), *words, "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr or done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        return said


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A real git repository with instructions for agents."""
    place = tmp_path / "repository"
    place.mkdir()
    (place / "AGENTS.md").write_text("Run the tests with `make check`.\n")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "begin")):
        _git(place, *words)
    return place


def test_another_agent_resumes_from_the_checkpoint_of_one_that_was_lost(
    daemon: DaemonProcess, repository: Path
) -> None:
    asyncio.run(_story(daemon, repository))


async def _story(daemon: DaemonProcess, repository: Path) -> None:
    olga = Terminal(daemon, daemon.owner_token)
    olga("project", "update", "--root-path", str(repository), "--git-remote", "https://example.org/shop.git")
    olga("onboarding", "update", "--version", "0", "--focus", "a shop that adds up", "--welcome", "Good to have you.")
    max_ = Terminal(daemon, olga("member", "invite", "Max", "--role", "admin")["token"])
    enrolment = olga("token", "create", "enr", "--name", "the shop's team")["token"]
    task = max_("task", "create", "Read and write orders", "--files", "orders.py")["id"]

    bob_token = await _let_in(daemon, max_, enrolment)
    ada_token = olga("agent", "register", "ada", "Ada")["token"]
    await _work_and_fall_silent(daemon, bob_token, task)
    await _keep_alive_and_wait(daemon, ada_token, task)
    await _go_on(daemon, ada_token, task)

    seen = max_("task", "show", task)
    assert seen["status"] == "completed"
    assert [(attempt["agent_id"], attempt["outcome"]) for attempt in seen["attempts"]] == [
        ("bob", "agent_lost"),
        ("ada", "completed"),
    ]
    kinds = {event["kind"] for event in seen["history"]}
    assert {"task.created", "task.claimed", "task.requeued", "task.completed"} <= kinds


async def _let_in(daemon: DaemonProcess, max_: Terminal, enrolment: str) -> str:
    """Bob asks, Max sees it in another terminal and approves, Bob's poll carries the token once."""
    async with daemon.mcp(enrolment) as client:
        asked = await _done(client, "request_access", **ASKING)
        waiting = max_("access", "list", "--status", "pending")["items"]
        assert [request["agent_id"] for request in waiting] == ["bob"]
        max_("access", "approve", waiting[0]["id"])
        answer = await _done(client, "request_access", **ASKING, claim=asked["claim"])
    token: str = answer["token"]
    return token


async def _work_and_fall_silent(daemon: DaemonProcess, token: str, task: str) -> None:
    async with daemon.mcp(token) as client:
        session = await _done(client, "start_session")
        assert session["next"][0]["tool"] == "claim_task"
        claimed = await _done(client, "claim_task")
        assert claimed["task"]["id"] == task
        context = claimed["context"]
        assert context["focus"] == "a shop that adds up"
        assert context["instructions"] == "Run the tests with `make check`.\n"
        assert "Good to have you." in context["welcome"]
        await _done(client, "acquire_lock", paths=["docs/"], task_id=task)
        await _done(
            client, "save_checkpoint", task_id=task, summary=STAND, next_steps=["write the writer"], files=["orders.py"]
        )


async def _keep_alive_and_wait(daemon: DaemonProcess, token: str, task: str) -> None:
    daemon.clock.move(600)
    daemon.call("heartbeat", token, status="idle")
    daemon.clock.move(310)
    daemon.call("heartbeat", token, status="idle")
    eventually(lambda: daemon.call("get_task", token, task_id=task)["status"] == "pending", "the task is requeued")
    daemon.clock.move(30)


async def _go_on(daemon: DaemonProcess, token: str, task: str) -> None:
    async with daemon.mcp(token) as client:
        claimed = await _done(client, "claim_task")
        assert (claimed["task"]["id"], claimed["attempt"]) == (task, 2)
        assert claimed["context"]["checkpoint"] is not None
        left = (await _done(client, "list_checkpoints", task_id=task))["items"]
        assert [(each["agent_id"], each["automatic"]) for each in left] == [("bob", True), ("bob", False)]
        resumed = (await _done(client, "resume_checkpoint", checkpoint_id=left[1]["id"]))["checkpoint"]
        assert resumed["summary"] == STAND
        assert resumed["next_steps"] == ["write the writer"]
        await _done(client, "complete_task", task_id=task, attempt=2, result="orders are read and written")


async def _done(client: Any, operation: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(f"conductor_{operation}", arguments)
    assert not result.is_error, result.content
    reply: dict[str, Any] = result.structured_content
    return reply


def _git(place: Path, *words: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *words], cwd=place, check=True, capture_output=True)
