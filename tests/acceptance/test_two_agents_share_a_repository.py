"""The story of the product: two agents, one repository, the official MCP client over HTTP, kills in the middle."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from conductor.operations.catalogue import CATALOGUE, SEED
from tests.support.daemon import DaemonProcess


class Caller:
    """An agent or a person at the end of an MCP connection; every reply is checked against its schema."""

    def __init__(self, client: Client, called: set[str]) -> None:
        self._client = client
        self._called = called

    async def __call__(self, operation: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(f"conductor_{operation}", arguments)
        assert not result.is_error, result.content
        self._called.add(operation)
        CATALOGUE[operation].reply.model_validate_json(json.dumps(result.structured_content), strict=True)
        reply: dict[str, Any] = result.structured_content or {}
        return reply

    async def refused(self, operation: str, **arguments: Any) -> dict[str, Any]:
        result = await self._client.call_tool(f"conductor_{operation}", arguments)
        assert result.is_error, result.structured_content
        fault: dict[str, Any] = result.structured_content or {}
        assert set(fault) >= {"code", "message", "retryable", "facts", "next"}
        return fault


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A real git repository with one commit."""
    place = tmp_path / "repository"
    place.mkdir()
    (place / "src").mkdir()
    (place / "src/app.py").write_text("def total(prices):\n    return sum(prices)\n")
    (place / "README.md").write_text("# Shop\n")
    _git(place, "init", "--quiet", "--initial-branch=main")
    _git(place, "add", ".")
    _commit(place, "begin")
    return place


def test_two_agents_share_a_repository_and_nothing_acknowledged_is_lost(
    daemon: DaemonProcess, repository: Path
) -> None:
    called: set[str] = set()

    asyncio.run(_story(daemon, repository, called))

    assert called >= set(SEED), f"never called: {sorted(set(SEED) - called)}"


@dataclass
class Cast:
    """Who and what the story is about, once everybody is let in."""

    ada_token: str
    bob_token: str
    first: str
    second: str


async def _story(daemon: DaemonProcess, repository: Path, called: set[str]) -> None:
    cast = await _everybody_is_let_in(daemon, called)
    spent, docs_lock = await _ada_works_and_bob_is_kept_out(daemon, repository, cast, called)
    daemon.kill()
    daemon.start()
    await _nothing_is_lost_and_the_work_ends(daemon, repository, cast, spent, docs_lock, called)


async def _everybody_is_let_in(daemon: DaemonProcess, called: set[str]) -> Cast:
    async with daemon.mcp(daemon.owner_token) as client:
        owner = Caller(client, called)
        project = (await owner("list_projects"))["items"][0]
        assert (await owner("get_project"))["slug"] == "default"
        config = await owner("get_onboarding_config")
        await owner(
            "update_onboarding_config", focus="a shop that adds up", goals=["tests pass"], version=config["version"]
        )
        ada = (await owner("register_agent", agent_id="ada", name="Ada", provider="anthropic"))["token"]
        enrolment = (await owner("create_token", kind="enr", project_id=project["id"]))["token"]
        first = await owner("create_task", title="Round the total", files=["src/app.py"], priority="high")
        second = await owner("create_task", title="Document it", files=["README.md"], dependencies=[first["id"]])
    return Cast(ada, await _let_in(daemon, enrolment, called), first["id"], second["id"])


async def _ada_works_and_bob_is_kept_out(
    daemon: DaemonProcess, repository: Path, cast: Cast, called: set[str]
) -> tuple[dict[str, Any], str]:
    async with daemon.mcp(cast.ada_token) as ada_client, daemon.mcp(cast.bob_token) as bob_client:
        ada, bob = Caller(ada_client, called), Caller(bob_client, called)
        claimed = await ada("claim_task")
        assert claimed["task"]["id"] == cast.first
        assert claimed["context"]["focus"] == "a shop that adds up"
        held = await bob.refused("acquire_lock", paths=["src/**"])
        assert (held["code"], held["facts"]["holder"]) == ("lock_held", "ada")
        waiting = await bob.refused("claim_task", task_id=cast.second)
        assert (waiting["code"], waiting["facts"]["blocked_by"]) == ("not_ready", [cast.first])
        free = await bob("acquire_lock", paths=["docs/**"], reason="write a page")
        assert [lock["agent_id"] for lock in (await bob("list_locks"))["items"]] == ["ada", "bob"]
        await ada("heartbeat", status="working", task_id=cast.first, stage="editing")
        await ada("update_task", task_id=cast.first, attempt=1, status="in_progress", progress=0.5)

        daemon.kill_host()
        (repository / "src/app.py").write_text("def total(prices):\n    return round(sum(prices), 2)\n")
        spent = await ada("record_cost", **_cost(cast))
        assert spent["cost_usd"] == "0.0081"
    return spent, free["lock"]["id"]


