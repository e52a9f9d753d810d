"""Reviews: what is handed in frees its files and no dependants, and somebody else accepts it or sends it back."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, refusal, require_memory_equals_store, restart
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_a_completion_is_handed_in_with_its_locks_freed_and_its_dependants_not(world: World) -> None:
    owner, ada, _ = await _reviewed(world)
    task = await owner.create_task(title="x", files=["a.py"])
    after = await owner.create_task(title="After", dependencies=[task["id"]])
    claimed = await ada.claim_task(task_id=task["id"])
    before = await last_event(world)

    done = await ada.complete_task(task_id=task["id"], attempt=1, result="done", evidence={"commit": "0123abc"})

    assert (done["task"]["status"], done["task"]["result"]) == ("in_review", "done")
    assert (done["unblocked"], done["released"]) == ([], [claimed["locks"][0]["id"]])
    written = {event["kind"]: event["facts"] for event in await events(world, since=before)}
    assert sorted(written) == ["lock.released", "task.submitted"]
    assert (written["task.submitted"]["commit"], written["task.submitted"]["agent_id"]) == ("0123abc", "ada")
    seen = await owner.get_task(task_id=task["id"])
    assert [one["outcome"] for one in seen["attempts"]] == ["submitted"]
    assert (await owner.get_task(task_id=after["id"]))["blocked_by"] == [task["id"]]
    assert (await _agent(owner, "ada"))["status"] == "idle"
    assert [one["id"] for one in (await owner.list_tasks(status=["in_review"]))["items"]] == [task["id"]]
    require_memory_equals_store(world)


async def test_what_is_in_review_is_nobodys_to_claim_or_to_complete_again(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await _handed_in(owner, ada)

    await refusal("not_ready", ada.claim_task(task_id=task))
    await refusal("nothing_ready", ada.claim_task())
    refused = await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="again"))
    assert "handed" in refused.fault["message"]
    for status in ("pending", "failed", "in_progress"):
        await refusal("illegal_move", owner.update_task(task_id=task, status=status))
    await refusal("forbidden", rex.update_task(task_id=task, note="x"))


async def test_an_accepted_result_completes_the_task_and_frees_its_dependants(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await _handed_in(owner, ada)
    after = await owner.create_task(title="After", dependencies=[task])
    before = await last_event(world)

    reviewed = await rex.review_task(task_id=task, verdict="accept", note="Clean.")

    assert (reviewed["task"]["status"], reviewed["task"]["reviewed_by"]) == ("completed", "agent:rex")
    assert (reviewed["task"]["result"], reviewed["unblocked"]) == ("done", [after["id"]])
    written = await events(world, since=before)
    assert [event["kind"] for event in written] == ["task.completed"]
    assert written[0]["actor"] == "agent:rex"
    assert written[0]["facts"]["agent_id"] == "ada"
    assert (await ada.claim_task())["task"]["id"] == after["id"]
    for verdict in ("accept", "send_back"):
        await refusal("illegal_move", rex.review_task(task_id=task, verdict=verdict, note="x"))
    require_memory_equals_store(world)


async def test_a_result_that_is_sent_back_is_pending_again_and_the_next_attempt_is_told_why(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await _handed_in(owner, ada, max_attempts=1)

    reviewed = await rex.review_task(task_id=task, verdict="send_back", note="The tests are missing.\nAll of them.")

    assert (reviewed["task"]["status"], reviewed["unblocked"]) == ("pending", [])
    assert "assigned_to" not in reviewed["task"]
    assert "The tests are missing." in reviewed["task"]["error"]
    told = (await ada.heartbeat(status="idle"))["notices"]
    assert [(one["kind"], task in one["text"], "tests are missing" in one["text"]) for one in told] == [
        ("sent_back", True, True)
    ]
    claimed = await ada.claim_task()
    assert (claimed["task"]["id"], claimed["attempt"]) == (task, 2)
    assert "The tests are missing." in claimed["context"]["last_error"]
    assert "reviewed_by" not in claimed["task"]
    done = await ada.complete_task(task_id=task, attempt=2, result="with tests")
    assert done["task"]["status"] == "in_review"
    await rex.review_task(task_id=task, verdict="accept")
    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["result"]) == ("completed", "with tests")
    assert [one["kind"] for one in seen["history"]][::-1] == [
        "task.created", "task.claimed", "task.submitted", "task.sent_back", "task.claimed", "task.submitted",
        "task.completed",
    ]  # fmt: skip
    require_memory_equals_store(world)


async def test_sending_back_needs_a_note(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await _handed_in(owner, ada)

    for note in ({}, {"note": " \n"}):
        refused = await refusal("invalid", rex.review_task(task_id=task, verdict="send_back", **note))
        assert refused.facts["argument"] == "note"

    assert (await owner.get_task(task_id=task))["status"] == "in_review"


async def test_nobody_reviews_its_own_work_and_only_reviewers_leads_and_people_review(world: World) -> None:
    owner, ada, _ = await _reviewed(world)
    lead, bob = await world.agent("lea", Role.LEAD), await world.agent("bob")
    of_lead, of_ada = await _handed_in(owner, lead), await _handed_in(owner, ada)

    await refusal("forbidden", lead.review_task(task_id=of_lead, verdict="accept"))
    for who in (ada, bob, world.person(Role.VIEWER)):
        await refusal("forbidden", who.review_task(task_id=of_ada, verdict="accept"))

    assert (await lead.review_task(task_id=of_ada, verdict="accept"))["task"]["reviewed_by"] == "agent:lea"
    by_member = await world.person(Role.MEMBER).review_task(task_id=of_lead, verdict="accept")
    assert by_member["task"]["reviewed_by"].startswith("member:")


async def test_what_is_not_in_review_is_not_reviewed(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await owner.create_task(title="x")

    await refusal("illegal_move", rex.review_task(task_id=task["id"], verdict="accept"))
    await ada.claim_task(task_id=task["id"])
    await refusal("illegal_move", rex.review_task(task_id=task["id"], verdict="send_back", note="x"))
    await refusal("not_found", rex.review_task(task_id="tsk_0000000000", verdict="accept"))


async def test_what_is_in_review_can_be_cancelled_and_outlives_its_agent_and_a_restart(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    cancelled, kept = await _handed_in(owner, ada), await _handed_in(owner, ada)

    done = await owner.update_task(task_id=cancelled, status="cancelled")
    await world.elapse(10_000)
    await restart(world, 60)

    assert done["status"] == "cancelled"
    assert (await owner.get_task(task_id=kept))["status"] == "in_review"
    assert (await rex.review_task(task_id=kept, verdict="accept"))["task"]["status"] == "completed"
    require_memory_equals_store(world)


async def test_an_accepted_subtask_completes_its_parent(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    await owner.update_project(settings={"complete_parents": True})
    parent = await owner.create_task(title="Parent")
    after = await owner.create_task(title="After", dependencies=[parent["id"]])
    task = await _handed_in(owner, ada, parent_id=parent["id"])
    assert (await owner.get_task(task_id=parent["id"]))["status"] == "pending"

    reviewed = await rex.review_task(task_id=task, verdict="accept")

    assert reviewed["unblocked"] == [after["id"]]
    assert (await owner.get_task(task_id=parent["id"]))["status"] == "completed"


async def test_a_task_counts_for_its_agent_when_it_is_accepted(world: World) -> None:
    owner, ada, rex = await _reviewed(world)
    task = await _handed_in(owner, ada)
    assert _counts(world, "ada") == (1, 0)

    await rex.review_task(task_id=task, verdict="send_back", note="No.")
    await ada.claim_task(task_id=task)
    await ada.complete_task(task_id=task, attempt=2, result="done")
    await rex.review_task(task_id=task, verdict="accept")

    assert _counts(world, "ada") == (2, 1)


def _counts(world: World, agent_id: str) -> tuple[int, int]:
    with world.store.reading(world.organization.id) as tx:
        agent = next(one for one in tx.agents.of_project(world.project.id) if one.agent_id == agent_id)
    return agent.tasks_claimed, agent.tasks_completed


async def _reviewed(world: World) -> tuple[Who, Who, Who]:
    owner = world.person()
    await owner.update_project(settings={"require_review": True})
    return owner, await world.agent("ada"), await world.agent("rex", Role.REVIEWER)


async def _handed_in(owner: Who, agent: Who, **particulars: Any) -> str:
    task_id: str = (await owner.create_task(title="x", **particulars))["id"]
    claimed = await agent.claim_task(task_id=task_id)
    await agent.complete_task(task_id=task_id, attempt=claimed["attempt"], result="done")
    return task_id


async def _agent(who: Who, agent_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in (await who.list_agents())["items"] if one["agent_id"] == agent_id)
    return found


async def test_reviewers_are_told_that_a_result_waits_for_them(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    rex = await world.agent("rex", Role.REVIEWER)
    await rex.heartbeat(status="idle")
    await owner.update_project(settings={"require_review": True})
    task = await owner.create_task(title="Write")
    await ada.claim_task(task_id=task["id"])

    await ada.complete_task(task_id=task["id"], attempt=1, result="written")

    assert [notice["kind"] for notice in (await rex.heartbeat(status="idle"))["notices"]] == ["review"]
    step = (await rex.start_session())["next"][0]
    assert (step["tool"], step["args"]) == ("list_tasks", {"status": ["in_review"]})
    assert (await ada.heartbeat(status="idle"))["notices"] == []
