"""What goes wrong in one place harms no other: projects that cannot be looked after, errors that nobody foresaw."""

from __future__ import annotations

import asyncio

import pytest

from conductor.domain.events import EventKind
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, outcome, project_of, sql
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_a_project_that_cannot_be_looked_after_keeps_no_other_from_it(
    make_world: MakeWorld, database_url: str
) -> None:
    world = make_world()
    _, good = await _one_broken_one_whole(world, database_url)

    await world.elapse(11)

    assert good in [event["project_id"] for event in await events(world, kind=["lock.expired"])]


async def test_a_host_wakes_although_one_project_cannot_be_looked_after(
    make_world: MakeWorld, database_url: str
) -> None:
    world = make_world()
    _, good = await _one_broken_one_whole(world, database_url)
    world.clock.move(12)
    await world.restart()

    async with asyncio.timeout(5):
        assert await outcome(world.person().create_task(title="x", project_id=good)) is None
    assert good in [event["project_id"] for event in await events(world, kind=["lock.expired"])]


async def test_an_unforeseen_error_under_a_batch_is_an_answer_and_no_silence(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner = world.person()
    await owner.create_task(title="x")

    for _ in range(3):
        probe.plan("before_reply", ValueError("none of ours"))
        async with asyncio.timeout(3):
            assert await outcome(owner.create_task(title="y")) in {"unavailable", "internal"}

    async with asyncio.timeout(3):
        assert await outcome(owner.create_task(title="z")) is None


async def test_a_comma_is_a_tag_like_any_other(world: World) -> None:
    owner = world.person()
    bearer = await owner.create_task(title="bearer", tags=["x", ",", "y"])
    await owner.create_task(title="other", tags=["x", "y"])

    assert [task["id"] for task in (await owner.list_tasks(tags=[","]))["items"]] == [bearer["id"]]


async def _one_broken_one_whole(world: World, url: str) -> tuple[str, str]:
    """Make two projects with a lock that ends in 10 s each; in the first every look at it fails."""
    owner = world.person()
    places = [(await owner.create_project(name=name))["id"] for name in ("Bad", "Good")]
    agents: list[Who] = [await world.agent("ada", project=project_of(world, place)) for place in places]
    for number, agent in enumerate(agents):
        await agent.acquire_lock(paths=["a.py"], ttl_s=10 + number)
    sql(url, f"CREATE UNIQUE INDEX once ON events (kind) WHERE kind = 'lock.expired' AND project_id = '{places[0]}'")
    with world.store.transaction(world.organization.id) as transaction:
        transaction.unit(world.organization.id).record(EventKind.LOCK_EXPIRED, "x", project_id=places[0])
    return places[0], places[1]