async def _nothing_is_lost_and_the_work_ends(
    daemon: DaemonProcess, repository: Path, cast: Cast, spent: dict[str, Any], docs_lock: str, called: set[str]
) -> None:
    async with daemon.mcp(cast.ada_token) as ada_client, daemon.mcp(cast.bob_token) as bob_client:
        ada, bob = Caller(ada_client, called), Caller(bob_client, called)
        locks = {lock["agent_id"]: lock for lock in (await bob("list_locks"))["items"]}
        assert locks["bob"]["id"] == docs_lock
        assert locks["ada"]["paths"] == ["src/app.py"]
        assert await ada("record_cost", **_cost(cast)) == spent
        done = await ada(
            "complete_task",
            task_id=cast.first,
            attempt=1,
            result="rounded to cents",
            evidence={"commit": _commit(repository, "round the total"), "files": ["src/app.py"], "checks": ["pytest"]},
        )
        assert done["unblocked"] == [cast.second]
        assert done["released"] == [locks["ada"]["id"]]
        taken = await bob("claim_task")
        assert taken["task"]["id"] == cast.second
        assert taken["context"]["related"][0]["result"] == "rounded to cents"
        assert taken["locks"][0]["token"] > locks["ada"]["token"]
        (repository / "README.md").write_text("# Shop\n\nTotals are rounded to cents.\n")
        _commit(repository, "document rounding")
        await bob("complete_task", task_id=cast.second, attempt=1, result="documented")
        assert (await bob("release_lock", all=True))["released"] == [docs_lock]
        assert {task["status"] for task in (await bob("list_tasks"))["items"]} == {"completed"}
        assert [agent["agent_id"] for agent in (await bob("list_agents"))["items"]] == ["ada", "bob"]
        costs = await bob("get_costs", group_by=["agent"])
        assert [(row["agent"], row["cost_usd"]) for row in costs["rows"]] == [("ada", "0.0081")]
        session = await ada("start_session")
        assert session["next"][0]["tool"] == "claim_task"


def _cost(cast: Cast) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5",
        "provider": "anthropic",
        "input_tokens": 1200,
        "output_tokens": 300,
        "task_id": cast.first,
        "idempotency_key": "ada-1",
    }


async def _let_in(daemon: DaemonProcess, enrolment: str, called: set[str]) -> str:
    """Bob asks for access, is rejected once, asks again, is approved and fetches his token."""
    asking = {"agent_id": "bob", "name": "Bob", "agent_type": "codex"}
    async with daemon.mcp(enrolment) as newcomer_client, daemon.mcp(daemon.owner_token) as owner_client:
        newcomer, owner = Caller(newcomer_client, called), Caller(owner_client, called)
        turned_away = await newcomer("request_access", **asking)
        await owner("reject_access", request_id=turned_away["request"]["id"], reason="not today")
        asked = await newcomer("request_access", **asking)
        waiting = await owner("list_access_requests", status=["pending"])
        assert [item["id"] for item in waiting["items"]] == [asked["request"]["id"]]
        await owner("approve_access", request_id=asked["request"]["id"])
        answer = await newcomer("request_access", **asking, claim=asked["claim"])
    token: str = answer["token"]
    return token


def _commit(place: Path, message: str) -> str:
    _git(
        place, "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "--all", "-m", message
    )
    return _git(place, "rev-parse", "HEAD")


def _git(place: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()
