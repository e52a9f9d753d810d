"""The worst of everything, in every argument of every tool: refused at once, and nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE
from tests.faces.double import message_of
from tests.support.daemon import DaemonProcess, running
from tests.support.furnished import golden

ANSWER_S = 5.0
BODY_S = 2.0
# A body that does not arrive is given up sooner than the product would, so that nobody waits for it here.
HASTY = {"CONDUCTOR_SERVER__REQUEST_TIMEOUT_S": str(BODY_S)}

IN_PLACE_OF_A_VALUE: dict[str, bytes] = {
    "NUL": b'"a\\u0000b"',
    "a control character": b'"a\\u001b[31mb"',
    "a lone surrogate": b'"\\ud800"',
    "beyond a float": b"1e400",
    "beyond 64 bits": b"123456789012345678901234567890",
    "a number of 5,000 digits": b"9" * 5000,
    "not a number": b"NaN",
    "another type": b"[{}]",
    "2,000 deep": b"[" * 2000 + b"]" * 2000,
}
IN_PLACE_OF_ALL: dict[str, bytes] = {
    "an unknown argument": b'{"no_such_argument":1}',
    "50,000 unknown arguments": b"{" + b",".join(b'"a%d":1' % number for number in range(50_000)) + b"}",
    "no object": b"[1]",
    "text": b'"text"',
    "an array of 100,000": b"[" + b"1," * 100_000 + b"1]",
    "not UTF-8": b'{"organization_id":"\xff"}',
    "cut off": b'{"organization_id":',
    "2 MiB": b'{"organization_id":"' + b"x" * (2 << 20) + b'"}',
}


@dataclass(frozen=True)
class Stage:
    """A daemon, a caller for each role, and an organisation of others that has work in it."""

    daemon: DaemonProcess
    tokens: dict[Role, str]
    bystander: str
    before: dict[str, Any]

    def natural(self, operation: str) -> str:
        """The token of somebody who may call it."""
        return next(token for role, token in self.tokens.items() if role in CATALOGUE[operation].allowed)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("bad"), environment=HASTY) as daemon:
        project = daemon.call("get_project")["id"]
        tokens = {
            Role.OWNER: daemon.call("create_token", kind="usr", role="owner", name="Olga")["token"],
            Role.LEAD: daemon.call("register_agent", agent_id="lea", name="Lea", role="lead")["token"],
            Role.SERVICE: daemon.call("create_token", kind="svc", name="CI")["token"],
            Role.ENROLMENT: daemon.call("create_token", kind="enr", project_id=project)["token"],
            Role.ROOT: daemon.owner_token,
        }
        others = daemon.call("create_organization", name="Others")["id"]
        made = daemon.call("create_token", kind="usr", role="owner", name="Otto", organization_id=others)["token"]
        daemon.call("create_project", made, name="Work")
        agent = daemon.call("register_agent", made, agent_id="ada", name="Ada")["token"]
        task = daemon.call("create_task", made, title="Work", files=["src/**"])
        daemon.call("claim_task", agent, task_id=task["id"])
        daemon.call("record_cost", agent, model="m", input_tokens=1, output_tokens=1, cost_usd="1", idempotency_key="k")
        yield Stage(daemon, tokens, made, _state(daemon, made))


@pytest.mark.parametrize("operation", CATALOGUE)
def test_a_tool_refuses_the_worst_in_each_of_its_arguments(stage: Stage, operation: str) -> None:
    row = CATALOGUE[operation]
    # There is one project, so that nobody needs to name it; every other id is of the right kind and names nothing.
    given = {name: json.dumps(value).encode() for name, value in golden(operation).items() if name != "project_id"}
    accepted, slow = [], []

    with _connection(stage, operation) as http:
        cases = dict(IN_PLACE_OF_ALL)
        for field in row.request.model_fields:
            cases |= {f"{field}: {name}": _object(given | {field: raw}) for name, raw in IN_PLACE_OF_A_VALUE.items()}
        for case, raw in cases.items():
            began = time.monotonic()
            answer = http.post("/mcp", content=_call(row.tool, raw))
            if not _is_refused(answer):
                accepted.append(f"{case}: {answer.status_code} {answer.text[:200]}")
            if time.monotonic() - began > ANSWER_S:
                slow.append(case)

    assert accepted == []
    assert slow == []


def test_bodies_that_do_not_arrive_are_given_up_while_others_are_served(stage: Stage) -> None:
    parts = urlsplit(stage.daemon.url)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {stage.tokens[Role.LEAD]}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()
    slow = [socket.create_connection((str(parts.hostname), parts.port or 0), timeout=BODY_S * 4) for _ in range(50)]
    for connection in slow:
        connection.sendall(head)

    began = time.monotonic()
    served = stage.daemon.ask("whoami", None, {})
    served_s = time.monotonic() - began
    answers = [connection.recv(65_536) for connection in slow]
    for connection in slow:
        connection.close()

    assert served.status_code == 200
    assert served_s < BODY_S / 2
    assert {answer.split(b"\r\n", 1)[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


def test_afterwards_the_daemon_is_well_and_others_have_what_they_had(stage: Stage) -> None:
    logs = "".join(path.read_text() for path in (stage.daemon.home / "logs").iterdir())

    assert httpx.get(f"{stage.daemon.url}/readyz").status_code == 200
    assert _state(stage.daemon, stage.bystander) == stage.before
    assert "call_failed" not in logs
    assert "command_failed" not in logs
    assert "Traceback" not in logs


def _connection(stage: Stage, operation: str) -> httpx.Client:
    return httpx.Client(
        base_url=stage.daemon.url,
        headers={
            "Authorization": f"Bearer {stage.natural(operation)}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        },
        timeout=ANSWER_S * 2,
        trust_env=False,
    )


def _call(tool: str, arguments: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":%s}}' % (
        tool.encode(),
        arguments,
    )


def _object(fields: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), raw) for name, raw in fields.items()) + b"}"


def _is_refused(answer: httpx.Response) -> bool:
    """Whether it says no as it should: by a status below 500, a JSON-RPC error, or a result that is an error."""
    if answer.status_code >= 500:
        return False
    message = message_of(answer)
    if answer.status_code >= 400 or "error" in message:
        return True
    result = message["result"]
    return bool(result["isError"]) and result["structuredContent"]["code"] in {"invalid", "path_invalid"}


def _state(daemon: DaemonProcess, token: str) -> dict[str, Any]:
    looks = ("get_project", "list_tasks", "list_locks", "get_costs", "list_members", "list_tokens", "list_events")
    return {name: daemon.call(name, token) for name in looks}
