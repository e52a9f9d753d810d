"""Each row of the catalogue against what answers it: a keeper's method or a reader of exactly its types."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest

from actors.agent import Agent
from actors.call import Call
from actors.directory import Directory
from actors.lock_manager import LockManager
from actors.project_keeper import ProjectKeeper
from actors.quota_keeper import QuotaKeeper
from actors.reading.read import Read
from actors.reading.table import READERS
from actors.task_board import TaskBoard
from conductor.domain import errors
from conductor.domain.access import Role
from conductor.operations import catalogue
from conductor.operations.catalogue import CATALOGUE, PERMISSIONS, SEED
from conductor.operations.row import Face, Keeper, Listing, Operation, ProjectWrite, Request, Write

KEEPERS: dict[Keeper, type] = {
    Keeper.LOCKS: LockManager,
    Keeper.TASKS: TaskBoard,
    Keeper.PROJECT: ProjectKeeper,
    Keeper.AGENT: Agent,
    Keeper.QUOTA: QuotaKeeper,
    Keeper.DIRECTORY: Directory,
}

_TOOLS = """
create_task claim_task update_task complete_task list_tasks acquire_lock release_lock list_locks register_agent
request_access heartbeat list_agents get_project list_projects record_cost get_costs approve_access reject_access
list_access_requests get_onboarding_config update_onboarding_config
"""
TOOLS = _TOOLS.split()

_SPINE = """
create_organization list_organizations add_member list_members remove_member create_project update_project create_token
list_tokens revoke_token rotate_token get_task start_session list_events log_action whoami set_quota get_quota
"""
SPINE = _SPINE.split()

_WORK = """
report_check refresh_context
send_message read_messages list_messages save_checkpoint resume_checkpoint list_checkpoints
import_beads export_beads explain_task create_tasks close_tasks review_task reassign_task
archive_project restore_project invite_member update_member create_team update_team delete_team list_teams
revoke_access export_organization delete_organization
pause drain resume end_session list_sessions
"""
WORK = _WORK.split()

_GATES = """
check_paths detect_conflicts get_zones set_zones set_path_rules
"""
GATES = _GATES.split()

COMMON = {errors.Invalid, errors.NotFound, errors.Forbidden, errors.Paused, errors.Unauthenticated, errors.Internal}
"""Errors that every operation can answer; a row names what is beyond them."""

rows = pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)


def answering(row: Operation[Any, Any]) -> Callable[..., Any]:
    """Find the function that answers an operation."""
    if row.keeper is Keeper.STORE:
        return READERS[row.name]
    found: Callable[..., Any] = getattr(KEEPERS[row.keeper], row.name)
    return found


def test_the_catalogue_holds_the_21_tools_the_spine_the_work_and_nothing_else() -> None:
    assert list(SEED) == TOOLS
    assert len(TOOLS) == 21
    assert list(CATALOGUE)[:21] == TOOLS
    assert set(CATALOGUE) == {*TOOLS, *SPINE, *WORK, *GATES}
    assert len(CATALOGUE) == len(TOOLS) + len(SPINE) + len(WORK) + len(GATES)
    catalogue.require_complete()


def test_every_kind_of_keeper_is_known_here() -> None:
    assert set(KEEPERS) == set(Keeper) - {Keeper.STORE}
    assert all(KEEPERS[keeper].__name__ == keeper.value for keeper in KEEPERS)


@rows
def test_a_row_is_answered_by_a_function_of_exactly_its_types(row: Operation[Any, Any]) -> None:
    function = answering(row)
    kinds = typing.get_type_hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    assert kinds[names[0]] is row.request
    assert kinds[names[1]] is (Read if row.keeper is Keeper.STORE else Call)
    assert kinds["return"] is row.reply
    assert len(names) == 2
    assert inspect.getdoc(function)


def test_no_keeper_and_no_reader_answers_what_is_no_operation() -> None:
    assert set(READERS) == {name for name, row in CATALOGUE.items() if row.keeper is Keeper.STORE}
    for keeper, kind in KEEPERS.items():
        taking = set()
        for name, function in inspect.getmembers(kind, inspect.isfunction):
            kinds = typing.get_type_hints(function).values()
            if not name.startswith("_") and any(isinstance(k, type) and issubclass(k, Request) for k in kinds):
                taking.add(name)
        assert taking == {name for name, row in CATALOGUE.items() if row.keeper is keeper}


@rows
def test_a_row_stands_in_the_permission_table(row: Operation[Any, Any]) -> None:
    assert PERMISSIONS[row.name] == row.allowed
    assert row.allowed
    assert row.allowed <= set(Role)
    assert row.wide <= row.allowed


@rows
def test_a_row_names_its_errors_and_only_those_beyond_the_common_ones(row: Operation[Any, Any]) -> None:
    for kind in row.raises:
        assert issubclass(kind, errors.ConductorError)
        assert errors.BY_CODE[kind.code] is kind
        assert kind not in COMMON
        assert inspect.getdoc(kind)
    assert len(set(row.raises)) == len(row.raises)


@rows
def test_a_write_takes_a_key_and_a_list_takes_a_limit_and_a_cursor(row: Operation[Any, Any]) -> None:
    assert (
        row.writes == issubclass(row.request, Write | ProjectWrite) == ("idempotency_key" in row.request.model_fields)
    )
    assert row.writes == (row.keeper is not Keeper.STORE)
    if issubclass(row.request, Listing):
        assert {"items", "next_cursor"} <= set(row.reply.model_fields)
        limit = row.request.model_json_schema()["properties"]["limit"]
        assert (limit["default"], limit["minimum"], limit["maximum"]) == (20, 1, 200)
    assert row.name.startswith("list_") == issubclass(row.request, Listing)


@rows
def test_a_row_can_be_called_on_every_face(row: Operation[Any, Any]) -> None:
    fields = row.request.model_fields

    assert row.faces == Face.ALL
    assert row.tool == f"conductor_{row.name}"
    assert row.description.endswith(".")
    assert row.description.isprintable()
    assert set(row.positional) <= set(fields)
    assert row.locate is None or row.locate in fields
    assert "organization_id" in fields
    assert row.carries_token == ("token" in row.reply.model_fields)


def test_no_two_commands_are_called_alike() -> None:
    commands = [row.command for row in CATALOGUE.values()]

    assert len(set(commands)) == len(commands)
