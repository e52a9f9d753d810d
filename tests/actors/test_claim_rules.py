"""Claims by what a project chose: load, subtasks, partial matches; reservations that lapse; after a restart."""

from __future__ import annotations

import itertools

import pytest

from actors import claims
from tests.actors.looking import refusal, require_memory_equals_store, restart
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_an_agent_that_holds_as_much_as_the_project_allows_gets_nothing_more_until_it_finishes(
    world: World,
) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await owner.update_project(settings={"max_held_tasks": 2})
    made = []
    for number in range(4):
        made.append((await owner.create_task(title=str(number)))["id"])
        await world.elapse(1)
    held = made[:2]
    for task_id in held:
        await ada.claim_task(task_id=task_id)
        await world.elapse(1)

    refused = await refusal("nothing_ready", ada.claim_task())
    assert (refused.facts["reasons"], refused.facts["holding"]) == ({"load": 2}, held)
    refused = await refusal("not_ready", ada.claim_task(task_id=made[2]))
    assert (refused.facts["obstacle"], refused.facts["holding"]) == ("load", held)
    assert all(task_id in refused.fault["message"] for task_id in held)
    assert (await bob.claim_task())["task"]["id"] == made[2], "another agent's load is its own"
    await ada.complete_task(task_id=held[0], attempt=1, result="x")
    assert (await ada.claim_task())["task"]["id"] == made[3]


async def test_a_task_that_completes_with_its_subtasks_is_not_claimed_while_one_is_open(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"complete_parents": True})
    parent = await owner.create_task(title="parent", priority="critical")
    children = [
        (await owner.create_task(title=str(number), parent_id=parent["id"], priority="low"))["id"]
        for number in range(2)
    ]

    refused = await refusal("not_ready", ada.claim_task(task_id=parent["id"]))
    assert refused.facts["obstacle"] == "subtasks"
    assert sorted(refused.facts["open_subtasks"]) == sorted(children)
    got = [(await ada.claim_task())["task"]["id"] for _ in range(2)]
    assert sorted(got) == sorted(children)
    assert (await refusal("nothing_ready", ada.claim_task())).facts["reasons"] == {"subtasks": 1}
    await owner.update_project(settings={"complete_parents": False})
    assert (await ada.claim_task())["task"]["id"] == parent["id"]
    require_memory_equals_store(world)


async def test_a_parent_whose_subtasks_were_all_cancelled_can_be_claimed(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"complete_parents": True})
    parent = await owner.create_task(title="parent")
    child = await owner.create_task(title="child", parent_id=parent["id"])

    await owner.update_task(task_id=child["id"], status="cancelled")

    assert (await ada.claim_task())["task"]["id"] == parent["id"]


async def test_where_a_partial_match_is_allowed_full_ones_go_first_and_then_those_that_miss_least(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", capabilities=["python"])
    for title, requires in [("two missing", ["rust", "go"]), ("one missing", ["python", "rust"]), ("none", [])]:
        await owner.create_task(title=title, requires=requires)
        await world.elapse(1)
    urgent = await owner.create_task(title="urgent", requires=["rust", "go", "sql"], priority="high")
    assert (await ada.claim_task())["task"]["title"] == "none"
    assert (await refusal("nothing_ready", ada.claim_task())).facts["reasons"] == {"missing_capability": 3}

    await owner.update_project(settings={"partial_match": True})
    await owner.create_task(title="full", requires=["python"])
    got = [(await ada.claim_task())["task"]["title"] for _ in range(4)]

    assert got == [urgent["title"], "full", "one missing", "two missing"]


async def test_a_reservation_that_lapses_lets_others_claim_when_they_were_told_to_ask_again(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await world.agent("bob")
    task = await owner.create_task(title="x")
    await owner.reassign_task(task_id=task["id"], agent_id="bob", reason="he knows it")
    refused = await refusal("not_ready", ada.claim_task(task_id=task["id"]))
    assert (refused.facts["obstacle"], refused.facts["assigned_to"]) == ("assigned_elsewhere", "bob")
    assert refused.fault["wait_s"] == 900

    refused = await refusal("nothing_ready", ada.claim_task())
    assert refused.facts["reasons"] == {"assigned_elsewhere": 1}
    assert refused.fault["wait_s"] == 60, "when nothing is ready for long, a minute costs little"
    await world.elapse(870)
    refused = await refusal("nothing_ready", ada.claim_task())
    assert refused.fault["wait_s"] == 30
    await world.elapse(30)

    assert (await ada.claim_task())["task"]["id"] == task["id"]
    require_memory_equals_store(world)


async def test_a_claim_after_a_restart_chooses_as_before(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", capabilities=["python"])
    await owner.update_project(settings={"complete_parents": True})
    parent = await owner.create_task(title="parent", priority="critical")
    await owner.create_task(title="child", parent_id=parent["id"])
    await owner.create_task(title="fits", requires=["python"])
    await owner.create_task(title="waits", priority="high", dependencies=[parent["id"]])
    await owner.create_task(title="bob's", priority="high", assigned_to="bob")

    await restart(world, 5)

    assert [(await ada.claim_task())["task"]["title"] for _ in range(2)] == ["fits", "child"]
    refused = await refusal("nothing_ready", ada.claim_task())
    assert refused.facts["reasons"] == {"subtasks": 1, "dependencies": 1, "assigned_elsewhere": 1}


async def test_what_is_dear_to_compare_is_looked_at_for_a_while_and_not_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await bob.acquire_lock(paths=["src/"])
    for number in range(5):
        await owner.create_task(title=str(number), priority="high", files=[f"src/{number}.py"])
    free = (await owner.create_task(title="free", files=["docs/"]))["id"]
    seconds = itertools.count()
    monkeypatch.setattr("actors.claims.monotonic", lambda: float(next(seconds)))

    monkeypatch.setattr(claims, "MOST_CHOICE_S", 2.5)
    refused = await refusal("nothing_ready", ada.claim_task())
    monkeypatch.setattr(claims, "MOST_CHOICE_S", 60.0)

    assert refused.facts["reasons"] == {"files_leased": 3}
    assert (await ada.claim_task())["task"]["id"] == free
