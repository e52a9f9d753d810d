"""People: who is invited with what, how a role changes, and that nobody rises by it or leaves nobody behind."""

from __future__ import annotations

import asyncio

import pytest

from conductor.domain.access import Role
from mcp_server.auth import KEPT_S, Authenticator
from mcp_server.tokens import TokenDesk
from tests.actors.bearing import enter, kept, require_shut_out
from tests.actors.looking import events, last_event, refusal
from tests.support.world import PEPPER, World

pytestmark = pytest.mark.anyio


async def test_an_invited_person_comes_in_with_the_token_until_it_ends(world: World) -> None:
    invited = await world.person().invite_member(name="Ines", email="ines@example.org", role="viewer")

    ines = await enter(world, invited["token"])
    seen = await ines.whoami()

    assert invited["member"] == {
        "id": invited["member"]["id"],
        "name": "Ines",
        "email": "ines@example.org",
        "role": "viewer",
    }
    assert (seen["role"], seen["member_id"]) == ("viewer", invited["member"]["id"])
    assert seen["expires_at"] == "2026-12-01T12:00:00Z"
    world.clock.move(7 * 86_400)
    await require_shut_out(world, invited["token"])


async def test_a_replayed_invitation_tells_no_token_and_invites_nobody_else(world: World) -> None:
    owner = world.person()

    answers = await asyncio.gather(*(owner.invite_member(name="Ines", idempotency_key="k") for _ in range(8)))

    assert sum("token" in answer for answer in answers) == 1
    assert len((await owner.list_members())["items"]) == 2
    secret = next(answer["token"] for answer in answers if "token" in answer).rpartition("_")[2]
    for table in ("members", "tokens", "events", "idempotency", "batches"):
        assert secret not in str(kept(world, table)), table


async def test_nobody_invites_or_makes_a_role_above_what_they_may_give(world: World) -> None:
    owner, admin = world.person(), world.person(Role.ADMIN)
    member = await owner.add_member(name="Max")
    before = await last_event(world)

    await refusal("forbidden", admin.invite_member(name="Eve", role="owner"))
    await refusal("forbidden", admin.update_member(member_id=member["id"], role="owner"))
    await refusal("invalid", world.person(Role.ROOT).update_member(member_id=member["id"], role="root"))
    for role in (Role.MEMBER, Role.VIEWER):
        await refusal("forbidden", world.person(role).invite_member(name="Eve", role="viewer"))
        await refusal("forbidden", world.person(role).update_member(member_id=member["id"], role="admin"))

    assert await last_event(world) == before


async def test_an_admin_changes_nothing_of_an_owner(world: World) -> None:
    admin, before = world.person(Role.ADMIN), await last_event(world)

    for change in ({"role": "viewer"}, {"name": "Eve"}, {"email": "eve@example.org"}):
        await refusal("forbidden", admin.update_member(member_id=world.owner_member.id, **change))

    assert await last_event(world) == before


async def test_an_admin_does_not_raise_itself(world: World) -> None:
    invited = await world.person().invite_member(name="Ann", role="admin")
    ann = await enter(world, invited["token"])

    await refusal("forbidden", ann.update_member(member_id=invited["member"]["id"], role="owner"))

    assert (await (await enter(world, invited["token"])).whoami())["role"] == "admin"


async def test_a_new_role_is_that_of_all_live_tokens_in_the_same_commit(world: World) -> None:
    owner = world.person()
    invited = await owner.invite_member(name="Ann", role="admin")
    member_id = invited["member"]["id"]
    second = await owner.create_token(kind="usr", member_id=member_id)
    bound = await owner.create_token(kind="usr", member_id=member_id, project_id=world.project.id)
    rotated = await (await enter(world, second["token"])).rotate_token()

    changed = await owner.update_member(member_id=member_id, role="viewer")

    assert changed["role"] == "viewer"
    for token in (invited["token"], second["token"], bound["token"], rotated["token"]):
        ann = await enter(world, token)
        assert ann.caller.role is Role.VIEWER
        await refusal("forbidden", ann.create_task(title="x", project_id=world.project.id))
    newest = (await events(world, subject_id=member_id))[-1]
    assert newest["kind"] == "member.updated"
    assert newest["facts"] == {"name": "Ann", "role": "viewer", "was": "admin", "changed": ["role"]}


