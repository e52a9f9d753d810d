"""One operation, six ways to call it: the same reply, the same error, whichever is taken."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from conductor.cli import arguments
from conductor.client.asynchronous import AsyncClient
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.domain.access import Role
from conductor.operations import catalogue
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.faults import fault_of
from tests.support.daemon import DaemonProcess, installed, running

ERAS = ("auto", "legacy")


@dataclass(frozen=True)
class Stage:
    """A daemon with an agent who leads, one who does not, a task, a lock of each and a cost."""

    daemon: DaemonProcess
    ada: str
    bob: str
    task_id: str
    claimed: str


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("faces")) as daemon:
        ada = daemon.call("register_agent", agent_id="ada", name="Ada", role="lead")["token"]
        bob = daemon.call("register_agent", agent_id="bob", name="Bob")["token"]
        task = daemon.call("create_task", title="Work", files=["src/**"], tags=["x"], priority="high")
        claimed = daemon.call("create_task", title="Other work")
        daemon.call("claim_task", bob, task_id=claimed["id"])
        daemon.call("acquire_lock", bob, paths=["docs/**"], reason="a page")
        daemon.call(
            "record_cost", bob, model="m", input_tokens=9, output_tokens=1, cost_usd="0.1", idempotency_key="first"
        )
        daemon.call("set_quota", scope="organization", limit_usd="100", window="total")
        yield Stage(daemon, ada, bob, task["id"], claimed["id"])


Answer = dict[str, Any]
Face = Callable[[DaemonProcess, str, str, dict[str, Any]], Awaitable[Answer]]


async def by_rest(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    answer: Answer = (await asyncio.to_thread(daemon.ask, operation, token, given)).json()
    return answer


async def by_mcp(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    return await _by_mcp(daemon, token, operation, given, "auto")


async def by_mcp_with_handshake(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    return await _by_mcp(daemon, token, operation, given, "legacy")


async def _by_mcp(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any], era: str) -> Answer:
    async with daemon.mcp(token, era) as client:
        result = await client.call_tool(f"conductor_{operation}", given)
    answer: Answer = result.structured_content or {}
    assert result.is_error == ("code" in answer)
    return answer


async def by_command_line(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    row = CATALOGUE[operation]
    ran = await asyncio.to_thread(run, daemon, token, *row.command, *arguments.words(row, given), "--json")
    answer: Answer = json.loads(ran.stdout)
    wanted = errors.BY_CODE[answer["code"]].exit_code if "code" in answer else 0
    assert ran.returncode == wanted, ran.stderr
    return answer


async def by_client(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    def call() -> Answer:
        with Client(daemon.url, token) as client:
            return _plain(getattr(client, operation)(**given))

    try:
        return await asyncio.to_thread(call)
    except errors.ConductorError as error:
        return _fault(error)


async def by_async_client(daemon: DaemonProcess, token: str, operation: str, given: dict[str, Any]) -> Answer:
    async with AsyncClient(daemon.url, token) as client:
        try:
            return _plain(await getattr(client, operation)(**given))
        except errors.ConductorError as error:
            return _fault(error)


FACES: tuple[Face, ...] = (
    by_rest,
    by_mcp,
    by_mcp_with_handshake,
    by_command_line,
    by_client,
    by_async_client,
)

READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("whoami", {}),
    ("get_project", {}),
    ("list_tasks", {"tags": ["x"], "limit": 5}),
    ("list_locks", {"path": "docs/a.md"}),
    ("get_costs", {"group_by": ["agent", "model"]}),
    ("get_quota", {}),
    ("list_events", {"since": 0, "limit": 3}),
)
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create_task", {"title": "Once", "files": ["a/**"], "priority": "low", "estimated_cost_usd": "0.5"}),
    ("acquire_lock", {"paths": ["lib/*.py", "lib/deep/"], "mode": "shared", "ttl_s": 60}),
    ("record_cost", {"model": "m", "input_tokens": 3, "output_tokens": 4, "cost_usd": "0.25"}),
    ("log_action", {"action": "looked", "metadata": {"where": "here"}}),
)


@pytest.mark.parametrize(("operation", "given"), READS, ids=[name for name, _ in READS])
def test_a_read_has_the_same_reply_on_every_face(stage: Stage, operation: str, given: dict[str, Any]) -> None:
    answers = asyncio.run(_everywhere(stage, stage.ada, operation, given))

    assert "code" not in answers["by_rest"]
    _assert_all_alike(answers)


@pytest.mark.parametrize(("operation", "given"), WRITES, ids=[name for name, _ in WRITES])
def test_a_write_with_one_key_happens_once_and_has_the_same_reply_on_every_face(
    stage: Stage, operation: str, given: dict[str, Any]
) -> None:
    last = stage.daemon.call("list_events", limit=1)["items"][0]["number"]

    answers = asyncio.run(_everywhere(stage, stage.ada, operation, {**given, "idempotency_key": "everywhere"}))

    assert "code" not in answers["by_rest"]
    _assert_all_alike(answers)
    assert len(stage.daemon.call("list_events", since=last)["items"]) == 1


@pytest.mark.parametrize("code", ["not_found", "lock_held", "path_invalid", "forbidden", "stale_attempt"])
def test_an_error_has_the_same_shape_on_every_face(stage: Stage, code: str) -> None:
    calls: dict[str, tuple[str, str, dict[str, Any]]] = {
        "not_found": (stage.ada, "get_task", {"task_id": "tsk_0000000000"}),
        "lock_held": (stage.ada, "acquire_lock", {"paths": ["docs/a.md"]}),
        "path_invalid": (stage.ada, "acquire_lock", {"paths": ["../outside"]}),
        "forbidden": (stage.bob, "create_task", {"title": "Not mine to make"}),
        "stale_attempt": (stage.ada, "complete_task", {"task_id": stage.claimed, "attempt": 1, "result": "no"}),
    }
    token, operation, given = calls[code]

    answers = asyncio.run(_everywhere(stage, token, operation, given))

    assert answers["by_rest"]["code"] == code
    for answer in answers.values():
        # How long it is worth to wait grows less while the faces are asked.
        answer.pop("wait_s", None)
        assert set(answer) == {"code", "message", "retryable", "facts", "next"}
    _assert_all_alike(answers)


def test_without_a_valid_token_every_face_says_unauthenticated(stage: Stage) -> None:
    wrong = "cdr_usr_0000000000_wrong"

    asked = stage.daemon.ask("whoami", wrong, {})
    by_protocol = httpx.post(f"{stage.daemon.url}/mcp", json={}, headers={"Authorization": f"Bearer {wrong}"})
    ran = run(stage.daemon, wrong, "token", "whoami", "--json")
    with Client(stage.daemon.url, wrong) as client, pytest.raises(errors.Unauthenticated):
        client.whoami()

    assert asked.status_code == by_protocol.status_code == 401
    assert asked.headers["WWW-Authenticate"] == by_protocol.headers["WWW-Authenticate"]
    assert asked.json() == by_protocol.json() == json.loads(ran.stdout)
    assert ran.returncode == 3


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("task", "list", "--limit", "0"), "invalid", 2),
        (("lock", "acquire", "--no-such-option"), "invalid", 2),
        (("project", "show", "--url", "http://127.0.0.1:9"), "unavailable", 8),
    ],
    ids=["a value out of bounds", "an option that is none", "a daemon that is none"],
)
def test_what_the_command_line_refuses_itself_has_the_shape_and_the_exit_code_too(
    stage: Stage, words: tuple[str, ...], code: str, exit_code: int
) -> None:
    ran = run(stage.daemon, stage.ada, *words, "--json")

    assert ran.returncode == exit_code
    assert json.loads(ran.stdout)["code"] == code


def test_the_command_line_finds_the_daemon_and_the_owners_token_in_the_home(stage: Stage) -> None:
    ran = run(stage.daemon, None, "token", "whoami", "--json")

    assert ran.returncode == 0
    assert json.loads(ran.stdout)["role"] == "root"


@pytest.mark.parametrize("era", ERAS)
def test_the_list_of_tools_shows_a_caller_what_its_role_needs_and_nothing_else(stage: Stage, era: str) -> None:
    daemon = stage.daemon
    project = daemon.call("get_project")["id"]
    seen = {
        Role.ROOT: daemon.owner_token,
        Role.LEAD: stage.ada,
        Role.CONTRIBUTOR: stage.bob,
        Role.REVIEWER: daemon.call("register_agent", agent_id=f"rex-{era}", name="Rex", role="reviewer")["token"],
        Role.VIEWER: daemon.call("create_token", kind="usr", role="viewer", name="Guest")["token"],
        Role.SERVICE: daemon.call("create_token", kind="svc", name="CI")["token"],
        Role.ENROLMENT: daemon.call("create_token", kind="enr", project_id=project)["token"],
    }

    shown = {role: asyncio.run(_tools(daemon, token, era)) for role, token in seen.items()}

    assert shown == {role: [row.tool for row in catalogue.listed(role)] for role in seen}
    assert "conductor_create_organization" not in shown[Role.CONTRIBUTOR]
    assert sorted(shown[Role.ENROLMENT]) == ["conductor_request_access", "conductor_whoami"]


def run(daemon: DaemonProcess, token: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed `conductor` with a home, and with a token unless it is to find one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
    environment |= {"CONDUCTOR_HOME": str(daemon.home)} | ({"CONDUCTOR_TOKEN": token} if token else {})
    return subprocess.run(
        [installed("conductor"), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def _everywhere(stage: Stage, token: str, operation: str, given: dict[str, Any]) -> dict[str, Answer]:
    return {face.__name__: await face(stage.daemon, token, operation, given) for face in FACES}


async def _tools(daemon: DaemonProcess, token: str, era: str) -> list[str]:
    async with daemon.mcp(token, era) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


def _assert_all_alike(answers: dict[str, Answer]) -> None:
    assert answers == dict.fromkeys(answers, answers["by_rest"])


def _plain(reply: Any) -> Answer:
    answer: Answer = json.loads(reply.model_dump_json(exclude_none=True))
    return answer


def _fault(error: errors.ConductorError) -> Answer:
    return _plain(fault_of(error))
