"""Organisations as a whole: what is taken along, what a deletion leaves of them, and that it touches nobody else."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from conductor.domain.access import Caller, Role, TokenKind
from conductor.domain.organizations import Organization, Project
from storage import tables
from storage.tenancy import ROWS
from tests.actors.bearing import enter, kept, require_shut_out
from tests.actors.conftest import MakeWorld
from tests.actors.looking import last_event, refusal, sql
from tests.support.furnished import Furnished, furnish
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

KEPT_FOR_REPLAYS = {"batches", "idempotency"}


async def pages(who: Who, **named: Any) -> list[dict[str, Any]]:
    """Export everything, page by page."""
    found = [await who.export_organization(**named)]
    while "next_cursor" in found[-1]:
        found.append(await who.export_organization(cursor=found[-1]["next_cursor"], **named))
        assert len(found) < 500
    return found


def rows_of(exported: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Put the pages of each table together."""
    found: dict[str, list[dict[str, Any]]] = {}
    for page in exported:
        found.setdefault(page["table"], []).extend(page["rows"])
    return found


async def tenant(world: World, slug: str = "bravo") -> tuple[Who, Organization, Project, Who]:
    """A second organisation with an agent in it; gives its owner, who came in by the door, and the agent."""
    organization, project, member = world.found(slug)
    owner = world.person(organization=organization, member=member.id)
    token = await owner.create_token(kind="usr", member_id=member.id)
    made = await owner.register_agent(project_id=project.id, agent_id="bob", name="Bob")
    return await enter(world, token["token"]), organization, project, await enter(world, made["token"])


# Export


async def test_an_export_holds_every_row_of_every_table_once(make_world: MakeWorld) -> None:
    here = await furnish(make_world())

    found = rows_of(await pages(here.callers[Role.OWNER]))

    for table in tables.TENANT_TABLES:
        count = len(kept(here.world, table.name))
        if table.name in KEPT_FOR_REPLAYS:
            assert table.name not in found
        else:
            assert len(found.get(table.name, [])) == count, table.name
    assert len(found["organizations"]) == 1
    assert {row["id"] for row in found["projects"]} == {here.ids["project"], here.ids["other_project"]}
    assert {row["role"] for row in found["members"]} == {"owner", "member"}


async def test_an_export_tells_nothing_that_proves_a_secret(make_world: MakeWorld) -> None:
    here = await furnish(make_world())
    hashes = [
        value
        for table in ("tokens", "access_requests")
        for row in kept(here.world, table)
        for value in row
        if re.fullmatch(r"[0-9a-f]{64}", str(value))
    ]

    text = json.dumps(await pages(here.callers[Role.OWNER]))

    assert len(hashes) > 5
    for secret in (*hashes, here.ids["request_claim"]):
        assert secret not in text
    assert "_hash" not in text


async def test_an_export_of_many_rows_comes_in_bounded_pages(world: World) -> None:
    owner = world.person()
    for _ in range(3):
        await asyncio.gather(*(owner.log_action(action="x", metadata={"text": "y" * 1500}) for _ in range(100)))

    exported = await pages(owner)

    assert max(len(page["rows"]) for page in exported) <= ROWS
    assert max(len(json.dumps(page)) for page in exported) < 400_000
    numbers = [row["number"] for row in rows_of(exported)["events"]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == await last_event(world)


async def test_an_export_is_written_into_the_log_once(world: World) -> None:
    before = await last_event(world)

    await pages(world.person())

    logged = await world.person().list_events(since=before, limit=200)
    assert [event["kind"] for event in logged["items"]] == ["organization.exported"]


async def test_an_export_that_begins_in_the_midst_is_written_into_the_log_too(world: World) -> None:
    admin = world.person(Role.ADMIN)
    member = await admin.add_member(name="Otto", role="member")
    await world.person().update_member(member_id=member["id"], role="owner")
    before = await last_event(world)
    await pages(world.person())

    # ["organizations"]
    made_up = {"cursor": "WyJvcmdhbml6YXRpb25zIl0="}
    await world.person(member=member["id"]).export_organization(**made_up)
    await world.person(member=member["id"]).export_organization(**made_up)

    logged = await world.person().list_events(since=before, kind=["organization.exported"])
    assert [event["actor"] for event in logged["items"]] == [
        f"member:{world.owner_member.id}",
        f"member:{member['id']}",
    ]


async def test_an_export_keeps_no_copy_of_its_pages(world: World) -> None:
    await world.person().log_action(action="a word that stands out")
    first = await world.person().export_organization()
    before = kept(world, "batches")

    await world.person().export_organization(cursor=first["next_cursor"])

    assert kept(world, "batches") == before


@pytest.mark.parametrize(
    "cursor", ["x", "WyJldmVudHMiLCJ4Il0=", "WyJub3RoaW5nIl0=", "W10=", "WyJiYXRjaGVzIl0=", "WyJ0b2tlbnMiLDFd"]
)
async def test_a_cursor_that_is_not_of_an_export_is_refused(world: World, cursor: str) -> None:
    await refusal("invalid", world.person().export_organization(cursor=cursor))


async def test_a_made_up_place_finds_what_follows_it_and_never_fails(world: World) -> None:
    # ["quotas","nonsense","x","year"]
    page = await world.person().export_organization(cursor="WyJxdW90YXMiLCJub25zZW5zZSIsIngiLCJ5ZWFyIl0=")

    assert page["table"] != "quotas" or page["rows"] == []


async def test_only_owners_export_and_delete_and_nobody_bound_to_a_project(world: World) -> None:
    for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER):
        await refusal("forbidden", world.person(role).export_organization())
        await refusal("forbidden", world.person(role).delete_organization(confirm="acme"))
    bound = world.person().caller._replace(project_id=world.project.id)

    for name, arguments in (("export_organization", {}), ("delete_organization", {"confirm": "acme"})):
        assert (await world.answer(name, bound, arguments)).code == "forbidden"
    assert len((await world.person(Role.ROOT).list_organizations())["items"]) == 1


