"""Waiting for mail: woken when it comes, answered with nothing when it does not, and no burden to anybody meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.bells import EVERY_BELL, MOST_EARS, Bells, mail_bell
from actors.dispatch import Answer
from actors.host_lost import HostLost
from conductor.domain.access import Role, parse_token
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

EMPTY = {"items": [], "more": False}


@asynccontextmanager
async def waiting(world: World, *calls: Coroutine[Any, Any, dict[str, Any]]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Begin calls and go on when all of them wait."""
    before = world.fleet.bells.listeners
    begun = [asyncio.create_task(call) for call in calls]
    await until_listening(world, before + len(calls))
    yield begun


async def until_listening(world: World, count: int) -> None:
    """Let the loop run until so many wait, and until the hosts have answered them."""
    async with asyncio.timeout(20):
        while world.fleet.bells.listeners < count:  # noqa: ASYNC110  # bells tell nobody who listens to them
            await asyncio.sleep(0)
        # A call that is queued behind the waiting ones is answered after them.
        await world.person().log_action(action="behind")


def hang_up(call: asyncio.Task[Any]) -> None:
    """Cancel a call from the thread of a host."""
    call.get_loop().call_soon_threadsafe(call.cancel)


def said(mail: dict[str, Any]) -> list[str]:
    """Give the texts of what was read."""
    return [message["text"] for message in mail["items"]]


