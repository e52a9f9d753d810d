"""Explaining: which task an agent would get and why not another, in agreement with what claim_task then gives."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from actors.reading.table import READERS
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import outcome, refusal
from tests.support.world import Refused, Who, World

pytestmark = pytest.mark.anyio


async def test_an_agent_is_told_why_it_gets_a_task_and_why_not_the_others(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada", capabilities=["python"]), await world.agent("bob")
    await bob.acquire_lock(paths=["docs/"], ttl_s=600)
    ids = {}
    wanted: dict[str, dict[str, Any]] = {
        "leased": {"priority": "critical", "files": ["docs/a.md"]},
        "best": {"priority": "high", "requires": ["python"], "files": ["src/a.py"]},
        "plain": {"priority": "high"},
        "demanding": {"requires": ["rust"]},
        "bob's": {"assigned_to": "bob"},
    }
    for title, particulars in wanted.items():
        ids[title] = (await owner.create_task(title=title, **particulars))["id"]
        await world.elapse(1)
    ids["waits"] = (await owner.create_task(title="waits", dependencies=[ids["plain"]]))["id"]

    told = await ada.explain_task()

    assert told["agent_id"] == "ada"
    assert told["chosen"] == {
        "task_id": ids["best"],
        "title": "best",
        "reasons": [
            "priority high",
            "requires python, all there",
            "its files are free",
            f"before {ids['plain']}: it matches the capabilities more closely",
        ],
    }
    assert {each["title"]: (each.get("place"), each.get("obstacle"), each["sentence"]) for each in told["others"]} == {
        "leased": (1, "files_leased", _ending(told, "leased", "touches files that bob leases until ")),
        "plain": (3, None, f"comes after {ids['best']}, which matches the capabilities more closely"),
        "demanding": (None, "missing_capability", "requires rust, which ada does not have"),
        "bob's": (None, "assigned_elsewhere", "is kept for bob"),
        "waits": (None, "dependencies", f"waits for {ids['plain']} (pending)"),
    }
    assert (await ada.claim_task())["task"]["id"] == ids["best"]


async def test_why_not_this_one_is_answered_for_that_one_alone(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    first = (await owner.create_task(title="first"))["id"]
    await world.elapse(1)
    second = (await owner.create_task(title="second"))["id"]
    held = (await owner.create_task(title="held"))["id"]
    await bob.claim_task(task_id=held)
    gone = (await owner.create_task(title="gone"))["id"]
    await owner.update_task(task_id=gone, status="cancelled")

    async def others(task_id: str) -> list[str]:
        told = await owner.explain_task(task_id=task_id, agent_id="ada")
        assert told["chosen"]["task_id"] == first
        return [each["sentence"] for each in told["others"]]

    assert await others(first) == []
    assert await others(second) == [f"comes after {first}, which is older"]
    assert await others(held) == ["is claimed by bob"]
    assert await others(gone) == ["is cancelled"]
    assert (await ada.claim_task())["task"]["id"] == first


async def test_waiting_and_a_reservation_are_told_as_reasons(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", capabilities=["python"])
    await owner.update_project(settings={"partial_match": True})
    await owner.create_task(title="x", assigned_to="ada", requires=["python", "rust"])
    await world.elapse(2 * 3600)

    told = await ada.explain_task()

    assert told["chosen"]["reasons"] == [
        "priority medium, raised 2 step(s) by waiting",
        "kept for ada",
        "requires python, rust, 1 of them missing, which this project allows",
    ]


async def test_a_load_a_budget_and_paths_are_told_as_obstacles(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", allowed_paths=["src/"])
    await owner.set_quota(scope="organization", limit_usd=5)
    dear = await owner.create_task(title="dear", estimated_cost_usd=6)
    outside = await owner.create_task(title="outside", files=["docs/"])
    fine = await owner.create_task(title="fine")

    async def obstacle(task: dict[str, Any]) -> tuple[str, str]:
        other = (await ada.explain_task(task_id=task["id"]))["others"][0]
        return other["obstacle"], other["sentence"]

    assert await obstacle(dear) == ("budget", "would pass a budget that bounds ada")
    assert await obstacle(outside) == ("outside_paths", "touches files outside the paths that ada may touch")
    await ada.claim_task(task_id=fine["id"])
    another = await owner.create_task(title="another")
    await owner.update_project(settings={"max_held_tasks": 1})
    assert await obstacle(another) == (
        "load",
        f"would be one too many: ada holds {fine['id']} and must finish one first",
    )
    assert "chosen" not in await ada.explain_task()
    await refusal("nothing_ready", ada.claim_task())


async def test_a_task_with_open_subtasks_names_them(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"complete_parents": True})
    parent = await owner.create_task(title="parent")
    child = await owner.create_task(title="child", parent_id=parent["id"])

    told = await ada.explain_task(task_id=parent["id"])

    assert told["others"][0]["obstacle"] == "subtasks"
    assert told["others"][0]["sentence"] == f"completes with its 1 open subtask(s), {child['id']}"


async def test_a_free_task_that_goes_before_a_leased_one_of_the_same_weight_says_so(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await owner.update_project(conflict_strategy="merge")
    await bob.acquire_lock(paths=["src/"])
    leased = await owner.create_task(title="leased", files=["src/a.py"])
    await world.elapse(1)
    free = await owner.create_task(title="free", files=["docs/a.md"])

    told = await ada.explain_task()
    assert told["chosen"]["task_id"] == free["id"]
    assert [(each["task_id"], each["obstacle"]) for each in told["others"]] == [(leased["id"], "files_leased")]
    await ada.claim_task()

    told = await ada.explain_task()
    assert told["chosen"]["task_id"] == leased["id"]
    assert "others lease its files, which this project allows" in told["chosen"]["reasons"]


async def test_it_must_be_said_for_whom_and_that_one_must_be_able_to_claim(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    rex = await world.agent("rex", Role.REVIEWER)
    task = await owner.create_task(title="x")

    assert (await refusal("invalid", owner.explain_task())).facts["argument"] == "agent_id"
    assert (await refusal("invalid", rex.explain_task())).facts["role"] == "reviewer"
    assert (await rex.explain_task(agent_id="ada"))["chosen"]["task_id"] == task["id"]
    await refusal("not_found", owner.explain_task(agent_id="nobody"))
    await refusal("not_found", ada.explain_task(task_id="tsk_0000000000"))
    other = await owner.create_project(name="Other")
    foreign = await owner.create_task(title="y", project_id=other["id"])
    await refusal("not_found", ada.explain_task(task_id=foreign["id"]))


async def test_at_most_twenty_others_are_told(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    for number in range(30):
        await owner.create_task(title=str(number), requires=["rust"] if number % 2 else [])

    told = await ada.explain_task()

    assert [each.get("place") for each in told["others"]] == [*range(2, 12), *[None] * 10]


async def test_however_many_ask_others_are_answered_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x")
    goes_on, explain = threading.Event(), READERS["explain_task"]

    def slowly(request: Any, read: Any) -> Any:
        goes_on.wait(10)
        return explain(request, read)

    monkeypatch.setitem(READERS, "explain_task", slowly)
    asking = [asyncio.create_task(ada.explain_task()) for _ in range(8)]
    await asyncio.sleep(0.05)

    async with asyncio.timeout(5):
        seen = await owner.get_task(task_id=task["id"])
    goes_on.set()
    told = await asyncio.gather(*asking)

    assert seen["id"] == task["id"]
    assert {each["chosen"]["task_id"] for each in told} == {task["id"]}


async def test_explaining_changes_nothing(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x", files=["a.py"])
    before = (await owner.list_events(limit=1))["items"]

    for _ in range(2):
        assert (await ada.explain_task())["chosen"]["task_id"] == task["id"]

    assert (await owner.list_events(limit=1))["items"] == before
    assert (await owner.list_locks())["items"] == []


@pytest.mark.parametrize("seed", range(3))
async def test_claim_task_gives_exactly_what_was_explained_whatever_the_project_chose(
    make_world: MakeWorld, seed: int
) -> None:
    chance = random.Random(seed)
    world = make_world(CONDUCTOR_TASKS__AGING_S="120")
    owner = world.person()
    skills = ["python", "rust", "sql"]
    agents = {
        name: await world.agent(name, capabilities=chance.sample(skills, 2), allowed_paths=["src/", "docs/"])
        for name in ("ada", "bob", "eve")
    }
    await owner.set_quota(scope="organization", limit_usd=20)
    await agents["eve"].acquire_lock(paths=["src/a.py"], ttl_s=900)
    made: list[str] = []
    compared = 0
    for step in range(40):
        if step % 8 == 0:
            await owner.update_project(
                conflict_strategy=chance.choice(["lock", "merge"]),
                settings={
                    "partial_match": chance.random() < 0.5,
                    "complete_parents": chance.random() < 0.5,
                    "max_held_tasks": chance.choice([2, 5]),
                },
            )
        for _ in range(2):
            made.append(await _made(owner, chance, skills, made))
        await world.elapse(chance.choice([0, 1, 40, 130]))
        name = chance.choice(list(agents))
        told = await agents[name].explain_task()

        claimed = await _claimed(agents[name])
        assert told.get("chosen", {}).get("task_id") == claimed, f"seed {seed} step {step}: {told}"
        if claimed is None:
            continue
        compared += 1
        ending = chance.choice(["completed", "failed", None])
        if ending == "completed":
            await outcome(agents[name].complete_task(task_id=claimed, attempt=1, result="x"))
        elif ending == "failed":
            await outcome(agents[name].update_task(task_id=claimed, attempt=1, status="failed", note="x"))
    assert compared > 10


async def _claimed(agent: Who) -> str | None:
    """Claim the best task; None: nothing could be had."""
    try:
        claimed: str = (await agent.claim_task())["task"]["id"]
    except Refused as refused:
        if refused.code not in {"nothing_ready", "budget_exceeded"}:
            raise
        return None
    return claimed


async def _made(owner: Who, chance: random.Random, skills: list[str], made: list[str]) -> str:
    particulars: dict[str, Any] = {
        "priority": chance.choice(["critical", "high", "medium", "low"]),
        "requires": chance.sample(skills, chance.choice([0, 0, 1, 2])),
        "files": chance.choice([[], ["src/a.py"], ["src/"], ["docs/b.md"], ["other/"]]),
        "dependencies": chance.sample(made, chance.choice([0, 0, 1])) if made else [],
        "estimated_cost_usd": chance.choice([1, 1, 30]),
    }
    if chance.random() < 0.4:
        particulars["assigned_to"] = chance.choice(["ada", "bob"])
    if made and chance.random() < 0.2:
        parent = chance.choice(made)
        # A parent that is closed by now takes no subtask.
        if (await owner.get_task(task_id=parent))["status"] == "pending":
            particulars["parent_id"] = parent
    task_id: str = (await owner.create_task(title=f"task {len(made)}", **particulars))["id"]
    return task_id


def _ending(told: dict[str, Any], title: str, beginning: str) -> str:
    """Give a sentence that ends with a time of the day, after seeing that it begins as it should."""
    sentence: str = next(each["sentence"] for each in told["others"] if each["title"] == title)
    assert sentence.startswith(beginning)
    return sentence


async def test_a_pause_is_the_whole_explanation(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    await owner.create_task(title="Ready")
    await owner.pause(reason="release")

    told = await owner.explain_task(agent_id="ada")

    assert told["standstill"] == "the project is paused: release"
    assert "chosen" not in told
    assert (await owner.get_project())["pause"]["reason"] == "release"
