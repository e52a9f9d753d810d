"""Liveness: what renews leases and claims, when an agent is lost and what it loses, what it is told when it is back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, last_event, project_of, refusal, require_memory_equals_store
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_a_heartbeat_says_when_the_next_is_due_and_keeps_what_the_agent_does(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x"))["id"]
    await ada.claim_task(task_id=task)
    before = await last_event(world)

    reply = await ada.heartbeat(
        status="blocked", task_id=task, stage="testing", context_used=10, context_limit=20, note="hm"
    )

    assert reply == {"next_heartbeat_s": 30, "notices": [], "leases_renewed": []}
    me = (await owner.list_agents())["items"][0]
    told = {"status": "blocked", "current_task": task, "stage": "testing", "context_used": 10, "note": "hm"}
    assert {name: me[name] for name in told} == told
    assert await last_event(world) == before, "liveness writes no event"
    await ada.heartbeat(status="working")
    assert (await owner.list_agents())["items"][0]["stage"] == "testing", "what is left out stays"
    require_memory_equals_store(world)


async def test_a_heartbeat_about_a_task_that_is_not_held_is_refused(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = (await owner.create_task(title="x"))["id"]
    await bob.claim_task(task_id=task)

    await refusal("forbidden", ada.heartbeat(status="working", task_id=task))
    for unknown in ("tsk_0000000000", "nonsense"):
        await refusal("not_found", ada.heartbeat(status="working", task_id=unknown))
    await refusal("forbidden", owner.heartbeat(status="idle"))


async def test_leases_and_claims_are_renewed_only_when_less_than_two_thirds_are_left(world: World) -> None:
    ada = await world.agent("ada")
    await world.person().create_task(title="x")
    long = (await ada.acquire_lock(paths=["long.py"], ttl_s=900))["lock"]
    short = (await ada.acquire_lock(paths=["short.py"], ttl_s=90))["lock"]
    claimed = await ada.claim_task(lease_s=90)

    await world.elapse(30)
    assert (await ada.heartbeat(status="working"))["leases_renewed"] == []
    seen = await ada.get_task(task_id=claimed["task"]["id"])
    assert seen["lease_expires_at"] == claimed["lease_expires_at"]
    await world.elapse(1)
    assert (await ada.heartbeat(status="working"))["leases_renewed"] == [short["id"]]
    assert (await ada.heartbeat(status="working"))["leases_renewed"] == []

    expected = world.clock.now() + timedelta(seconds=90)
    locks = {lock["id"]: lock for lock in (await ada.list_locks())["items"]}
    assert locks[long["id"]] == long
    assert _at(locks[short["id"]]["expires_at"]) == expected
    assert locks[short["id"]]["token"] == short["token"]
    seen = await ada.get_task(task_id=claimed["task"]["id"])
    assert _at(seen["lease_expires_at"]) == expected
    assert seen["updated_at"] == claimed["task"]["updated_at"]
    require_memory_equals_store(world)


async def test_every_write_of_an_agent_renews_and_reads_do_not(world: World) -> None:
    ada = await world.agent("ada")
    await world.person().create_task(title="x")
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=60))["lock"]

    async def end() -> datetime:
        return _at((await world.person().list_locks(path="a.py"))["items"][0]["expires_at"])

    await world.elapse(30)
    for read in (ada.list_locks(), ada.list_tasks(), ada.list_agents(), ada.get_project(), ada.whoami()):
        await read
    assert await end() == _at(lock["expires_at"])
    writes = (
        ada.claim_task,
        ada.start_session,
        lambda: ada.acquire_lock(paths=["b.py"]),
        lambda: ada.release_lock(paths=["b.py"]),
    )
    for write in writes:
        await write()
        assert await end() == world.clock.now() + timedelta(seconds=60), write
        await world.elapse(30)
    await refusal("nothing_ready", ada.claim_task())
    assert await end() == world.clock.now() + timedelta(seconds=60), "a refused write is a sign of life too"


async def test_a_cost_report_is_a_sign_of_life_although_another_keeper_takes_it(world: World) -> None:
    ada = await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=60))["lock"]
    await world.elapse(30)

    await ada.record_cost(model="none", input_tokens=1, output_tokens=1, idempotency_key="1")
    await world.person().create_task(title="so that what was passed on aside has arrived")

    assert (await ada.list_locks())["items"][0]["expires_at"] > lock["expires_at"]


async def test_a_silent_agent_loses_all_it_holds_in_one_commit(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    tasks = [(await owner.create_task(title=str(number), files=[f"{number}.py"]))["id"] for number in range(2)]
    for task in tasks:
        await ada.claim_task(task_id=task, lease_s=7200)
    await ada.acquire_lock(paths=["free.py"], ttl_s=7200)
    await world.elapse(899)
    await bob.heartbeat(status="idle")
    assert len((await owner.list_locks())["items"]) == 3
    before = await last_event(world)

    await world.elapse(1)

    assert (await owner.list_locks())["items"] == []
    for task in tasks:
        seen = await owner.get_task(task_id=task)
        assert (seen["status"], seen["attempts"][0]["outcome"]) == ("pending", "agent_lost")
        assert timedelta(seconds=2.5) <= _at(seen["retry_at"]) - world.clock.now() <= timedelta(seconds=5)
    written = await events(world, since=before)
    kinds = ["agent.lost", *["checkpoint.saved"] * 2, *["lock.released"] * 3, *["task.requeued"] * 2]
    assert sorted(event["kind"] for event in written) == kinds
    assert {event["actor"] for event in written} == {"conductor"}
    facts = next(event["facts"] for event in written if event["kind"] == "agent.lost")
    assert (facts["silence_s"], sorted(facts["tasks"]), len(facts["locks"])) == (900, sorted(tasks), 1)
    lost, here = (await owner.list_agents())["items"]
    assert (lost["agent_id"], lost["status"], lost["health"], "current_task" in lost) == (
        "ada",
        "offline",
        "lost",
        False,
    )
    assert (here["agent_id"], here["health"]) == ("bob", "healthy")
    require_memory_equals_store(world)


async def test_nothing_of_a_loss_is_seen_when_its_commit_fails_and_all_of_it_later(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    await ada.claim_task(task_id=task, lease_s=7200)
    sql_before = await last_event(world)
    world.clock.move(900)
    # The next command finds the agent lost and fails, in the batch and alone.
    probe.plan("before_commit", RuntimeError("planned"), RuntimeError("planned"))

    await refusal("internal", owner.create_task(title="y"))
    assert await last_event(world) == sql_before
    assert (await owner.get_task(task_id=task))["status"] == "claimed"
    await world.elapse(0)

    assert (await owner.get_task(task_id=task))["status"] == "pending"
    assert (await owner.list_locks())["items"] == []
    require_memory_equals_store(world)


async def test_the_attempt_of_a_lost_agent_is_stale_and_another_agents_completion_counts(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    await ada.claim_task(task_id=task)
    await world.elapse(900)
    await world.elapse(5)
    assert (await bob.claim_task(task_id=task))["attempt"] == 2

    await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="late"))
    await refusal("stale_attempt", ada.update_task(task_id=task, attempt=1, status="pending"))
    await refusal("lock_held", ada.acquire_lock(paths=["a.py"]))

    done = await bob.complete_task(task_id=task, attempt=2, result="done")
    assert done["task"]["assigned_to"] == "bob"


async def test_poison_tasks_end_as_failed_after_their_last_agent_was_lost(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x", max_attempts=2))["id"]

    for _ in range(2):
        await ada.claim_task(task_id=task)
        await world.elapse(900)
        await world.elapse(10)

    seen = await owner.get_task(task_id=task)
    assert seen["status"] == "failed"
    assert [attempt["outcome"] for attempt in seen["attempts"]] == ["agent_lost", "agent_lost"]
    assert all("ada" in attempt["error"] for attempt in seen["attempts"])


async def test_an_agent_that_is_back_is_told_once_what_it_lost(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=7200)
    await world.elapse(900)

    session = await ada.start_session()

    assert [notice["kind"] for notice in session["notices"]] == ["agent_lost"]
    assert (session["agent"]["status"], session["agent"]["health"], session["locks"]) == ("idle", "healthy", [])
    assert (await ada.heartbeat(status="idle"))["notices"] == []
    assert len(await events(world, kind=["agent.returned"])) == 1
    me = (await owner.list_agents())["items"][0]
    assert (me["status"], me["health"]) == ("idle", "healthy")
    await world.elapse(900)
    assert len(await events(world, kind=["agent.lost"])) == 2, "it can be lost again"
    assert (await ada.heartbeat(status="idle"))["notices"] == [], "who held nothing lost nothing"


async def test_an_agent_that_never_spoke_is_not_lost(world: World) -> None:
    await world.agent("ada")

    await world.elapse(100_000)

    assert await events(world, kind=["agent.lost"]) == []
    me = (await world.person().list_agents())["items"][0]
    assert (me["status"], me["health"]) == ("offline", "late")


async def test_silence_is_shown_as_late_and_critical_before_it_is_lost(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await ada.heartbeat(status="idle")
    shown = []

    for silence_s in (0, 119, 1, 179, 1, 599, 1):
        await world.elapse(silence_s)
        shown.append((await owner.list_agents())["items"][0]["health"])

    assert shown == ["healthy", "healthy", "late", "late", "critical", "critical", "lost"]
    assert [agent["agent_id"] for agent in (await owner.list_agents(health=["lost"]))["items"]] == ["ada"]


async def test_each_project_chooses_when_an_agent_is_late_and_critical(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"late_after_s": 45, "critical_after_s": 100})
    assert (await ada.heartbeat(status="idle"))["next_heartbeat_s"] == 15
    shown = []

    for silence_s in (44, 1, 54, 1, 799, 1):
        await world.elapse(silence_s)
        shown.append((await owner.list_agents())["items"][0]["health"])

    assert shown == ["healthy", "late", "late", "critical", "critical", "lost"]


async def test_each_project_chooses_how_much_silence_it_bears(world: World) -> None:
    owner = world.person()
    hasty = await owner.create_project(name="Hasty", settings={"lost_after_s": 30})
    ada = await world.agent("ada")
    zoe = await world.agent("zoe", project=project_of(world, hasty["id"]))
    for who, lost_after_s in ((ada, 900), (zoe, 30)):
        assert (await who.acquire_lock(paths=["a.py"]))["lost_after_s"] == lost_after_s
    assert (await zoe.heartbeat(status="idle"))["next_heartbeat_s"] == 10

    await world.elapse(60)

    assert [event["facts"]["agent_id"] for event in await events(world, kind=["agent.lost"])] == ["zoe"]


async def test_a_change_of_the_silence_borne_counts_at_once_also_for_the_silent(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=7200)
    await world.elapse(100)

    await owner.update_project(settings={"lost_after_s": 2000})
    await world.elapse(1000)
    assert await events(world, kind=["agent.lost"]) == [], "never earlier than the project bears"
    await owner.update_project(settings={"lost_after_s": 1200})
    await world.elapse(99)
    assert await events(world, kind=["agent.lost"]) == []
    await world.elapse(1)
    assert len(await events(world, kind=["agent.lost"])) == 1


async def test_nobody_is_lost_in_the_first_minute_of_a_run(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"lost_after_s": 10})
    await ada.acquire_lock(paths=["a.py"])

    await world.elapse(59)
    assert await events(world, kind=["agent.lost"]) == []
    await world.elapse(1)
    assert len(await events(world, kind=["agent.lost"])) == 1


async def test_a_claim_whose_lease_runs_out_ends_the_attempt_and_is_told(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]
    await ada.claim_task(task_id=task, lease_s=60)

    await world.elapse(60)

    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["attempts"][0]["outcome"]) == ("pending", "lease_expired")
    assert (await owner.list_locks())["items"] == []
    await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="late"))
    told = (await ada.heartbeat(status="idle"))["notices"]
    assert sorted(notice["kind"] for notice in told) == ["claim_expired", "lock_expired"]
    require_memory_equals_store(world)


async def test_what_was_heard_is_written_every_few_seconds_and_never_taken_back(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await ada.heartbeat(status="working")
    for _ in range(4):
        await world.elapse(25)
        await ada.heartbeat(status="working")
    await world.elapse(5)

    assert await _seen_at(owner) == world.clock.now() - timedelta(seconds=5)
    await owner.create_task(title="x")
    await ada.claim_task()
    assert await _seen_at(owner) == world.clock.now(), "a write of the agent's row keeps the newest"


async def test_a_batch_that_fails_takes_back_no_sign_of_life(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(settings={"lost_after_s": 100})
    await ada.acquire_lock(paths=["a.py"], ttl_s=7200)
    await world.elapse(90)
    await ada.heartbeat(status="idle")
    world.clock.move(1)
    probe.plan("before_commit", RuntimeError("planned"))
    await owner.create_task(title="the batch fails, the room is loaded anew, the command runs alone")

    await world.elapse(98)
    assert await events(world, kind=["agent.lost"]) == []
    await world.elapse(1)
    assert len(await events(world, kind=["agent.lost"])) == 1


async def _seen_at(owner: Who) -> datetime:
    agents: list[dict[str, Any]] = (await owner.list_agents())["items"]
    return _at(agents[0]["last_seen_at"])


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
