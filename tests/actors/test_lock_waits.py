"""Waiting for locks: in line, woken at the hand-over, with a place that lasts, and never in a circle."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from actors.commands import Command
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, refusal, require_memory_equals_store, restart
from tests.actors.test_waiting import hang_up, waiting
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def team(world: World, *names: str) -> list[Who]:
    """Register agents."""
    return [await world.agent(name) for name in names]


async def queued(who: Who, **arguments: Any) -> dict[str, Any]:
    """Take a place in line, as a call does whose wait has just ended in vain; gives the answer with the ticket."""
    world = who.world
    asked = json.dumps({"wait_s": 1, **arguments}).encode()
    answered = await world.fleet.run(
        Command("acquire_lock", world.organization.id, world.project.id, who.caller, asked)
    )
    answer: dict[str, Any] = json.loads(answered.body)
    assert answer.get("status") == "queued", answer
    return answer


async def places(world: World) -> list[tuple[str, int]]:
    """List who waits and at which place, the first in line first."""
    return [(place["agent_id"], place["position"]) for place in (await world.person().list_locks())["waiting"]]


async def holders(world: World) -> list[str]:
    """List who holds something."""
    return [lock["agent_id"] for lock in (await world.person().list_locks())["items"]]


def require_tickets_equal_store(world: World) -> None:
    """Compare the places that the hosts remember with the rows."""
    for handle in world.handles:
        rooms = handle.host._rooms
        for (organization_id, project_id), room in rooms.items() if rooms is not None else ():
            with world.store.reading(organization_id) as tx:
                kept = tx.lock_waits.of_project(project_id)
            assert [room.locks.waits.queue.get(ticket.id) for ticket in kept] == kept
            assert len(room.locks.waits.queue) == len(kept)
    require_memory_equals_store(world)


async def test_who_waits_is_granted_the_lock_in_the_commit_that_releases_it(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["src/"])

    async with waiting(world, bob.acquire_lock(paths=["src/a.py"], wait_s=50, ttl_s=60)) as (call,):
        released = await ada.release_lock(all=True)
        async with asyncio.timeout(10):
            granted = await call

    assert granted["status"] == "granted"
    assert released["granted_next"] == [granted["lock"]["id"]]
    assert granted["lock"]["agent_id"] == "bob"
    assert granted["lost_after_s"] == 900
    assert await places(world) == []
    assert world.fleet.bells.listeners == 0
    told = [(event["kind"], event["actor"]) for event in await events(world) if event["kind"].startswith("lock.")]
    assert told == [
        ("lock.granted", "agent:ada"),
        ("lock.queued", "agent:bob"),
        ("lock.released", "agent:ada"),
        ("lock.granted", "conductor"),
        ("lock.wait_ended", "agent:bob"),
    ]
    require_tickets_equal_store(world)


async def test_a_free_lock_is_granted_at_once_however_long_one_would_wait(world: World) -> None:
    (ada,) = await team(world, "ada")

    async with asyncio.timeout(10):
        assert (await ada.acquire_lock(paths=["a.py"], wait_s=50))["status"] == "granted"


async def test_a_wait_that_ends_answers_with_a_ticket_the_place_and_who_is_in_the_way(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    lock = (await ada.acquire_lock(paths=["src/"], ttl_s=60))["lock"]

    answer = await bob.acquire_lock(paths=["src/a.py"], wait_s=1)

    assert answer == {
        "status": "queued",
        "ticket": answer["ticket"],
        "position": 1,
        "holders": [lock],
        "eta_s": 60.0,
    }
    shown = (await world.person().list_locks())["waiting"]
    assert [(place["ticket"], place["agent_id"], place["paths"], place["mode"]) for place in shown] == [
        (answer["ticket"], "bob", ["src/a.py"], "exclusive")
    ]


async def test_places_are_shown_with_the_locks_that_one_asks_for(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["src/", "docs/"])
    await queued(bob, paths=["src/a.py"])
    await queued(cal, paths=["docs/a.md"])

    async def shown(**narrowed: Any) -> list[str]:
        return [place["agent_id"] for place in (await ada.list_locks(**narrowed))["waiting"]]

    assert await shown() == ["bob", "cal"]
    assert await shown(path="docs/**") == ["cal"]
    assert await shown(agent_id="bob") == ["bob"]
    assert await shown(limit=1) == ["bob"]


async def test_a_ticket_keeps_its_place_while_it_is_renewed_and_is_lost_a_minute_after_the_answer(
    world: World,
) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"], ttl_s=600)
    first = await queued(bob, paths=["a.py"])
    last = await queued(cal, paths=["a.py"])
    await world.elapse(50)
    assert (await bob.acquire_lock(paths=["a.py"], ticket=first["ticket"]))["position"] == 1
    await world.elapse(30)

    assert await places(world) == [("bob", 1)]
    await refusal("not_found", cal.acquire_lock(paths=["a.py"], ticket=last["ticket"], wait_s=1))

    await ada.release_lock(all=True)
    granted = await bob.acquire_lock(paths=["a.py"], ticket=first["ticket"], wait_s=50)
    assert granted["status"] == "granted"
    require_tickets_equal_store(world)


async def test_conflicting_requests_are_granted_in_the_order_in_which_they_came(world: World) -> None:
    holder, *crowd = await team(world, "holder", *(f"a{number}" for number in range(6)))
    await holder.acquire_lock(paths=["a.py"])
    order: list[str] = []

    async def work(who: Who) -> None:
        lock = (await who.acquire_lock(paths=["a.py"], wait_s=50))["lock"]
        order.append(lock["agent_id"])
        await who.release_lock(lock_id=lock["id"])

    calls = []
    for number, who in enumerate(crowd):
        calls.append(asyncio.create_task(work(who)))
        while len(await places(world)) < number + 1:  # noqa: ASYNC110  # a queue tells nobody who joins it
            await asyncio.sleep(0)
    await holder.release_lock(all=True)
    async with asyncio.timeout(30):
        await asyncio.gather(*calls)

    assert order == [f"a{number}" for number in range(6)]


async def test_nobody_passes_a_waiter_that_it_conflicts_with_also_who_would_not_wait(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"], mode="shared")
    place = await queued(bob, paths=["a.py", "b.py"])

    refused = await refusal("lock_held", cal.acquire_lock(paths=["a.py"], mode="shared"))
    beside = await refusal("lock_held", cal.acquire_lock(paths=["b.py"]))

    assert [waiter["agent_id"] for waiter in refused.facts["waiting"]] == ["bob"]
    assert beside.facts["holders"] == []
    assert await places(world) == [("bob", 1)], "who would not wait takes no place"
    await ada.release_lock(all=True)
    assert (await bob.acquire_lock(paths=["a.py", "b.py"], ticket=place["ticket"]))["status"] == "granted"


async def test_a_claim_passes_no_waiter_either(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    task = (await world.person().create_task(title="t", files=["b.py"]))["id"]
    await ada.acquire_lock(paths=["a.py"])
    await queued(bob, paths=["a.py", "b.py"])

    await refusal("lock_held", cal.claim_task(task_id=task))
    await refusal("nothing_ready", cal.claim_task())
    explained = await cal.explain_task(task_id=task)

    assert [other["obstacle"] for other in explained["others"]] == ["files_leased"]
    assert (await world.person().get_task(task_id=task))["status"] == "pending"


async def test_shared_requests_are_granted_together(world: World) -> None:
    ada, bob, cal, dan = await team(world, "ada", "bob", "cal", "dan")
    await ada.acquire_lock(paths=["a.py"])
    for who, mode in ((bob, "shared"), (cal, "shared"), (dan, "exclusive")):
        await queued(who, paths=["a.py"], mode=mode)

    released = await ada.release_lock(all=True)

    assert len(released["granted_next"]) == 2
    assert sorted(await holders(world)) == ["bob", "cal"]
    assert await places(world) == [("dan", 1)]


async def test_the_more_urgent_task_waits_less(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])
    task = (await world.person().create_task(title="now", priority="critical"))["id"]
    await cal.claim_task(task_id=task)
    await queued(bob, paths=["a.py"])
    await queued(cal, paths=["a.py"], task_id=task)

    assert await places(world) == [("cal", 1), ("bob", 2)]


async def test_every_end_of_a_lease_hands_it_over(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    lea = await world.agent("lea", Role.LEAD)
    task = (await world.person().create_task(title="t", files=["task.py"]))["id"]
    await ada.claim_task(task_id=task)
    for name, ttl_s in (("expiry", 20), ("force", 600), ("part", 600)):
        await ada.acquire_lock(paths=[f"{name}.py"], ttl_s=ttl_s)
    got = []

    async def hand_over(path: str, *ends: Any) -> None:
        async with waiting(world, bob.acquire_lock(paths=[path], wait_s=50)) as (call,):
            for end in ends:
                await end
            async with asyncio.timeout(10):
                got.append((await call)["status"])

    await hand_over("task.py", ada.complete_task(task_id=task, attempt=1, result="done"))
    await hand_over("force.py", lea.release_lock(all=True, agent_id="ada", force=True))
    await ada.acquire_lock(paths=["part.py", "rest.py"])
    await hand_over("part.py", ada.release_lock(paths=["part.py"]))
    await ada.acquire_lock(paths=["expiry.py"], ttl_s=20)
    await hand_over("expiry.py", world.elapse(21))

    assert got == ["granted"] * 4
    require_tickets_equal_store(world)


async def test_a_lost_agent_hands_over_what_it_held_and_loses_its_places(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"], ttl_s=86_400)
    await bob.acquire_lock(paths=["b.py"], ttl_s=86_400)
    await queued(ada, paths=["b.py"])
    await world.elapse(500)
    await bob.heartbeat(status="working")
    await cal.heartbeat(status="idle")
    place = await queued(cal, paths=["a.py"])
    await world.elapse(59)
    await cal.acquire_lock(paths=["a.py"], ticket=place["ticket"])

    for _ in range(8):
        await world.elapse(50)
        await cal.acquire_lock(paths=["a.py"], ticket=place["ticket"])
        await bob.heartbeat(status="working")

    assert sorted(await holders(world)) == ["bob", "cal"]
    assert await places(world) == []


async def test_who_hangs_up_while_waiting_leaves_the_line(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])

    async with waiting(world, bob.acquire_lock(paths=["a.py"], wait_s=50)) as (call,):
        call.cancel()
        await asyncio.wait([call])
    await cal.heartbeat(status="idle")

    assert await places(world) == []
    assert (await ada.release_lock(all=True))["granted_next"] == []
    assert (await cal.acquire_lock(paths=["a.py"]))["status"] == "granted"


async def test_who_hangs_up_before_the_host_has_answered_leaves_the_line_too(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])

    call = asyncio.create_task(bob.acquire_lock(paths=["a.py"], wait_s=50))
    probe.plan("before_commit", lambda: hang_up(call))
    await asyncio.wait([call])
    # What is queued behind is answered after it.
    await world.person().log_action(action="behind")
    await world.person().log_action(action="behind")

    assert call.cancelled()
    assert await places(world) == []


async def test_who_hangs_up_while_its_lock_is_being_collected_keeps_nobody_waiting(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])

    async with waiting(world, bob.acquire_lock(paths=["a.py"], wait_s=50)) as (call,):
        probe.plan("before_commit", None, lambda: hang_up(call))
        await ada.release_lock(all=True)
        await asyncio.wait([call])
    await world.person().log_action(action="behind")
    await world.person().log_action(action="behind")

    assert call.cancelled()
    assert await holders(world) == []
    assert (await cal.acquire_lock(paths=["a.py"]))["status"] == "granted"


async def test_a_place_of_which_one_was_told_outlasts_a_hang_up(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])
    place = await queued(bob, paths=["a.py"])

    for arguments in ({"ticket": place["ticket"]}, {}):
        async with waiting(world, bob.acquire_lock(paths=["a.py"], wait_s=50, **arguments)) as (call,):
            call.cancel()
            await asyncio.wait([call])
    await ada.heartbeat(status="idle")

    assert await places(world) == [("bob", 1)]


async def test_who_asks_twice_for_the_same_waits_once(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])

    tickets = {(await queued(bob, paths=["a.py"]))["ticket"] for _ in range(2)}

    assert len(tickets) == 1
    async with waiting(world, *(bob.acquire_lock(paths=["a.py"], wait_s=50) for _ in range(2))) as calls:
        await ada.release_lock(all=True)
        async with asyncio.timeout(10):
            granted = [await call for call in calls]
    assert len({answer["lock"]["id"] for answer in granted}) == 1


async def test_a_grant_that_nobody_collects_passes_on_after_half_a_minute(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])
    place = await queued(bob, paths=["a.py"])
    await queued(cal, paths=["a.py"])
    await ada.release_lock(all=True)

    await world.elapse(29)
    assert await holders(world) == ["bob"]
    await world.elapse(2)

    assert await holders(world) == ["cal"]
    await refusal("not_found", bob.acquire_lock(paths=["a.py"], ticket=place["ticket"]))
    ended = [event["facts"]["why"] for event in await events(world, kind=["lock.wait_ended"])]
    assert ended == ["not_collected"]
    notices = (await bob.heartbeat(status="idle"))["notices"]
    assert [notice["kind"] for notice in notices] == ["lock_not_collected"]
    require_tickets_equal_store(world)


async def test_a_grant_whose_answer_was_lost_is_given_again_for_its_ticket(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])
    place = await queued(bob, paths=["a.py"])
    await ada.release_lock(all=True)

    first = await bob.acquire_lock(paths=["a.py"], ticket=place["ticket"])
    again = await bob.acquire_lock(paths=["a.py"], ticket=place["ticket"])

    assert again["lock"]["id"] == first["lock"]["id"]
    assert again["lock"]["token"] == first["lock"]["token"]


async def test_a_paused_waiter_is_passed_over_and_goes_on_when_it_may(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])
    place = await queued(bob, paths=["a.py"])
    later = await queued(cal, paths=["a.py"])
    await world.person().pause(scope="agent", agent_id="bob", reason="look first")

    await ada.release_lock(all=True)
    assert await holders(world) == ["cal"]
    await cal.acquire_lock(paths=["a.py"], ticket=later["ticket"])
    await cal.release_lock(all=True)
    assert await holders(world) == []

    await world.person().resume(scope="agent", agent_id="bob")
    granted = await bob.acquire_lock(paths=["a.py"], ticket=place["ticket"], wait_s=50)
    assert granted["status"] == "granted"


async def test_a_wait_that_would_never_end_is_refused_with_the_circle_and_a_way_out(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    for who, path in ((ada, "a.py"), (bob, "b.py"), (cal, "c.py")):
        await who.acquire_lock(paths=[path])
    await queued(ada, paths=["b.py"])
    await queued(bob, paths=["c.py"])

    refused = await refusal("deadlock", cal.acquire_lock(paths=["a.py"], wait_s=50))

    assert refused.facts["agents"] == ["cal", "ada", "bob", "cal"]
    assert [step["tool"] for step in refused.fault["next"]] == ["release_lock", "claim_task"]
    assert await places(world) == [("ada", 1), ("bob", 1)]
    await refusal("lock_held", cal.acquire_lock(paths=["a.py"]))


async def test_waits_by_tasks_close_a_circle_too(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    first, second = [(await world.person().create_task(title=title))["id"] for title in ("a", "b")]
    await ada.claim_task(task_id=first)
    await bob.claim_task(task_id=second)
    await ada.acquire_lock(paths=["a.py"])
    await ada.update_task(task_id=first, attempt=1, status="blocked", blocked_by=[second])

    refused = await refusal("deadlock", bob.acquire_lock(paths=["a.py"], wait_s=50))

    assert refused.facts["agents"] == ["bob", "ada", "bob"]


async def test_a_task_that_waits_for_who_waits_for_its_holder_is_refused(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    first, second = [(await world.person().create_task(title=title))["id"] for title in ("a", "b")]
    await ada.claim_task(task_id=first)
    await bob.claim_task(task_id=second)
    await ada.acquire_lock(paths=["a.py"])
    await queued(bob, paths=["a.py"])

    refused = await refusal(
        "dependency_cycle", ada.update_task(task_id=first, attempt=1, status="blocked", blocked_by=[second])
    )

    assert refused.facts["agents"] == ["ada", "bob", "ada"]


async def test_a_claim_for_which_others_would_wait_for_ever_is_refused(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    first, second = [(await world.person().create_task(title=title))["id"] for title in ("a", "b")]
    await ada.claim_task(task_id=first)
    await ada.acquire_lock(paths=["a.py"])
    await ada.update_task(task_id=first, attempt=1, status="blocked", blocked_by=[second])
    await queued(bob, paths=["a.py"])

    refused = await refusal("deadlock", bob.claim_task(task_id=second))

    assert refused.facts["agents"] == ["bob", "ada", "bob"]
    assert (await world.person().get_task(task_id=second))["status"] == "pending"


async def test_a_shared_holder_waits_for_the_others_to_become_the_only_one_and_two_such_do_not(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    for who in (ada, bob):
        await who.acquire_lock(paths=["a.py"], mode="shared")
    await queued(cal, paths=["a.py"])

    async with waiting(world, ada.acquire_lock(paths=["a.py"], wait_s=50)) as (upgrade,):
        refused = await refusal("deadlock", bob.acquire_lock(paths=["a.py"], wait_s=50))
        await bob.release_lock(all=True)
        async with asyncio.timeout(10):
            granted = await upgrade

    assert refused.facts["agents"] == ["bob", "ada", "bob"]
    assert granted["lock"]["mode"] == "exclusive"
    assert await places(world) == [("cal", 1)], "whoever holds a part cannot be behind who waits for it"


async def test_places_and_their_order_outlast_a_restart_and_get_its_grace(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"], ttl_s=600)
    first = await queued(bob, paths=["a.py"])
    second = await queued(cal, paths=["a.py"])

    await restart(world, after_s=100)

    require_tickets_equal_store(world)
    assert await places(world) == [("bob", 1), ("cal", 2)]
    await world.elapse(10)
    assert (await cal.acquire_lock(paths=["a.py"], ticket=second["ticket"]))["position"] == 2
    assert (await bob.acquire_lock(paths=["a.py"], ticket=first["ticket"]))["position"] == 1
    await ada.release_lock(all=True)
    await restart(world, after_s=100)
    assert (await bob.acquire_lock(paths=["a.py"], ticket=first["ticket"]))["status"] == "granted"
    require_tickets_equal_store(world)


async def test_a_place_that_had_lapsed_before_the_stop_is_not_given_back(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"], ttl_s=600)
    place = await queued(bob, paths=["a.py"])
    world.clock.move(70)

    await restart(world, after_s=1)

    await refusal("not_found", bob.acquire_lock(paths=["a.py"], ticket=place["ticket"], wait_s=1))


async def test_a_ticket_is_its_agents_own_and_for_what_it_was_given(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])
    ticket = (await queued(bob, paths=["a.py"]))["ticket"]

    await refusal("not_found", cal.acquire_lock(paths=["a.py"], ticket=ticket))
    await refusal("invalid", bob.acquire_lock(paths=["b.py"], ticket=ticket))
    await refusal("invalid", bob.acquire_lock(paths=["a.py"], mode="shared", ticket=ticket))
    for unknown in ("tkt_0000000000", "nonsense"):
        await refusal("not_found", bob.acquire_lock(paths=["a.py"], ticket=unknown))

    assert await places(world) == [("bob", 1)]


async def test_a_place_for_a_task_ends_with_the_attempt(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    task = (await world.person().create_task(title="t"))["id"]
    await bob.claim_task(task_id=task)
    await ada.acquire_lock(paths=["a.py"])
    await queued(bob, paths=["a.py"], task_id=task)

    await bob.update_task(task_id=task, attempt=1, status="pending")

    assert await places(world) == []
    assert (await ada.release_lock(all=True))["granted_next"] == []


async def test_who_may_no_more_touch_what_it_waits_for_is_passed(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["src/a.py"])
    await queued(bob, paths=["src/a.py"])
    await queued(cal, paths=["src/a.py"])
    await world.person().register_agent(
        agent_id="bob", name="Bob", role="contributor", allowed_paths=["docs/"], supersede=True
    )

    await ada.release_lock(all=True)

    assert await holders(world) == ["cal"]
    assert await places(world) == []


async def test_a_project_that_no_more_refuses_grants_all_who_wait(world: World) -> None:
    ada, bob, cal = await team(world, "ada", "bob", "cal")
    await ada.acquire_lock(paths=["a.py"])

    async with waiting(world, *(who.acquire_lock(paths=["a.py"], wait_s=50) for who in (bob, cal))) as calls:
        await world.person().update_project(conflict_strategy="merge")
        async with asyncio.timeout(10):
            granted = [await call for call in calls]

    assert [answer["status"] for answer in granted] == ["granted", "granted"]


async def test_a_key_gives_the_grant_again_and_not_the_wait(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])
    asked = {"paths": ["a.py"], "idempotency_key": "once"}
    assert (await bob.acquire_lock(wait_s=1, **asked))["status"] == "queued"

    async with waiting(world, bob.acquire_lock(wait_s=50, **asked)) as (call,):
        await ada.release_lock(all=True)
        granted = await call

    assert await bob.acquire_lock(wait_s=50, **asked) == granted
    assert await bob.acquire_lock(**asked) == granted


async def test_an_agent_keeps_a_bounded_number_of_places(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["src/"])

    for number in range(16):
        await queued(bob, paths=[f"src/{number}.py"])

    refused = await refusal("rate_limited", bob.acquire_lock(paths=["src/16.py"], wait_s=50))

    assert refused.facts["own"] == 16
    assert len(await places(world)) == 16


async def test_a_stop_answers_who_waits_with_its_place(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])

    async with waiting(world, bob.acquire_lock(paths=["a.py"], wait_s=50)) as (call,):
        world.dispatcher.end_waits()
        async with asyncio.timeout(10):
            answer = await call

    assert answer["status"] == "queued"
    assert await places(world) == [("bob", 1)]


async def test_a_grant_that_its_agent_learnt_of_by_another_call_is_its_own(world: World) -> None:
    ada, bob = await team(world, "ada", "bob")
    await ada.acquire_lock(paths=["a.py"])
    await queued(bob, paths=["a.py"])
    await ada.release_lock(all=True)

    renewed = await bob.acquire_lock(paths=["a.py", "b.py"])
    await world.elapse(31)

    assert renewed["status"] == "granted"
    assert await holders(world) == ["bob"]
    assert await places(world) == []
    require_tickets_equal_store(world)
