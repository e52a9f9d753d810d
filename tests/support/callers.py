"""Who calls a daemon over REST in stories of many: on kept connections, from one event loop.

`ask` gives an answer as it is, `call` raises what is refused, `surely` goes on with the same idempotency key until
the daemon has said yes or no, through kills and restarts: after it nothing is in doubt. Bare asyncio: with a
comfortable client the tests would wait for the client.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from conductor.operations.catalogue import CATALOGUE
from tests.support.daemon import DaemonProcess

PATIENCE_S = 60.0
"""How long `surely` tries; a daemon that was killed is back long before."""

ANSWER_S = 40.0
"""No answer takes so long: the daemon gives up before."""

_PAUSE_S = 0.05


class NoAnswer(Exception):
    """The connection was refused, or broke before the whole answer was there."""


class Refused(Exception):
    """The daemon said no."""

    def __init__(self, status: int, fault: dict[str, Any]) -> None:
        super().__init__(f"{status} {fault['code']}: {fault['message']}")
        self.status = status
        self.fault = fault
        self.code: str = fault["code"]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body read."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Connections:
    """Keeps connections open; no two calls share one at the same time."""

    def __init__(self) -> None:
        self._idle: list[tuple[str, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, url: str, body: bytes, token: str) -> Answer:
        """Send one request. Raises NoAnswer, after which nobody knows whether it was carried out."""
        parts = urlsplit(url)
        request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await self._open(parts.netloc)
                writer.write(request)
                answer = await _read(reader)
        except (OSError, EOFError) as error:
            raise NoAnswer(repr(error)) from error
        self._idle.append((parts.netloc, reader, writer))
        return answer

    def close(self) -> None:
        """Close what is open."""
        for _, _, writer in self._idle:
            writer.close()

    async def _open(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            where, reader, writer = self._idle.pop()
            if where == address and not reader.at_eof():
                return reader, writer
            writer.close()
        host, _, port = address.rpartition(":")
        return await asyncio.open_connection(host, int(port))


@dataclass(frozen=True)
class RestCaller:
    """Somebody with a token."""

    daemon: DaemonProcess
    connections: Connections
    token: str

    def like(self, token: str) -> RestCaller:
        """Somebody else on the same connections."""
        return RestCaller(self.daemon, self.connections, token)

    async def ask(self, operation: str, **arguments: Any) -> Answer:
        """Call once and give the answer as it is. Raises NoAnswer."""
        # The address is read each time: a daemon that was started again has another port.
        url = f"{self.daemon.url}/v1/{operation}"
        return await self.connections.post(url, json.dumps(arguments).encode(), self.token)

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call once. Raises Refused, NoAnswer."""
        answer = await self.ask(operation, **arguments)
        if answer.status != 200:
            raise Refused(answer.status, answer.json())
        return answer.json()

    async def surely(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call until the outcome is known. Raises Refused for a no that is one."""
        writes = CATALOGUE[operation].writes
        keyed = {"idempotency_key": secrets.token_hex(8), **arguments} if writes else arguments
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self.call(operation, **keyed)
            except (NoAnswer, Refused) as error:
                is_passing = isinstance(error, NoAnswer) or error.code == "unavailable"
                if not is_passing or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def calling(daemon: DaemonProcess) -> AsyncIterator[RestCaller]:
    """The owner, and connections for everybody."""
    connections = Connections()
    try:
        yield RestCaller(daemon, connections, daemon.owner_token)
    finally:
        connections.close()


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"])))
