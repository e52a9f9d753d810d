"""Lists of tasks: in which order, in pages, and narrowed by what people ask for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actors.looking import refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_lists_show_the_newest_first_and_pages_neither_repeat_nor_skip(world: World) -> None:
    owner = world.person()
    made = [(await owner.create_task(title=str(number)))["id"] for number in range(4)]
    for number in range(4, 7):
        await world.elapse(1)
        made.append((await owner.create_task(title=str(number)))["id"])

    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await owner.list_tasks(limit=3, **({} if cursor is None else {"cursor": cursor}))
        pages.append([task["id"] for task in page["items"]])
        cursor = page.get("next_cursor")
        if cursor is None:
            break
        await owner.create_task(title="a newcomer")

    assert [len(page) for page in pages] == [3, 3, 1]
    seen = [task_id for page in pages for task_id in page]
    assert seen[:3] == made[:3:-1]
    assert sorted(seen) == sorted(made)
    await refusal("invalid", owner.list_tasks(cursor="bm9uc2Vuc2U="))


async def test_lists_are_narrowed_by_state_priority_agent_tags_and_text(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    plain = await owner.create_task(title="Plain", description="with a Needle, 100% _sure_")
    urgent = await owner.create_task(title="Urgent NEEDLE", priority="critical", tags=["api", "db"])
    kept = await owner.create_task(title="Kept", assigned_to="bob", tags=["api"])
    held = await owner.create_task(title="Held", priority="low")
    await ada.claim_task(task_id=held["id"])

    async def found(**narrowed: Any) -> set[str]:
        return {task["id"] for task in (await owner.list_tasks(**narrowed))["items"]}

    everything = {plain["id"], urgent["id"], kept["id"], held["id"]}
    assert await found() == everything
    assert await found(status=["claimed"]) == {held["id"]}
    assert await found(status=["claimed", "pending"]) == everything
    assert await found(priority=["critical", "low"]) == {urgent["id"], held["id"]}
    assert await found(assigned_to="ada") == {held["id"]}
    assert await found(assigned_to="bob") == {kept["id"]}
    assert await found(tags=["api"]) == {urgent["id"], kept["id"]}
    assert await found(tags=["api", "db"]) == {urgent["id"]}
    assert await found(text="needle") == {plain["id"], urgent["id"]}
    assert await found(text="100% _sure_") == {plain["id"]}
    assert await found(text="%") == {plain["id"]}
    assert await found(text="needle", priority=["critical"], status=["claimed"]) == set()


async def test_the_list_of_ready_tasks_is_what_could_be_claimed_now(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    first = await owner.create_task(title="first")
    after = await owner.create_task(title="after", dependencies=[first["id"]])
    resting = await owner.create_task(title="resting")
    await ada.claim_task(task_id=resting["id"])
    await ada.update_task(task_id=resting["id"], attempt=1, status="failed", note="x")

    async def found(ready: bool) -> set[str]:
        return {task["id"] for task in (await owner.list_tasks(ready=ready))["items"]}

    assert await found(True) == {first["id"]}
    assert await found(False) == {after["id"], resting["id"]}
    await _finish(ada, first["id"])
    await world.elapse(5)
    assert await found(True) == {after["id"], resting["id"]}


async def test_a_list_by_an_odd_tag_finds_the_tasks_that_have_exactly_it(world: World) -> None:
    owner = world.person()
    tags = ['"', '","', "\\", "[", "]", "a,b", "ü", "日本", "'", "%", "_", 'say "hi"', " ", "\U0001f600"]
    bearers = {}

    for tag in tags:
        bearers[tag] = (await owner.create_task(title="bearer", tags=["x", tag, "y"]))["id"]
        await owner.create_task(title="other", tags=["x", "y", f"{tag}z", f"z{tag}"])

    for tag, bearer in bearers.items():
        found = await owner.list_tasks(tags=[tag])
        assert [task["id"] for task in found["items"]] == [bearer], f"tag {tag!r}"


async def _finish(agent: Who, task_id: str) -> dict[str, Any]:
    claimed = await agent.claim_task(task_id=task_id)
    done: dict[str, Any] = await agent.complete_task(task_id=task_id, attempt=claimed["attempt"], result="done")
    return done