async def test_a_token_that_was_rotated_before_keeps_no_former_role(world: World) -> None:
    owner = world.person()
    invited = await owner.invite_member(name="Ann", role="admin")
    await owner.update_member(member_id=invited["member"]["id"], role="member")

    rotated = await (await enter(world, invited["token"])).rotate_token(overlap_s=0)

    assert (await enter(world, rotated["token"])).caller.role is Role.MEMBER
    made = await owner.create_token(kind="usr", member_id=invited["member"]["id"])
    assert (await enter(world, made["token"])).caller.role is Role.MEMBER


async def test_a_door_that_knows_a_token_learns_its_new_role_within_a_second(world: World) -> None:
    owner = world.person()
    invited = await owner.invite_member(name="Ann", role="admin")
    desk = TokenDesk(world.dispatcher, world.store)
    door = Authenticator(desk.find, PEPPER, world.clock, desk.mark_used)
    header = b"Bearer " + invited["token"].encode()
    assert (await door.authenticate(header)).role is Role.ADMIN

    await owner.update_member(member_id=invited["member"]["id"], role="viewer")
    world.clock.move(KEPT_S)
    role = (await door.authenticate(header)).role
    await desk.close()

    assert role is Role.VIEWER


async def test_the_last_owner_is_not_demoted_and_one_of_two_is(world: World) -> None:
    owner = world.person()
    before = await last_event(world)
    await refusal("forbidden", owner.update_member(member_id=world.owner_member.id, role="admin"))
    assert await last_event(world) == before
    other = await owner.add_member(name="Otto", role="owner")

    demoted = await owner.update_member(member_id=world.owner_member.id, role="admin")

    assert demoted["role"] == "admin"
    await refusal("forbidden", owner.update_member(member_id=other["id"], role="viewer"))
    await refusal("forbidden", owner.remove_member(member_id=other["id"]))


async def test_of_two_owners_who_demote_each_other_at_once_one_stays(world: World) -> None:
    owner = world.person()
    other = await owner.add_member(name="Otto", role="owner")
    victims = (world.owner_member.id, other["id"])

    answers = await asyncio.gather(
        *(world.answer("update_member", owner.caller, {"member_id": victim, "role": "member"}) for victim in victims)
    )

    assert sorted((answer.code for answer in answers), key=str) == [None, "forbidden"]


async def test_the_owner_of_the_installation_is_changed_by_nobody_but_itself_and_never_demoted(world: World) -> None:
    with world.store.transaction(world.organization.id) as transaction:
        installer = transaction.unit(world.organization.id).organizations.add_member("Iris", role=Role.ROOT)

    for role in ("owner", "admin", "viewer"):
        await refusal("forbidden", world.person().update_member(member_id=installer.id, role=role))
        await refusal("forbidden", world.person(Role.ROOT).update_member(member_id=installer.id, role=role))
    await refusal("forbidden", world.person().update_member(member_id=installer.id, name="Eve"))

    renamed = await world.person(Role.ROOT).update_member(member_id=installer.id, name="Iris II")
    assert (renamed["name"], renamed["role"]) == ("Iris II", "root")


async def test_a_name_and_an_address_change_and_what_is_the_same_writes_nothing(world: World) -> None:
    owner = world.person()
    member = await owner.add_member(name="Max", email="max@example.org")

    changed = await owner.update_member(member_id=member["id"], name="Maxine")
    before = await last_event(world)
    again = await owner.update_member(member_id=member["id"], name="Maxine", role="member")

    assert changed == {**member, "name": "Maxine"} == again
    assert await last_event(world) == before


async def test_a_person_who_was_removed_or_is_anothers_is_not_found(world: World) -> None:
    owner = world.person()
    gone = await owner.add_member(name="Max")
    await owner.remove_member(member_id=gone["id"])
    _, _, foreign = world.found("bravo")

    for member_id in (gone["id"], foreign.id, "mbr_0000000000", "nonsense"):
        await refusal("not_found", owner.update_member(member_id=member_id, role="viewer"))


async def test_a_token_bound_to_a_project_changes_no_people(world: World) -> None:
    bound = world.person().caller._replace(project_id=world.project.id)

    for name, arguments in (
        ("invite_member", {"name": "Eve"}),
        ("update_member", {"member_id": world.owner_member.id, "name": "Eve"}),
    ):
        assert (await world.answer(name, bound, arguments)).code == "forbidden"