# Deletion


async def test_a_deletion_takes_every_row_and_leaves_a_tombstone_and_the_others(make_world: MakeWorld) -> None:
    world = make_world()
    ours, theirs = await furnish(world, marker="ours"), await furnish(world, "bravo", "theirs")
    before = _rows(ours)

    answer = await theirs.callers[Role.OWNER].delete_organization(confirm="bravo")

    assert answer == {"id": theirs.organization.id, "slug": "bravo", "deleted": True}
    assert all(not rows for rows in _rows(theirs).values())
    assert _rows(ours) == before
    assert sql(world.store.url, "SELECT id, slug, deleted_by FROM tombstones") == [
        (theirs.organization.id, "bravo", theirs.callers[Role.OWNER].caller.actor)
    ]
    listed = (await ours.callers[Role.ROOT].list_organizations())["items"]
    assert [organization["slug"] for organization in listed] == ["acme"]


def _rows(tenant: Furnished) -> dict[str, list[str]]:
    home = tenant.organization.id
    return {table.name: sorted(map(str, kept(tenant.world, table.name, home))) for table in tables.TENANT_TABLES}


async def test_a_deletion_wants_the_slug_and_changes_nothing_without_it(world: World) -> None:
    owner, _, _, _ = await tenant(world)
    before = await owner.list_events(limit=1)

    for confirm in ("acme", "BRAVO", "bravo ", "org_bravo00000"):
        refused = await refusal("invalid", owner.delete_organization(confirm=confirm))
        assert refused.facts["slug"] == "bravo"

    assert await owner.list_events(limit=1) == before


async def test_the_installations_own_organisation_stays(world: World) -> None:
    with world.store.transaction(world.organization.id) as transaction:
        transaction.unit(world.organization.id).organizations.add_member("Iris", role=Role.ROOT)

    await refusal("forbidden", world.person().delete_organization(confirm="acme"))
    await refusal("forbidden", world.person(Role.ROOT).delete_organization(confirm="acme"))

    assert (await world.person().list_members())["items"]


async def test_the_owner_of_the_installation_deletes_another_organisation(world: World) -> None:
    owner, organization, _, agent = await tenant(world)
    named = {"organization_id": organization.id}
    root = world.person(Role.ROOT)
    await root.list_projects(**named)

    await root.delete_organization(confirm="bravo", **named)

    for who in (owner, agent):
        await require_shut_out(world, who.token or "")
    await refusal("not_found", root.list_projects(**named))
    await refusal("not_found", root.create_project(name="x", **named))
    await refusal("not_found", root.delete_organization(confirm="bravo", **named))


async def test_what_was_on_its_way_into_a_deleted_organisation_changes_nothing(make_world: MakeWorld) -> None:
    world = make_world()
    owner, _, project, agent = await tenant(world)
    place = {"project_id": project.id}
    task = await owner.create_task(**place, title="x", files=["a/"])
    await agent.claim_task(task_id=task["id"])
    await owner.delete_organization(confirm="bravo")

    # Their tokens still were good when they asked.
    codes = {
        name: (await world.answer(name, who.caller, arguments)).code
        for name, who, arguments in (
            ("add_member", owner, {"name": "Eve"}),
            ("create_project", owner, {"name": "New"}),
            ("create_team", owner, {"name": "New"}),
            ("set_quota", owner, {"scope": "organization", "limit_usd": 1}),
            ("create_task", owner, {**place, "title": "y"}),
            ("heartbeat", agent, {"status": "working"}),
            ("complete_task", agent, {"task_id": task["id"], "attempt": 1, "result": "done"}),
            ("acquire_lock", agent, {"paths": ["b/"]}),
            (
                "record_cost",
                agent,
                {"model": "m", "input_tokens": 1, "output_tokens": 1, "cost_usd": 1, "idempotency_key": "k"},
            ),
        )
    }

    assert set(codes.values()) <= {"not_found", "unauthenticated"}, codes
    await world.elapse(3600)
    for table in tables.TENANT_TABLES:
        assert kept(world, table.name, owner.caller.organization_id) == [], table.name


