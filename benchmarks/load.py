"""Load: many keep-alive connections that each ask one request after another, in a process of its own.

Reads a plan as JSON from standard input: {host, port, seconds, connections: [[request, …], …]} with requests as text;
each connection goes round its requests. Prints {requests, seconds, errors, latencies_ms} as JSON. Raw asyncio: a
comfortable client would be measured instead of the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop


class Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends the next."""

    def __init__(self, requests: list[bytes], until: float, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._until = until
        self._done = done
        self._next = 0
        self._buffer = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.errors = 0
        self.first_error = ""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        lower = head.lower()
        length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        self.latencies.append(time.perf_counter() - self._sent_at)
        if not head.startswith(b"HTTP/1.1 200") or b'"isError":true' in body:
            self.errors += 1
            self.first_error = self.first_error or (head[:80] + body[:300]).decode("latin-1")
        # A pair is finished before the connection ends: nothing stays leased.
        if time.perf_counter() >= self._until and self._next % len(self._requests) == 0:
            self._transport.close()
            return
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out a plan."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    until = began + plan["seconds"]
    connections, waiting = [], []
    for requests in plan["connections"]:
        done: asyncio.Future[None] = loop.create_future()
        encoded = [request.encode() for request in requests]
        _, protocol = await loop.create_connection(
            lambda encoded=encoded, done=done: Connection(encoded, until, done),  # type: ignore[misc]  # bound by default
            plan["host"],
            plan["port"],
        )
        connections.append(protocol)
        waiting.append(done)
    await asyncio.gather(*waiting)
    latencies = sorted(latency * 1000 for connection in connections for latency in connection.latencies)
    return {
        "requests": len(latencies),
        "seconds": time.perf_counter() - began,
        "errors": sum(connection.errors for connection in connections),
        "first_error": next((connection.first_error for connection in connections if connection.first_error), ""),
        "p50_ms": latencies[len(latencies) // 2],
        "p99_ms": latencies[int(len(latencies) * 0.99)],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
