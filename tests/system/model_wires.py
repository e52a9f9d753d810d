"""How each provider's API streams a tool call and a last word, and where it carries what the model was shown.

Only what the clients need to go on is said: no reasoning, one block a turn. What a client sends besides is not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.model_servers import Call, Say, Shown


class AnthropicMessages:
    """POST /v1/messages, as Claude Code asks it."""

    path = "/v1/messages"

    def offered(self, request: Mapping[str, Any]) -> list[str]:
        """The names of the tools the model may call."""
        return [tool["name"] for tool in request.get("tools", [])]

    def result(self, request: Mapping[str, Any], call_id: str) -> Shown | None:
        """The `tool_result` block of a call."""
        for message in request["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else []:
                if block["type"] == "tool_result" and block["tool_use_id"] == call_id:
                    return Shown(_texts(block["content"]), block.get("is_error", False))
        return None

    def call(self, call_id: str, call: Call) -> bytes:
        """Stream a `tool_use` block."""
        name = call.operation if call.own else f"mcp__conductor__conductor_{call.operation}"
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
        return self._message(block, delta, "tool_use")

    def say(self, say: Say) -> bytes:
        """Stream a text block."""
        return self._message({"type": "text", "text": ""}, {"type": "text_delta", "text": say.text}, "end_turn")

    def _message(self, block: Mapping[str, Any], delta: Mapping[str, Any], stop_reason: str) -> bytes:
        message: dict[str, Any] = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1},
        }  # fmt: skip
        stop = {"stop_reason": stop_reason, "stop_sequence": None}
        return _named_events(
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        )


_OUTPUTS = ("function_call_output", "custom_tool_call_output")


class OpenaiResponses:
    """POST /v1/responses, as Codex asks it: the tools of an MCP server are a namespace."""

    path = "/v1/responses"

    def offered(self, request: Mapping[str, Any]) -> list[str]:
        """The names of the tools the model may call, the namespace before each."""
        return [name for tool in request.get("tools", []) for name in _openai_names(tool)]

    def result(self, request: Mapping[str, Any], call_id: str) -> Shown | None:
        """The `function_call_output` item of a call."""
        for item in request["input"]:
            if item.get("type") in _OUTPUTS and item["call_id"] == call_id:
                return Shown(_texts(item["output"]))
        return None

    def call(self, call_id: str, call: Call) -> bytes:
        """Stream a `function_call` item; a tool of Codex's own that takes plain text is called with it."""
        if call.own and "input" in call.arguments:
            return self._response({
                "type": "custom_tool_call", "id": f"ctc_{call_id}", "call_id": call_id, "name": call.operation,
                "input": call.arguments["input"], "status": "completed",
            })  # fmt: skip
        name = {"name": call.operation} if call.own else {
            "namespace": "mcp__conductor", "name": f"conductor_{call.operation}",
        }  # fmt: skip
        return self._response({
            "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, **name,
            "arguments": json.dumps(call.arguments), "status": "completed",
        })  # fmt: skip

    def say(self, say: Say) -> bytes:
        """Stream a message item."""
        text = {"type": "output_text", "text": say.text, "annotations": []}
        return self._response({"type": "message", "id": "msg_1", "role": "assistant", "content": [text]})

    def _response(self, item: Mapping[str, Any]) -> bytes:
        usage = {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
        }  # fmt: skip
        return _named_events(
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "resp_1", "output": [item], "usage": usage}},
        )


class GeminiContents:
    """POST …:streamGenerateContent, as Gemini CLI asks it."""

    path = ":streamGenerateContent"

    def offered(self, request: Mapping[str, Any]) -> list[str]:
        """The names of the tools the model may call."""
        return [each["name"] for tool in request.get("tools", []) for each in tool.get("functionDeclarations", [])]

    def result(self, request: Mapping[str, Any], call_id: str) -> Shown | None:
        """The `functionResponse` part of a call."""
        for content in request["contents"]:
            for part in content["parts"]:
                answer = part.get("functionResponse", {})
                if answer.get("id") == call_id:
                    response = answer["response"]
                    return Shown(response.get("error") or response.get("output", ""), "error" in response)
        return None

    def call(self, call_id: str, call: Call) -> bytes:
        """Stream a `functionCall` part."""
        name = call.operation if call.own else f"mcp_conductor_conductor_{call.operation}"
        return self._candidate({"functionCall": {"id": call_id, "name": name, "args": dict(call.arguments)}})

    def say(self, say: Say) -> bytes:
        """Stream a text part."""
        return self._candidate({"text": say.text})

    def _candidate(self, part: Mapping[str, Any]) -> bytes:
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        return b"data: " + json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode() + b"\n\n"


def _openai_names(tool: Mapping[str, Any]) -> Iterator[str]:
    for inner in tool.get("tools", []):
        yield f"{tool['name']}.{inner['name']}"
    if "tools" not in tool:
        yield tool.get("name", tool["type"])


def _texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    # What a tool search found comes as references, by name.
    return "\n".join(block.get("text") or block.get("tool_name", "") for block in content)


def _named_events(*events: Mapping[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
