"""The directory: organisations, their people and their agents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.bearing import enter, kept, require_shut_out
from tests.actors.looking import events, last_event, refusal
from tests.support.world import World

pytestmark = pytest.mark.anyio


# Organisations


async def test_an_organisation_is_made_by_the_owner_of_the_installation_alone(world: World) -> None:
    root = world.person(Role.ROOT)
    await refusal("forbidden", world.person().create_organization(name="Umbrella"))

    made = await root.create_organization(name="Umbrella & Söhne", plan="pro")

    assert made == {"id": made["id"], "name": "Umbrella & Söhne", "slug": "umbrella-sohne", "plan": "pro"}
    assert [item["slug"] for item in (await root.list_organizations())["items"]] == ["acme", "umbrella-sohne"]
    assert [item["slug"] for item in (await world.person().list_organizations())["items"]] == ["acme"]
    inside = await root.list_events(organization_id=made["id"])
    assert [event["kind"] for event in inside["items"]] == ["quota.set", "organization.created"]


async def test_a_taken_slug_is_refused_and_nothing_is_written(world: World) -> None:
    root = world.person(Role.ROOT)
    before = [kept(world, table) for table in ("organizations", "events", "batches")]

    refused = await refusal("invalid", root.create_organization(name="Another", slug="acme"))
    await refusal("invalid", root.create_organization(name="Acme", idempotency_key="k"))
    await refusal("invalid", root.create_organization(name="…"))

    assert refused.facts["slug"] == "acme"
    assert [kept(world, table) for table in ("organizations", "events", "batches")] == before
    assert len((await root.list_organizations())["items"]) == 1
    made = await root.create_organization(name="Acme", slug="acme-2", idempotency_key="k")
    assert made["slug"] == "acme-2"


async def test_of_many_who_want_a_slug_at_once_one_gets_it(world: World) -> None:
    root = world.person(Role.ROOT)

    codes = [
        answer.code
        for answer in await asyncio.gather(
            *(world.answer("create_organization", root.caller, {"name": f"N{n}", "slug": "one"}) for n in range(12))
        )
    ]

    assert codes.count(None) == 1
    assert codes.count("invalid") == 11


async def test_an_organisation_asked_for_twice_with_one_key_is_made_once(world: World) -> None:
    root = world.person(Role.ROOT)
    wanted = {"name": "Umbrella", "idempotency_key": "once"}

    answers = await asyncio.gather(*(root.create_organization(**wanted) for _ in range(10)))
    await refusal("idempotency_mismatch", root.create_organization(name="Other", idempotency_key="once"))
    world.clock.move(25 * 3600)
    await refusal("idempotency_mismatch", root.create_organization(name="Other", idempotency_key="once"))

    assert all(answer == answers[0] for answer in answers)
    assert len((await root.list_organizations())["items"]) == 2


async def test_the_owner_of_the_installation_fills_a_new_organisation(world: World) -> None:
    root = world.person(Role.ROOT)
    made = await root.create_organization(name="Umbrella")
    inside = {"organization_id": made["id"]}

    member = await root.add_member(name="Uma", role="owner", **inside)
    project = await root.create_project(name="Web", **inside)
    token = await root.create_token(kind="usr", member_id=member["id"], **inside)
    uma = await enter(world, token["token"])

    assert (await uma.whoami())["organization_id"] == made["id"]
    assert [item["id"] for item in (await uma.list_projects())["items"]] == [project["id"]]
    await refusal("invalid", uma.list_projects(**inside))
    for wrong in ("org_0000000000", "nonsense", world.project.id):
        await refusal("not_found", root.list_projects(organization_id=wrong))


# People


async def test_members_are_added_listed_and_removed(world: World) -> None:
    owner = world.person()
    world.clock.move(1)
    made = await owner.add_member(name="Max", email="max@example.org", role="viewer")
    assert made == {"id": made["id"], "name": "Max", "email": "max@example.org", "role": "viewer"}
    assert [item["name"] for item in (await owner.list_members())["items"]] == ["Olga", "Max"]

    removed = await owner.remove_member(member_id=made["id"])

    assert removed == made
    assert [item["name"] for item in (await owner.list_members())["items"]] == ["Olga"]
    for wrong in (made["id"], "mbr_0000000000", "nonsense"):
        await refusal("not_found", owner.remove_member(member_id=wrong))
    kinds = [event["kind"] for event in await events(world, subject_id=made["id"])]
    assert kinds == ["member.added", "member.removed"]


async def test_removing_a_member_ends_their_tokens_and_nobody_elses(world: World) -> None:
    owner = world.person()
    max_ = await owner.add_member(name="Max")
    tokens = [(await owner.create_token(kind="usr", member_id=max_["id"]))["token"] for _ in range(2)]
    other = (await owner.create_token(kind="usr", name="Ann", role="admin"))["token"]

    await owner.remove_member(member_id=max_["id"])

    for token in tokens:
        await require_shut_out(world, token)
    await enter(world, other)


async def test_the_last_owner_stays(world: World) -> None:
    owner = world.person()
    before = await last_event(world)

    await refusal("forbidden", owner.remove_member(member_id=world.owner_member.id))
    assert await last_event(world) == before
    other = await owner.add_member(name="Otto", role="owner")
    await owner.remove_member(member_id=world.owner_member.id)

    await refusal("forbidden", owner.remove_member(member_id=other["id"]))


async def test_the_owner_of_the_installation_stays(world: World) -> None:
    with world.store.transaction(world.organization.id) as transaction:
        installer = transaction.unit(world.organization.id).organizations.add_member("Iris", role=Role.ROOT)

    await refusal("forbidden", world.person().remove_member(member_id=installer.id))
    await refusal("forbidden", world.person(Role.ROOT).remove_member(member_id=installer.id))
    await refusal("forbidden", world.person().create_token(kind="usr", member_id=installer.id))
    await refusal("invalid", world.person(Role.ROOT).add_member(name="Eve", role="root"))

    assert installer.id in {member["id"] for member in (await world.person().list_members())["items"]}


async def test_of_two_owners_who_remove_each_other_at_once_one_stays(world: World) -> None:
    owner = world.person()
    other = await owner.add_member(name="Otto", role="owner")
    victims = (world.owner_member.id, other["id"])

    codes = [
        answer.code
        for answer in await asyncio.gather(
            *(world.answer("remove_member", owner.caller, {"member_id": victim}) for victim in victims)
        )
    ]

    assert sorted(codes, key=str) == [None, "forbidden"]
    assert len((await owner.list_members())["items"]) == 1


async def test_an_admin_neither_makes_nor_ends_owners(world: World) -> None:
    admin = world.person(Role.ADMIN)
    token = await world.person().create_token(kind="usr", member_id=world.owner_member.id)

    await refusal("forbidden", admin.add_member(name="Eve", role="owner"))
    await refusal("forbidden", admin.remove_member(member_id=world.owner_member.id))
    await refusal("forbidden", admin.create_token(kind="usr", member_id=world.owner_member.id))
    await refusal("forbidden", admin.create_token(kind="usr", name="Eve", role="owner"))
    await refusal("forbidden", admin.revoke_token(token_id=token["id"]))
    await refusal("forbidden", admin.rotate_token(token_id=token["id"]))

    assert (await admin.add_member(name="Ann", role="admin"))["role"] == "admin"


# Agents


async def test_a_registered_agent_comes_in_with_the_token_it_was_given(world: World) -> None:
    made = await world.person(Role.MEMBER).register_agent(
        agent_id="ada",
        name="Ada",
        provider="anthropic",
        model="claude",
        capabilities=["python", "sql", "python"],
        role="reviewer",
        allowed_paths=["src//", "docs/"],
        denied_paths=["src/secret/"],
        token_budget=5000,
        instructions_file="./AGENTS.md",
    )

    expected = {
        "agent_id": "ada",
        "name": "Ada",
        "provider": "anthropic",
        "model": "claude",
        "role": "reviewer",
        "status": "offline",
        "health": "late",
        "capabilities": ["python", "sql"],
        "allowed_paths": ["docs/", "src/"],
        "denied_paths": ["src/secret/"],
        "token_budget": 5000,
        "instructions_file": "AGENTS.md",
        "tasks_completed": 0,
        "spent_today_usd": "0",
    }
    assert made["agent"] == {"id": made["agent"]["id"], **expected}
    assert (await (await enter(world, made["token"])).whoami())["agent_id"] == "ada"


async def test_registering_a_name_again_is_refused_without_supersede(world: World) -> None:
    ada = await world.agent("ada")
    before = await last_event(world)

    refused = await refusal("agent_exists", world.person().register_agent(agent_id="ada", name="Other", role="lead"))

    assert refused.facts == {"agent_id": "ada", "role": "contributor"}
    assert await last_event(world) == before
    await enter(world, ada.token or "")


async def test_superseding_an_agent_ends_its_tokens_and_deletes_nothing(world: World) -> None:
    ada = await world.agent("ada")
    extra = await world.person().create_token(kind="agt", agent_id="ada")
    task = await world.person().create_task(title="x", files=["a.py"])
    claim = await ada.claim_task(task_id=task["id"])
    before = (await world.person().list_agents())["items"][0]

    made = await world.person().register_agent(agent_id="ada", name="Ada II", role="lead", supersede=True)

    assert made["agent"]["id"] == before["id"]
    assert (made["agent"]["name"], made["agent"]["role"]) == ("Ada II", "lead")
    await require_shut_out(world, ada.token or "")
    await require_shut_out(world, extra["token"])
    again = await enter(world, made["token"])
    done = await again.complete_task(task_id=task["id"], attempt=claim["attempt"], result="done")
    assert done["released"] == [claim["locks"][0]["id"]]


async def test_a_replayed_registration_tells_no_token_and_makes_no_second_agent(world: World) -> None:
    wanted = {"agent_id": "ada", "name": "Ada", "idempotency_key": "k"}

    answers = await asyncio.gather(*(world.person().register_agent(**wanted) for _ in range(20)))
    await refusal("idempotency_mismatch", world.person().register_agent(**wanted | {"name": "Eve"}))

    assert sum("token" in answer for answer in answers) == 1
    assert len((await world.person().list_tokens())["items"]) == 1


@pytest.mark.parametrize("name", ["", "-ada", "a b", "a/b", "ä", "a" * 64, "ada\n"])
async def test_an_agents_name_is_plain(world: World, name: str) -> None:
    await refusal("invalid", world.person().register_agent(agent_id=name, name="Ada"))


async def test_paths_of_an_agent_are_judged_before_anything_is_written(world: World) -> None:
    before = await last_event(world)

    for particulars in ({"allowed_paths": ["../up"]}, {"denied_paths": ["/etc"]}, {"instructions_file": ".git/x"}):
        await refusal("path_invalid", world.person().register_agent(agent_id="ada", name="Ada", **particulars))

    assert await last_event(world) == before
    assert (await world.person().list_agents())["items"] == []


async def test_paths_below_the_projects_checkout_are_told_by_their_place_in_it(world: World) -> None:
    await world.person().update_project(root_path="/home/us/web")

    made = await world.person().register_agent(agent_id="ada", name="Ada", allowed_paths=["/home/us/web/src/"])

    assert made["agent"]["allowed_paths"] == ["src/"]


async def test_agents_are_listed_by_name_filtered_and_in_pages(world: World) -> None:
    for name, skills in (("cleo", ["go"]), ("ada", ["go"]), ("bob", []), ("dan", ["go"])):
        who = await world.agent(name, capabilities=skills)
        if name != "dan":
            await who.heartbeat(status="working" if name == "cleo" else "idle")
    owner = world.person()

    async def names(**wanted: Any) -> list[str]:
        found: list[str] = []
        page = await owner.list_agents(**wanted)
        while True:
            found += [item["agent_id"] for item in page["items"]]
            if "next_cursor" not in page:
                return found
            page = await owner.list_agents(**wanted, cursor=page["next_cursor"])

    assert await names(limit=1) == ["ada", "bob", "cleo", "dan"]
    assert await names(capability="go", limit=2) == ["ada", "cleo", "dan"]
    assert await names(status=["working"]) == ["cleo"]
    assert await names(health=["healthy"], limit=1) == ["ada", "bob", "cleo"]
    assert await names(health=["late"], limit=1) == ["dan"]
    assert await names(health=["lost"]) == []
