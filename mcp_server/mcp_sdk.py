"""MCP by the SDK: the whole protocol, both eras, on one endpoint without sessions.

Tools and handlers are derived from the catalogue; the low-level server is used because decorators would be a second
definition, and would coerce arguments. Nothing is decided here: a call's arguments go to the dispatcher as JSON and
its answer comes back as it is. `mcp_fast` stands in front for the plain tools/call and must answer the same; resources
and prompts are served here alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from typing import Any, cast

import orjson
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextContent,
)
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

from conductor.domain.access import Caller
from mcp_server import prompts, resources, tools, waiting
from mcp_server.asking import Asking
from mcp_server.limits import Bodies
from mcp_server.serving import Answer, Dispatcher, Request

SERVER_NAME = "conductor"

_CALLER = "conductor.caller"

INSTRUCTIONS = (
    "Conductor coordinates the agents of this codebase. Begin with conductor_start_session; take work with "
    "conductor_claim_task, which leases the task's files, and lease any other path with conductor_acquire_lock before "
    "you edit it. Call conductor_heartbeat as often as its reply says, and end with conductor_complete_task. A refusal "
    "says in `next` which operation helps: claim_task there is the tool conductor_claim_task."
)


class SdkEndpoint:
    """Answers every MCP request. `running` must be entered for as long as it serves."""

    def __init__(self, dispatcher: Dispatcher, bodies: Bodies, body_limit_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._bodies = bodies
        self.server: Server[Any] = Server(
            SERVER_NAME,
            version=metadata.version("conductor-server"),
            instructions=INSTRUCTIONS,
            # No schema of ours maps an argument to a header, so there is nothing to look up before each call.
            get_tool_input_schema=lambda _name: None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_resource_templates,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )
        # Only streamed responses end the handler when the client hangs up; in JSON mode it would run on.
        self._sessions = StreamableHTTPSessionManager(
            self.server, stateless=True, json_response=False, max_request_body_size=body_limit_bytes
        )

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve until the context ends; once."""
        return self._sessions.run()

    async def answer(self, request: Request) -> int:
        """Answer a request from its beginning."""
        request.require_json()
        return await self.answer_read(request, await self._bodies.read(request.receive))

    async def answer_read(self, request: Request, body: bytes) -> int:
        """Answer a request whose body was read already."""
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await request.send(message)

        request.scope[_CALLER] = request.caller
        await self._sessions.handle_request(request.scope, _replaying(body, request.receive), noting)
        return status

    async def _list_tools(
        self, context: ServerRequestContext[Any], _: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=list(tools.shown_to(_caller(context).role)))

    async def _call_tool(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        row = tools.ROWS.get(params.name)
        if row is None:
            raise MCPError(INVALID_PARAMS, "There is no such tool: tools/list names those that you may call.")
        progress = context.session.report_progress if waiting.may_take_long(row, params.arguments) else None
        answer = await self._dispatcher.call(row, _as_json(params.arguments or {}), _caller(context), progress=progress)
        return CallToolResult(
            content=[TextContent(text=text) for text in (answer.line, answer.body.decode(), *_notices(answer))],
            structured_content=orjson.loads(tools.structured(answer)),
            is_error=answer.code is not None,
        )

    async def _list_resources(
        self, context: ServerRequestContext[Any], _: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return ListResourcesResult(resources=await resources.listed(self._asking(context)))

    async def _list_resource_templates(
        self, context: ServerRequestContext[Any], _: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=resources.templates(self._asking(context)))

    async def _read_resource(
        self, context: ServerRequestContext[Any], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        return ReadResourceResult(contents=list(await resources.read(self._asking(context), params.uri)))

    async def _list_prompts(
        self, context: ServerRequestContext[Any], _: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        return ListPromptsResult(prompts=prompts.listed(self._asking(context)))

    async def _get_prompt(self, context: ServerRequestContext[Any], params: GetPromptRequestParams) -> GetPromptResult:
        messages = await prompts.written(self._asking(context), params.name, params.arguments or {})
        return GetPromptResult(description=prompts.KINDS[params.name].description, messages=messages)

    def _asking(self, context: ServerRequestContext[Any]) -> Asking:
        return Asking(self._dispatcher, _caller(context))


def _notices(answer: Answer) -> Sequence[str]:
    return (answer.notice,) if answer.notice else ()


def _caller(context: ServerRequestContext[Any]) -> Caller:
    # The SDK hands its own request object to handlers, made from the scope that it was called with.
    return cast(Caller, cast(HTTPConnection, context.request).scope[_CALLER])


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body already read, and then what really comes: a hang-up above all."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _as_json(arguments: dict[str, Any]) -> bytes:
    # Escaped and with NaN as it came: what is not right must reach the validation, not be mended on the way.
    try:
        return json.dumps(arguments, separators=(",", ":")).encode()
    except (RecursionError, ValueError) as error:
        raise MCPError(INVALID_PARAMS, "The arguments are nested too deeply or hold too long a number.") from error
