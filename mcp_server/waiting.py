"""Calls that may wait: they end when their caller hangs up, so that nobody waits for somebody who has gone.

uvicorn lets a handler run on when the connection is lost. For a call that is answered at once that does not matter;
a waiting one would hold its place, and would take messages that nobody gets to see.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive

from conductor.operations import catalogue
from conductor.operations.row import Operation
from mcp_server.serving import Answer, ClientGone, Dispatcher, Request

WAITING = frozenset(row.name for row in catalogue.CATALOGUE.values() if "wait_s" in row.request.model_fields)
"""Operations whose caller may say how long it is willing to wait."""


def may_take_long(row: Operation[Any, Any], arguments: object) -> bool:
    """Tell whether a caller says that it is willing to wait."""
    wait_s = arguments.get("wait_s", 0) if isinstance(arguments, dict) else 0
    return row.name in WAITING and isinstance(wait_s, int) and wait_s > 0


async def answered(dispatcher: Dispatcher, row: Operation[Any, Any], arguments: bytes, request: Request) -> Answer:
    """Call an operation for a request. Raises ClientGone when its caller hung up before the answer."""
    if row.name not in WAITING:
        return await dispatcher.call(row, arguments, request.caller)
    loop = asyncio.get_running_loop()
    call = loop.create_task(dispatcher.call(row, arguments, request.caller))
    gone = loop.create_task(_hung_up(request.receive))
    try:
        await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise ClientGone
        return call.result()
    finally:
        call.cancel()
        gone.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
