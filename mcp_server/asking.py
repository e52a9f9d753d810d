"""Asking operations for a caller, where one MCP answer is made of several of them.

Resources and prompts show what the caller itself could ask for, by the same way as its calls: the same permissions,
the same organisation, the same refusals. Nothing here reads anything by itself.
"""

from __future__ import annotations

from typing import Any

import orjson
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from conductor.domain.access import Caller
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.faults import Fault
from conductor.operations.row import Operation, ReplyT, RequestT
from mcp_server.serving import Dispatcher

_BROKEN = 500


class Asking:
    """One caller and its questions."""

    def __init__(self, dispatcher: Dispatcher, caller: Caller) -> None:
        self._dispatcher = dispatcher
        self.caller = caller

    async def ask(self, row: Operation[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """Call an operation. Raises MCPError, which carries the refusal."""
        # What is urgent goes with the caller's own calls: a page made of several answers could lose it.
        answer = await self._dispatcher.call(
            row, request.model_dump_json(exclude_unset=True).encode(), self.caller, tells=False
        )
        if answer.code is not None:
            fault = Fault.model_validate_json(answer.body)
            # A URI or an argument that names nothing is a wrong parameter to MCP.
            code = INTERNAL_ERROR if fault.http >= _BROKEN else INVALID_PARAMS
            raise MCPError(code, answer.line, orjson.loads(answer.body))
        return row.reply.model_validate_json(answer.body)

    def may(self, *rows: Operation[Any, Any]) -> bool:
        """Tell whether the caller may call all of these."""
        return all(self.caller.role in row.allowed for row in rows)

    def has(self, name: str) -> bool:
        """Tell whether an operation is in the caller's list of tools, so that it can be named to it."""
        row = CATALOGUE.get(name)
        return row is not None and row.is_listed_for(self.caller.role)
