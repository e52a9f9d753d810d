"""The REST face described: OpenAPI 3.1 from the models that validate and answer, so that it cannot be out of date."""

from __future__ import annotations

import functools
from collections import defaultdict
from importlib import metadata
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema

from conductor.domain import errors
from conductor.operations.faults import Fault
from conductor.operations.row import Operation, Wire
from mcp_server import rest
from mcp_server.faults import SlowBody, WrongMethod
from mcp_server.serving import Request, Response

_ALWAYS = (
    errors.Invalid, errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.TooLarge, errors.Paused,
    errors.RateLimited, errors.Unavailable, WrongMethod, SlowBody,
)  # fmt: skip
_REFERENCES = "#/components/schemas/{model}"


class OpenApiPage:
    """Answers GET /v1/openapi.json."""

    async def answer(self, request: Request) -> Response:
        """Give the document, the same to everybody."""
        if request.method not in {"GET", "HEAD"}:
            raise WrongMethod("GET")
        return Response(200, document_json())


@functools.cache
def document_json() -> bytes:
    """The document as it is served."""
    return orjson.dumps(document())


def document() -> dict[str, Any]:
    """Describe every operation that REST serves."""
    models: set[type[Wire]] = {Fault}
    for row in rest.ROWS.values():
        models |= {row.request, row.reply}
    # Both directions by what is read: replies leave out what is absent, so their defaults are not promised.
    by_model, definitions = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=_REFERENCES,
    )
    schemas = {model: schema for (model, _), schema in by_model.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Conductor",
            "version": metadata.version("conductor-server"),
            "description": "Coordinates coding agents: tasks, file leases, budgets and a memory of who did what.",
        },
        "security": [{"bearerAuth": []}],
        "paths": {path: {"post": _operation(row, schemas)} for path, row in rest.ROWS.items()},
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearerAuth": {"type": "http", "scheme": "bearer", "description": "a token, `cdr_<kind>_<id>_<secret>`"}
            },
        },
    }


def _operation(row: Operation[Any, Any], schemas: dict[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": row.name,
        "summary": row.description,
        "tags": [row.command[0]],
        "requestBody": {
            "required": any(field.is_required() for field in row.request.model_fields.values()),
            "content": {"application/json": {"schema": schemas[row.request]}},
        },
        "responses": {
            "200": {
                "description": " ".join((row.reply.__doc__ or "").split()),
                "content": {"application/json": {"schema": schemas[row.reply]}},
            },
            **_refusals(row, schemas[Fault]),
        },
    }


def _refusals(row: Operation[Any, Any], fault: Any) -> dict[str, Any]:
    codes: dict[int, list[str]] = defaultdict(list)
    kinds = (*_ALWAYS, *row.raises, *((errors.IdempotencyMismatch,) if row.writes else ()))
    for kind in dict.fromkeys(kinds):
        codes[kind.http].append(kind.code)
    return {
        str(status): {
            "description": ", ".join(dict.fromkeys(names)),
            "content": {"application/json": {"schema": fault}},
        }
        for status, names in sorted(codes.items())
    }
