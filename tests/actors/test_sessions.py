"""Sessions: several live at once, one call takes over from the others, and who was taken over from is told so."""

from __future__ import annotations

import pytest

from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import events, last_event, refusal, restart
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def kinds(who: Who, session_id: str) -> list[str]:
    """Send a session's heartbeat and give the kinds of what it is told."""
    reply = await who.heartbeat(status="working", session_id=session_id)
    return [notice["kind"] for notice in reply["notices"]]


async def live(who: Who, agent_id: str = "ada") -> set[str]:
    """Give the sessions of an agent that have not ended."""
    page = await who.list_sessions(agent_id=agent_id, limit=200)
    return {item["id"] for item in page["items"] if "ended_at" not in item}


async def test_an_agent_has_several_sessions_at_once(world: World) -> None:
    ada = await world.agent("ada")

    first = (await ada.start_session(client="terminal 1"))["session_id"]
    await world.elapse(1)
    second = (await ada.start_session())["session_id"]

    assert await kinds(ada, first) == await kinds(ada, second) == []
    newest, oldest = (await ada.list_sessions())["items"]
    assert (newest["id"], oldest["id"], oldest["client"]) == (second, first, "terminal 1")
    assert "client" not in newest


async def test_one_call_takes_over_and_the_others_are_told_each_time(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    olds = [(await ada.start_session())["session_id"] for _ in range(2)]
    bobs = (await bob.start_session())["session_id"]

    new = (await ada.start_session(supersede=True))["session_id"]

    for _ in range(2):
        for old in olds:
            assert await kinds(ada, old) == ["session_superseded"]
    assert await kinds(ada, new) == await kinds(bob, bobs) == []
    assert await live(ada) == {new}
    page = (await ada.list_sessions(agent_id="ada"))["items"]
    assert {item["end_reason"] for item in page if item["id"] != new} == {"superseded"}


async def test_a_superseded_session_is_told_so_after_a_restart(world: World) -> None:
    ada = await world.agent("ada")
    old = (await ada.start_session())["session_id"]
    new = (await ada.start_session(supersede=True))["session_id"]

    await restart(world)

    assert await kinds(ada, old) == ["session_superseded"]
    assert await kinds(ada, new) == []


async def test_a_session_ends_by_its_own_word_and_what_the_agent_holds_stays(world: World) -> None:
    ada = await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    first, second, third = [(await ada.start_session())["session_id"] for _ in range(3)]

    assert (await ada.end_session(session_id=second))["ended"] == [second]
    assert (await ada.end_session(session_id=second))["ended"] == []
    assert await kinds(ada, second) == ["session_ended"]
    assert await live(ada) == {first, third}
    assert set((await ada.end_session())["ended"]) == {first, third}

    assert (await ada.end_session())["ended"] == []
    assert [held["id"] for held in (await ada.list_locks())["items"]] == [lock["id"]]


async def test_a_session_of_another_or_of_nobody_is_not_found(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    session = (await ada.start_session())["session_id"]

    for unknown in (session, "ses_0000000000", "nonsense"):
        await refusal("not_found", bob.heartbeat(status="idle", session_id=unknown))
        await refusal("not_found", bob.end_session(session_id=unknown))
    assert await live(ada) == {session}


async def test_a_lost_agents_sessions_end_with_it(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    session = (await ada.start_session())["session_id"]
    await world.elapse(600)
    bobs = (await bob.start_session())["session_id"]
    before = await last_event(world)

    await world.elapse(300)

    assert await live(owner) == set()
    assert await live(owner, "bob") == {bobs}
    assert [event["kind"] for event in await events(world, since=before)] == ["session.ended", "agent.lost"]
    assert await kinds(ada, session) == ["session_ended"]


async def test_each_session_that_begins_or_ends_writes_one_event(world: World) -> None:
    ada = await world.agent("ada")
    before = await last_event(world)

    first = (await ada.start_session(client="here"))["session_id"]
    second = (await ada.start_session(supersede=True))["session_id"]
    await ada.end_session()

    written = await events(world, since=before)
    assert [(event["kind"], event["facts"]["session_id"]) for event in written] == [
        ("session.started", first),
        ("session.ended", first),
        ("session.started", second),
        ("session.ended", second),
    ]
    assert [event["facts"].get("reason") for event in written] == [None, "superseded", None, "ended"]
    assert written[0]["facts"]["client"] == "here"


async def test_a_client_that_forgets_to_end_its_sessions_does_not_heap_them_up(world: World) -> None:
    ada = await world.agent("ada")
    first = (await ada.start_session())["session_id"]
    second = (await ada.start_session())["session_id"]
    await world.elapse(1)
    await ada.heartbeat(status="idle", session_id=first)

    for _ in range(15):
        await ada.start_session()

    alive = await live(ada)
    assert len(alive) == 16
    assert first in alive, "the one that was silent longest went"
    assert second not in alive


async def test_when_a_session_was_heard_of_is_written_every_few_seconds_and_without_an_event(world: World) -> None:
    ada = await world.agent("ada")
    session = (await ada.start_session())["session_id"]
    await world.elapse(100)
    before = await last_event(world)

    await ada.heartbeat(status="idle", session_id=session)
    await world.elapse(5)

    (seen,) = (await ada.list_sessions())["items"]
    assert seen["last_seen_at"] > seen["started_at"]
    assert await last_event(world) == before


async def test_sessions_are_read_in_pages_and_by_all(world: World) -> None:
    ada, viewer = await world.agent("ada"), world.person(Role.VIEWER)
    made = []
    for _ in range(5):
        made.append((await ada.start_session())["session_id"])
        await world.elapse(1)

    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await viewer.list_sessions(limit=2, **cursor)
        found += [item["id"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert found == made[::-1]


async def test_agents_of_one_name_in_two_projects_have_sessions_of_their_own(make_world: MakeWorld) -> None:
    world = make_world()
    made = await world.person().create_project(name="Second", slug="second")
    with world.store.reading(world.organization.id) as tx:
        second = tx.projects.get(made["id"])
    here, there = await world.agent("ada"), await world.agent("ada", project=second)
    session = (await here.start_session())["session_id"]

    await there.start_session(supersede=True)

    assert await kinds(here, session) == []
    await refusal("not_found", there.heartbeat(status="idle", session_id=session))
