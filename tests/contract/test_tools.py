"""What agents are shown of the catalogue: short, whole, and never what they may not call."""

from __future__ import annotations

import json

import pytest

from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE, SEED
from mcp_server import tools

MOST_TOKENS = 3500


def cost(role: Role) -> float:
    """Estimate what a role's list of tools costs its context: characters / 4 of name, description and schema."""
    return sum(
        len(tool.name) + len(tool.description or "") + len(json.dumps(tool.input_schema, separators=(",", ":")))
        for tool in tools.shown_to(role)
    ) / 4  # fmt: skip


def test_a_contributors_list_of_tools_is_short() -> None:
    assert cost(Role.CONTRIBUTOR) < MOST_TOKENS


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_shown_exactly_what_it_may_call_the_seed_names_first(role: Role) -> None:
    names = [tool.name.removeprefix("conductor_") for tool in tools.shown_to(role)]

    assert names == [name for name, row in CATALOGUE.items() if role in row.allowed]
    seeds = [name for name in names if name in SEED]
    assert names[: len(seeds)] == seeds


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ROOT])
def test_only_the_owner_of_the_installation_is_shown_the_organisation_as_an_argument(role: Role) -> None:
    for tool in tools.shown_to(role):
        assert "organization_id" not in tool.input_schema["properties"], tool.name
