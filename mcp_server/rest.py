"""REST: `POST /v1/<operation>` with the arguments as JSON, answered with the reply itself or the error itself."""

from __future__ import annotations

from urllib import parse

from conductor.domain import errors
from conductor.operations import catalogue
from conductor.operations.row import Face
from mcp_server import faults, waiting
from mcp_server.limits import Bodies
from mcp_server.serving import Dispatcher, Request, Response

PREFIX = "/v1/"

NOTICE_HEADER = b"conductor-notice"
"""Something urgent that the calling agent is told once; UTF-8, percent-encoded where it is not plain ASCII."""

_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

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
        answer = await waiting.answered(self._dispatcher, row, body or b"{}", request)
        notice = [(NOTICE_HEADER, parse.quote(answer.notice, safe=_PLAIN).encode())] if answer.notice else []
        if answer.code is None:
            return Response(200, answer.body, notice)
        headers = [*faults.headers_for(answer.code, faults.wait_s_of(answer.body)), *notice]
        return Response(errors.BY_CODE[answer.code].http, answer.body, headers)
