"""A stand-in for what the faces call, and a real server to call them through.

The double validates as the dispatcher does and answers with what it received, so that whatever a face did to a call
on its way is seen in the answer. It knows no rule of Conductor: those are tested where they are.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from conductor import secrets_hash, settings
from conductor.clock import Clock, SystemClock
from conductor.domain import access, errors
from conductor.domain.access import Caller, Role, TokenKind
from conductor.operations.faults import fault_of
from conductor.operations.reading import read_request
from conductor.operations.row import Operation
from mcp_server import http_protocol
from mcp_server.app import Parts
from mcp_server.auth import Authenticator
from mcp_server.health import Health
from mcp_server.metrics import Metrics
from mcp_server.serving import Progress

PEPPER = b"p" * 32
ORGANIZATION = "org_0000000000"


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    line: str
    code: str | None = None
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A token's row."""

    id: str
    kind: TokenKind
    role: Role
    secret_hash: str
    organization_id: str = ORGANIZATION
    project_id: str | None = None
    agent_name: str | None = None
    member_id: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = datetime(2026, 1, 1, tzinfo=UTC)

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass
class Desk:
    """The tokens that exist, and how often they were looked up and noted as used."""

    rows: dict[str, Row] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, kind: TokenKind, role: Role, letter: str = "a", **particulars: Any) -> str:
        """Make a token; returns its text."""
        token = access.PlainToken(kind, letter * 10, letter * access.SECRET_LENGTH)
        kept = secrets_hash.token_hash(PEPPER, str(token))
        self.rows[token.token_id] = Row(token.token_id, kind, role, kept, **particulars)
        return str(token)

    async def find(self, token_id: str) -> Row | None:
        self.looked_up.append(token_id)
        found = self.rows.get(token_id)
        self.has_begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return found

    def mark_used(self, row: Any) -> None:
        self.marked.append(row.id)


class Echo:
    """Answers a call with the arguments as it understood them, or with what a test told it to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, Caller]] = []
        self.refusals: dict[str, errors.ConductorError] = {}
        self.notice = ""
        self.told_progress: list[str] = []
        self.is_waiting = threading.Event()
        self.was_cancelled = threading.Event()

    async def call(
        self,
        row: Operation[Any, Any],
        arguments: bytes,
        caller: Caller,
        *,
        tells: bool = True,
        progress: Progress | None = None,
    ) -> Answer:
        if progress is not None:
            self.told_progress.append(row.name)
            await progress(3.0, 50.0, "queued at place 2")
        self.calls.append((row.name, arguments, caller))
        if arguments == b'{"limit":7}':
            await self._wait_for_ever()
        try:
            request = read_request(row, arguments)
            if row.name in self.refusals:
                raise self.refusals[row.name]
        except errors.ConductorError as error:
            fault = fault_of(error)
            return Answer(fault.model_dump_json(exclude_none=True).encode(), fault.line(), fault.code, self.notice)
        body = json.dumps(
            {"operation": row.name, "nothing": None, "given": json.loads(arguments), "read": request.model_dump_json()},
        )
        return Answer(body.encode(), f"{row.name} für »{caller.token_id}«", notice=self.notice if tells else "")

    async def _wait_for_ever(self) -> None:
        self.is_waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled.set()


@dataclass
class Faces:
    """Everything behind a served app that a test may look at."""

    desk: Desk = field(default_factory=Desk)
    echo: Echo = field(default_factory=Echo)
    health: Health = field(default_factory=Health)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.root = self.desk.add(TokenKind.USER, Role.ROOT, "r", member_id="mbr_0000000000")
        self.agent = self.desk.add(
            TokenKind.AGENT, Role.CONTRIBUTOR, "a", project_id="prj_0000000000", agent_name="ada"
        )
        self.service = self.desk.add(TokenKind.SERVICE, Role.SERVICE, "s")
        self.expired = self.desk.add(
            TokenKind.USER, Role.OWNER, "e", expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
        self.revoked = self.desk.add(TokenKind.USER, Role.OWNER, "v", revoked_at=datetime.now(UTC))
        self.authenticator = Authenticator(self.desk.find, PEPPER, self.clock, self.desk.mark_used)

    def parts(self, server: settings.Server | None = None, limits: settings.Limits | None = None) -> Parts:
        return Parts(
            self.echo,
            self.authenticator,
            self.health,
            self.metrics,
            self.clock,
            server or settings.Server(),
            limits or settings.Limits(rate_per_s=1_000_000, rate_burst=1_000_000),
        )


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an app as the daemon does, on a port of its own; gives its URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            timeout_graceful_shutdown=1,
            **http_protocol.options(),
        )
    )
    # Connections wait in the socket's queue until the server accepts: nobody has to wait for it to start.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def exchange(url: str, request: bytes, *, timeout_s: float = 10) -> bytes:
    """Send bytes as they are, and give all that comes until the server closes or the time is over."""
    address = httpx.URL(url)
    received = b""
    with socket.create_connection((address.host, address.port or 80), timeout=timeout_s) as connection:
        connection.sendall(request)
        while piece := connection.recv(65_536):
            received += piece
    return received


def client(url: str, token: str | None = None) -> httpx.Client:
    """An HTTP client with a token, and with the headers that every MCP client sends."""
    headers = {"accept": "application/json, text/event-stream"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False)


def tool_call(tool: str, arguments: object, *, id: object = 1, **params: object) -> dict[str, object]:
    """A plain `tools/call`."""
    return {
        "jsonrpc": "2.0",
        "id": id,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, **params},
    }


def message_of(response: httpx.Response) -> Any:
    """The JSON-RPC message of a response, whether it came as JSON or as the one event of a stream."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        data = [
            line.removeprefix("data: ") for line in re.split(r"\r\n|\r|\n", response.text) if line.startswith("data: ")
        ]
        return json.loads("\n".join(data))
    return json.loads(response.content) if response.content else None
