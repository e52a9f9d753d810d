"""Pauses: who stands still and who does not, what is kept meanwhile, who may set and lift them, and who is told."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from conductor.domain.access import Role
from conductor.domain.organizations import Project
from conductor.operations.catalogue import CATALOGUE
from tests.actors.conftest import MakeWorld
from tests.actors.looking import events, last_event, refusal, restart
from tests.support.world import Refused, Who, World

pytestmark = pytest.mark.anyio

STILL_ALLOWED = """
heartbeat start_session end_session save_checkpoint resume_checkpoint read_messages send_message record_cost log_action
rotate_token release_lock request_access refresh_context resume
"""


def test_what_a_paused_agent_may_still_call_is_what_keeps_it_alive_and_loses_nothing() -> None:
    flagged = {name for name, row in CATALOGUE.items() if row.while_paused}

    assert flagged == set(STILL_ALLOWED.split())
    assert all(CATALOGUE[name].writes for name in flagged), "reads need no flag"


async def test_a_paused_agent_is_refused_with_the_reason_and_goes_on_after_resume(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = (await owner.create_task(title="x"))["id"]
    assert (await ada.claim_task())["task"]["id"] == task

    paused = await owner.pause(scope="agent", agent_id="ada", reason="Wrong branch.")

    refused = await refusal("paused", ada.complete_task(task_id=task, attempt=1, result="done"))
    assert refused.facts == {
        "scope": "agent",
        "mode": "paused",
        "reason": "Wrong branch.",
        "by": owner.caller.actor,
        "since": world.clock.now().isoformat(),
    }
    assert "Wrong branch." in str(refused)
    assert refused.fault["retryable"]
    assert refused.fault["wait_s"] == 60
    assert paused == {
        "scope": "agent",
        "project_id": world.project.id,
        "agent_id": "ada",
        "mode": "paused",
        "reason": "Wrong branch.",
        "by": owner.caller.actor,
        "since": paused["since"],
    }
    await bob.acquire_lock(paths=["b.py"])
    await ada.get_task(task_id=task)
    assert (await owner.resume(scope="agent", agent_id="ada"))["lifted"] is True
    assert (await ada.complete_task(task_id=task, attempt=1, result="done"))["task"]["status"] == "completed"


async def test_nothing_is_lost_while_an_agent_is_paused(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x"))["id"]
    claimed = await ada.claim_task(lease_s=300)
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=300))["lock"]
    await owner.pause(scope="agent", agent_id="ada", reason="Wait.")

    for _ in range(10):
        await world.elapse(200)
        renewed = (await ada.heartbeat(status="blocked", task_id=task))["leases_renewed"]
        assert renewed == [lock["id"]]

    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["attempt"]) == (claimed["task"]["status"], 1)
    assert [held["id"] for held in (await owner.list_locks())["items"]] == [lock["id"]]


async def test_a_refused_call_of_a_paused_agent_is_a_sign_of_life(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=60))["lock"]
    await owner.pause(scope="agent", agent_id="ada", reason="Wait.")
    await world.elapse(30)

    await refusal("paused", ada.acquire_lock(paths=["b.py"]))
    await owner.create_task(title="so that what was passed on aside has arrived")

    (held,) = (await owner.list_locks())["items"]
    assert _at(held["expires_at"]) > _at(lock["expires_at"])


async def test_what_keeps_a_paused_agent_alive_and_honest_goes_on(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    await owner.pause(scope="project", reason="Wait.")

    await ada.start_session()
    await ada.record_cost(model="none", input_tokens=1, output_tokens=1, idempotency_key="1")
    await ada.log_action(action="looked")
    assert (await ada.release_lock(lock_id=lock["id"]))["released"]
    await ada.list_tasks()
    await ada.end_session()


async def test_a_draining_agent_finishes_what_it_holds_and_takes_nothing_new(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    tasks = [(await owner.create_task(title=title))["id"] for title in "ab"]
    await ada.claim_task(task_id=tasks[0])
    await owner.drain(scope="agent", agent_id="ada", reason="Going home.")

    refused = await refusal("paused", ada.claim_task(task_id=tasks[1]))
    await ada.acquire_lock(paths=["needed.py"], task_id=tasks[0])
    await ada.update_task(task_id=tasks[0], attempt=1, status="in_progress")
    await ada.complete_task(task_id=tasks[0], attempt=1, result="done")

    assert refused.facts["mode"] == "draining"
    await refusal("paused", ada.acquire_lock(paths=["more.py"]))
    await refusal("paused", ada.claim_task())
    (me,) = (await owner.list_agents())["items"]
    assert (me["status"], me["pause"]["mode"]) == ("idle", "draining")


async def test_a_wide_pause_holds_up_all_and_people_act_on(world: World) -> None:
    owner = world.person()
    second = await _second_project(world)
    here, there = await world.agent("ada"), await world.agent("ada", project=second)

    await owner.pause(scope="project", project_id=world.project.id, reason="Release.")
    await refusal("paused", here.acquire_lock(paths=["a.py"]))
    await there.acquire_lock(paths=["a.py"])
    await owner.pause(scope="organization", reason="Audit.")

    refused = await refusal("paused", there.acquire_lock(paths=["b.py"]))
    assert (refused.facts["scope"], refused.facts["reason"]) == ("organization", "Audit.")
    refused = await refusal("paused", here.acquire_lock(paths=["b.py"]))
    assert refused.facts["scope"] == "project", "the narrowest says best why"
    await owner.create_task(title="x", project_id=second.id)
    lifted = await owner.resume(scope="project", project_id=world.project.id)
    assert [left["scope"] for left in lifted["remaining"]] == ["organization"]
    await refusal("paused", here.acquire_lock(paths=["b.py"]))


async def test_agents_of_one_name_in_two_projects_are_paused_each_by_itself(world: World) -> None:
    second = await _second_project(world)
    here, there = await world.agent("ada"), await world.agent("ada", project=second)

    await world.person().pause(scope="agent", agent_id="ada", project_id=second.id, reason="Wait.")

    await here.acquire_lock(paths=["a.py"])
    await refusal("paused", there.acquire_lock(paths=["a.py"]))


async def test_who_is_paused_and_resumed_is_told_once_each(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")

    await owner.pause(scope="agent", agent_id="ada", reason="Wait for me.")
    await owner.pause(scope="project", reason="x" * 300)
    await owner.resume(scope="agent", agent_id="ada")

    notices = (await ada.heartbeat(status="idle"))["notices"]
    assert [notice["kind"] for notice in notices] == ["paused", "paused", "resumed"]
    assert "Wait for me." in notices[0]["text"]
    assert all(len(notice["text"]) <= 160 for notice in notices)
    assert [notice["kind"] for notice in (await bob.heartbeat(status="idle"))["notices"]] == ["paused"]
    assert (await ada.heartbeat(status="idle"))["notices"] == []


async def test_an_agent_is_shown_as_paused_with_the_reason_to_others_and_to_itself(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    await ada.heartbeat(status="working")
    await owner.pause(scope="agent", agent_id="ada", reason="Wait.")

    for status, names in (("paused", ["ada"]), ("working", []), ("offline", ["bob"])):
        assert [item["agent_id"] for item in (await owner.list_agents(status=[status]))["items"]] == names

    (shown, other) = (await owner.list_agents())["items"]
    assert (shown["status"], shown["pause"]["reason"]) == ("paused", "Wait.")
    assert "pause" not in other
    session = await ada.start_session()
    assert session["agent"]["status"] == "paused"
    assert [step["tool"] for step in session["next"]] == ["heartbeat"]
    await owner.resume(scope="agent", agent_id="ada")
    assert (await owner.list_agents(status=["working"]))["items"][0]["agent_id"] == "ada"


async def test_each_change_of_a_pause_writes_one_event_and_what_changes_nothing_none(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    before = await last_event(world)

    for _ in range(2):
        await owner.pause(scope="agent", agent_id="ada", reason="Wait.")
    await owner.drain(scope="agent", agent_id="ada", reason="Wait.")
    for _ in range(2):
        await owner.resume(scope="agent", agent_id="ada")

    written = await events(world, since=before)
    assert [event["kind"] for event in written] == ["pause.set", "pause.set", "pause.lifted"]
    assert [event["facts"]["mode"] for event in written] == ["paused", "draining", "draining"]
    assert (await owner.resume(scope="agent", agent_id="ada"))["lifted"] is False


async def test_a_pause_is_set_lifted_and_set_again_in_one_batch(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    where = {"scope": "agent", "agent_id": "ada"}

    await asyncio.gather(
        owner.pause(**where, reason="One."), owner.resume(**where), owner.pause(**where, reason="Two.")
    )

    refused = await refusal("paused", ada.acquire_lock(paths=["a.py"]))
    assert refused.facts["reason"] == "Two."


async def test_a_pause_outlives_a_restart(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.pause(scope="organization", reason="Wait.")

    await restart(world)

    await refusal("paused", ada.acquire_lock(paths=["a.py"]))
    await owner.resume(scope="organization")
    await ada.acquire_lock(paths=["a.py"])


async def test_only_who_may_holds_up_the_whole_organisation(world: World) -> None:
    lead = await world.agent("lea", Role.LEAD)

    for who in (lead, world.person(Role.MEMBER)):
        for name in ("pause", "drain", "resume"):
            reason = {} if name == "resume" else {"reason": "x"}
            await refusal("forbidden", getattr(who, name)(scope="organization", **reason))
    await world.person(Role.ADMIN).pause(scope="organization", reason="x")
    await refusal("forbidden", (await world.agent("ada")).pause(scope="project", reason="x"))


async def test_a_lead_holds_up_its_project_and_its_agents_and_lets_them_go_on(world: World) -> None:
    lead, ada = await world.agent("lea", Role.LEAD), await world.agent("ada")

    await lead.pause(scope="project", reason="Rebase.")

    await refusal("paused", ada.acquire_lock(paths=["a.py"]))
    await refusal("paused", lead.acquire_lock(paths=["a.py"]))
    await lead.resume(scope="project")
    await ada.acquire_lock(paths=["a.py"])
    await lead.drain(scope="agent", agent_id="ada", reason="Enough.")
    await refusal("paused", ada.claim_task())


async def test_what_a_person_held_up_no_agent_lets_go_on(world: World) -> None:
    owner, lead = world.person(), await world.agent("lea", Role.LEAD)
    await world.agent("ada")
    await owner.pause(scope="agent", agent_id="ada", reason="Leak.")

    refused = await refusal("forbidden", lead.resume(scope="agent", agent_id="ada"))
    await refusal("forbidden", lead.drain(scope="agent", agent_id="ada", reason="Weaker."))

    assert refused.facts["by"] == owner.caller.actor
    await owner.pause(scope="agent", agent_id="lea", reason="You too.")
    await refusal("paused", lead.resume(scope="agent", agent_id="lea"))
    await refusal("paused", lead.pause(scope="project", reason="x"))
    assert (await owner.resume(scope="agent", agent_id="lea"))["lifted"]


async def test_a_pause_of_an_agent_that_a_person_repeats_is_the_persons(world: World) -> None:
    owner, lea = world.person(), await world.agent("lea", Role.LEAD)
    await lea.pause(agent_id="lea", reason="Stop.")

    paused = await owner.pause(agent_id="lea", reason="Stop.")

    assert paused["by"] == owner.caller.actor
    await refusal("paused", lea.resume(agent_id="lea"))


async def test_a_pause_of_what_does_not_fit_or_is_not_there_is_refused(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    before = await last_event(world)

    for wrong in (
        {"scope": "agent"},
        {"scope": "project", "agent_id": "ada"},
        {"scope": "organization", "agent_id": "ada"},
        {"scope": "organization", "project_id": world.project.id},
        {"scope": "world"},
    ):
        await refusal("invalid", owner.pause(**wrong, reason="x"))
        await refusal("invalid", owner.resume(**wrong))
    await refusal("invalid", owner.pause(scope="project"))
    await refusal("not_found", owner.pause(scope="agent", agent_id="bob", reason="x"))
    await refusal("not_found", owner.pause(scope="project", project_id="prj_0000000000", reason="x"))
    await _second_project(world)
    refused = await refusal("invalid", owner.pause(scope="project", reason="which?"))

    assert refused.facts["argument"] == "project_id"
    assert [event["kind"] for event in await events(world, since=before)] == ["project.created"]


async def test_a_pause_holds_up_no_other_organisation(make_world: MakeWorld) -> None:
    world = make_world()
    other, project, member = world.found("beta")
    stranger = world.person(organization=other, member=member.id)
    await stranger.register_agent(agent_id="ada", name="Ada", project_id=project.id)
    ada = await world.agent("ada")
    caller = ada.caller._replace(organization_id=other.id, project_id=project.id, token_id="tok_other00000")

    await world.person().pause(scope="organization", reason="Ours.")

    await refusal("paused", ada.acquire_lock(paths=["a.py"]))
    await Who(world, caller).acquire_lock(paths=["a.py"])


async def test_in_an_archived_project_everybody_reads_and_nobody_changes(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x"))["id"]
    second = await _second_project(world)
    here = {"project_id": world.project.id}

    for _ in range(2):
        await owner.archive_project(**here)

    for call in (
        owner.create_task(title="y", **here),
        ada.claim_task(),
        ada.heartbeat(status="idle"),
        owner.pause(scope="project", reason="x", **here),
    ):
        refused = await refusal("paused", call)
        assert refused.facts["reason"] == "the project is archived"
    assert (await ada.get_task(task_id=task))["id"] == task
    await owner.create_task(title="y", project_id=second.id)
    await owner.restore_project(**here)
    assert (await ada.claim_task())["task"]["id"] == task


async def test_a_change_that_was_read_while_it_was_made_is_not_remembered(world: World) -> None:
    gate, organization_id = world.dispatcher._gate, world.organization.id
    assert (await world.agent("ada")).caller.kind

    class Forgetting:
        def reading(self, organization: str) -> object:
            gate.forget(organization)
            return world.store.reading(organization)

    gate.forget(organization_id)
    gate.read(organization_id, Forgetting())  # type: ignore[arg-type]  # a store that is read while it changes

    assert gate.known(organization_id) is None
    gate.read(organization_id, world.store)
    assert gate.known(organization_id) is not None


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _second_project(world: World) -> Project:
    made = await world.person().create_project(name="Second", slug="second")
    with world.store.reading(world.organization.id) as tx:
        project = tx.projects.get(made["id"])
    assert project is not None
    return project


async def test_the_scope_goes_without_saying(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")

    assert (await owner.pause(agent_id="ada", reason="lunch"))["scope"] == "agent"
    assert (await owner.resume(agent_id="ada"))["lifted"]
    assert (await owner.pause(reason="release"))["scope"] == "project"

    with pytest.raises(Refused, match="paused"):
        await ada.claim_task()


async def test_what_was_spent_in_an_archived_project_is_still_booked(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.archive_project(project_id=world.project.id)

    booked = await ada.record_cost(model="m", input_tokens=1, output_tokens=1, cost_usd="0.5", idempotency_key="late")

    assert booked["cost_usd"] == "0.5"
