"""The log of events as callers read it, and the entries that they write into it themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def walk(who: Who, **wanted: Any) -> list[int]:
    """Read all pages of a list of events; gives the numbers in the order in which they came."""
    found: list[int] = []
    page = await who.list_events(**wanted)
    while True:
        found += [event["number"] for event in page["items"]]
        if "next_cursor" not in page:
            return found
        page = await who.list_events(**wanted, cursor=page["next_cursor"])


async def test_numbers_begin_at_one_and_have_no_gaps_however_many_write_at_once(world: World) -> None:
    agents = [await world.agent(f"a{number}") for number in range(4)]
    await asyncio.gather(*(who.log_action(action=f"{n}") for n in range(20) for who in agents))

    numbers = await walk(world.person(), since=0, limit=7)

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 80


async def test_without_since_the_newest_come_first_and_with_it_they_come_in_order(world: World) -> None:
    owner = world.person()
    for number in range(10):
        await owner.log_action(action=f"{number}")
    last = await last_event(world)

    assert await walk(owner, limit=3) == list(range(last, 0, -1))
    assert await walk(owner, since=last - 4, limit=3) == [last - 3, last - 2, last - 1, last]
    assert await walk(owner, since=last) == []
    assert await walk(owner, since=2**53 - 1) == []


async def test_since_a_time_means_from_that_time_on(world: World) -> None:
    owner = world.person()
    await owner.log_action(action="before")
    world.clock.move(60)
    at = (await owner.log_action(action="at"))["number"]
    world.clock.move(60)
    after = (await owner.log_action(action="after"))["number"]

    assert await walk(owner, since="2026-11-24T12:01:00Z") == [at, after]
    assert await walk(owner, since="2026-11-24T13:01:00.000001+01:00", limit=1) == [after]
    assert await walk(owner, since="2026-11-25T00:00:00Z") == []


async def test_events_are_told_by_kind_and_by_subject_in_pages(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    tasks = [await owner.create_task(title=f"{number}") for number in range(5)]
    await ada.claim_task(task_id=tasks[0]["id"])
    await ada.complete_task(task_id=tasks[0]["id"], attempt=1, result="done")

    made = await owner.list_events(kind=["task.created"], limit=200)
    story = await owner.list_events(subject_id=tasks[0]["id"], since=0)

    assert [event["subject_id"] for event in made["items"]] == [task["id"] for task in reversed(tasks)]
    assert [event["kind"] for event in story["items"]] == ["task.created", "task.claimed", "task.completed"]
    both = ["task.claimed", "task.completed"]
    assert len(await walk(owner, kind=both, limit=1)) == 2
    assert len(await walk(owner, kind=both, subject_id=tasks[1]["id"])) == 0


async def test_an_event_tells_who_did_what_to_what_and_when(world: World) -> None:
    ada = await world.agent("ada")
    world.clock.move(90)
    task = await world.person().create_task(title="x", project_id=world.project.id)
    await ada.claim_task(task_id=task["id"])

    claimed = (await events(world, kind=["task.claimed"]))[0]

    assert claimed["actor"] == "agent:ada"
    assert claimed["at"] == "2026-11-24T12:01:30Z"
    assert claimed["subject_id"] == task["id"]
    assert claimed["project_id"] == world.project.id
    created = (await events(world, kind=["task.created"]))[0]
    assert created["actor"] == f"member:{world.owner_member.id}"


async def test_agents_and_viewers_see_a_projects_events_and_members_all_of_them(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    other = await owner.create_project(name="Other")
    await owner.log_action(action="of the organisation")
    await owner.log_action(action="there", project_id=other["id"])
    await ada.log_action(action="here")

    def actions(page: dict[str, Any]) -> list[str]:
        return [event["facts"]["action"] for event in page["items"]]

    kind = ["action.logged"]
    assert actions(await ada.list_events(kind=kind)) == ["here"]
    assert actions(await world.person(Role.MEMBER).list_events(kind=kind)) == ["here", "there", "of the organisation"]
    viewer = world.person(Role.VIEWER)
    await refusal("invalid", viewer.list_events(kind=kind))
    assert actions(await viewer.list_events(kind=kind, project_id=other["id"])) == ["there"]
    assert "member.added" not in {event["kind"] for event in (await ada.list_events(limit=200))["items"]}
    await refusal("not_found", ada.list_events(project_id=other["id"]))


async def test_a_callers_own_entry_carries_what_it_said(world: World) -> None:
    ada = await world.agent("ada")
    metadata = {"count": 3, "ratio": 0.5, "ok": True, "none": None, "text": "one\ntwo", "ü": "x"}

    logged = await ada.log_action(action="deploy", resource_id="web/7", metadata=metadata)

    event = (await events(world, since=logged["number"] - 1))[0]
    assert event["number"] == logged["number"]
    assert (event["kind"], event["subject_id"]) == ("action.logged", "web/7")
    assert event["facts"] == {"action": "deploy", "metadata": metadata}
    bare = await ada.log_action(action="ping")
    event = (await events(world, since=bare["number"] - 1))[0]
    assert event["facts"] == {"action": "ping"}
    assert "subject_id" not in event


async def test_an_entry_sent_again_with_its_key_is_written_once(world: World) -> None:
    ada = await world.agent("ada")

    replies = await asyncio.gather(*(ada.log_action(action="deploy", idempotency_key="k") for _ in range(30)))
    await refusal("idempotency_mismatch", ada.log_action(action="other", idempotency_key="k"))

    assert all(reply == replies[0] for reply in replies)
    assert len(await events(world, kind=["action.logged"])) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": -1},
        {"since": 10**30},
        {"since": True},
        {"since": "yesterday"},
        {"since": "2026-11-24T12:00:00"},
        {"kind": ["task.eaten"]},
        {"kind": ["task.created"] * 41},
        {"subject_id": "a\x00"},
        {"cursor": "WzFd" * 200},
        {"cursor": "WyJhIl0="},
        {"cursor": "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd"},
        {"limit": 0},
        {"limit": 201},
    ],
)
async def test_what_no_list_of_events_can_be_asked_is_refused(world: World, wrong: dict[str, Any]) -> None:
    await refusal("invalid", world.person().list_events(**wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": ""},
        {"action": "a\nb"},
        {"action": "x" * 301},
        {"resource_id": "\x1b[2J"},
        {"metadata": {"a": "\x00"}},
        {"metadata": {"a": "x" * 2001}},
        {"metadata": {"a": 10**400}},
        {"metadata": {"a": {"nested": 1}}},
        {"metadata": {"a": [1]}},
        {"metadata": {"": 1}},
        {"metadata": {"x" * 65: 1}},
        {"metadata": {str(number): 1 for number in range(33)}},
    ],
)
async def test_what_no_entry_can_say_is_refused(world: World, wrong: dict[str, Any]) -> None:
    before = await last_event(world)

    await refusal("invalid", world.person().log_action(**{"action": "x"} | wrong))

    assert await last_event(world) == before
