"""Everything that listens, put together: routes behind one door, as the ASGI app that the daemon serves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from conductor import settings
from conductor.clock import Clock
from mcp_server.auth import Authenticator
from mcp_server.door import Door, Nothing, Route
from mcp_server.exposition import MetricsPage
from mcp_server.guard import HostGuard
from mcp_server.health import Health, HealthPage, ReadyPage
from mcp_server.limits import Bodies, Rate
from mcp_server.mcp_fast import McpEndpoint
from mcp_server.mcp_sdk import SdkEndpoint
from mcp_server.metrics import Metrics
from mcp_server.openapi import OpenApiPage
from mcp_server.rest import PREFIX, RestEndpoint
from mcp_server.serving import Dispatcher, Endpoint


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon hands to its faces."""

    dispatcher: Dispatcher
    authenticator: Authenticator
    health: Health
    metrics: Metrics
    clock: Clock
    server: settings.Server
    limits: settings.Limits


def build_app(parts: Parts) -> ASGIApp:
    """Make the app. The server must run its lifespan; the app lives once."""
    bodies = Bodies(parts.server.body_limit_bytes, parts.server.request_timeout_s)
    sdk = SdkEndpoint(parts.dispatcher, bodies, parts.server.body_limit_bytes)
    mcp = McpEndpoint(parts.dispatcher, bodies, sdk)
    return Front(behind_the_door(parts, bodies, mcp), sdk.running())


def behind_the_door(parts: Parts, bodies: Bodies, mcp: Endpoint) -> ASGIApp:
    """Put an MCP endpoint and the other faces behind the guards."""
    return Door(
        _routes(parts, bodies, mcp),
        hosts=HostGuard(parts.server.host, parts.server.allowed_hosts),
        bodies=bodies,
        authenticator=parts.authenticator,
        rate=Rate(parts.limits.rate_per_s, parts.limits.rate_burst),
        clock=parts.clock,
        metrics=parts.metrics,
    )


def _routes(parts: Parts, bodies: Bodies, mcp: Endpoint) -> Mapping[str, Route]:
    return {
        "/mcp": Route("mcp", mcp),
        PREFIX: Route("rest", RestEndpoint(parts.dispatcher, bodies)),
        "/v1/openapi.json": Route("openapi", OpenApiPage()),
        "/metrics": Route("metrics", MetricsPage(parts.metrics, parts.clock)),
        "/healthz": Route("health", HealthPage(parts.health), is_open=True),
        "/readyz": Route("health", ReadyPage(parts.health), is_open=True),
        # Clients look here for a login page before they give up; a 401 would send them round in a circle.
        "/.well-known/": Route("none", Nothing(), is_open=True),
    }


class Front:
    """Parts requests from the server's own signals: start and stop, and sockets that nothing here speaks."""

    def __init__(self, door: ASGIApp, running: AbstractAsyncContextManager[None]) -> None:
        self._door = door
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._door(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case _:
                await send({"type": "websocket.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
