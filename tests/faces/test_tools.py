"""The catalogue as tools: short, honest, complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from mcp_types import Tool

from conductor.domain.access import Role
from conductor.operations import catalogue
from conductor.operations.row import Face
from mcp_server import tools


def tokens(shown: tuple[Tool, ...]) -> float:
    """What a list of tools costs its reader: a token for four characters."""
    return sum(
        len(tool.name) + len(tool.description or "") + len(json.dumps(tool.input_schema, separators=(",", ":")))
        for tool in shown
    ) / 4  # fmt: skip


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for word, inner in value.items():
            for schema in inner.values() if word == "properties" else [inner]:
                yield from schemas_in(schema)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas_in(inner)


def test_a_contributors_list_stays_below_3500_tokens() -> None:
    assert tokens(tools.shown_to(Role.CONTRIBUTOR)) < 3500


@pytest.mark.parametrize("role", Role)
def test_a_role_is_shown_exactly_its_list(role: Role) -> None:
    shown = [tool.name for tool in tools.shown_to(role)]

    assert shown == [row.tool for row in catalogue.listed(role)]
    assert set(shown) <= {row.tool for row in catalogue.allowed(role, Face.MCP)}


@pytest.mark.parametrize("role", Role)
def test_a_schema_is_whole_valid_and_short(role: Role) -> None:
    for tool in tools.shown_to(role):
        schema = tool.input_schema

        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert ("organization_id" in schema["properties"]) == (role is Role.ROOT)
        for part in schemas_in(schema):
            assert not {"$ref", "$defs", "title"} & part.keys()
            assert part.get("default", ...) is not None


@pytest.mark.parametrize(
    "row", [row for row in catalogue.CATALOGUE.values() if Face.MCP in row.faces], ids=lambda row: row.name
)
def test_every_argument_and_no_other_is_in_the_schema(row: Any) -> None:
    schema = tools.input_schema(row, Role.ROOT)

    assert set(schema["properties"]) == set(row.request.model_fields)
    assert set(schema.get("required", [])) == {
        name for name, field in row.request.model_fields.items() if field.is_required()
    }


def test_choices_and_limits_survive_the_shortening() -> None:
    properties = tools.input_schema(catalogue.CATALOGUE["create_task"], Role.LEAD)["properties"]

    assert properties["title"] == {"type": "string"}
    assert properties["priority"]["enum"] == ["critical", "high", "medium", "low"]
    assert properties["priority"]["default"] == "medium"
    assert properties["max_attempts"] == {"type": "integer", "default": 3, "minimum": 1, "maximum": 100}
    assert properties["due_at"] == {"type": "string", "format": "date-time"}
    assert properties["dependencies"]["description"] == "task ids that must be completed first"


def test_null_stays_where_it_means_something() -> None:
    metadata = tools.input_schema(catalogue.CATALOGUE["log_action"], Role.LEAD)["properties"]["metadata"]

    assert {"type": "null"} in metadata["additionalProperties"]["anyOf"]


def test_all_four_hints_are_given_and_do_not_contradict_each_other() -> None:
    for tool in tools.shown_to(Role.ROOT):
        hints = tool.annotations

        assert hints is not None
        assert hints.read_only_hint == (not tools.ROWS[tool.name].writes)
        assert hints.open_world_hint is False
        assert hints.destructive_hint is not None
        assert hints.idempotent_hint is not None
        assert not (hints.read_only_hint and hints.destructive_hint)


def test_hints_are_only_about_operations_that_exist() -> None:
    assert catalogue.CATALOGUE.keys() >= tools._IDEMPOTENT | tools._DESTRUCTIVE
    assert all(catalogue.CATALOGUE[name].writes for name in tools._IDEMPOTENT | tools._DESTRUCTIVE)