async def test_a_reader_that_waits_is_woken_by_the_message_that_comes(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        await bob.send_message(to="ada", text="hello")
        async with asyncio.timeout(10):
            mail = await reading

    assert said(mail) == ["hello"]
    assert world.fleet.bells.listeners == 0


async def test_a_reader_that_has_mail_does_not_wait(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await bob.send_message(to="ada", text="hello")

    async with asyncio.timeout(10):
        assert said(await ada.read_messages(wait_s=50)) == ["hello"]


async def test_a_wait_without_mail_ends_with_an_empty_answer_when_its_time_is_over(world: World) -> None:
    ada = await world.agent("ada")
    loop = asyncio.get_running_loop()
    began = loop.time()

    mail = await ada.read_messages(wait_s=1)

    assert mail == EMPTY
    assert 1 <= loop.time() - began < 5
    assert await events(world, kind=["message.delivered"]) == []


async def test_mail_for_others_wakes_nobody_and_is_read_by_nobody_else(world: World) -> None:
    ada, bob, cal = [await world.agent(name) for name in ("ada", "bob", "cal")]

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        await bob.send_message(to="cal", text="for cal")
        assert said(await cal.read_messages()) == ["for cal"]
        assert not reading.done()
        await bob.send_message(to="ada", text="for ada")
        mail = await reading

    assert said(mail) == ["for ada"]


async def test_of_two_sessions_that_wait_one_gets_the_message_and_the_other_waits_on(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    async with waiting(world, ada.read_messages(wait_s=50), ada.read_messages(wait_s=50)) as both:
        await bob.send_message(to="ada", text="one")
        done, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        await bob.send_message(to="ada", text="two")
        read = [said(await reading) for reading in (*done, *pending)]

    assert sorted(read) == [["one"], ["two"]]


async def test_no_message_is_missed_between_looking_and_waiting(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    for number in range(30):
        sending = bob.send_message(to="ada", text=str(number))
        async with asyncio.timeout(20):
            mail, _ = await asyncio.gather(ada.read_messages(wait_s=50), sending)
        assert said(mail) == [str(number)]


async def test_who_hangs_up_waits_no_more_and_takes_nothing(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        reading.cancel()
        await asyncio.wait([reading])

    assert world.fleet.bells.listeners == 0
    await bob.send_message(to="ada", text="still there")
    assert said(await ada.read_messages()) == ["still there"]


async def test_a_message_wakes_also_when_its_sender_has_hung_up(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob = await world.agent("ada"), await world.agent("bob")

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        sending = asyncio.create_task(bob.send_message(to="ada", text="hello"))
        probe.plan("before_commit", lambda: hang_up(sending))
        async with asyncio.timeout(10):
            mail = await reading

    assert sending.cancelled()
    assert said(mail) == ["hello"]


async def test_waiting_holds_up_nobody_and_200_wait_at_once(world: World) -> None:
    lea = await world.agent("lea", Role.LEAD)
    crowd = [await world.agent(f"a{number}") for number in range(200)]

    async with waiting(world, *(who.read_messages(wait_s=50) for who in crowd)) as readings:
        batches = [stats.batches for stats in await world.fleet.stats()]
        async with asyncio.timeout(10):
            await lea.heartbeat(status="idle")
        after = [stats.batches for stats in await world.fleet.stats()]
        assert sum(after) - sum(batches) == 1, "who waits asks nothing"
        await lea.send_message(to="all", text="lunch")
        async with asyncio.timeout(30):
            mails = await asyncio.gather(*readings)

    assert [said(mail) for mail in mails] == [["lunch"]] * 200


async def test_of_too_many_that_wait_for_one_agent_the_last_are_answered_at_once(world: World) -> None:
    ada = await world.agent("ada")

    async with waiting(world, *(ada.read_messages(wait_s=50) for _ in range(MOST_EARS))) as readings:
        async with asyncio.timeout(10):
            assert await ada.read_messages(wait_s=50) == EMPTY
        assert world.fleet.bells.listeners == MOST_EARS
        world.dispatcher.end_waits()
        assert [await reading for reading in readings] == [EMPTY] * MOST_EARS


async def test_what_was_read_before_is_not_waited_for(world: World) -> None:
    ada = await world.agent("ada")

    async with asyncio.timeout(10):
        assert await ada.read_messages(wait_s=50, unacknowledged=True) == EMPTY


async def test_a_stop_answers_all_who_wait_at_once_with_nothing(world: World) -> None:
    ada = await world.agent("ada")

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        world.dispatcher.end_waits()
        async with asyncio.timeout(10):
            assert await reading == EMPTY

    async with asyncio.timeout(10):
        assert await ada.read_messages(wait_s=50) == EMPTY, "nobody waits any more"


async def test_whose_token_ends_during_the_wait_is_given_nothing_more(make_world: MakeWorld) -> None:
    world = make_world()
    ada, bob = await world.agent("ada"), await world.agent("bob")
    token = parse_token(ada.token or "")
    assert token is not None
    bearer = Who(world, ada.caller._replace(token_id=token.token_id))

    async with waiting(world, bearer.read_messages(wait_s=50)) as (reading,):
        await world.person().revoke_token(token_id=token.token_id)
        await bob.send_message(to="ada", text="a secret")
        async with asyncio.timeout(10):
            await refusal("unauthenticated", reading)

    assert said(await ada.read_messages()) == ["a secret"]


async def test_acknowledgements_are_taken_before_the_wait_and_once(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    first = (await bob.send_message(to="ada", text="one"))["message"]["id"]
    await ada.read_messages()

    async with waiting(world, ada.read_messages(wait_s=50, acknowledge=[first])) as (reading,):
        assert len(await events(world, kind=["message.acknowledged"])) == 1
        await bob.send_message(to="ada", text="two")
        assert said(await reading) == ["two"]

    assert len(await events(world, kind=["message.acknowledged"])) == 1


async def test_a_key_of_a_wait_that_ended_empty_reads_what_came_later(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    assert await ada.read_messages(wait_s=1, idempotency_key="k") == EMPTY
    await bob.send_message(to="ada", text="later")

    again = await ada.read_messages(wait_s=1, idempotency_key="k")

    assert said(again) == ["later"]
    assert await ada.read_messages(wait_s=1, idempotency_key="k") == again


async def test_a_message_whose_commit_was_answered_by_nobody_wakes_all_the_same(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob = await world.agent("ada"), await world.agent("bob")

    async with waiting(world, ada.read_messages(wait_s=50)) as (reading,):
        probe.plan("before_reply", HostLost("host-0", "planned"))
        sent = await bob.send_message(to="ada", text="hello")
        async with asyncio.timeout(10):
            mail = await reading

    assert sent["recipients"] == ["ada"]
    assert said(mail) == ["hello"]


async def test_an_urgent_message_whose_commit_was_answered_by_nobody_is_told_all_the_same(
    make_world: MakeWorld,
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob = await world.agent("ada"), await world.agent("bob")
    assert (await _answer(ada, "whoami")).notice == ""
    probe.plan("before_reply", HostLost("host-0", "planned"))

    await bob.send_message(to="ada", text="Stop.", urgent=True)

    assert (await _answer(ada, "whoami")).notice == "Urgent from bob: Stop. (read_messages)"


async def test_the_time_that_a_call_waited_is_not_counted_as_time_that_it_took(world: World) -> None:
    ada = await world.agent("ada")
    taken: list[float] = []
    world.dispatcher._observe = lambda name, code, seconds, organization_id: taken.append(seconds)

    await ada.read_messages(wait_s=1)

    assert taken[0] < 0.9


async def test_bells_ring_only_where_somebody_listens_and_leave_nothing_behind() -> None:
    bells = Bells()
    ada, bob = (mail_bell("org", "prj", name) for name in ("ada", "bob"))
    soon = asyncio.get_running_loop().time() + 10

    with bells.listening(ada) as first, bells.listening(ada) as second, bells.listening(bob) as other:
        bells.ring([ada, "mail/org/prj/nobody"])
        assert await first.heard(soon)
        assert await second.heard(soon)
        first.begin()
        assert not await first.heard(0)
        assert not await other.heard(0)
        bells.ring([EVERY_BELL])
        assert await other.heard(0)
        assert bells.listeners == 3

    assert bells.listeners == 0


async def _answer(who: Who, operation: str, **arguments: Any) -> Answer:
    return await who.world.answer(operation, who.caller, arguments)
