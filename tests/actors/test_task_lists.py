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


async def test_where_subtasks_complete_their_parent_it_is_not_ready_before_them(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    parent = await owner.create_task(title="parent", parent_id=(await owner.create_task(title="top"))["id"])
    child = await owner.create_task(title="child", parent_id=parent["id"], max_attempts=1)
    assert len((await owner.list_tasks(ready=True))["items"]) == 3

    await owner.update_project(settings={"complete_parents": True})
    assert [one["id"] for one in (await owner.list_tasks(ready=True))["items"]] == [child["id"]]
    await ada.claim_task(task_id=child["id"])
    await ada.update_task(task_id=child["id"], attempt=1, status="failed", note="x")

    assert [one["id"] for one in (await owner.list_tasks(ready=True))["items"]] == [parent["id"]]


async def test_lists_are_narrowed_by_parent_and_by_when_tasks_are_due(world: World) -> None:
    owner = world.person()
    parent = await owner.create_task(title="parent", due_at="2026-12-02T00:00:00Z")
    child = await owner.create_task(title="child", parent_id=parent["id"], due_at="2026-12-01T00:00:00Z")
    await owner.create_task(title="grandchild", parent_id=child["id"])

    async def found(**narrowed: Any) -> list[str]:
        return sorted(task["title"] for task in (await owner.list_tasks(**narrowed))["items"])

    assert await found(parent_id=parent["id"]) == ["child"]
    assert await found(parent_id="nonsense") == []
    assert await found(due_before="2026-12-01T00:00:00Z") == []
    assert await found(due_before="2026-12-01T00:00:00.000001Z") == ["child"]
    assert await found(due_before="2026-12-31T00:00:00+01:00", parent_id=parent["id"]) == ["child"]


async def test_a_list_cuts_long_texts_unless_the_whole_is_asked_for(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    long, fits = "ä" * 201, "b" * 200
    task = await owner.create_task(title="x", description=long)
    await ada.claim_task(task_id=task["id"])
    await ada.update_task(task_id=task["id"], attempt=1, note=fits)
    await ada.complete_task(task_id=task["id"], attempt=1, result=long)

    short = (await owner.list_tasks())["items"][0]
    full = (await owner.list_tasks(detail="full"))["items"][0]

    assert (short["description"], short["note"], short["result"]) == ("ä" * 199 + "…", fits, "ä" * 199 + "…")
    assert (full["description"], full["note"], full["result"]) == (long, fits, long)
    assert (await owner.get_task(task_id=task["id"]))["result"] == long
    await refusal("invalid", owner.list_tasks(detail="more"))


async def test_a_dead_letter_is_found_and_shows_the_error_of_every_attempt(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x", max_attempts=2)
    for attempt in (1, 2):
        await ada.claim_task(task_id=task["id"])
        await ada.update_task(task_id=task["id"], attempt=attempt, status="failed", note=f"broke {attempt}")
        await world.elapse(10)

    assert [one["id"] for one in (await owner.list_tasks(status=["failed"]))["items"]] == [task["id"]]
    seen = await owner.get_task(task_id=task["id"])
    assert [(one["outcome"], one["error"]) for one in seen["attempts"]] == [
        ("failed", "broke 1"),
        ("failed", "broke 2"),
    ]


async def test_a_task_shows_its_newest_twenty_changes_with_who_did_them(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x")
    await owner.create_task(title="another")
    await ada.claim_task(task_id=task["id"])
    for number in range(19):
        await ada.update_task(task_id=task["id"], attempt=1, note=str(number))

    history = (await owner.get_task(task_id=task["id"]))["history"]

    assert [one["facts"].get("note") for one in history] == [*(str(number) for number in range(18, -1, -1)), None]
    assert [one["kind"] for one in history] == ["task.updated"] * 19 + ["task.claimed"]
    assert {one["actor"] for one in history} == {"agent:ada"}
    assert [one["number"] for one in history] == sorted((one["number"] for one in history), reverse=True)


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
