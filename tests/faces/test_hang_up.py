"""Who hangs up while its call waits: the wait ends, on every way in."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from conductor.operations.catalogue import CATALOGUE
from mcp_server.waiting import WAITING
from tests.faces.conftest import Open
from tests.faces.double import tool_call

FOR_EVER = {"limit": 7}
"""Arguments that the double answers never."""

CALLS = {
    "rest": ("/v1/read_messages", FOR_EVER),
    "mcp, the short way": ("/mcp", tool_call("conductor_read_messages", FOR_EVER)),
    "mcp, by the sdk": ("/mcp", tool_call("conductor_read_messages", FOR_EVER, task=None)),
}


def posted(opened: Open, path: str, message: object) -> bytes:
    """Give a request as it goes over the wire."""
    body = json.dumps(message, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {opened.faces.agent}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("way", CALLS)
def test_a_caller_that_hangs_up_ends_its_wait(opened: Open, way: str) -> None:
    echo = opened.faces.echo
    echo.is_waiting.clear()
    echo.was_cancelled.clear()
    address = (httpx.URL(opened.url).host, httpx.URL(opened.url).port or 80)

    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(posted(opened, *CALLS[way]))
        began = echo.is_waiting.wait(10)
        waited_on = not echo.was_cancelled.is_set()

    assert began
    assert waited_on
    assert echo.was_cancelled.wait(10)


def test_a_call_that_could_wait_is_answered_like_any_other(opened: Open) -> None:
    replies = [opened.agent.post("/v1/read_messages", json={"limit": number}) for number in (1, 2, 3)]
    refused = opened.agent.post("/v1/read_messages", json={"wait_s": 51})

    assert [(reply.status_code, reply.json()["given"]) for reply in replies] == [
        (200, {"limit": number}) for number in (1, 2, 3)
    ]
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")


def test_every_operation_that_may_wait_says_for_how_long_and_never_beyond_50_seconds() -> None:
    assert "read_messages" in WAITING
    for name in WAITING:
        wait = CATALOGUE[name].request.model_json_schema()["properties"]["wait_s"]
        assert (wait["minimum"], wait["default"]) == (0, 0), name
        assert wait["maximum"] <= 50, name
