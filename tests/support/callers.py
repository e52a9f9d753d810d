"""Who calls a daemon over REST in stories of many: on kept connections, from one event loop.

`ask` gives an answer as it is, `call` raises what is refused, `surely` goes on with the same idempotency key until
the daemon has said yes or no, through kills and restarts: after it nothing is in doubt.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.daemon import DaemonProcess

PATIENCE_S = 60.0
_PAUSE_S = 0.05


class Refused(Exception):
    """The daemon said no."""

    def __init__(self, status: int, fault: dict[str, Any]) -> None:
        super().__init__(f"{status} {fault['code']}: {fault['message']}")
        self.status = status
        self.fault = fault
        self.code: str = fault["code"]


@dataclass(frozen=True)
class RestCaller:
    """Somebody with a token."""

    daemon: DaemonProcess
    http: httpx.AsyncClient
    token: str

    def like(self, token: str) -> RestCaller:
        """Somebody else on the same connections."""
        return RestCaller(self.daemon, self.http, token)

    async def ask(self, operation: str, **arguments: Any) -> httpx.Response:
        """Call once and give the answer as it is; raises httpx.TransportError when there is none."""
        # The address is read each time: a daemon that was started again has another port.
        url = f"{self.daemon.url}/v1/{operation}"
        return await self.http.post(url, json=arguments, headers={"Authorization": f"Bearer {self.token}"})

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call once. Raises Refused."""
        answer = await self.ask(operation, **arguments)
        reply: dict[str, Any] = answer.json()
        if answer.status_code != httpx.codes.OK:
            raise Refused(answer.status_code, reply)
        return reply

    async def surely(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call until the outcome is known. Raises Refused for a no that is one."""
        keyed = {"idempotency_key": secrets.token_hex(8), **arguments}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self.call(operation, **keyed)
            except (httpx.TransportError, Refused) as error:
                is_passing = isinstance(error, httpx.TransportError) or error.status == httpx.codes.SERVICE_UNAVAILABLE
                if not is_passing or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def calling(daemon: DaemonProcess, *, connections: int = 100) -> AsyncIterator[RestCaller]:
    """The owner, and connections for everybody."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(30, pool=None), trust_env=False) as http:
        yield RestCaller(daemon, http, daemon.owner_token)
