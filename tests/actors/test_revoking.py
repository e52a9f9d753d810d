"""Putting an agent out: its tokens, tasks, locks and claims end in one commit, and only people bring it back."""

from __future__ import annotations

import asyncio

import pytest

from conductor.domain.access import Role
from tests.actors.bearing import ask, enter, require_shut_out, stranger
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, last_event, refusal, require_memory_equals_store
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_an_agent_that_is_put_out_holds_nothing_and_comes_in_no_more(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    extra = await owner.create_token(kind="agt", agent_id="ada")
    task = await owner.create_task(title="x", files=["a/"])
    claim = await ada.claim_task(task_id=task["id"])
    spare = await ada.acquire_lock(paths=["b/"])

    out = await owner.revoke_access(agent_id="ada", reason="It misbehaved.")

    assert out["tasks"] == [task["id"]]
    assert sorted(out["released"]) == sorted([spare["lock"]["id"], claim["locks"][0]["id"]])
    assert out["tokens_ended"] == 2
    assert out["agent"]["status"] == "offline"
    for token in (ada.token, extra["token"]):
        await require_shut_out(world, token or "")
    assert (await owner.list_locks())["items"] == []
    after = await owner.get_task(task_id=task["id"])
    assert after["status"] == "pending"
    assert [attempt["outcome"] for attempt in after["attempts"]] == ["revoked"]
    require_memory_equals_store(world)


async def test_to_be_put_out_is_no_failure_of_the_task_and_another_takes_it_at_once(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x", files=["a/"], max_attempts=1)
    await ada.claim_task(task_id=task["id"])

    await owner.revoke_access(agent_id="ada", reason="It misbehaved.")

    assert (await bob.claim_task(task_id=task["id"]))["attempt"] == 2


async def test_it_is_all_in_one_commit_and_the_log_says_why(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    await owner.create_task(title="x", files=["a/"])
    await ada.claim_task()
    await ada.start_session()
    before, commits = await last_event(world), probe.commits()

    await owner.revoke_access(agent_id="ada", reason="It misbehaved.")

    assert probe.commits() == commits + 1
    told = await events(world, since=before)
    assert {event["kind"] for event in told} == {
        "token.revoked",
        "task.requeued",
        "lock.released",
        "session.ended",
        "access.revoked",
    }
    assert told[-1]["facts"]["reason"] == "It misbehaved."
    assert (told[-1]["facts"]["agent_id"], told[-1]["facts"]["tokens"]) == ("ada", 1)


async def test_an_agent_that_is_out_is_not_found_lost_later(world: World) -> None:
    ada = await world.agent("ada")
    await ada.heartbeat(status="idle")
    await world.person().revoke_access(agent_id="ada", reason="It left.")
    before = await last_event(world)

    await world.elapse(7200)

    assert await last_event(world) == before


async def test_a_token_that_was_approved_and_not_fetched_is_not_fetched_any_more(world: World) -> None:
    first = await ask(stranger(world))
    await world.person().approve_access(request_id=first["request"]["id"])

    await world.person().revoke_access(agent_id="ada", reason="A mistake.")

    assert "token" not in await ask(stranger(world), claim=first["claim"])


async def test_a_rotated_token_ends_with_the_access(world: World) -> None:
    ada = await world.agent("ada")
    bearer = await enter(world, ada.token or "")
    rotated = await bearer.rotate_token()

    await world.person().revoke_access(agent_id="ada", reason="It left.")

    await require_shut_out(world, rotated["token"])
    await require_shut_out(world, ada.token or "")
    await refusal("not_found", bearer.rotate_token())


async def test_it_may_ask_again_and_is_let_in_by_a_person_with_its_history(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    before = (await owner.list_agents())["items"][0]
    await owner.revoke_access(agent_id="ada", reason="It left.")

    first = await ask(stranger(world))
    await owner.approve_access(request_id=first["request"]["id"])
    again = await enter(world, (await ask(stranger(world), claim=first["claim"]))["token"])

    assert (await again.start_session())["agent"]["id"] == before["id"]
    await require_shut_out(world, ada.token or "")


async def test_who_approves_may_revoke_and_nobody_else(world: World) -> None:
    await world.agent("ada")
    lead, other = await world.agent("lea", Role.LEAD), await world.agent("leo", Role.LEAD)
    before = await last_event(world)
    out = {"agent_id": "ada", "reason": "x"}

    for who in (world.person(Role.MEMBER), world.person(Role.VIEWER), await world.agent("bob"), stranger(world)):
        await refusal("forbidden", who.revoke_access(**out))
    await refusal("forbidden", lead.revoke_access(**out))
    await world.person().update_project(settings={"leads_approve": True})
    await refusal("forbidden", lead.revoke_access(agent_id="leo", reason="x"))
    await refusal("forbidden", other.revoke_access(agent_id="leo", reason="x"))

    assert (await lead.revoke_access(**out))["tokens_ended"] == 1
    assert [event["subject_id"] for event in await events(world, since=before, kind=["access.revoked"])]


async def test_an_agent_of_another_project_or_organisation_is_not_found(world: World) -> None:
    owner = world.person()
    other = await owner.create_project(name="Other")
    await owner.register_agent(project_id=other["id"], agent_id="ada", name="Ada")
    bravo, theirs, _ = world.found("bravo")
    await world.person(organization=bravo).register_agent(project_id=theirs.id, agent_id="bob", name="Bob")

    for place, name in ((world.project.id, "ada"), (other["id"], "bob"), (theirs.id, "bob")):
        await refusal("not_found", owner.revoke_access(project_id=place, agent_id=name, reason="x"))


async def test_an_agent_of_the_same_name_in_another_project_works_on(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    other = await owner.create_project(name="Other")
    twin = await owner.register_agent(project_id=other["id"], agent_id="ada", name="Ada")

    await owner.revoke_access(project_id=world.project.id, agent_id="ada", reason="x")

    assert (await (await enter(world, twin["token"])).whoami())["project_id"] == other["id"]


async def test_revoked_twice_at_once_it_is_out_and_nothing_is_ended_twice(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.create_task(title="x")
    await ada.claim_task()

    answers = await asyncio.gather(*(owner.revoke_access(agent_id="ada", reason="x") for _ in range(4)))

    assert sorted(answer["tokens_ended"] for answer in answers) == [0, 0, 0, 1]
    assert sorted(len(answer["tasks"]) for answer in answers) == [0, 0, 0, 1]
    require_memory_equals_store(world)
