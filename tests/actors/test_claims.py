"""Claims: who may take which task, which one is best, and why there is none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, outcome, refusal, require_memory_equals_store
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_a_claim_gives_an_attempt_a_lease_the_locks_and_what_to_know(world: World) -> None:
    owner = world.person()
    await owner.update_onboarding_config(
        version=0,
        focus="ship",
        goals=["fast"],
        style_guide="plain",
        checkpoint_rules=["often"],
        instruction_files={"anthropic": "CLAUDE.md"},
    )
    ada = await world.agent("ada", provider="anthropic", allowed_paths=["src/"], denied_paths=["src/secret/"])
    task = await owner.create_task(title="Build", files=["src/b.py", "src/a.py"])

    claimed = await ada.claim_task(task_id=task["id"], lease_s=600)

    expires_at = (world.clock.now() + timedelta(seconds=600)).isoformat().replace("+00:00", "Z")
    assert (claimed["attempt"], claimed["lease_expires_at"]) == (1, expires_at)
    assert (claimed["task"]["status"], claimed["task"]["assigned_to"]) == ("claimed", "ada")
    assert [(lock["paths"], lock["mode"], lock["task_id"], lock["expires_at"]) for lock in claimed["locks"]] == [
        (["src/a.py", "src/b.py"], "exclusive", task["id"], expires_at)
    ]
    assert {
        "focus": "ship",
        "goals": ["fast"],
        "style_guide": "plain",
        "checkpoint_rules": ["often"],
        "allowed_paths": ["src/"],
        "denied_paths": ["src/secret/"],
        "related": [],
    }.items() <= claimed["context"].items()
    me = (await owner.list_agents())["items"][0]
    assert (me["status"], me["current_task"]) == ("working", task["id"])
    require_memory_equals_store(world)


async def test_a_held_task_is_already_claimed_for_others_and_for_its_holder(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = await world.person().create_task(title="x")
    await ada.claim_task(task_id=task["id"])

    for who in (ada, bob):
        refused = await refusal("already_claimed", who.claim_task(task_id=task["id"]))
        assert (refused.facts["holder"], refused.facts["attempt"]) == ("ada", 1)
        assert refused.fault["retryable"] is True

    seen = await bob.get_task(task_id=task["id"])
    assert (seen["assigned_to"], seen["attempt"], len(seen["attempts"])) == ("ada", 1, 1)


async def test_a_task_that_waits_is_closed_or_is_not_for_this_agent_is_not_ready(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", capabilities=["python"])
    open_task = await owner.create_task(title="open", assigned_to="bob")
    after = await owner.create_task(title="after", dependencies=[open_task["id"]])
    demanding = await owner.create_task(title="demanding", requires=["python", "rust"])
    done = await owner.create_task(title="done")
    await ada.claim_task(task_id=done["id"])
    await ada.complete_task(task_id=done["id"], attempt=1, result="x")
    gone = await owner.create_task(title="gone")
    await owner.update_task(task_id=gone["id"], status="cancelled")

    async def facts(task: dict[str, Any]) -> dict[str, Any]:
        return (await refusal("not_ready", ada.claim_task(task_id=task["id"]))).facts

    assert (await facts(open_task))["assigned_to"] == "bob"
    assert (await facts(after))["blocked_by"] == [open_task["id"]]
    assert (await facts(demanding))["missing_capabilities"] == ["rust"]
    assert (await facts(done))["status"] == "completed"
    assert (await facts(gone))["status"] == "cancelled"


async def test_a_task_that_does_not_exist_for_the_caller_is_not_found(world: World) -> None:
    owner = world.person()
    ada = await world.agent("ada")
    other = await owner.create_project(name="Other")
    foreign = await owner.create_task(title="x", project_id=other["id"])

    messages = [
        (await refusal("not_found", ada.claim_task(task_id=task_id))).fault["message"].replace(task_id, "…")
        for task_id in (foreign["id"], "tsk_0000000000", "nonsense")
    ]

    assert len(set(messages)) == 1


async def test_only_agents_that_work_can_claim(world: World) -> None:
    await world.person().create_task(title="x")
    eve, orla = await world.agent("eve", Role.REVIEWER), await world.agent("orla", Role.OBSERVER)

    for who in (world.person(), eve, orla):
        await refusal("forbidden", who.claim_task())

    assert (await (await world.agent("lea", Role.LEAD)).claim_task())["attempt"] == 1


async def test_of_many_agents_that_claim_one_task_exactly_one_gets_it(world: World) -> None:
    agents = [await world.agent(f"agent-{number}") for number in range(16)]
    task = await world.person().create_task(title="x", files=["a.py"])

    codes = await asyncio.gather(*(outcome(agent.claim_task(task_id=task["id"])) for agent in agents))

    assert sorted(str(code) for code in codes) == ["None"] + ["already_claimed"] * 15
    assert len(await events(world, kind=["task.claimed"])) == len(await events(world, kind=["lock.granted"])) == 1


async def test_agents_that_claim_the_best_task_at_once_get_different_ones(world: World) -> None:
    owner = world.person()
    agents = [await world.agent(f"agent-{number}") for number in range(12)]
    tasks = [
        (await owner.create_task(title=str(number), files=["a.py"] if number < 3 else []))["id"] for number in range(10)
    ]

    answers = await asyncio.gather(*(agent.claim_task() for agent in agents), return_exceptions=True)

    claimed = [answer["task"]["id"] for answer in answers if isinstance(answer, dict)]
    # Three want the same file, so only one of them can be had.
    assert len(claimed) == len(set(claimed)) == 8
    assert set(claimed) <= set(tasks)
    require_memory_equals_store(world)


async def test_the_best_task_is_the_most_important_then_mine_then_the_closest_match_then_the_oldest(
    world: World,
) -> None:
    owner = world.person()
    ada = await world.agent("ada", capabilities=["python", "sql"])
    # The worst first, so that age never decides what something else should.
    made: list[tuple[str, dict[str, Any]]] = [
        ("low", {"priority": "low", "assigned_to": "ada"}),
        ("plain, the older", {}),
        ("plain, the younger", {}),
        ("one capability", {"requires": ["python"]}),
        ("two capabilities", {"requires": ["python", "sql"]}),
        ("mine", {"assigned_to": "ada"}),
        ("high", {"priority": "high"}),
        ("critical", {"priority": "critical"}),
    ]
    for title, particulars in made:
        await owner.create_task(title=title, **particulars)
        await world.elapse(1)

    got = [(await ada.claim_task())["task"]["title"] for _ in range(8)]

    assert got == [
        "critical",
        "high",
        "mine",
        "two capabilities",
        "one capability",
        "plain, the older",
        "plain, the younger",
        "low",
    ]


async def test_a_low_task_that_has_waited_long_goes_before_a_new_important_one(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    old = await owner.create_task(title="old", priority="low")
    await world.elapse(3 * 3600)
    await owner.create_task(title="new", priority="high")

    assert (await ada.claim_task())["task"]["id"] == old["id"]


async def test_the_best_task_is_one_whose_files_others_do_not_lease(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await bob.acquire_lock(paths=["src/**"], mode="shared", ttl_s=300)
    taken = await owner.create_task(title="taken", priority="critical", files=["src/a.py"])
    free = await owner.create_task(title="free", priority="low", files=["docs/a.md"])

    assert (await ada.claim_task())["task"]["id"] == free["id"]
    refused = await refusal("nothing_ready", ada.claim_task())
    assert refused.facts["reasons"] == {"files_leased": 1}
    refused = await refusal("lock_held", ada.claim_task(task_id=taken["id"]))
    assert (refused.facts["holder"], refused.facts["path"]) == ("bob", "src/**")
    assert (await owner.get_task(task_id=taken["id"]))["attempt"] == 0
    claimed = await ada.claim_task(acquire_locks=False)
    assert (claimed["task"]["id"], claimed["locks"]) == (taken["id"], [])


async def test_where_overlaps_are_granted_a_free_task_goes_first_among_equals_and_no_further(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await owner.update_project(conflict_strategy="merge")
    await bob.acquire_lock(paths=["src/"])
    first = await owner.create_task(title="taken, the oldest", files=["src/a.py"])
    await world.elapse(1)
    second = await owner.create_task(title="free", files=["docs/a.md"])
    await owner.create_task(title="free, but of less weight", priority="low")

    got = [(await ada.claim_task())["task"]["id"] for _ in range(2)]

    assert got == [second["id"], first["id"]]


async def test_own_locks_do_not_stand_in_the_way_of_a_claim(world: World) -> None:
    ada = await world.agent("ada")
    own = await ada.acquire_lock(paths=["src/a.py"])
    task = await world.person().create_task(title="x", files=["src/a.py"])

    claimed = await ada.claim_task()
    done = await ada.complete_task(task_id=task["id"], attempt=1, result="x")

    assert done["released"] == [claimed["locks"][0]["id"]]
    assert [lock["id"] for lock in (await ada.list_locks())["items"]] == [own["lock"]["id"]]


async def test_nothing_ready_says_why_and_when_to_ask_again(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    refused = await refusal("nothing_ready", ada.claim_task())
    assert (refused.facts["reasons"], refused.fault["wait_s"]) == ({}, 60)

    resting = await owner.create_task(title="resting")
    await ada.claim_task()
    retry_at = (await ada.update_task(task_id=resting["id"], attempt=1, status="failed", note="x"))["retry_at"]
    await owner.create_task(title="waits", dependencies=[resting["id"]])
    await owner.create_task(title="bob's", assigned_to="bob")
    await owner.create_task(title="demanding", requires=["rust"])

    refused = await refusal("nothing_ready", ada.claim_task())
    assert refused.facts["reasons"] == {
        "dependencies": 1,
        "retry_later": 1,
        "assigned_elsewhere": 1,
        "missing_capability": 1,
    }
    assert 2 < refused.fault["wait_s"] <= 5
    await world.elapse(refused.fault["wait_s"])
    assert (await ada.claim_task())["task"]["id"] == resting["id"], retry_at
    assert (await bob.claim_task())["task"]["title"] == "bob's"


async def test_nothing_ready_waits_for_the_end_of_the_lease_in_the_way(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await bob.acquire_lock(paths=["a.py"], ttl_s=20)
    await world.person().create_task(title="x", files=["a.py"])

    refused = await refusal("nothing_ready", ada.claim_task())
    await world.elapse(refused.fault["wait_s"])

    assert refused.fault["wait_s"] == 20
    assert (await ada.claim_task())["attempt"] == 1


@pytest.mark.parametrize("scope", ["organization", "project", "agent"])
async def test_a_hard_budget_refuses_claims_that_would_pass_it_at_every_level(world: World, scope: str) -> None:
    owner, ada = world.person(), await world.agent("ada")
    names: dict[str, Any] = {} if scope == "organization" else {"project_id": world.project.id}
    if scope == "agent":
        names["agent_id"] = "ada"
    small = await owner.create_task(title="small")
    dear = await owner.create_task(title="dear", priority="high", estimated_cost_usd=3)
    await owner.set_quota(scope=scope, limit_usd=5, **names)
    await _spend(ada, "first", 3)

    refused = await refusal("budget_exceeded", ada.claim_task(task_id=dear["id"]))
    assert {name: refused.facts[name] for name in ("scope", "limit_usd", "spent_usd", "estimate_usd")} == {
        "scope": scope,
        "limit_usd": "5",
        "spent_usd": "3",
        "estimate_usd": "3",
    }
    assert (await ada.claim_task())["task"]["id"] == small["id"], "the best task is one that there is money for"
    await _spend(ada, "second", 2)
    await owner.create_task(title="another")
    await refusal("budget_exceeded", ada.claim_task())
    await owner.set_quota(scope=scope, limit_usd=5, hard=False, **names)
    assert (await ada.claim_task())["task"]["id"] == dear["id"], "a soft budget only tells"


async def test_another_agents_budget_refuses_nobody_else(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await owner.set_quota(scope="agent", project_id=world.project.id, agent_id="ada", limit_usd=0)
    await owner.create_task(title="x")

    await refusal("budget_exceeded", ada.claim_task())

    assert (await bob.claim_task())["attempt"] == 1


async def test_an_agent_whose_tokens_are_used_up_claims_nothing_more(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada", token_budget=100)
    tasks = [await owner.create_task(title=str(number)) for number in range(2)]
    await ada.record_cost(model="none", input_tokens=60, output_tokens=39, cost_usd=0, idempotency_key="1")
    await ada.claim_task(task_id=tasks[0]["id"])
    await ada.record_cost(model="none", input_tokens=1, output_tokens=0, cost_usd=0, idempotency_key="2")

    refused = await refusal("budget_exceeded", ada.claim_task())
    assert (refused.facts["limit_tokens"], refused.facts["used_tokens"]) == (100, 100)
    await refusal("budget_exceeded", ada.claim_task(task_id=tasks[1]["id"]))


async def test_a_claim_is_not_granted_when_the_budgets_could_not_be_asked(make_world: MakeWorld) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="organization", limit_usd=0)
    task = await owner.create_task(title="x")
    # The question fails in the batch and when it is asked alone; the claim itself would come through.
    probe.plan("before_commit", RuntimeError("planned"), RuntimeError("planned"))

    assert await outcome(ada.claim_task(task_id=task["id"])) in {"internal", "unavailable"}

    assert (await owner.get_task(task_id=task["id"]))["attempt"] == 0


async def test_a_task_outside_an_agents_paths_is_denied_by_name_and_passed_over_else(world: World) -> None:
    owner = world.person()
    ada = await world.agent("ada", allowed_paths=["src/"], denied_paths=["src/secret/"])
    outside = await owner.create_task(title="outside", priority="critical", files=["docs/a.md"])
    denied = await owner.create_task(title="denied", priority="high", files=["src/*/key.py"])

    for task in (outside, denied):
        await refusal("zone_denied", ada.claim_task(task_id=task["id"]))
        await refusal("zone_denied", ada.claim_task(task_id=task["id"], acquire_locks=False))
    assert (await refusal("nothing_ready", ada.claim_task())).facts["reasons"] == {"outside_paths": 2}
    inside = await owner.create_task(title="inside", files=["src/a.py"])

    assert (await ada.claim_task())["task"]["id"] == inside["id"]
    assert [lock["task_id"] for lock in (await owner.list_locks())["items"]] == [inside["id"]]


async def test_a_reopened_task_leases_its_files_as_the_project_compares_them_now(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x", files=["Src/A.py"])
    await owner.update_task(task_id=task["id"], status="cancelled")
    await owner.update_project(settings={"fold_case": True})
    await owner.update_task(task_id=task["id"], status="pending")

    claimed = await ada.claim_task(task_id=task["id"])

    assert claimed["locks"][0]["paths"] == ["src/a.py"]
    await refusal("lock_held", bob.acquire_lock(paths=["SRC/a.PY"]))


async def _spend(agent: Who, key: str, usd: float) -> None:
    await agent.record_cost(model="none", input_tokens=1, output_tokens=1, cost_usd=usd, idempotency_key=key)
