from __future__ import annotations
import asyncio
import pytest
from actors.buckets import bucket_of
from actors.commands import Chore, Command
from actors.host_lost import HostLost
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import *
from tests.support.world import World
pytestmark = pytest.mark.anyio


async def test_a_project_that_cannot_be_looked_after_keeps_no_other_from_it(make_world: MakeWorld, database_url: str) -> None:
    world = make_world()
    owner = world.person()
    bad = await owner.create_project(name="Bad")
    good = await owner.create_project(name="Good")
    ada = await world.agent("ada", project=project_of(world, bad["id"]))
    bob = await world.agent("bob", project=project_of(world, good["id"]))
    await ada.acquire_lock(paths=["a.py"], ttl_s=10)
    await bob.acquire_lock(paths=["a.py"], ttl_s=11)
    sql(database_url, f"CREATE UNIQUE INDEX no_expiry ON events (kind) WHERE kind = 'lock.expired' AND project_id = '{bad['id']}'")
    with world.store.transaction(world.organization.id) as t:
        u = t.unit(world.organization.id)
        from conductor.domain.events import EventKind
        u.record(EventKind.LOCK_EXPIRED, "x", project_id=bad["id"])
    await world.elapse(11)
    ended = await events(world, kind=["lock.expired"])
    assert good["id"] in [e["project_id"] for e in ended]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_hosts_that_end_things_in_one_organization_at_once_never_wait_in_a_circle(make_world: MakeWorld) -> None:
    world = make_world(hosts=2)
    owner = world.person()
    places = [[], []]
    while min(map(len, places)) < 4:
        made = await owner.create_project(name="P", slug=f"p-{sum(map(len, places))}")
        places[bucket_of(world.organization.id, made["id"]) % 2].append(made["id"])
    agents = []
    for p in places[0][:4] + places[1][:4]:
        for n in range(3):
            agents.append(await world.agent(f"a{n}", project=project_of(world, p)))
    for turn in range(10):
        for number, agent in enumerate(agents):
            await agent.acquire_lock(paths=[f"{agent.caller.agent_name}.py", ], ttl_s=10)
        world.clock.move(11)
        await asyncio.gather(*(b.run(Command(Chore.ELAPSE, "", None, None, b"{}")) for b in world.fleet.batchers),
           *(outcome(a.heartbeat(status="idle")) for a in agents),
           *(outcome(a.record_cost(model="x", input_tokens=1, output_tokens=1, idempotency_key=str(turn))) for a in agents))
    stats = [await handle.stats() for handle in world.handles]
    assert [host.failures for host in stats] == [0, 0]


async def test_an_unforeseen_error_of_a_handle_answers_and_does_not_hang(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner = world.person()
    await owner.create_task(title="x")
    for _ in range(3):
        probe.plan("before_reply", ValueError("not one of ours"))
        async with asyncio.timeout(3):
            assert await outcome(owner.create_task(title="y")) in ("unavailable", "internal")
    async with asyncio.timeout(3):
        assert await outcome(owner.create_task(title="z")) is None


async def test_a_host_whose_waking_failed_wakes_whole_the_next_time(make_world: MakeWorld, database_url: str) -> None:
    world = make_world()
    owner = world.person()
    bad = await owner.create_project(name="Bad")
    good = await owner.create_project(name="Good")
    who = [await world.agent("ada", project=project_of(world, p["id"])) for p in (bad, good)]
    for w in who:
        await w.acquire_lock(paths=["a.py"], ttl_s=10)
    sql(database_url, f"CREATE UNIQUE INDEX no_expiry ON events (kind) WHERE kind = 'lock.expired' AND project_id = '{bad['id']}'")
    with world.store.transaction(world.organization.id) as t:
        u = t.unit(world.organization.id)
        from conductor.domain.events import EventKind
        u.record(EventKind.LOCK_EXPIRED, "x", project_id=bad["id"])
    world.clock.move(11)
    await world.restart()
    async with asyncio.timeout(5):
        print([await outcome(owner.create_project(name=n)) for n in ("One", "Two")])
    await world.elapse(0)
    ended = await events(world, kind=["lock.expired"])
    assert good["id"] in [e["project_id"] for e in ended]

@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_comma(world):
    owner = world.person()
    await owner.create_task(title="bearer", tags=["x", ",", "y"])
    await owner.create_task(title="other", tags=["x", "y"])
    assert len((await owner.list_tasks(tags=[","]))["items"]) == 1
