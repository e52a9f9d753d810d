"""A waiting call over MCP whose client wants to hear how it stands, and all the others, which need no stream."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.faces.conftest import Open
from tests.faces.double import tool_call

WAITS = {"paths": ["a.py"], "wait_s": 50}


def told(response: httpx.Response) -> list[Any]:
    """Give the messages of a stream, or the one message of a plain answer."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return [response.json()]
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_a_waiting_call_with_a_progress_token_tells_how_it_stands_and_then_answers(opened: Open) -> None:
    call = tool_call("conductor_acquire_lock", WAITS, _meta={"progressToken": "one"})

    progress, answer = told(opened.agent.post("/mcp", json=call))

    assert progress["method"] == "notifications/progress"
    assert progress["params"] == {
        "progressToken": "one",
        "progress": 3.0,
        "total": 50.0,
        "message": "queued at place 2",
    }
    assert answer["id"] == 1
    assert answer["result"]["isError"] is False


@pytest.mark.parametrize(
    ("tool", "arguments", "meta"),
    [
        ("conductor_acquire_lock", WAITS, {}),
        ("conductor_acquire_lock", {"paths": ["a.py"]}, {"progressToken": "one"}),
        ("conductor_acquire_lock", {"paths": ["a.py"], "wait_s": 0}, {"progressToken": 1}),
        ("conductor_release_lock", {"all": True}, {"progressToken": "one"}),
    ],
)
def test_a_call_that_does_not_wait_or_wants_no_progress_goes_the_short_way(
    opened: Open, tool: str, arguments: dict[str, Any], meta: dict[str, Any]
) -> None:
    opened.faces.echo.told_progress.clear()

    response = opened.agent.post("/mcp", json=tool_call(tool, arguments, _meta=meta))

    assert response.headers["content-type"] == "application/json"
    assert opened.faces.echo.told_progress == []


def test_a_wait_that_is_no_number_is_refused_and_not_waited_for(opened: Open) -> None:
    call = tool_call("conductor_acquire_lock", {"paths": ["a.py"], "wait_s": "50"}, _meta={"progressToken": "one"})

    (answer,) = told(opened.agent.post("/mcp", json=call))

    assert answer["result"]["structuredContent"]["code"] == "invalid"
