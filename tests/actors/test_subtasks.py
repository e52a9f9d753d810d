"""Subtasks: cancelled with their parent, completing it where the project says so, and never below what is closed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actors.looking import events, last_event, refusal, require_memory_equals_store
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

MOST_DEPTH = 16


async def test_cancelling_a_task_cancels_all_that_is_open_below_it_with_one_event_each(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    top = await owner.create_task(title="Top")
    done, held, pending = [await owner.create_task(title=title, parent_id=top["id"]) for title in ("d", "h", "p")]
    deep = await owner.create_task(title="deep", parent_id=pending["id"])
    other = await owner.create_task(title="Other", dependencies=[deep["id"]])
    await _finish(bob, done["id"])
    await ada.claim_task(task_id=held["id"])
    before = await last_event(world)

    cancelled = await owner.update_task(task_id=top["id"], status="cancelled", note="no longer wanted")

    assert (cancelled["status"], cancelled["note"]) == ("cancelled", "no longer wanted")
    stands = {one["id"]: one["status"] for one in (await owner.list_tasks())["items"]}
    assert stands == dict.fromkeys([top["id"], held["id"], pending["id"], deep["id"]], "cancelled") | {
        done["id"]: "completed",
        other["id"]: "pending",
    }
    written = await events(world, since=before, kind=["task.cancelled"])
    assert sorted(event["subject_id"] for event in written) == sorted(
        [top["id"], held["id"], pending["id"], deep["id"]]
    )
    assert {event["subject_id"]: event["facts"].get("with_parent") for event in written}[deep["id"]] == pending["id"]
    assert top["id"] in (await owner.get_task(task_id=held["id"]))["error"]
    assert (await owner.get_task(task_id=other["id"]))["blocked_by"] == [deep["id"]]
    assert [notice["kind"] for notice in (await ada.heartbeat(status="idle"))["notices"]] == ["task_cancelled"]
    await refusal("stale_attempt", ada.complete_task(task_id=held["id"], attempt=1, result="late"))
    require_memory_equals_store(world)


async def test_who_cancels_its_own_task_is_not_told_of_it(world: World) -> None:
    ada = await world.agent("ada")
    task = await world.person().create_task(title="x")
    await ada.claim_task(task_id=task["id"])

    await ada.update_task(task_id=task["id"], attempt=1, status="cancelled")

    assert (await ada.heartbeat(status="idle"))["notices"] == []


async def test_a_parent_completes_with_its_last_subtask_in_the_same_commit_and_on_upwards(world: World) -> None:
    owner, ada = await _with_completing_parents(world)
    top = await owner.create_task(title="Top")
    middle = await owner.create_task(title="Middle", parent_id=top["id"])
    leaves = [await owner.create_task(title=f"leaf {number}", parent_id=middle["id"]) for number in range(2)]
    after = await owner.create_task(title="After", dependencies=[top["id"]])
    first = await _finish(ada, leaves[0]["id"])
    assert first["unblocked"] == []
    before = await last_event(world)

    last = await _finish(ada, leaves[1]["id"])

    assert last["unblocked"] == [after["id"]]
    for task, told in ((middle, "All 2 subtasks are completed."), (top, "The subtask is completed.")):
        seen = await owner.get_task(task_id=task["id"])
        assert (seen["status"], seen["result"], seen["attempts"]) == ("completed", told, [])
    written = await events(world, since=before, kind=["task.completed"])
    assert [event["subject_id"] for event in written] == [leaves[1]["id"], middle["id"], top["id"]]
    assert written[2]["facts"]["unblocked"] == [after["id"]]
    assert (await ada.claim_task())["task"]["id"] == after["id"]
    require_memory_equals_store(world)


async def test_without_the_setting_a_parent_is_a_task_like_others(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    parent = await owner.create_task(title="Parent")
    child = await owner.create_task(title="Child", parent_id=parent["id"])

    await _finish(ada, child["id"])

    assert (await ada.claim_task(task_id=parent["id"]))["task"]["status"] == "claimed"


async def test_a_failed_subtask_keeps_its_parent_open_and_a_cancelled_one_does_not(world: World) -> None:
    owner, ada = await _with_completing_parents(world)
    parents, children = [], []
    for _ in range(2):
        parents.append(await owner.create_task(title="Parent"))
        children.append(
            [
                await owner.create_task(title=title, parent_id=parents[-1]["id"], max_attempts=1)
                for title in ("one", "other")
            ]
        )
        await _finish(ada, children[-1][0]["id"])

    await ada.claim_task(task_id=children[0][1]["id"])
    await ada.update_task(task_id=children[0][1]["id"], attempt=1, status="failed", note="cannot be done")
    await owner.update_task(task_id=children[1][1]["id"], status="cancelled")

    assert (await owner.get_task(task_id=parents[0]["id"]))["status"] == "pending"
    closed = await owner.get_task(task_id=parents[1]["id"])
    assert (closed["status"], closed["result"]) == ("completed", "The subtask is completed; 1 more cancelled.")
    require_memory_equals_store(world)


async def test_a_parent_whose_subtasks_were_all_cancelled_is_not_completed(world: World) -> None:
    owner, _ = await _with_completing_parents(world)
    parent = await owner.create_task(title="Parent")
    children = [await owner.create_task(title="x", parent_id=parent["id"]) for _ in range(2)]

    await owner.close_tasks(task_ids=[child["id"] for child in children], reason="Not needed.")

    assert (await owner.get_task(task_id=parent["id"]))["status"] == "pending"


async def test_a_parent_that_waits_for_another_task_completes_when_that_does(world: World) -> None:
    owner, ada = await _with_completing_parents(world)
    needed = await owner.create_task(title="Needed")
    parent = await owner.create_task(title="Parent", dependencies=[needed["id"]])
    child = await owner.create_task(title="Child", parent_id=parent["id"])
    after = await owner.create_task(title="After", dependencies=[parent["id"]])
    await _finish(ada, child["id"])
    assert (await owner.get_task(task_id=parent["id"]))["status"] == "pending"

    done = await _finish(ada, needed["id"])

    assert done["unblocked"] == [after["id"]]
    assert (await owner.get_task(task_id=parent["id"]))["status"] == "completed"
    require_memory_equals_store(world)


async def test_a_subtask_that_would_wait_for_a_parent_that_waits_for_it_is_refused(world: World) -> None:
    owner, _ = await _with_completing_parents(world)
    top = await owner.create_task(title="Top")
    parent = await owner.create_task(title="Parent", parent_id=top["id"])
    after = await owner.create_task(title="After", dependencies=[top["id"]])
    child = await owner.create_task(title="Child", parent_id=parent["id"])

    for awaited in (parent, top, after):
        await refusal(
            "dependency_cycle",
            owner.create_task(title="Another", parent_id=parent["id"], dependencies=[awaited["id"]]),
        )
        await refusal("dependency_cycle", owner.update_task(task_id=child["id"], dependencies=[awaited["id"]]))
    await refusal(
        "dependency_cycle",
        owner.create_tasks(
            tasks=[
                {"name": "above", "title": "Above"},
                {"name": "after", "title": "After", "dependencies": ["above"]},
                {"name": "below", "title": "Below", "parent_id": "above", "dependencies": ["after"]},
            ]
        ),
    )


async def test_a_closed_parent_takes_no_new_subtask_and_none_is_reopened_below_it(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    parent = await owner.create_task(title="Parent")
    child = await owner.create_task(title="Child", parent_id=parent["id"])
    await _finish(ada, child["id"])
    await _finish(ada, parent["id"])

    refused = await refusal("invalid", owner.create_task(title="New", parent_id=parent["id"]))
    assert refused.facts["status"] == "completed"
    await refusal("invalid", owner.create_tasks(tasks=[{"title": "New", "parent_id": parent["id"]}]))
    await refusal("illegal_move", owner.update_task(task_id=child["id"], status="pending"))

    await owner.update_task(task_id=parent["id"], status="pending")
    assert (await owner.update_task(task_id=child["id"], status="pending"))["status"] == "pending"
    assert (await owner.create_task(title="New", parent_id=parent["id"]))["parent_id"] == parent["id"]


async def test_subtasks_lie_sixteen_levels_deep_at_most(world: World) -> None:
    owner = world.person()
    chain: list[dict[str, Any]] = [{"name": "0", "title": "0"}]
    chain += [{"name": str(level), "title": str(level), "parent_id": str(level - 1)} for level in range(1, MOST_DEPTH)]
    made = await owner.create_tasks(tasks=chain)
    deepest = made["created"][-1]["task_id"]

    await refusal("invalid", owner.create_task(title="too deep", parent_id=deepest))
    await refusal(
        "invalid",
        owner.create_tasks(tasks=[*chain, {"title": "too deep", "parent_id": str(MOST_DEPTH - 1)}]),
    )

    assert len((await owner.list_tasks(limit=100))["items"]) == MOST_DEPTH


async def test_a_circle_from_before_parents_were_completed_is_no_fault_of_a_new_list(world: World) -> None:
    owner = world.person()
    top = await owner.create_task(title="top")
    below = await owner.create_task(title="below", parent_id=top["id"], dependencies=[top["id"]])
    await owner.update_project(settings={"complete_parents": True})
    new = {"title": "new", "parent_id": "root", "dependencies": [below["id"]]}

    made = await owner.create_tasks(tasks=[{"title": "root", "name": "root"}, new])
    refused = await refusal(
        "dependency_cycle",
        owner.create_tasks(tasks=[{"title": "root", "name": "root"}, new, new | {"dependencies": ["root"]}]),
    )

    assert len(made["created"]) == 2
    assert refused.facts["cycle"][0] == refused.facts["cycle"][-1]
    assert set(refused.facts["cycle"]) == {"root", "new"}


async def _with_completing_parents(world: World) -> tuple[Who, Who]:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"complete_parents": True})
    return owner, ada


async def _finish(agent: Who, task_id: str) -> dict[str, Any]:
    claimed = await agent.claim_task(task_id=task_id)
    done: dict[str, Any] = await agent.complete_task(task_id=task_id, attempt=claimed["attempt"], result="done")
    return done
