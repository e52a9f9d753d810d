"""Tokens of people, agents, services and enrolment: what each lets in, how long, and what ends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.bearing import enter, require_shut_out
from tests.actors.looking import events, last_event, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def admins_token(world: World, **particulars: Any) -> str:
    made = await world.person().create_token(kind="usr", name="Ann", role="admin", **particulars)
    token: str = made["token"]
    return token


def _id(token: str) -> str:
    return f"tok_{token.split('_')[2]}"


async def test_a_token_of_each_kind_lets_its_bearer_in_as_what_it_says(world: World) -> None:
    owner, home = world.person(), world.project.id
    await world.agent("ada")
    member = await owner.add_member(name="Max", role="viewer")
    wanted: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"kind": "usr", "member_id": member["id"]}, {"role": "viewer", "member_id": member["id"]}),
        ({"kind": "usr", "name": "Ann", "role": "admin"}, {"role": "admin"}),
        ({"kind": "agt", "project_id": home, "agent_id": "ada"}, {"role": "contributor", "agent_id": "ada"}),
        ({"kind": "agt", "agent_id": "ada"}, {"role": "contributor", "agent_id": "ada", "project_id": home}),
        ({"kind": "svc", "name": "ci"}, {"role": "service"}),
        ({"kind": "enr", "project_id": home}, {"role": "enrolment", "project_id": home}),
    ]

    for arguments, expected in wanted:
        made = await owner.create_token(**arguments, expires_in_days=1)
        seen = await (await enter(world, made["token"])).whoami()

        assert made["token"].startswith(f"cdr_{arguments['kind']}_")
        assert made == {"id": _id(made["token"]), "token": made["token"], "kind": arguments["kind"],
                        "expires_at": "2026-11-25T12:00:00Z"}  # fmt: skip
        assert {name: seen[name] for name in expected} == expected
        assert (seen["kind"], seen["expires_at"]) == (arguments["kind"], made["expires_at"])
    assert [item["name"] for item in (await owner.list_members())["items"]].count("Ann") == 1


async def test_a_token_for_nobody_is_refused_and_makes_no_member(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    before = await last_event(world)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("invalid", {"kind": "usr"}),
        ("invalid", {"kind": "usr", "name": "Eve"}),
        ("invalid", {"kind": "usr", "role": "admin"}),
        ("invalid", {"kind": "usr", "name": "Eve", "role": "lead"}),
        ("invalid", {"kind": "usr", "name": "Eve", "role": "root"}),
        ("invalid", {"kind": "usr", "member_id": world.owner_member.id, "role": "viewer"}),
        ("invalid", {"kind": "usr", "member_id": world.owner_member.id, "agent_id": "ada"}),
        ("invalid", {"kind": "agt"}),
        ("invalid", {"kind": "agt", "agent_id": "ada", "role": "lead"}),
        ("invalid", {"kind": "agt", "agent_id": "ada", "member_id": world.owner_member.id}),
        ("invalid", {"kind": "svc", "role": "owner"}),
        ("invalid", {"kind": "enr", "agent_id": "ada"}),
        ("invalid", {"kind": "svc", "expires_in_days": 0}),
        ("invalid", {"kind": "svc", "expires_in_days": 3651}),
        ("not_found", {"kind": "usr", "member_id": "mbr_0000000000"}),
        ("not_found", {"kind": "agt", "agent_id": "bob"}),
        ("not_found", {"kind": "agt", "agent_id": "ada", "project_id": "prj_0000000000"}),
        ("not_found", {"kind": "enr", "project_id": "nonsense"}),
    ]

    for code, arguments in wrong:
        await refusal(code, owner.create_token(**arguments))

    assert await last_event(world) == before
    assert len((await owner.list_members())["items"]) == 1


async def test_an_agents_token_names_the_project_where_there_are_several(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    await owner.create_project(name="Other")

    refused = await refusal("invalid", owner.create_token(kind="agt", agent_id="ada"))

    assert [item["slug"] for item in refused.facts["projects"]] == ["default", "other"]
    assert (await owner.create_token(kind="agt", agent_id="ada", project_id=world.project.id))["token"]


async def test_a_token_ends_at_its_time(world: World) -> None:
    token = await admins_token(world, expires_in_days=1)
    world.clock.move(86_400 - 1)
    await enter(world, token)
    world.clock.move(1)

    await require_shut_out(world, token)


async def test_a_revoked_token_lets_nobody_in_and_stays_listed(world: World) -> None:
    owner = world.person()
    token = await admins_token(world)

    assert await owner.revoke_token(token_id=_id(token)) == {"revoked": True}
    assert await owner.revoke_token(token_id=_id(token)) == {"revoked": True}

    await require_shut_out(world, token)
    listed = (await owner.list_tokens())["items"]
    assert [(item["id"], item["revoked_at"]) for item in listed] == [(_id(token), "2026-11-24T12:00:00Z")]
    assert [event["kind"] for event in await events(world, subject_id=_id(token))] == ["token.created", "token.revoked"]
    for wrong in ("tok_0000000000", "nonsense"):
        await refusal("not_found", owner.revoke_token(token_id=wrong))


async def test_nobody_revokes_the_token_they_call_with(world: World) -> None:
    token = await admins_token(world)
    ann = await enter(world, token)

    await refusal("forbidden", ann.revoke_token(token_id=_id(token)))

    await enter(world, token)


async def test_tokens_are_listed_the_newest_first_in_pages_and_without_secrets(world: World) -> None:
    owner = world.person()
    made = []
    for number in range(5):
        world.clock.move(1)
        made.append(await owner.create_token(kind="svc", name=f"s{number}"))

    page = await owner.list_tokens(limit=3)
    rest = await owner.list_tokens(limit=3, cursor=page["next_cursor"])

    assert [item["name"] for item in page["items"] + rest["items"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert "next_cursor" not in rest
    for token in made:
        assert token["token"].split("_")[3] not in json.dumps([page, rest])


async def test_a_rotated_token_works_on_for_the_overlap(world: World) -> None:
    token = await admins_token(world)
    ann = await enter(world, token)

    made = await ann.rotate_token(overlap_s=3600)

    new = await enter(world, made["token"])
    assert (new.caller.role, new.caller.member_id) == (Role.ADMIN, ann.caller.member_id)
    assert "expires_at" not in made
    world.clock.move(3599)
    await enter(world, token)
    world.clock.move(1)
    await require_shut_out(world, token)
    await enter(world, made["token"])


async def test_a_rotation_without_overlap_is_at_once_and_keeps_the_time_of_the_end(world: World) -> None:
    token = await admins_token(world, expires_in_days=10)
    world.clock.move(86_400)

    made = await (await enter(world, token)).rotate_token(overlap_s=0)

    await require_shut_out(world, token)
    assert made["expires_at"] == "2026-12-04T12:00:00Z"


async def test_everybody_may_rotate_their_own_token_and_no_others(world: World) -> None:
    other = await admins_token(world)
    ada = await world.agent("ada", Role.OBSERVER)
    viewer = await world.person().create_token(kind="usr", name="Vic", role="viewer")

    for token in (ada.token or "", viewer["token"]):
        who = await enter(world, token)
        await refusal("not_found", who.rotate_token(token_id=_id(other)))
        made = await who.rotate_token(token_id=_id(token), overlap_s=0)
        assert (await enter(world, made["token"])).caller.role is who.caller.role
        await require_shut_out(world, token)

    rotated = await world.person(Role.ADMIN).rotate_token(token_id=_id(other))
    assert (await enter(world, rotated["token"])).caller.role is Role.ADMIN


async def test_a_rotation_whose_answer_was_lost_can_be_repeated(world: World) -> None:
    token = await admins_token(world, expires_in_days=100)
    ann = await enter(world, token)
    lost = await ann.rotate_token(idempotency_key="k")

    replay = await ann.rotate_token(idempotency_key="k")
    made = await ann.rotate_token()

    assert "token" not in replay
    assert replay["id"] == lost["id"]
    await require_shut_out(world, lost["token"])
    assert made["expires_at"] == lost["expires_at"] == "2027-03-04T12:00:00Z"
    await enter(world, made["token"])


async def test_a_token_that_was_replaced_makes_no_others_once_its_successor_is_in_use(world: World) -> None:
    token = await admins_token(world)
    ann = await enter(world, token)
    made = await ann.rotate_token()
    await enter(world, made["token"])

    refused = await refusal("forbidden", ann.rotate_token())

    assert refused.facts["replaced_by"] == made["id"]
    await enter(world, made["token"])


async def test_a_token_that_is_over_cannot_be_rotated(world: World) -> None:
    owner = world.person()
    revoked, expired = await admins_token(world), await admins_token(world, expires_in_days=1)
    await owner.revoke_token(token_id=_id(revoked))
    world.clock.move(86_400)

    for token in (revoked, expired):
        await refusal("not_found", owner.rotate_token(token_id=_id(token)))
    await refusal("not_found", owner.rotate_token(token_id="tok_0000000000"))


async def test_a_token_bound_to_a_project_reaches_no_further(world: World) -> None:
    owner = world.person()
    other = await owner.create_project(name="Other")
    bound = await owner.create_token(kind="usr", name="Ann", role="admin", project_id=world.project.id)
    unbound = await admins_token(world)
    ann = await enter(world, bound["token"])

    assert [item["slug"] for item in (await ann.list_projects())["items"]] == ["default"]
    assert (await ann.create_task(title="x"))["project_id"] == world.project.id
    assert (await ann.rotate_token())["token"]
    for call in (
        ann.add_member(name="Eve"),
        ann.remove_member(member_id=world.owner_member.id),
        ann.create_project(name="Third"),
        ann.create_token(kind="usr", name="Eve", role="admin"),
        ann.list_tokens(),
        ann.revoke_token(token_id=_id(unbound)),
        ann.set_quota(scope="organization", limit_usd=0),
    ):
        await refusal("forbidden", call)
    for call in (
        ann.rotate_token(token_id=_id(unbound)),
        ann.set_quota(scope="project", project_id=other["id"], limit_usd=0),
        ann.create_task(title="x", project_id=other["id"]),
        ann.get_project(project_id=other["id"]),
    ):
        await refusal("not_found", call)
    assert (await ann.set_quota(scope="project", project_id=world.project.id, limit_usd=5))["limit_usd"] == "5"


async def test_an_enrolment_token_does_nothing_but_ask(world: World) -> None:
    made = await world.person().create_token(kind="enr")
    who: Who = await enter(world, made["token"])

    assert (await who.request_access(agent_id="ada", name="Ada", agent_type="codex"))["claim"]
    for call in (who.list_agents(), who.list_projects(), who.create_task(title="x"), who.rotate_token()):
        await refusal("forbidden", call)
