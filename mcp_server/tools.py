"""The catalogue as MCP tools: what each role sees in tools/list.

Derived from the rows, once for each role: what it needs for its work is listed, what else it may call it can call by
name. Schemas are kept short, because every agent reads them in every session: no titles, no null branches, no bounds
and patterns that an honest call never meets; the server checks them all the same.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import orjson
from mcp_types import Tool, ToolAnnotations

from conductor.domain.access import Role
from conductor.operations import catalogue
from conductor.operations.row import Face, Operation
from mcp_server.serving import Answer

Schema = Mapping[str, Any]

# A new operation is taken for one that adds up when it is repeated; here are those that do not.
_IDEMPOTENT = frozenset({
    "acquire_lock", "approve_access", "archive_project", "close_tasks", "complete_task", "delete_organization",
    "delete_team", "drain", "end_session", "heartbeat", "import_beads", "pause", "record_cost", "reject_access",
    "release_lock", "remove_member", "report_check", "restore_project", "resume", "review_task", "revoke_access",
    "revoke_token", "set_quota", "update_member", "update_onboarding_config", "update_project", "update_task",
    "update_team",
})  # fmt: skip
_DESTRUCTIVE = frozenset({
    "close_tasks", "delete_organization", "delete_team", "remove_member", "revoke_access", "revoke_token",
    "rotate_token",
})  # fmt: skip

_LEFT_OUT = frozenset({"title", "maxLength", "maxProperties", "pattern"})
_BEYOND_HONEST = 1_000_000
"""Numbers that are bounded only so far away keep their bound to themselves."""

_HOLDS_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties"})

ROWS: Mapping[str, Operation[Any, Any]] = {
    row.tool: row for row in catalogue.CATALOGUE.values() if Face.MCP in row.faces
}
"""The operation behind each tool."""


@functools.cache
def shown_to(role: Role) -> tuple[Tool, ...]:
    """The tools in a role's list, the seed names first."""
    return tuple(
        Tool(
            name=row.tool,
            description=row.description,
            input_schema=input_schema(row, role),
            annotations=hints(row),
        )
        for row in catalogue.listed(role)
    )


def hints(row: Operation[Any, Any]) -> ToolAnnotations:
    """What a client may tell its user before a call; left out, MCP takes a tool for destructive and open-ended."""
    return ToolAnnotations(
        read_only_hint=not row.writes,
        destructive_hint=row.name in _DESTRUCTIVE,
        idempotent_hint=not row.writes or row.name in _IDEMPOTENT,
        open_world_hint=False,
    )


def structured(answer: Answer) -> bytes:
    """The structured content of an answer: some clients show their model nothing else, so a notice stands there too."""
    if not answer.notice:
        return answer.body
    comma = b"," if answer.body != b"{}" else b""
    return b'%b%b"notice":%b}' % (answer.body[:-1], comma, orjson.dumps(answer.notice))


def input_schema(row: Operation[Any, Any], role: Role) -> dict[str, Any]:
    """The arguments of an operation as JSON Schema, short, without definitions to look up."""
    schema = row.request.model_json_schema()
    definitions = schema.pop("$defs", {})
    schema.pop("description", None)
    if role is not Role.ROOT:
        schema["properties"].pop("organization_id", None)
    return _short(schema, definitions)


def _short(schema: Schema, definitions: Schema) -> dict[str, Any]:
    words = {word: _short_value(word, value, definitions) for word, value in _plain(schema, definitions).items()}
    return {word: value for word, value in words.items() if not _says_nothing(word, value)}


def _short_value(word: str, value: Any, definitions: Schema) -> Any:
    match value:
        case dict() if word in _HOLDS_SCHEMAS_BY_NAME:
            return {name: _short(inner, definitions) for name, inner in value.items()}
        case dict() if word != "default":
            return _short(value, definitions)
        case list() if word == "anyOf":
            return [_short(inner, definitions) for inner in value]
        case _:
            return value


def _plain(schema: Schema, definitions: Schema) -> Schema:
    """The schema itself instead of a reference to it, or of a choice between it and leaving it out."""
    if "$ref" in schema:
        # The definition's own description is written for people who read the code.
        return _plain(
            _beside(_undescribed(definitions[schema["$ref"].rpartition("/")[2]]), schema, "$ref"), definitions
        )
    if "anyOf" not in schema or schema.get("default", ...) is not None:
        return schema
    branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
    if len(branches) == 1:
        return _plain(_beside(branches[0], schema, "anyOf"), definitions)
    return {**schema, "anyOf": branches}


def _beside(inner: Schema, outer: Schema, replaced: str) -> Schema:
    # What a field says of itself goes before what its type says.
    return {**inner, **{word: value for word, value in outer.items() if word != replaced}}


def _undescribed(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word != "description"}


def _says_nothing(word: str, value: Any) -> bool:
    match word:
        case "default":
            return value in (None, [], {})
        case "minLength":
            return bool(value == 1)
        case "propertyNames":
            return not value
        case "maximum" | "minimum":
            return bool(abs(value) >= _BEYOND_HONEST)
        case _:
            return word in _LEFT_OUT
