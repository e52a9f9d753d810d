"""No input makes a 5xx or a hang: generated requests for every operation, and a corpus of the worst, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from conductor.operations.catalogue import CATALOGUE
from tests.support.daemon import DaemonProcess

SERVER_ERROR = 500


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all of this module: nothing that is sent may harm it."""
    process = DaemonProcess(tmp_path_factory.mktemp("bad") / "home")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture(scope="module")
def agent_token(daemon: DaemonProcess) -> str:
    """An agent of the default project."""
    token: str = daemon.call("register_agent", agent_id="ada", name="Ada", role="lead")["token"]
    return token


def test_generated_requests_never_make_a_server_error(daemon: DaemonProcess, agent_token: str) -> None:
    schema: Any = schemathesis.openapi.from_url(
        f"{daemon.url}/v1/openapi.json", headers={"Authorization": f"Bearer {daemon.owner_token}"}
    )
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        for token in (daemon.owner_token, agent_token):
            found = _try(operation, token)
            assert found == [], f"{operation.path}: {found[0]}"
            tried += 1

    assert tried == 2 * len(CATALOGUE)
    assert httpx.get(f"{daemon.url}/readyz").status_code == httpx.codes.OK


def _try(operation: Any, token: str) -> list[str]:
    """Send a dozen generated requests; gives those that the server failed at."""
    failed: list[str] = []

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=20)
        if answer.status_code >= SERVER_ERROR:
            failed.append(f"{answer.status_code} for {case.body!r}: {answer.text[:300]}")

    given(operation.as_strategy())(send)()  # type: ignore[no-untyped-call]  # schemathesis has no type for it
    return failed


WORST: dict[str, bytes] = {
    "NUL": b'{"title":"a\\u0000b"}',
    "lone surrogate": b'{"title":"\\ud800"}',
    "beyond a float": b'{"title":"x","max_attempts":1e400}',
    "beyond 64 bits": b'{"title":"x","max_attempts":123456789012345678901234567890}',
    "deep": b'{"title":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "wide": b'{"title":"x","tags":' + json.dumps(["t"] * 100_000).encode() + b"}",
    "not JSON": b"{",
    "not an object": b"[1]",
    "not UTF-8": b'{"title":"\xff"}',
    "another type": b'{"title":7}',
    "unknown argument": b'{"title":"x","tilte":"y"}',
    "twice": b'{"title":"x","title":7}',
    "NaN": b'{"title":"x","estimated_cost_usd":NaN}',
    "negative": b'{"title":"x","estimated_cost_usd":-1}',
    "control character": b'{"title":"a\\u001b[31mb"}',
    "path out of the root": b'{"title":"x","files":["../../etc/passwd"]}',
    "git's own folder": b'{"title":"x","files":[".git/config"]}',
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_that_can_be_sent_is_refused_by_name(daemon: DaemonProcess, agent_token: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {agent_token}", "Content-Type": "application/json"}
    before = len(daemon.call("list_tasks", agent_token, limit=200)["items"])

    answer = httpx.post(f"{daemon.url}/v1/create_task", content=WORST[name], headers=headers, timeout=20)

    fault = answer.json()
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert fault["code"] in {"invalid", "path_invalid"}
    assert fault["message"]
    assert len(daemon.call("list_tasks", agent_token, limit=200)["items"]) == before


def test_a_body_above_the_limit_is_refused_and_the_daemon_lives(daemon: DaemonProcess) -> None:
    headers = {"Authorization": f"Bearer {daemon.owner_token}", "Content-Type": "application/json"}
    huge = b'{"title":"' + b"x" * (2 * 1024 * 1024) + b'"}'

    answer = httpx.post(f"{daemon.url}/v1/create_task", content=huge, headers=headers, timeout=20)

    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert answer.json()["code"] == "too_large"
    assert daemon.call("whoami")["role"] == "root"


def test_a_log_of_all_that_holds_no_token(daemon: DaemonProcess) -> None:
    logs = "".join(path.read_text() for path in Path(daemon.home / "logs").iterdir())

    assert daemon.owner_token not in logs
    assert "call_failed" not in logs
    assert "command_failed" not in logs