async def test_calls_and_a_deletion_at_once_leave_no_row_behind(make_world: MakeWorld) -> None:
    world = make_world()
    owner, _, project, agent = await tenant(world)
    place = {"project_id": project.id}

    answers = await asyncio.gather(
        *(world.answer("create_task", owner.caller, {**place, "title": f"a{n}"}) for n in range(10)),
        world.answer("delete_organization", owner.caller, {"confirm": "bravo"}),
        *(world.answer("heartbeat", agent.caller, {"status": "idle"}) for _ in range(10)),
        *(world.answer("add_member", owner.caller, {"name": f"b{n}"}) for n in range(10)),
        *(world.answer("create_task", world.person().caller, {"title": f"c{n}"}) for n in range(10)),
    )

    codes = {answer.code for answer in answers}
    assert codes <= {None, "not_found", "unauthenticated"}, [answer.line for answer in answers if answer.code]
    for table in tables.TENANT_TABLES:
        assert kept(world, table.name, owner.caller.organization_id) == [], table.name
    assert len((await world.person().list_tasks(limit=200))["items"]) == 10


async def test_hosts_forget_a_deleted_organisation_and_go_on_with_the_others(make_world: MakeWorld) -> None:
    world = make_world(hosts=2)
    owner, organization, project, agent = await tenant(world)
    ada = await world.agent("ada")
    for who, place in ((owner, project.id), (world.person(), world.project.id)):
        await who.create_task(project_id=place, title="x", files=["a/"])
    await agent.claim_task()
    await ada.claim_task()

    await owner.delete_organization(confirm="bravo")
    await world.elapse(7200)

    rooms = [key for handle in world.handles for key, _ in (handle.host._rooms.items() if handle.host._rooms else ())]
    assert organization.id not in {key[0] for key in rooms}
    assert sum(handle.host.stats().failures for handle in world.handles) == 0
    assert (await world.person().list_agents())["items"][0]["health"] == "lost"


async def test_a_host_that_was_not_told_of_a_deletion_notices_it(make_world: MakeWorld) -> None:
    world = make_world()
    owner, organization, project, agent = await tenant(world)
    await owner.create_task(project_id=project.id, title="x", files=["a/"])
    await agent.claim_task()
    with world.store.transaction(organization.id) as transaction:
        transaction.unit(organization.id).tenancy.dissolve(organization)

    await world.elapse(7200)
    await world.elapse(5)
    before = world.handles[0].host.stats().failures
    await world.elapse(7200)

    assert before == 1
    assert world.handles[0].host.stats().failures == before
    for table in tables.TENANT_TABLES:
        assert kept(world, table.name, organization.id) == [], table.name


async def test_a_deletion_asked_for_again_is_answered_from_the_tombstone(world: World) -> None:
    owner, _, _, _ = await tenant(world)
    wanted = {"confirm": "bravo", "idempotency_key": "k"}

    answers = await asyncio.gather(*(owner.delete_organization(**wanted) for _ in range(5)))

    assert all(answer == answers[0] for answer in answers)
    assert len(sql(world.store.url, "SELECT id FROM tombstones")) == 1
    await refusal("idempotency_mismatch", owner.delete_organization(confirm="acme"))


async def test_a_slug_is_free_again_and_an_old_key_brings_nothing_back(world: World) -> None:
    root = world.person(Role.ROOT)
    first = await root.create_organization(name="Umbrella", idempotency_key="k")
    await root.delete_organization(organization_id=first["id"], confirm="umbrella")

    await refusal("idempotency_mismatch", root.create_organization(name="Umbrella", idempotency_key="k"))
    again = await root.create_organization(name="Umbrella")

    assert again["id"] != first["id"]
    assert again["slug"] == "umbrella"


async def test_nobody_deletes_an_organisation_by_naming_it(world: World) -> None:
    _, organization, _, _ = await tenant(world)

    await refusal("invalid", world.person().delete_organization(confirm="bravo", organization_id=organization.id))
    # A made-up caller of another organisation finds only its own.
    stranger = Who(world, Caller(TokenKind.USER, Role.OWNER, "org_0000000000", "tok_0000000001", member_id="mbr_1"))
    await refusal("not_found", stranger.delete_organization(confirm="bravo"))

    assert kept(world, "organizations", organization.id)
