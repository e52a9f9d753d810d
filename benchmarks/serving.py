"""Servers to measure: the daemon itself, a bare Starlette route, and a no-op tool through the MCP SDK."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

BARE = """
import uvicorn, sys
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
async def bare(request: Request) -> JSONResponse:
    await request.json()
    return JSONResponse({"ok": True})
uvicorn.run(Starlette(routes=[Route("/bare", bare, methods=["POST"])]), port=int(sys.argv[1]), loop="uvloop",
    http="httptools", access_log=False, log_level="error", server_header=False, date_header=False, proxy_headers=False)
"""

SDK = """
import uvicorn, sys
from mcp.server import Server
from mcp_types import CallToolResult, TextContent
async def call(ctx, params):
    return CallToolResult(content=[TextContent(type="text", text="ok")], structured_content={"ok": True})
server = Server("noop", on_call_tool=call)
uvicorn.run(server.streamable_http_app(stateless_http=True, json_response=True), port=int(sys.argv[1]), loop="uvloop",
    http="httptools", access_log=False, log_level="error", server_header=False, date_header=False, proxy_headers=False)
"""


@dataclass(frozen=True)
class Daemon:
    """A running daemon of our own."""

    port: int
    home: Path
    owner_token: str
    process: subprocess.Popen[bytes]
    ready_s: float

    def call(self, operation: str, token: str | None = None, **arguments: Any) -> Any:
        """Call an operation over REST."""
        request = urllib.request.Request(  # our own loopback address
            f"http://127.0.0.1:{self.port}/v1/{operation}",
            json.dumps(arguments).encode(),
            {"Authorization": f"Bearer {token or self.owner_token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # as above
            return json.load(answer)


@contextlib.contextmanager
def daemon(home: Path | None = None) -> Iterator[Daemon]:
    """Start a daemon in a temporary home, wait until it is ready, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="cdr") as folder:
        place = home or Path(folder) / "home"
        began = time.perf_counter()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("conductord")), "--home", str(place), "--port", "0"],
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        try:
            while not (place / "daemon.json").exists():
                if process.poll() is not None or time.perf_counter() - began > 60:
                    raise RuntimeError("the daemon did not start")
                time.sleep(0.02)
            told = json.loads((place / "daemon.json").read_text())
            port = int(told["url"].rsplit(":", 1)[1])
            ready_s = time.perf_counter() - began
            yield Daemon(port, place, (place / "owner.token").read_text().strip(), process, ready_s)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextlib.contextmanager
def server(source: str, port: int, path: str) -> Iterator[int]:
    """Start one of the little servers above and wait until it answers."""
    process = subprocess.Popen([sys.executable, "-c", source, str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1):  # loopback
                    break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def post(port: int, path: str, body: Any, token: str = "") -> str:
    """Word an HTTP request."""
    text = json.dumps(body, separators=(",", ":"))
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\n{bearer}Content-Length: {len(text.encode())}\r\n\r\n{text}"
    )


def tool(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Word a tool call."""
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def load(port: int, connections: list[list[str]], seconds: float) -> dict[str, Any]:
    """Put load on a server from another process."""
    plan = {"host": "127.0.0.1", "port": port, "seconds": seconds, "connections": connections}
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")], input=json.dumps(plan).encode(), capture_output=True, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
