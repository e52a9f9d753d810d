"""Who may let agents in, with which roles, and what becomes of an agent that is here already."""

from __future__ import annotations

import pytest

from conductor.domain.access import Role
from tests.actors.bearing import ask, enter, require_shut_out, stranger
from tests.actors.looking import last_event, refusal
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_a_lead_decides_only_where_the_project_lets_leads_approve(world: World) -> None:
    lead = await world.agent("lea", Role.LEAD)
    first = await ask(stranger(world))
    world.clock.move(1)
    second = await ask(stranger(world), "bob")

    await refusal("forbidden", lead.approve_access(request_id=first["request"]["id"]))
    await refusal("forbidden", lead.reject_access(request_id=first["request"]["id"], reason="No."))
    await refusal("forbidden", lead.list_access_requests())
    await world.person(Role.ADMIN).update_project(settings={"leads_approve": True})

    assert [item["agent_id"] for item in (await lead.list_access_requests())["items"]] == ["ada", "bob"]
    assert (await lead.approve_access(request_id=first["request"]["id"]))["agent"]["agent_id"] == "ada"
    assert (await lead.reject_access(request_id=second["request"]["id"], reason="No."))["request"]["agent_id"] == "bob"


async def test_a_lead_gives_nobody_the_role_of_a_lead_nor_takes_it(world: World) -> None:
    await world.person().update_project(settings={"leads_approve": True})
    lead = await world.agent("lea", Role.LEAD)
    await world.agent("max", Role.LEAD)
    wants_to_lead = await ask(stranger(world), "ada", requested_role="lead")
    wants_max = await ask(stranger(world), "max")
    before = await last_event(world)

    await refusal("forbidden", lead.approve_access(request_id=wants_to_lead["request"]["id"]))
    await refusal("forbidden", lead.approve_access(request_id=wants_max["request"]["id"]))
    await refusal("forbidden", lead.register_agent(agent_id="eve", name="Eve", role="lead"))
    await refusal("forbidden", lead.register_agent(agent_id="max", name="Max", supersede=True))

    assert await last_event(world) == before
    reply = await lead.approve_access(request_id=wants_to_lead["request"]["id"], role="contributor")
    assert reply["agent"]["role"] == "contributor"


async def test_a_lead_gives_the_name_of_an_agent_to_nobody_least_of_all_to_itself(world: World) -> None:
    await world.person().update_project(settings={"leads_approve": True})
    lead, ada = await world.agent("lea", Role.LEAD), await world.agent("ada")
    await world.agent("rev", Role.REVIEWER)
    by_lead = await ask(lead, "rev", requested_role="reviewer")
    by_itself = await ask(ada, "ada")
    before = await last_event(world)

    for request, deliver in ((by_lead, "requester"), (by_lead, "approver"), (by_itself, "approver")):
        await refusal("forbidden", lead.approve_access(request_id=request["request"]["id"], deliver=deliver))

    assert await last_event(world) == before
    assert "token" not in await ask(lead, "rev", requested_role="reviewer", claim=by_lead["claim"])
    await lead.approve_access(request_id=by_itself["request"]["id"])
    assert "token" in await ask(ada, "ada", claim=by_itself["claim"])


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
async def test_people_below_admin_decide_on_nobody(world: World, role: Role) -> None:
    first = await ask(stranger(world))

    await refusal("forbidden", world.person(role).approve_access(request_id=first["request"]["id"]))
    await refusal("forbidden", world.person(role).reject_access(request_id=first["request"]["id"], reason="No."))
    await refusal("forbidden", world.person(role).list_access_requests())


async def test_approving_an_agent_that_is_here_keeps_its_history_and_rules(world: World) -> None:
    ada = await world.agent("ada", denied_paths=["secret/"], allowed_paths=["src/"], token_budget=1000)
    task = await world.person().create_task(title="x")
    await ada.claim_task(task_id=task["id"])
    before = (await world.person().list_agents())["items"][0]

    first = await ask(ada, requested_role="reviewer")
    reply = await world.person().approve_access(request_id=first["request"]["id"], role="lead", deliver="approver")

    agent = reply["agent"]
    assert agent["role"] == "lead"
    for name in ("id", "status", "current_task", "denied_paths", "allowed_paths", "token_budget"):
        assert agent[name] == before[name], name
    assert (await enter(world, reply["token"])).caller.role is Role.LEAD
    assert (await world.person().get_task(task_id=task["id"]))["assigned_to"] == "ada"


async def test_no_token_of_a_mightier_role_outlives_an_approval(world: World) -> None:
    made = await world.person().register_agent(agent_id="ada", name="Ada", role="lead")
    first = await ask(stranger(world), requested_role="contributor")

    await world.person().approve_access(request_id=first["request"]["id"])

    await require_shut_out(world, made["token"])
    answer = await ask(stranger(world), claim=first["claim"])
    assert (await enter(world, answer["token"])).caller.role is Role.CONTRIBUTOR


async def test_an_agents_token_works_on_while_it_asks_for_more(world: World) -> None:
    made = await world.person().register_agent(agent_id="ada", name="Ada")
    ada = await enter(world, made["token"])
    first = await ask(ada, requested_role="lead")
    await world.person().approve_access(request_id=first["request"]["id"])

    ada = await enter(world, made["token"])
    answer = await ask(ada, claim=first["claim"])

    assert (await enter(world, answer["token"])).caller.role is Role.LEAD
