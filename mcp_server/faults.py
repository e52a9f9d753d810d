"""Errors as they leave: one shape, one status table, one place where an exception becomes a response.

Guards and faces raise, the door asks here what to answer. Errors of operations never come by, they are answers
already; only their headers are made here too.
"""

from __future__ import annotations

import math

import orjson

from conductor.domain import errors
from conductor.operations import faults
from mcp_server.serving import HeaderList, Response


class WrongMethod(errors.Invalid):
    """The path is there, but not for this HTTP method; `Allow` names those it takes."""

    http = 405

    def __init__(self, allow: str) -> None:
        super().__init__(f"This path does not take that HTTP method: use {allow}.", facts={"allow": allow})
        self.allow = allow


class SlowBody(errors.Invalid):
    """The rest of the body did not arrive in time; send it at once."""

    http = 408


def response_to(error: errors.ConductorError) -> Response:
    """Put an error into a response: its status, its shape, and the headers that go with it."""
    headers = [*headers_for(error.code, error.wait_s)]
    if isinstance(error, WrongMethod):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, errors.TooLarge | SlowBody):
        # The rest of the body would have to be waited for before the connection could carry another request.
        headers.append((b"connection", b"close"))
    return Response(error.http, faults.fault_of(error).model_dump_json(exclude_none=True).encode(), headers)


def headers_for(code: str, wait_s: float | None) -> HeaderList:
    """The headers that an error of this code carries: how to authenticate, when to come again."""
    if code == errors.Unauthenticated.code:
        return [(b"www-authenticate", b"Bearer")]
    if wait_s is None and code in {errors.RateLimited.code, errors.Unavailable.code}:
        wait_s = 1
    return [] if wait_s is None else [(b"retry-after", str(max(1, math.ceil(wait_s))).encode())]


def wait_s_of(body: bytes) -> float | None:
    """The `wait_s` of a fault as an operation answered it."""
    wait_s = orjson.loads(body).get("wait_s")
    return float(wait_s) if isinstance(wait_s, int | float) else None
