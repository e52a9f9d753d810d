"""Two organisations alike in every name that callers choose: neither sees, changes or learns of the other.

What is tried is generated from the catalogue: an operation or an argument that is new and has no recipe here fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Operation
from storage import tables
from tests.actors.bearing import kept
from tests.actors.conftest import MakeWorld
from tests.support.furnished import Furnished, fill, furnish, golden
from tests.support.world import Who

pytestmark = pytest.mark.anyio

OURS, THEIRS = "ours-quince", "theirs-zebra"
"""What stands in every text of the one organisation and of the other."""

FOREIGN: dict[str, tuple[Any, Any]] = {
    "organization_id": ("{organization}", "org_0000000000"),
    "project_id": ("{project}", "prj_0000000000"),
    "task_id": ("{task}", "tsk_0000000000"),
    "task_ids": (["{task}"], ["tsk_0000000000"]),
    "parent_id": ("{task}", "tsk_0000000000"),
    "dependencies": (["{task}"], ["tsk_0000000000"]),
    "blocked_by": (["{task}"], ["tsk_0000000000"]),
    "lock_id": ("{lock}", "lck_0000000000"),
    "request_id": ("{request}", "req_0000000000"),
    "member_id": ("{member}", "mbr_0000000000"),
    "team_id": ("{team}", "tem_0000000000"),
    "add_members": (["{member}"], ["mbr_0000000000"]),
    "remove_members": (["{member}"], ["mbr_0000000000"]),
    "add_projects": (["{project}"], ["prj_0000000000"]),
    "remove_projects": (["{project}"], ["prj_0000000000"]),
    "token_id": ("{token}", "tok_0000000000"),
    "agent_id": ("only-theirs", "only-nobodys"),
    "assigned_to": ("only-theirs", "only-nobodys"),
    "subject_id": ("{held}", "tsk_0000000000"),
    "resource_id": ("{held}", "tsk_0000000000"),
    "session_id": ("{session}", "ses_0000000000"),
    "thread_id": ("{message}", "msg_0000000000"),
    "reply_to": ("{message}", "msg_0000000000"),
    "acknowledge": (["{message}"], ["msg_0000000000"]),
    "to": ("only-theirs", "only-nobodys"),
    "checkpoint_id": ("{checkpoint}", "chk_0000000000"),
    "claim": ("{request_claim}", "0" * 52),
}
"""For each id-like argument the other organisation's own and one that nobody has."""

VARIANTS: dict[tuple[str, str], dict[str, Any]] = {
    ("create_token", "member_id"): {"kind": "usr"},
    ("release_lock", "agent_id"): {"all": True, "force": True, "project_id": "{project}"},
    ("release_lock", "task_id"): {"all": True, "project_id": "{project}"},
    ("update_task", "dependencies"): {"task_id": "{task}"},
    ("update_task", "blocked_by"): {"task_id": "{working}", "attempt": 1, "status": "blocked"},
    ("request_access", "claim"): golden("request_access") | {"agent_id": "new-request"},
    ("set_quota", "project_id"): {"scope": "project", "limit_usd": 5},
    ("resume_checkpoint", "checkpoint_id"): {},
    ("approve_access", "project_id"): {"request_id": "{request}"},
}
"""Requests in which an argument means something, where it would mean nothing in the golden one."""


def is_id_like(name: str) -> bool:
    """Tell whether an argument names something that could be somebody else's."""
    return name in FOREIGN or name.endswith(("_id", "_ids"))


def id_like_arguments() -> Iterator[tuple[Operation[Any, Any], str]]:
    """Give every id-like argument of every operation; last the one after which nobody's names are somebody's."""
    for row in sorted(CATALOGUE.values(), key=lambda row: row.name == "register_agent"):
        for name in row.request.model_fields:
            if is_id_like(name):
                yield row, name


def tenants_roles(row: Operation[Any, Any]) -> list[Role]:
    """Give the roles that may call an operation and belong to one organisation."""
    return sorted(row.allowed - {Role.ROOT})


async def two(make_world: MakeWorld) -> tuple[Furnished, Furnished]:
    """Furnish two organisations alike; only the marker differs, and one agent of theirs."""
    world = make_world()
    ours, theirs = await furnish(world, marker=OURS), await furnish(world, "bravo", THEIRS)
    here = {"project_id": theirs.ids["project"]}
    await theirs.callers[Role.OWNER].register_agent(**here, agent_id="only-theirs", name=THEIRS)
    return ours, theirs


def all_of(tenant: Furnished) -> dict[str, list[str]]:
    """Read every row of an organisation."""
    home = tenant.organization.id
    return {table.name: sorted(map(str, kept(tenant.world, table.name, home))) for table in tables.TENANT_TABLES}


