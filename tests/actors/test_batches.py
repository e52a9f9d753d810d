"""Batches: one command's failure never harms its neighbours, and what was sent twice takes effect once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest

from actors.buckets import bucket_of
from actors.host_lost import HostLost
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import (
    Killed,
    Planned,
    Probe,
    events,
    last_event,
    make_mortal,
    outcome,
    project_of,
    refusal,
    require_memory_equals_store,
    sql,
)
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""Ends every other connection to the database, as a restart of the server would."""


async def test_each_command_is_decided_on_the_state_that_its_predecessors_left(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob, cal = [await world.agent(name) for name in ("ada", "bob", "cal")]
    commits = probe.commits()

    codes = await asyncio.gather(
        outcome(ada.acquire_lock(paths=["src/"])),
        outcome(bob.acquire_lock(paths=["src/a.py"])),
        outcome(ada.release_lock(paths=["src/"])),
        outcome(cal.acquire_lock(paths=["src/a.py"])),
        outcome(bob.acquire_lock(paths=["**/a.py"])),
    )

    assert list(codes) == [None, "lock_held", None, None, "lock_held"]
    assert probe.commits() == commits + 1
    require_memory_equals_store(world)


async def test_a_broken_constraint_in_a_batch_of_64_refuses_that_command_alone(
    make_world: MakeWorld, database_url: str
) -> None:
    world = make_world()
    crowd = await _crowd(world)
    sql(database_url, "CREATE UNIQUE INDEX only_one ON tasks (title) WHERE title = 'poison'")

    codes = await asyncio.gather(
        *crowd.calls({place: outcome(crowd.lead.create_task(title="poison")) for place in (20, 40)})
    )

    assert codes[40] == "internal"
    assert [code for place, code in enumerate(codes) if place != 40] == [None] * 63
    await crowd.require_effects(but_for={20, 40})
    stats = await world.handles[0].stats()
    assert (stats.largest_batch, stats.alone) == (64, 64)
    require_memory_equals_store(world)


@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
async def test_a_batch_that_fails_at_its_commit_takes_effect_once_all_the_same(
    make_world: MakeWorld, place: str
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    crowd = await _crowd(world)
    before = await last_event(world)
    probe.plan(place, RuntimeError("planned"))

    codes = await asyncio.gather(*crowd.calls())

    assert codes == [None] * 64
    await crowd.require_effects()
    assert len(await events(world, since=before)) == crowd.events
    await crowd.lead.heartbeat(status="idle")
    require_memory_equals_store(world)


async def test_commands_that_fail_alone_as_well_are_refused_and_the_others_are_done(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    crowd = await _crowd(world)
    fails = {0, 13, 62}
    alone: list[Planned] = [RuntimeError("planned") if number in fails else None for number in range(64)]
    probe.plan("before_commit", RuntimeError("planned"), *alone)

    codes = await asyncio.gather(*crowd.calls())

    assert {place for place, code in enumerate(codes) if code == "internal"} == fails
    assert codes.count(None) == 61
    await crowd.require_effects(but_for=fails)
    require_memory_equals_store(world)


@only_sqlite
async def test_a_full_disk_refuses_what_does_not_fit_and_serves_again_when_there_is_room(
    make_world: MakeWorld,
) -> None:
    world = make_world()
    crowd = await _crowd(world)
    writer = _writer(world)
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + 12}")
    large = {10, 30, 50}

    def too_much() -> Awaitable[str | None]:
        return outcome(crowd.lead.create_task(title="large", description="x" * 20_000))

    codes = await asyncio.gather(*crowd.calls({place: too_much() for place in large}))

    refused = {place for place, code in enumerate(codes) if code is not None}
    assert {codes[place] for place in refused} == {"unavailable"}
    assert refused & large
    assert len(refused) < 60
    await crowd.require_effects(but_for=refused | large)
    await refusal("not_found", crowd.lead.release_lock(lock_id="lck_0000000000"))
    require_memory_equals_store(world)
    assert await too_much() == "unavailable"
    assert len((await world.person().list_tasks(limit=200))["items"]) > 0, "reads are served"

    writer.execute("PRAGMA max_page_count = 1000000")
    assert await too_much() is None
    await world.elapse(1)
    require_memory_equals_store(world)


@only_postgresql
async def test_a_lost_connection_is_made_again_and_every_command_takes_effect_once(
    make_world: MakeWorld, database_url: str
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    crowd = await _crowd(world)
    before = await last_event(world)
    probe.plan("before_commit", lambda: sql(database_url, CUT))

    codes = await asyncio.gather(*crowd.calls())

    assert codes == [None] * 64
    await crowd.require_effects()
    assert len(await events(world, since=before)) == crowd.events
    require_memory_equals_store(world)


@only_postgresql
async def test_a_connection_lost_again_refuses_one_command_and_the_others_are_done(
    make_world: MakeWorld, database_url: str
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    crowd = await _crowd(world)

    def cut() -> object:
        return sql(database_url, CUT)

    probe.plan("before_commit", cut, *[None] * 5, cut)
    codes = await asyncio.gather(*crowd.calls())

    assert [place for place, code in enumerate(codes) if code is not None] == [5]
    assert codes[5] == "unavailable"
    await crowd.require_effects(but_for={5})
    require_memory_equals_store(world)


async def test_a_failure_in_one_organization_does_not_touch_another(make_world: MakeWorld, database_url: str) -> None:
    world = make_world()
    crowd = await _crowd(world)
    organization, project, member = world.found("other")
    other = world.person(organization=organization, member=member.id)
    await other.create_task(title="so that its place is known", project_id=project.id)
    sql(database_url, "CREATE UNIQUE INDEX only_one ON tasks (title) WHERE title = 'poison'")
    await crowd.lead.create_task(title="poison")

    codes = await asyncio.gather(
        outcome(crowd.lead.create_task(title="poison")),
        *(outcome(other.create_task(title=str(number), project_id=project.id)) for number in range(20)),
    )

    assert codes == ["internal", *[None] * 20]
    assert len((await other.list_tasks(project_id=project.id, limit=200))["items"]) == 21
    require_memory_equals_store(world)


@pytest.mark.parametrize("kills", [False, True], ids=["answer lost", "host killed"])
async def test_a_batch_whose_answer_was_lost_is_sent_again_and_takes_effect_once(
    make_world: MakeWorld, kills: bool
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    mortals = make_mortal(world)
    crowd = await _crowd(world)
    before = await last_event(world)
    probe.plan("before_reply", Killed() if kills else HostLost("host", "planned"))

    codes = await asyncio.gather(*crowd.calls())

    assert codes == [None] * 64
    assert mortals[0].deaths == kills
    await crowd.require_effects()
    assert len(await events(world, since=before)) == crowd.events
    require_memory_equals_store(world)


async def test_a_lost_answer_is_given_again_word_for_word(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    await ada.claim_task(task_id=task)
    probe.plan("before_reply", HostLost("host", "planned"))

    done = await ada.complete_task(task_id=task, attempt=1, result="done")

    assert (done["task"]["status"], len(done["released"])) == ("completed", 1)
    assert len(await events(world, kind=["task.completed"])) == 1


@only_postgresql
async def test_two_hosts_serve_many_projects_side_by_side(make_world: MakeWorld) -> None:
    world = make_world(hosts=2)
    owner = world.person()
    places: list[list[str]] = [[], []]
    while min(map(len, places)) < 3:
        made = await owner.create_project(name="Project", slug=f"project-{sum(map(len, places))}")
        places[bucket_of(world.organization.id, made["id"]) % 2].append(made["id"])
    leads = [
        await world.agent("lea", Role.LEAD, project=project_of(world, place))
        for place in (*places[0][:3], *places[1][:3])
    ]

    async def work(lead: Who) -> list[str | None]:
        codes = []
        for number in range(8):
            task = await lead.create_task(title=str(number), files=["same.py"])
            codes.append(await outcome(lead.claim_task(task_id=task["id"])))
            await lead.record_cost(
                model="none", input_tokens=1, output_tokens=1, cost_usd=1, idempotency_key=str(number)
            )
            codes.append(await outcome(lead.complete_task(task_id=task["id"], attempt=1, result="done")))
        await lead.acquire_lock(paths=["same.py"], ttl_s=60)
        return codes

    codes = await asyncio.gather(*(work(lead) for lead in leads))
    await asyncio.gather(*(outcome(lead.heartbeat(status="idle")) for lead in leads))
    require_memory_equals_store(world)
    await world.elapse(900)

    assert codes == [[None] * 16] * 6
    stats = [await handle.stats() for handle in world.handles]
    assert all(host.rooms > 0 and host.commands > 20 for host in stats)
    assert [host.failures for host in stats] == [0, 0]
    assert len(await events(world, kind=["agent.lost"])) == 6
    numbers = [event["number"] for event in await _all_events(world)]
    assert numbers == list(range(1, len(numbers) + 1)), "numbers of an organisation have no gaps"
    require_memory_equals_store(world)


class _Crowd:
    """64 calls of several kinds by several agents, which one tick of the loop puts into one batch."""

    events = 48
    """How many events the calls write: the heartbeats write none."""

    def __init__(self, world: World, lead: Who, agents: list[Who], held: list[str]) -> None:
        self.world = world
        self.lead = lead
        self._agents = agents
        self._held = held

    def calls(self, instead: Mapping[int, Awaitable[str | None]] | None = None) -> list[Awaitable[str | None]]:
        """Make the calls, four kinds in turn; instead: others in these places."""
        others = dict(instead or {})
        return [others.pop(place) if place in others else outcome(self._call(place)) for place in range(64)]

    def _call(self, place: int) -> Awaitable[dict[str, Any]]:
        number, kind = divmod(place, 4)
        agent = self._agents[number]
        made: Awaitable[dict[str, Any]]
        match kind:
            case 0:
                made = self.lead.create_task(title=f"new {number}")
            case 1:
                made = agent.acquire_lock(paths=[f"{number}.py"])
            case 2:
                made = agent.update_task(task_id=self._held[number], attempt=1, note=f"note {number}")
            case _:
                made = agent.heartbeat(status="working", note="here")
        return made

    async def require_effects(self, but_for: set[int] | frozenset[int] = frozenset()) -> None:
        """See that each call took effect exactly once, but for those in these places."""
        owner = self.world.person()
        tasks = (await owner.list_tasks(limit=200))["items"]
        titles = [task["title"] for task in tasks]
        notes = {task["id"]: task.get("note") for task in tasks}
        paths = [path for lock in (await owner.list_locks(limit=200))["items"] for path in lock["paths"]]
        for number, held in enumerate(self._held):
            for kind, (found, expected) in enumerate(
                [
                    (titles.count(f"new {number}"), 1),
                    (paths.count(f"{number}.py"), 1),
                    (notes[held], f"note {number}"),
                ]
            ):
                place = 4 * number + kind
                absent = None if kind == 2 else 0
                assert found == (absent if place in but_for else expected), f"call {place}"


async def _crowd(world: World) -> _Crowd:
    lead = await world.agent("lea", Role.LEAD)
    agents = [await world.agent(f"agent-{number}") for number in range(16)]
    held = []
    for number, agent in enumerate(agents):
        held.append((await lead.create_task(title=f"held {number}"))["id"])
        await agent.claim_task(task_id=held[-1])
    return _Crowd(world, lead, agents, held)


async def _all_events(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = await events(world, since=found[-1]["number"] if found else 0)
        if not page:
            return found
        found.extend(page)


def _writer(world: World) -> Any:
    store = world.handles[0].host._store
    assert store is not None
    with store._writer.connect() as connection:
        return connection.connection.driver_connection


@only_postgresql
async def test_a_host_that_was_restarted_alone_still_books_the_costs_of_every_project(make_world: MakeWorld) -> None:
    world = make_world(hosts=2)
    owner = world.person()
    agents = [
        await world.agent("ada", project=project_of(world, (await _project_of_host(owner, world, host))))
        for host in (0, 1)
    ]
    for agent in agents:
        await agent.record_cost(**COST, idempotency_key="before")

    # Its epoch is now above the other's: whatever it writes must be fenced by its own buckets.
    world.handles[bucket_of(world.organization.id, None) % 2].restart()
    for agent in agents:
        await agent.record_cost(**COST, idempotency_key="after")

    assert (await owner.get_costs())["total"]["events"] == 4


COST = {"model": "none", "input_tokens": 1, "output_tokens": 1, "cost_usd": 1}


async def _project_of_host(owner: Who, world: World, host: int) -> str:
    """Make projects until one falls to the host."""
    for number in range(64):
        made = await owner.create_project(name="Project", slug=f"project-{host}-{number}")
        if bucket_of(world.organization.id, made["id"]) % 2 == host:
            return str(made["id"])
    raise AssertionError("no project fell to the host")
