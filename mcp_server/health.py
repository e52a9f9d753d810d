"""`/healthz` and `/readyz`: what a supervisor and a load balancer ask, without a token.

healthz is 200 while the process can still come right by itself, readyz while it can serve. Neither looks at anything
when it is asked: the daemon says when something changes, so a flood of questions costs nothing.
"""

from __future__ import annotations

from conductor.domain import errors
from mcp_server.faults import WrongMethod
from mcp_server.serving import Request, Response


class Health:
    """How the daemon is; its main tells it. A new one is alive and not ready."""

    def __init__(self) -> None:
        self.why_dead: str | None = None
        self.why_unready: str | None = "it is starting"

    def ready(self) -> None:
        """Say that the daemon serves."""
        self.why_unready = None

    def unready(self, why: str) -> None:
        """Say that the daemon cannot serve now, as the rest of a sentence: `it is stopping`, `the database is lost`."""
        self.why_unready = why

    def dead(self, why: str) -> None:
        """Say that only a restart helps."""
        self.why_dead = why


class HealthPage:
    """Answers /healthz."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def answer(self, request: Request) -> Response:
        """Say whether only a restart helps."""
        return _answer(request, self._health.why_dead, "Conductor must be restarted", b'{"status":"alive"}')


class ReadyPage:
    """Answers /readyz."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def answer(self, request: Request) -> Response:
        """Say whether it serves now."""
        why_not = self._health.why_dead or self._health.why_unready
        return _answer(request, why_not, "Conductor is not ready", b'{"status":"ready"}')


def _answer(request: Request, why_not: str | None, what: str, good: bytes) -> Response:
    if request.method not in {"GET", "HEAD"}:
        raise WrongMethod("GET")
    if why_not is not None:
        raise errors.Unavailable(f"{what}: {why_not}.", wait_s=1)
    return Response(200, good)
