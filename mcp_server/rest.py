"""REST: `POST /v1/<operation>` with the arguments as JSON, answered with the reply itself or the error itself."""

from __future__ import annotations

from conductor.domain import errors
from conductor.operations import catalogue
from conductor.operations.row import Face
from mcp_server import faults
from mcp_server.limits import Bodies
from mcp_server.serving import Dispatcher, Request, Response

PREFIX = "/v1/"

ROWS = {PREFIX + row.name: row for row in catalogue.CATALOGUE.values() if Face.REST in row.faces}
"""The operation behind each path."""


class RestEndpoint:
    """Answers the operations under /v1."""

    def __init__(self, dispatcher: Dispatcher, bodies: Bodies) -> None:
        self._dispatcher = dispatcher
        self._bodies = bodies

    async def answer(self, request: Request) -> Response:
        """Pass the body to the operation that the path names."""
        row = ROWS.get(request.path)
        if row is None:
            raise errors.NotFound("There is no such operation: GET /v1/openapi.json lists them.")
        if request.method != "POST":
            raise faults.WrongMethod("POST")
        body = await self._bodies.read(request.receive)
        if body:
            request.require_json()
        answer = await self._dispatcher.call(row, body or b"{}", request.caller)
        if answer.code is None:
            return Response(200, answer.body)
        headers = faults.headers_for(answer.code, faults.wait_s_of(answer.body))
        return Response(errors.BY_CODE[answer.code].http, answer.body, headers)
