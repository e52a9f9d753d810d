"""Idempotency keys: the same request has one effect and one reply, however often it comes, and no secret is kept."""

from __future__ import annotations

import asyncio
import json

import pytest

from actors.host_lost import HostLost
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, refusal, require_memory_equals_store, restart
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_a_thousand_duplicates_of_one_request_take_effect_once_and_so_do_another_thousand(world: World) -> None:
    lead = await world.agent("lea", Role.LEAD)
    made = []

    for key in ("first", "second"):
        replies = await asyncio.gather(*(lead.create_task(title=key, idempotency_key=key) for _ in range(1000)))
        assert len({json.dumps(reply) for reply in replies}) == 1
        made.append(replies[0]["id"])

    assert sorted(task["id"] for task in (await lead.list_tasks())["items"]) == sorted(made)
    assert len(await events(world, kind=["task.created"])) == 2
    require_memory_equals_store(world)


async def test_a_key_is_honoured_for_a_day_across_restarts_and_whatever_happened_since(world: World) -> None:
    lead, ada = await world.agent("lea", Role.LEAD), await world.agent("ada")
    made = await lead.create_task(title="x", idempotency_key="make")
    claimed = await ada.claim_task(task_id=made["id"], idempotency_key="claim")
    await ada.complete_task(task_id=made["id"], attempt=1, result="done")

    await restart(world, after_s=60)
    assert await lead.create_task(title="x", idempotency_key="make") == made
    assert await ada.claim_task(task_id=made["id"], idempotency_key="claim") == claimed
    for _ in range(24):
        await world.elapse(3600)
    another = await lead.create_task(title="x", idempotency_key="make")

    assert another["id"] != made["id"]


async def test_a_key_with_another_body_is_refused_and_other_callers_and_operations_have_their_own(
    world: World,
) -> None:
    lead, other, ada = (
        await world.agent("lea", Role.LEAD),
        await world.agent("leo", Role.LEAD),
        await world.agent("ada"),
    )
    made = await lead.create_task(title="x", idempotency_key="key")

    refused = await refusal("idempotency_mismatch", lead.create_task(title="y", idempotency_key="key"))
    assert refused.facts["idempotency_key"] == "key"
    theirs = await other.create_task(title="x", idempotency_key="key")
    locked = await lead.acquire_lock(paths=["a.py"], idempotency_key="key")
    claimed = await ada.claim_task(idempotency_key="key")

    assert len({made["id"], theirs["id"]}) == 2
    assert (locked["status"], claimed["attempt"]) == ("granted", 1)
    assert len((await lead.list_tasks())["items"]) == 2


async def test_refusals_are_not_stored_so_the_same_key_succeeds_later(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await bob.acquire_lock(paths=["a.py"])

    await refusal("lock_held", ada.acquire_lock(paths=["a.py"], idempotency_key="key"))
    await bob.release_lock(all=True)

    assert (await ada.acquire_lock(paths=["a.py"], idempotency_key="key"))["status"] == "granted"


async def test_a_token_is_handed_over_once_and_is_in_no_stored_reply(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner = world.person()

    first = await owner.register_agent(agent_id="ada", name="Ada", idempotency_key="key")
    again = await owner.register_agent(agent_id="ada", name="Ada", idempotency_key="key")
    probe.plan("before_reply", HostLost("host", "planned"))
    lost = await owner.register_agent(agent_id="bob", name="Bob")

    assert again == {"agent": first["agent"]}
    assert "token" not in lost
    with world.store.transaction(world.organization.id) as transaction:
        rows = transaction.connection.exec_driver_sql(
            "SELECT reply FROM idempotency UNION ALL SELECT replies FROM batches"
        ).all()
    stored = " ".join(row[0] for row in rows)
    assert "registered ada" in stored
    secret = first["token"].rpartition("_")[2]
    assert secret not in stored
    assert "cdr_agt_" not in stored
