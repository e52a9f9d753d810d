"""One message of MCP to the daemon's `/mcp`, and what comes back, as lines for the client.

The answer is one JSON message or a stream of them: progress, and the result at last. Whatever goes wrong becomes the
answer: a client that is told nothing waits for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conductor.cli.quick import identity, wire
from conductor.domain import errors

Message = Mapping[str, Any]
Emit = Callable[[bytes], None]

FAILED = -32000
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def carry(message: Message, connection: wire.Connection, version: str | None, emit: Emit) -> None:
    """Send a request and emit all that comes back. version: of the protocol, as the client and the daemon agreed.

    Raises Unavailable when no answer came, and the error that the daemon's door said.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    response = connection.post("/mcp", body, _headers(message, version))
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        emit(_one_message(message, response))
        return
    is_answered = False
    for event in _events(response.lines()):
        said = _json(event)
        is_answered = is_answered or ("method" not in said and said.get("id") == message["id"])
        emit(_as_line(said))
    if not is_answered:
        raise errors.Unavailable("The daemon ended its answer before it was whole: try again.")


def failure(message: Message, error: errors.ConductorError) -> bytes:
    """Word an error as the answer to a request: a tool's as a result, which the model is shown."""
    text = f"{error.code}: {error.message}"
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "tools/call":
        fault = {"code": error.code, "message": error.message, "retryable": error.retryable, "facts": {}, "next": []}
        content = [{"type": "text", "text": text}]
        return _as_line({**answer, "result": {"content": content, "structuredContent": fault, "isError": True}})
    return _as_line({**answer, "error": {"code": FAILED, "message": text}})


def _headers(message: Message, version: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    own = meta.get(_VERSION_KEY) if isinstance(meta, dict) else None
    if isinstance(own, str):
        # The era without handshake says in headers once more what the message says.
        headers |= {"MCP-Protocol-Version": _plain(own), "Mcp-Method": _plain(message["method"])}
        name = params.get(_NAMED_BY.get(message["method"], "")) if isinstance(params, dict) else None
        if isinstance(name, str):
            headers["Mcp-Name"] = _plain(name)
    elif version is not None:
        headers["MCP-Protocol-Version"] = version
    return headers


def _plain(value: str) -> str:
    """A header's value: what does not fit into one is for the daemon to refuse, not to become a second header."""
    return "".join(character for character in value if " " <= character <= "~")[:1024]


def _one_message(message: Message, response: wire.Response) -> bytes:
    said = _json(response.read())
    if "jsonrpc" in said:
        # The SDK does not know yet whose request it refuses so early.
        return _as_line({**said, "id": message["id"]})
    kind = errors.BY_CODE.get(str(said.get("code")))
    if kind is None:
        raise errors.Unavailable(f"What answers there is no daemon (status {response.status}).")
    raise kind(identity.explained(kind.code, str(said.get("message", ""))))


def _events(lines: Iterator[bytes]) -> Iterator[bytes]:
    data: list[bytes] = []
    for line in lines:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            # An event without text opens some streams.
            if text := b"\n".join(data):
                yield text
            data = []


def _json(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise errors.Unavailable("What answers there is no daemon: it does not speak JSON.")
    return said


def _as_line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
