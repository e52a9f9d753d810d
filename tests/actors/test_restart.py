"""Restarts: what stood stands again, no lease ends for a stop, no silence counts, and no former host writes."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from actors.buckets import bucket_of, buckets_of
from actors.commands import Command
from actors.fleet import Fleet
from actors.host import Host, HostSetup
from conductor import settings
from conductor.clock import SystemClock
from conductor.domain.access import Caller
from tests.actors.conftest import MakeWorld
from tests.actors.looking import (
    Killed,
    Probe,
    events,
    last_event,
    make_mortal,
    project_of,
    refusal,
    require_memory_equals_store,
    restart,
)
from tests.support.world import PEPPER, ThreadHandle, World

pytestmark = pytest.mark.anyio


async def test_everything_that_was_acknowledged_is_there_after_a_restart(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob", allowed_paths=["docs/"])
    first, second, third = [
        (await owner.create_task(title=title, files=[f"docs/{title}.md"]))["id"] for title in ("a", "b", "c")
    ]
    after = (await owner.create_task(title="after", dependencies=[first, second]))["id"]
    await ada.claim_task(task_id=first)
    await ada.complete_task(task_id=first, attempt=1, result="done")
    await bob.claim_task(task_id=second)
    await bob.update_task(task_id=second, attempt=1, status="blocked", blocked_by=[third])
    await ada.claim_task(task_id=third)
    await ada.update_task(task_id=third, attempt=1, status="failed", note="no")
    await ada.acquire_lock(paths=["src/", "lib/*.py"], mode="shared")
    await owner.update_project(settings={"lost_after_s": 800})
    await ada.heartbeat(status="idle", note="here")
    await world.elapse(6)

    async def everything() -> list[Any]:
        return [
            [await owner.get_task(task_id=task) for task in (first, second, third, after)],
            await owner.list_locks(),
            await owner.list_agents(),
            await owner.get_project(),
            (await owner.list_events(since=0, limit=200))["items"],
        ]

    before = await everything()
    await restart(world)

    assert await everything() == before
    require_memory_equals_store(world)
    refused = await refusal("not_ready", ada.claim_task(task_id=after))
    assert refused.facts["blocked_by"] == [second]
    assert (await bob.complete_task(task_id=second, attempt=1, result="done"))["unblocked"] == [after]
    await world.elapse(5)
    assert (await ada.claim_task(task_id=third))["attempt"] == 2


async def test_a_lease_that_had_not_ended_before_the_stop_keeps_what_is_left_and_at_least_the_grace(
    world: World,
) -> None:
    ada = await world.agent("ada")
    task = (await world.person().create_task(title="x"))["id"]
    await ada.claim_task(task_id=task, lease_s=12)
    for ttl_s in (10, 30, 900):
        await ada.acquire_lock(paths=[f"{ttl_s}.py"], ttl_s=ttl_s)
    world.clock.move(1)

    await restart(world, after_s=20)

    left = {lock["paths"][0]: _at(lock["expires_at"]) - world.clock.now() for lock in (await ada.list_locks())["items"]}
    # The shortest had ended during the stop and keeps its whole ttl, the next one the grace, the last what is left.
    assert left == {
        "10.py": timedelta(seconds=10),
        "30.py": timedelta(seconds=15),
        "900.py": timedelta(seconds=879),
    }
    seen = await ada.get_task(task_id=task)
    assert (seen["status"], _at(seen["lease_expires_at"]) - world.clock.now()) == ("claimed", timedelta(seconds=12))
    require_memory_equals_store(world)
    await world.elapse(10)
    assert sorted(lock["paths"] for lock in (await ada.list_locks())["items"]) == [["30.py"], ["900.py"]]
    await world.elapse(2)
    assert (await ada.get_task(task_id=task))["status"] == "pending"


async def test_a_lease_that_had_ended_before_the_stop_is_over(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    await ada.claim_task(task_id=task, lease_s=60)
    await ada.acquire_lock(paths=["b.py"], ttl_s=60)
    world.clock.move(60)

    await restart(world, after_s=1)

    assert (await owner.list_locks())["items"] == []
    assert (await owner.get_task(task_id=task))["attempts"][0]["outcome"] == "lease_expired"
    assert (await bob.acquire_lock(paths=["a.py"]))["status"] == "granted"


async def test_the_grace_is_given_once_a_run(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=60)
    await restart(world, after_s=100)
    await world.elapse(14)

    probe.plan("before_commit", RuntimeError("planned"))
    await owner.create_task(title="the batch fails, so the room is loaded again")

    assert (await owner.list_locks())["items"] != []
    await world.elapse(1)
    assert (await owner.list_locks())["items"] == []


async def test_silence_during_a_stop_does_not_count_and_what_was_before_it_does(world: World) -> None:
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=86_400)
    await world.elapse(500)

    await restart(world, after_s=10_000)
    await world.elapse(399)
    assert await events(world, kind=["agent.lost"]) == []
    assert (await world.person().list_agents())["items"][0]["health"] != "lost"
    await world.elapse(1)
    lost = await events(world, kind=["agent.lost"])
    assert [event["facts"]["silence_s"] for event in lost] == [900]


async def test_the_silence_of_several_stops_does_not_count(world: World) -> None:
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=86_400)

    for _ in range(3):
        await world.elapse(200)
        # The second stop comes before anything that was heard is written as usual.
        await restart(world, after_s=10_000)
        await restart(world, after_s=10_000)
        await world.elapse(61)

    assert await events(world, kind=["agent.lost"]) == []
    await world.elapse(900 - 3 * 261)
    assert len(await events(world, kind=["agent.lost"])) == 1


async def test_an_idle_agent_that_stays_silent_is_lost_when_its_project_is_looked_at_again(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await ada.heartbeat(status="idle")
    await world.elapse(10)

    await restart(world, after_s=10_000)
    await world.elapse(890)
    await owner.create_task(title="nothing had deadlines, so the project is loaded only now")

    assert len(await events(world, kind=["agent.lost"])) == 1


async def test_nobody_is_lost_in_the_first_minute_after_a_restart(world: World) -> None:
    ada = await world.agent("ada")
    await world.person().update_project(settings={"lost_after_s": 10})
    await ada.acquire_lock(paths=["a.py"], ttl_s=86_400)
    await world.elapse(9)

    await restart(world, after_s=3600)
    await world.elapse(59)

    assert await events(world, kind=["agent.lost"]) == []
    assert len((await ada.list_locks())["items"]) == 1
    await world.elapse(1)
    assert len(await events(world, kind=["agent.lost"])) == 1


async def test_fencing_tokens_grow_across_restarts_even_when_the_clock_is_set_back(world: World) -> None:
    ada = await world.agent("ada")
    tokens = [(await ada.acquire_lock(paths=["a.py"]))["lock"]["token"]]
    await ada.release_lock(all=True)

    for after_s in (0, 5, -7200, 0):
        await restart(world, after_s=after_s)
        tokens.append((await ada.acquire_lock(paths=["a.py"]))["lock"]["token"])
        await ada.release_lock(all=True)

    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("place", ["before_commit", "after_commit", "before_reply"])
async def test_a_command_takes_effect_once_when_the_host_is_killed_under_it(make_world: MakeWorld, place: str) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    [mortal] = make_mortal(world)
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    before = await last_event(world)

    calls: tuple[Callable[[], Any], ...] = (
        lambda: owner.create_task(title="another"),
        lambda: ada.claim_task(task_id=task),
        lambda: ada.acquire_lock(paths=["b.py"], task_id=task),
        lambda: ada.heartbeat(status="working"),
        lambda: ada.complete_task(task_id=task, attempt=1, result="done"),
    )
    for call in calls:
        probe.plan(place, Killed())
        await call()

    assert mortal.deaths == 5
    kinds = [event["kind"] for event in await events(world, since=before)]
    assert sorted(kinds) == sorted(
        ["task.created", "task.claimed", *["lock.granted"] * 2, "task.completed", *["lock.released"] * 2]
    )
    await world.elapse(0)
    assert (await owner.get_task(task_id=task))["status"] == "completed"


async def test_a_host_that_was_killed_alone_finds_its_leases_and_what_it_had_heard(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    [mortal] = make_mortal(world)
    ada = await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=900))["lock"]
    probe.plan("before_reply", Killed())

    await world.person().create_task(title="x")

    assert mortal.deaths == 1
    assert (await ada.list_locks())["items"] == [lock]
    renewed = await ada.acquire_lock(paths=["a.py"])
    assert (renewed["lock"]["id"], renewed["lock"]["token"]) == (lock["id"], lock["token"])
    require_memory_equals_store(world)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_host_that_wakes_after_another_takes_no_lease_for_ended_that_the_stop_interrupted(
    make_world: MakeWorld,
) -> None:
    world = make_world(hosts=2)
    owner = world.person()
    while True:
        place = await owner.create_project(name="Place", slug=f"place-{world.clock.monotonic():.0f}")
        world.clock.move(1)
        if bucket_of(world.organization.id, place["id"]) % 2 == 1:
            break
    ada = await world.agent("ada", project=project_of(world, place["id"]))
    await ada.acquire_lock(paths=["a.py"], ttl_s=60)
    await world.restart(after_s=100)
    late = _Late(world.handles[1]._make, world.handles[0])
    world.handles[1].close()
    world.handles[0] = late.other
    world.handles[1] = late
    world.open()

    await world.fleet.start()

    left = [_at(lock["expires_at"]) - world.clock.now() for lock in (await ada.list_locks())["items"]]
    assert left == [timedelta(seconds=15)]


def test_a_host_whose_buckets_were_claimed_writes_nothing_more_and_ends(database_url: str) -> None:
    world = World(database_url)
    place = Caller(*world.person().caller)
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    zombie = spawning.Process(target=_be_a_host, args=(database_url, place, world.project.id, theirs))
    zombie.start()
    theirs.close()
    assert ours.poll(60), "the host did not answer"
    assert ours.recv() is None

    with_claim = world.store.claim(buckets_of(0, 1), "another host")
    ours.send("again")
    zombie.join(60)

    assert zombie.exitcode == 3
    assert not ours.poll() or _is_at_end(ours), "it answered nothing"
    with world.store.reading(world.organization.id) as tx:
        assert [task.title for task in tx.tasks.page(world.project.id).items] == ["before the claim"]
    with world.store.transaction(world.organization.id, with_claim.of([0])) as transaction:
        transaction.unit(world.organization.id).tasks.create(world.project.id, "the new host writes")
    asyncio.run(world.close())


class _Late(ThreadHandle):
    """A host that begins to work only after another has answered for the first time."""

    def __init__(self, make: Callable[[], Host], other: ThreadHandle) -> None:
        super().__init__(make)
        self._answered = asyncio.Event()
        self.other = _Telling(other._make, self._answered)
        other.close()

    async def many(self, batch: Any) -> Any:
        await self._answered.wait()
        return await super().many(batch)


class _Telling(ThreadHandle):
    def __init__(self, make: Callable[[], Host], answered: asyncio.Event) -> None:
        super().__init__(make)
        self._tell = answered

    async def many(self, batch: Any) -> Any:
        outcomes = await super().many(batch)
        self._tell.set()
        return outcomes


def _be_a_host(url: str, caller: Caller, project_id: str, pipe: Connection) -> None:
    asyncio.run(_host_life(url, caller, project_id, pipe))


async def _host_life(url: str, caller: Caller, project_id: str, pipe: Connection) -> None:
    chosen = settings.load({}, {}, home=Path("/nonexistent")).settings
    handle = ThreadHandle(lambda: Host(HostSetup(0, 1, url, chosen, PEPPER, SystemClock())))
    fleet = Fleet([handle], chosen.batch, chosen.leases, chosen.limits)
    command = Command("create_task", caller.organization_id, project_id, caller, b'{"title": "before the claim"}')
    pipe.send((await fleet.run(command)).code)
    pipe.recv()
    late = command._replace(arguments=b'{"title": "after the claim"}')
    pipe.send((await fleet.run(late)).code)


def _is_at_end(pipe: Connection) -> bool:
    try:
        pipe.recv()
    except EOFError:
        return True
    return False


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
