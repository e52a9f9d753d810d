"""What agents are shown of the catalogue: short, all that the work needs, and never what they may not call."""

from __future__ import annotations

import json

import pytest

from conductor.domain.access import LONG_LISTS, Role
from conductor.operations.catalogue import CATALOGUE, SEED
from mcp_server import tools

MOST_TOKENS = 3500

_WORK = """
start_session claim_task get_task list_tasks update_task complete_task acquire_lock release_lock list_locks heartbeat
record_cost read_messages send_message save_checkpoint resume_checkpoint refresh_context
"""
WORK = _WORK.split()
"""What a worker needs from its first call to its last."""


def cost(role: Role) -> float:
    """Estimate what a role's list of tools costs its context: characters / 4 of name, description and schema."""
    return sum(
        len(tool.name) + len(tool.description or "") + len(json.dumps(tool.input_schema, separators=(",", ":")))
        for tool in tools.shown_to(role)
    ) / 4  # fmt: skip


def names_shown(role: Role) -> list[str]:
    """List the operations whose tools a role is shown."""
    return [tool.name.removeprefix("conductor_") for tool in tools.shown_to(role)]


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.REVIEWER])
def test_a_workers_list_of_tools_is_short(role: Role) -> None:
    assert cost(role) < MOST_TOKENS


def test_a_workers_list_holds_all_that_the_work_needs() -> None:
    assert set(WORK) <= set(names_shown(Role.CONTRIBUTOR))


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_shown_only_what_it_may_call_the_seed_names_first(role: Role) -> None:
    names = names_shown(role)

    may = [name for name, row in CATALOGUE.items() if role in row.allowed]
    assert names == [name for name in may if CATALOGUE[name].is_listed_for(role)]
    assert set(names) <= set(may)
    seeds = [name for name in may if name in SEED]
    assert names[: len(seeds)] == seeds


@pytest.mark.parametrize("role", sorted(LONG_LISTS))
def test_who_plans_and_looks_around_is_shown_all_that_it_may_call(role: Role) -> None:
    assert names_shown(role) == [name for name, row in CATALOGUE.items() if role in row.allowed]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ROOT])
def test_only_the_owner_of_the_installation_is_shown_the_organisation_as_an_argument(role: Role) -> None:
    for tool in tools.shown_to(role):
        assert "organization_id" not in tool.input_schema["properties"], tool.name