def require_nothing_of(other: Furnished, text: str, *given: str) -> None:
    """See that a text holds neither the other organisation's marker nor an id of it that was not given to us."""
    assert other.marker not in text, text
    for name, value in other.ids.items():
        assert value not in text or any(value in each for each in given), f"{name}: {text}"


def test_every_id_like_argument_has_a_recipe() -> None:
    missing = {name for _, name in id_like_arguments() if name not in FOREIGN}

    assert not missing, f"say in FOREIGN what the other organisation's {missing} would be"
    assert FOREIGN.keys() <= {name for row in CATALOGUE.values() for name in row.request.model_fields}
    assert all(name in CATALOGUE[operation].request.model_fields or name == "task_id" for operation, name in VARIANTS)


async def test_the_same_request_under_the_same_key_in_both_is_done_in_each(make_world: MakeWorld) -> None:
    ours, theirs = await two(make_world)

    for name, row in CATALOGUE.items():
        if row.allowed <= {Role.ROOT}:
            continue
        key = {"idempotency_key": "same"} if row.writes else {}
        calls = [(tenant, tenant.natural(name), tenant.request(name) | key) for tenant in (ours, theirs)]
        replies = await asyncio.gather(*(_reply(who, name, arguments) for _, who, arguments in calls * 2))

        for (tenant, _, _), reply, other in zip(calls * 2, replies, (theirs, ours) * 2, strict=True):
            require_nothing_of(other, json.dumps(reply))
            if "organization_id" in reply:
                assert reply["organization_id"] == tenant.organization.id
        if row.writes:
            bare = [{key: reply.get(key) for key in reply if key not in {"token", "claim"}} for reply in replies]
            assert bare[:2] == bare[2:], f"{name} answered its repetition otherwise"


async def test_nothing_of_the_other_is_in_any_reply_and_nothing_of_it_changes(make_world: MakeWorld) -> None:
    ours, theirs = await two(make_world)
    before = all_of(theirs)
    answered = set()

    for name, row in CATALOGUE.items():
        for role in tenants_roles(row):
            answer = await ours.world.answer(name, ours.callers[role].caller, ours.request(name))
            require_nothing_of(theirs, answer.body.decode() + answer.line)
            if answer.code is None:
                answered.add(name)
            if "limit" in row.request.model_fields:
                where = {"project_id": ours.ids["project"]} if row.takes_project else {}
                answer = await ours.world.answer(name, ours.callers[role].caller, {"limit": 200, **where})
                assert answer.code is None, answer.line
                require_nothing_of(theirs, answer.body.decode() + answer.line)

    assert answered == set(CATALOGUE) - {"create_organization"}, "some golden request did not succeed"
    assert all_of(theirs) == before


async def test_anothers_id_answers_exactly_as_one_that_nobody_has(make_world: MakeWorld) -> None:
    ours, theirs = await two(make_world)
    before = all_of(theirs)
    tried = 0

    for row, name in id_like_arguments():
        foreign, nobodys = FOREIGN[name]
        foreign = fill(foreign, theirs.ids)
        base = fill(VARIANTS.get((row.name, name), golden(row.name)), ours.ids)
        for role in tenants_roles(row):
            caller = ours.callers[role].caller
            told = []
            for value in (nobodys, foreign):
                answer = await ours.world.answer(row.name, caller, base | {name: value})
                require_nothing_of(theirs, answer.body.decode() + answer.line, *_texts(value))
                told.append(_shape(answer.body, answer.code, value))
            assert told[0] == told[1], f"{row.name}({name}) as {role}"
            tried += 1

    assert tried > 400
    assert all_of(theirs) == before


async def test_the_owner_of_the_installation_acts_in_the_one_it_names_and_in_no_other(make_world: MakeWorld) -> None:
    ours, theirs = await two(make_world)
    before = all_of(ours)
    root = ours.callers[Role.ROOT]

    for name, row in CATALOGUE.items():
        if Role.ROOT in row.allowed and name not in {"create_organization", "list_organizations"}:
            arguments = theirs.request(name) | {"organization_id": theirs.organization.id}
            answer = await ours.world.answer(name, root.caller, arguments)
            assert answer.code in {None, "not_holder", "invalid"}, f"{name}: {answer.line}"
            require_nothing_of(ours, answer.body.decode() + answer.line, ours.ids["owner"])

    assert all_of(ours) == before


async def _reply(who: Who, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    reply: dict[str, Any] = await getattr(who, name)(**arguments)
    return reply


def _texts(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _shape(body: bytes, code: str | None, value: str | list[str]) -> Any:
    """Give what an answer tells: of a refusal all but the id that was given, of a reply the names of its fields."""
    text = body.decode()
    for each in _texts(value):
        text = text.replace(each, "?")
    told = json.loads(text)
    return (code, sorted(told)) if code is None else told
