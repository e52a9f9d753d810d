"""The door: every request passes the guards here, in one order, before any route sees it.

Names, size, token, rate: first what costs nothing, then what needs the store. The one place where a refusal becomes a
response and where responses are counted. Plain ASGI, and one function instead of a middleware for each guard: this
is on the way of every call. What is not a ConductorError is a defect; it is left to the server, which logs its trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from conductor.clock import Clock
from conductor.domain import errors
from conductor.domain.access import Caller
from mcp_server import faults, guard
from mcp_server.auth import Authenticator
from mcp_server.guard import HostGuard
from mcp_server.limits import Bodies, Rate
from mcp_server.metrics import Metrics
from mcp_server.serving import ClientGone, Endpoint, Headers, Request, Response


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a path. name: its name in metrics. is_open: needs no token."""

    name: str
    endpoint: Endpoint
    is_open: bool = False


class Door:
    """Lets requests in, has them answered, and sees their responses out."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        hosts: HostGuard,
        bodies: Bodies,
        authenticator: Authenticator,
        rate: Rate,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._exact = {path: route for path, route in routes.items() if not path.endswith("/")}
        self._under = {path: route for path, route in routes.items() if path.endswith("/")}
        self._hosts = hosts
        self._bodies = bodies
        self._authenticator = authenticator
        self._rate = rate
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        route = self._exact.get(path) or self._route_above(path)
        try:
            headers = self._hosts.read(scope["headers"])
            self._bodies.check_declared(headers)
            caller = None if route.is_open else await self._admit(headers)
            if caller is not None and guard.is_local(scope.get("client"), headers):
                caller = caller._replace(is_local=True)
            request = Request(scope, receive, send, scope["method"], path, headers, caller)
            response = await route.endpoint.answer(request)
        except errors.ConductorError as error:
            response = faults.response_to(error)
        except ClientGone:
            return
        if isinstance(response, Response):
            await response.send(send)
            response = response.status
        self._metrics.count_request(route.name, response)

    async def _admit(self, headers: Headers) -> Caller:
        authorization = headers.get(b"authorization")
        now = self._clock.monotonic()
        caller = self._authenticator.recall(authorization, now)
        if caller is None:
            try:
                caller = await self._authenticator.authenticate(authorization)
            except errors.Unauthenticated:
                self._metrics.count_auth_failure()
                raise
        wait_s = self._rate.take(caller.token_id, now)
        if wait_s > 0:
            self._metrics.count_rate_limited(caller.organization_id)
            raise errors.RateLimited(
                f"Too many calls with this token: go on in {wait_s:.3f} s.", wait_s=round(wait_s, 3)
            )
        return caller

    def _route_above(self, path: str) -> Route:
        return next((route for prefix, route in self._under.items() if path.startswith(prefix)), NOWHERE)


class Nothing:
    """Answers what leads nowhere."""

    async def answer(self, request: Request) -> Response:
        """Say where there is something."""
        raise errors.NotFound(
            "There is nothing here: MCP is POST /mcp, REST is POST /v1/<operation>, described by GET /v1/openapi.json."
        )


NOWHERE = Route("none", Nothing())
