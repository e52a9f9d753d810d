"""Reassigning: who holds a task has its time of grace, then another agent gets it, the best unless one is named."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, outcome, refusal, require_memory_equals_store, restart
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

RESERVED_S = 900
WHY: dict[str, Any] = {"reason": "Too slow."}


async def test_a_pending_task_is_kept_for_the_named_agent_at_once_and_for_a_while(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x")
    before = await last_event(world)

    reassigned = await owner.reassign_task(task_id=task["id"], agent_id="bob", **WHY)

    assert (reassigned["agent_id"], "at" in reassigned) == ("bob", False)
    assert (reassigned["task"]["status"], reassigned["task"]["assigned_to"]) == ("pending", "bob")
    written = await events(world, since=before)
    assert [event["kind"] for event in written] == ["task.reassigned"]
    assert (written[0]["facts"]["reserved_for"], written[0]["facts"]["reason"]) == ("bob", "Too slow.")
    assert (await refusal("not_ready", ada.claim_task(task_id=task["id"]))).facts["assigned_to"] == "bob"
    assert [one["kind"] for one in (await bob.heartbeat(status="idle"))["notices"]] == ["task_reassigned"]
    require_memory_equals_store(world)
    await world.elapse(RESERVED_S)
    assert (await ada.claim_task())["task"]["id"] == task["id"]


async def test_a_claim_uses_up_the_reservation(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x")
    await owner.reassign_task(task_id=task["id"], agent_id="bob", **WHY)
    await bob.claim_task()

    await bob.update_task(task_id=task["id"], attempt=1, status="pending")

    assert (await ada.claim_task(task_id=task["id"]))["attempt"] == 2


async def test_a_holder_has_its_time_of_grace_and_then_the_other_gets_the_task(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await _claimed(owner, ada, files=["a.py"])
    before = await last_event(world)

    reassigned = await owner.reassign_task(task_id=task, agent_id="bob", grace_s=120, **WHY)

    assert (reassigned["task"]["status"], reassigned["task"]["assigned_to"]) == ("claimed", "ada")
    assert reassigned["task"]["reassign_to"] == "bob"
    assert reassigned["at"] == reassigned["task"]["reassign_at"]
    assert [event["kind"] for event in await events(world, since=before)] == ["task.updated"]
    told = (await ada.heartbeat(status="working"))["notices"]
    assert [(one["kind"], "bob in 120 s" in one["text"]) for one in told] == [("task_leaves_you", True)]
    await world.elapse(119)
    assert (await owner.get_task(task_id=task))["status"] == "claimed"
    before = await last_event(world)

    await world.elapse(1)

    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["assigned_to"], "reassign_to" in seen) == ("pending", "bob", False)
    assert [(one["outcome"], one["error"]) for one in seen["attempts"]] == [("reassigned", "reassigned to bob")]
    assert (await owner.list_locks())["items"] == []
    written = {event["kind"]: event for event in await events(world, since=before)}
    assert sorted(written) == ["lock.released", "task.reassigned"]
    assert (written["task.reassigned"]["actor"], written["task.reassigned"]["facts"]["failures"]) == ("conductor", 0)
    await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="late"))
    assert [one["kind"] for one in (await ada.heartbeat(status="idle"))["notices"]] == ["task_left_you"]
    assert [one["kind"] for one in (await bob.heartbeat(status="idle"))["notices"]] == ["task_reassigned"]
    assert (await bob.claim_task())["attempt"] == 2
    require_memory_equals_store(world)


async def test_what_is_completed_within_the_grace_is_completed(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    task = await _claimed(owner, ada)
    await owner.reassign_task(task_id=task, agent_id="bob", **WHY)
    await world.elapse(59)

    await ada.complete_task(task_id=task, attempt=1, result="just in time")
    await world.elapse(60)

    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["assigned_to"], seen["attempts"][0]["outcome"]) == ("completed", "ada", "completed")
    assert "reassign_to" not in seen
    require_memory_equals_store(world)


async def test_at_the_end_of_the_grace_a_completion_and_the_taking_away_never_both_happen(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")

    for seconds in (59.999, 60.0):
        task = await _claimed(owner, ada)
        await owner.reassign_task(task_id=task, agent_id="bob", **WHY)
        done = ada.complete_task(task_id=task, attempt=1, result="late")

        _, ended = await asyncio.gather(world.elapse(seconds), outcome(done))

        seen = await owner.get_task(task_id=task)
        assert (ended, seen["status"]) in {(None, "completed"), ("stale_attempt", "pending")}
        assert (ended is None) == (seconds < 60)


async def test_a_holder_that_hands_over_within_the_grace_hands_over_to_the_chosen_one(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await _claimed(owner, ada)
    await owner.reassign_task(task_id=task, agent_id="bob", **WHY)

    released = await ada.update_task(task_id=task, attempt=1, status="pending", note="half is done")

    assert (released["status"], released["assigned_to"]) == ("pending", "bob")
    assert [one["kind"] for one in (await bob.heartbeat(status="idle"))["notices"]] == ["task_reassigned"]
    await refusal("not_ready", ada.claim_task(task_id=task))
    await world.elapse(60)
    assert (await bob.claim_task())["attempt"] == 2


async def test_without_grace_the_task_is_taken_away_at_once(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await _claimed(owner, ada)
    before = await last_event(world)

    reassigned = await owner.reassign_task(task_id=task, agent_id="bob", grace_s=0, **WHY)

    assert (reassigned["task"]["status"], "at" in reassigned) == ("pending", False)
    assert [event["kind"] for event in await events(world, since=before)] == ["task.reassigned"]
    assert "Too slow." in (await bob.claim_task())["context"]["last_error"]


async def test_a_grace_goes_on_over_a_restart(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    task = await _claimed(owner, ada)
    await owner.reassign_task(task_id=task, agent_id="bob", grace_s=300, **WHY)

    await restart(world, 10)
    assert (await owner.get_task(task_id=task))["status"] == "claimed"
    await world.elapse(289)
    assert (await owner.get_task(task_id=task))["status"] == "claimed"
    await world.elapse(1)

    assert (await owner.get_task(task_id=task))["assigned_to"] == "bob"
    require_memory_equals_store(world)


async def test_a_grace_that_ended_while_nothing_ran_leaves_its_holder_a_moment(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    task = await _claimed(owner, ada)
    await owner.reassign_task(task_id=task, agent_id="bob", grace_s=60, **WHY)

    await restart(world, 1000)
    await world.elapse(10)
    await ada.complete_task(task_id=task, attempt=1, result="done before the stop, told after it")

    assert (await owner.get_task(task_id=task))["status"] == "completed"
    require_memory_equals_store(world)


async def test_the_best_other_agent_lives_can_may_and_has_the_least_to_do(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", capabilities=["python"])
    python: dict[str, Any] = {"capabilities": ["python"]}
    await world.agent("silent", **python)
    heard = {
        "rex": await world.agent("rex", Role.REVIEWER, **python),
        "rusty": await world.agent("rusty", capabilities=["rust"]),
        "fenced": await world.agent("fenced", allowed_paths=["docs/"], **python),
        "paused": await world.agent("paused", **python),
        "busy": await world.agent("busy", **python),
        "broad": await world.agent("broad", capabilities=["python", "sql"]),
        "fit": await world.agent("fit", **python),
    }
    for agent in heard.values():
        await agent.heartbeat(status="idle")
    await owner.pause(scope="agent", agent_id="paused", reason="Looked at.")
    await _claimed(owner, heard["busy"])
    task = await _claimed(owner, ada, requires=["python"], files=["src/a.py"])

    first = await owner.reassign_task(task_id=task, grace_s=0, **WHY)
    another = await owner.create_task(title="y", requires=["python"], files=["src/b.py"])
    second = await owner.reassign_task(task_id=another["id"], **WHY)

    assert (first["agent_id"], second["agent_id"]) == ("fit", "ada")


async def test_where_no_other_agent_can_take_it_the_reasons_are_told_and_nothing_changes(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await _claimed(owner, ada, files=["src/a.py"])
    alone = await refusal("not_ready", owner.reassign_task(task_id=task, **WHY))
    assert alone.facts["reasons"] == {}
    rex, fenced = await world.agent("rex", Role.REVIEWER), await world.agent("fenced", allowed_paths=["docs/"])
    await world.agent("silent")
    for who in (rex, fenced):
        await who.heartbeat(status="idle")
    before = await last_event(world)

    refused = await refusal("not_ready", owner.reassign_task(task_id=task, **WHY))

    assert refused.facts["reasons"] == {
        "not heard of lately": 1,
        "not allowed on its files": 1,
        "reviewer by role, which claims nothing": 1,
    }
    assert await last_event(world) == before
    for name in ("rex", "fenced", "ada"):
        assert (await refusal("invalid", owner.reassign_task(task_id=task, agent_id=name, **WHY))).facts[
            "argument"
        ] == "agent_id"
    await refusal("not_found", owner.reassign_task(task_id=task, agent_id="nobody", **WHY))
    assert (await owner.reassign_task(task_id=task, agent_id="silent", **WHY))["agent_id"] == "silent"


async def test_a_task_is_reassigned_three_times_at_most(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    task = await owner.create_task(title="x")
    for _ in range(3):
        await owner.reassign_task(task_id=task["id"], agent_id="ada", **WHY)

    refused = await refusal("illegal_move", owner.reassign_task(task_id=task["id"], agent_id="ada", **WHY))

    assert (refused.facts["reassignments"], refused.facts["most"]) == (3, 3)


async def test_what_is_closed_or_in_review_is_not_reassigned_and_only_leads_and_people_may(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    done, review = await _claimed(owner, ada), await _claimed(owner, ada)
    await ada.complete_task(task_id=done, attempt=1, result="x")
    await owner.update_project(settings={"require_review": True})
    await ada.complete_task(task_id=review, attempt=1, result="x")

    for task in (done, review):
        await refusal("illegal_move", owner.reassign_task(task_id=task, agent_id="bob", **WHY))
    await refusal("not_found", owner.reassign_task(task_id="tsk_0000000000", **WHY))
    held = await _claimed(owner, ada)
    for who in (ada, world.person(Role.VIEWER)):
        await refusal("forbidden", who.reassign_task(task_id=held, agent_id="bob", **WHY))
    lead = await world.agent("lea", Role.LEAD)
    assert (await lead.reassign_task(task_id=held, agent_id="bob", **WHY))["agent_id"] == "bob"


async def test_a_holder_that_is_lost_in_its_grace_leaves_the_task_to_the_chosen_one(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await _claimed(owner, ada, lease_s=30)
    await owner.reassign_task(task_id=task, agent_id="bob", grace_s=3600, **WHY)

    await world.elapse(31)

    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["assigned_to"], seen["attempts"][0]["outcome"]) == ("pending", "bob", "lease_expired")
    await world.elapse(10)
    assert (await bob.claim_task())["attempt"] == 2


async def _claimed(owner: Who, agent: Who, *, lease_s: int = 3000, **particulars: Any) -> str:
    task_id: str = (await owner.create_task(title="x", **particulars))["id"]
    await agent.claim_task(task_id=task_id, lease_s=lease_s)
    return task_id


async def test_correcting_the_time_of_grace_does_not_count_as_another_move(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await (await world.agent("bob")).heartbeat(status="idle")
    task = await owner.create_task(title="Write")
    await ada.claim_task(task_id=task["id"])

    for grace_s in (60, 600, 1200, 1800, 2400):
        told = await owner.reassign_task(task_id=task["id"], agent_id="bob", grace_s=grace_s, reason="vacation")

    assert told["agent_id"] == "bob"
