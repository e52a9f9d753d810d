"""MCP as clients meet it: the handshake, the list of tools, calls in both eras, hang-ups."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import httpx
import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from conductor.domain import errors
from conductor.domain.errors import NextStep
from conductor.operations import catalogue
from mcp_server.mcp_sdk import INSTRUCTIONS
from tests.faces.conftest import Open
from tests.faces.double import message_of, tool_call

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def ask(client: httpx.Client, message: Any) -> Any:
    return message_of(client.post("/mcp", json=message))


def test_the_handshake_names_the_server_and_says_how_to_work(opened: Open) -> None:
    result = ask(opened.agent, HELLO)["result"]

    assert result["serverInfo"]["name"] == "conductor"
    assert result["protocolVersion"] == "2025-11-25"
    assert result["instructions"] == INSTRUCTIONS
    assert "tools" in result["capabilities"]


def test_the_instructions_name_tools_that_exist() -> None:
    named = re.findall(r"conductor_(\w+)", INSTRUCTIONS)

    assert len(named) > 4
    assert set(named) <= set(catalogue.CATALOGUE)


def test_a_list_and_a_call_need_no_handshake_and_open_no_session(opened: Open) -> None:
    listed = opened.agent.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    called = opened.agent.post("/mcp", json=tool_call("conductor_whoami", {}))

    assert message_of(listed)["result"]["tools"]
    assert message_of(called)["result"]["isError"] is False
    assert "mcp-session-id" not in listed.headers
    assert "mcp-session-id" not in called.headers


def test_a_list_shows_only_what_the_caller_may_call(opened: Open) -> None:
    question = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    shown = {tool["name"] for tool in ask(opened.agent, question)["result"]["tools"]}
    shown_to_root = {tool["name"] for tool in ask(opened.root, question)["result"]["tools"]}

    assert "conductor_claim_task" in shown
    assert "conductor_create_token" not in shown
    assert "conductor_create_token" in shown_to_root


def test_a_reply_comes_as_structured_content_as_one_line_and_as_text(opened: Open) -> None:
    result = ask(opened.agent, tool_call("conductor_acquire_lock", {"paths": ["a"]}))["result"]

    assert result["structuredContent"]["given"] == {"paths": ["a"]}
    assert result["structuredContent"]["nothing"] is None
    line, whole = result["content"]
    assert line == {"type": "text", "text": "acquire_lock für »tok_aaaaaaaaaa«"}
    assert json.loads(whole["text"]) == result["structuredContent"]


def test_a_refusal_comes_as_the_one_error_shape(opened: Open) -> None:
    opened.faces.echo.refusals["claim_task"] = errors.NothingReady(
        "Nothing is ready.", facts={"pending": 3}, next=[NextStep("list_tasks", {"limit": 5}, "to see why")], wait_s=2.5
    )

    result = ask(opened.agent, tool_call("conductor_claim_task", {}))["result"]

    assert result["isError"] is True
    line, whole = result["content"]
    assert line == {"type": "text", "text": "nothing_ready: Nothing is ready."}
    assert json.loads(whole["text"]) == result["structuredContent"]
    assert result["structuredContent"] == {
        "code": "nothing_ready",
        "message": "Nothing is ready.",
        "retryable": True,
        "facts": {"pending": 3},
        "next": [{"tool": "list_tasks", "args": {"limit": 5}, "because": "to see why"}],
        "wait_s": 2.5,
    }


@pytest.mark.parametrize("tool", ["conductor_nothing", "acquire_lock", ""])
def test_an_unknown_tool_is_a_protocol_error_that_says_what_to_do(opened: Open, tool: str) -> None:
    error = ask(opened.agent, tool_call(tool, {}))["error"]

    assert error == {"code": -32602, "message": "There is no such tool: tools/list names those that you may call."}


def test_unknown_and_wrong_arguments_are_refused_and_not_mended(opened: Open) -> None:
    wrong: list[dict[str, Any]] = [
        {"paths": ["a"], "path": "b"},
        {"paths": "a"},
        {"paths": ["a"], "ttl_s": "900"},
        {"paths": ["a"], "ttl_s": 900.0},
        {"paths": ["a"], "ttl_s": 10**30},
    ]

    results = [ask(opened.agent, tool_call("conductor_acquire_lock", arguments))["result"] for arguments in wrong]

    assert [result["structuredContent"]["code"] for result in results] == ["invalid"] * len(wrong)


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_the_official_client_lists_and_calls(opened: Open, mode: str) -> None:
    async def act() -> tuple[int, Any, Any]:
        headers = {"authorization": f"Bearer {opened.faces.agent}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            mcp.Client(streamable_http_client(f"{opened.url}/mcp", http_client=http), mode=mode) as client,
        ):
            listed = await client.list_tools()
            good = await client.call_tool("conductor_log_action", {"action": "test", "metadata": {"a": 1}})
            bad = await client.call_tool("conductor_log_action", {"nothing": 1})
            return len(listed.tools), good, bad

    count, good, bad = asyncio.run(act())

    assert count > 15
    assert good.structured_content["given"] == {"action": "test", "metadata": {"a": 1}}
    assert (bad.is_error, bad.structured_content["code"]) == (True, "invalid")


def test_a_client_that_hangs_up_ends_its_call_on_the_sdks_way(opened: Open) -> None:
    echo = opened.faces.echo
    # An unusual part sends the call through the SDK.
    body = json.dumps(tool_call("conductor_list_tasks", {"limit": 7}, task=None)).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {opened.faces.agent}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    address = (httpx.URL(opened.url).host, httpx.URL(opened.url).port or 80)

    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head.encode() + body)
        began = echo.is_waiting.wait(10)

    assert began
    assert echo.was_cancelled.wait(10)
