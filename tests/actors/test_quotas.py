"""Limits on spending: of an organisation, a project, an agent; by day, week, month or for ever; hard and soft."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.bearing import enter
from tests.actors.looking import events, last_event, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def spend(who: Who, usd: str, key: str, **particulars: Any) -> dict[str, Any]:
    booked: dict[str, Any] = await who.record_cost(
        model="own", input_tokens=1, output_tokens=1, cost_usd=usd, idempotency_key=key, **particulars
    )
    return booked


async def test_a_limit_is_told_as_it_stands(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await spend(ada, "1.5", "a")

    made = await owner.set_quota(scope="agent", project_id=world.project.id, agent_id="ada", limit_usd="2.000000001")

    assert made == {
        "scope": "agent",
        "project_id": world.project.id,
        "agent_id": "ada",
        "limit_usd": "2.000000001",
        "spent_usd": "1.5",
        "reserved_usd": "0",
        "remaining_usd": "0.500000001",
        "exceeded": False,
        "window": "month",
        "hard": True,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert (await ada.get_quota())["items"] == [made]


async def test_a_limit_that_names_no_project_is_the_tokens_own_or_the_only_one(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    first = await owner.set_quota(scope="project", limit_usd=1)
    second = await owner.set_quota(scope="agent", agent_id="ada", limit_usd=1)
    assert first["project_id"] == second["project_id"] == world.project.id
    await refusal("invalid", owner.set_quota(scope="agent", limit_usd=1))

    other = await owner.create_project(name="Other")

    refused = await refusal("invalid", owner.set_quota(scope="project", limit_usd=2))
    assert [item["slug"] for item in refused.facts["projects"]] == ["default", "other"]
    bound = await owner.create_token(kind="usr", name="Ann", role="admin", project_id=other["id"])
    ann = await enter(world, bound["token"])
    assert (await ann.set_quota(scope="project", limit_usd=2))["project_id"] == other["id"]
    await refusal("forbidden", ann.set_quota(scope="organization", limit_usd=2))


async def test_a_limit_set_again_replaces_the_one_of_its_scope_and_window(world: World) -> None:
    owner = world.person()
    await owner.set_quota(scope="organization", limit_usd=5)
    await owner.set_quota(scope="organization", limit_usd=1, window="day")

    await owner.set_quota(scope="organization", limit_usd=7, hard=False)

    shown = [(item["window"], item["limit_usd"], item["hard"]) for item in (await owner.get_quota())["items"]]
    assert sorted(shown) == [("day", "1", True), ("month", "7", False)]
    assert [event["facts"]["limit_nano"] for event in await events(world, kind=["quota.set"])] == [
        5 * 10**9,
        10**9,
        7 * 10**9,
    ]


async def test_everybody_sees_the_limits_that_bind_them_outermost_first(world: World) -> None:
    owner, home = world.person(), world.project.id
    ada, bob = await world.agent("ada"), await world.agent("bob")
    other = await owner.create_project(name="Other")
    await owner.set_quota(scope="agent", project_id=home, agent_id="ada", limit_usd=1)
    await owner.set_quota(scope="agent", project_id=home, agent_id="bob", limit_usd=2)
    await owner.set_quota(scope="project", project_id=home, limit_usd=3)
    await owner.set_quota(scope="project", project_id=other["id"], limit_usd=4)
    await owner.set_quota(scope="organization", limit_usd=5)

    async def limits(who: Who, **named: Any) -> list[str]:
        return [item["limit_usd"] for item in (await who.get_quota(**named))["items"]]

    assert await limits(ada) == ["5", "3", "1"]
    assert await limits(bob) == ["5", "3", "2"]
    assert await limits(ada, agent_id="ada") == ["5", "3", "1"]
    await refusal("forbidden", ada.get_quota(agent_id="bob"))
    assert sorted(await limits(owner)) == ["1", "2", "3", "4", "5"]
    assert await limits(owner, project_id=other["id"]) == ["5", "4"]
    assert await limits(owner, project_id=home, agent_id="bob") == ["5", "3", "2"]
    await refusal("invalid", world.person(Role.VIEWER).get_quota())
    assert await limits(world.person(Role.VIEWER), project_id=other["id"]) == ["5", "4"]


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("invalid", {"scope": "organization", "agent_id": "ada"}),
        ("invalid", {"scope": "organization", "project_id": "home"}),
        ("invalid", {"scope": "project", "project_id": "home", "agent_id": "ada"}),
        ("invalid", {"scope": "agent", "project_id": "home"}),
        ("not_found", {"scope": "agent", "project_id": "home", "agent_id": "bob"}),
        ("not_found", {"scope": "project", "project_id": "prj_0000000000"}),
        ("not_found", {"scope": "project", "project_id": "nonsense"}),
        ("invalid", {"scope": "galaxy"}),
        ("invalid", {"scope": "organization", "limit_usd": -1}),
        ("invalid", {"scope": "organization", "limit_usd": "1e3"}),
        ("invalid", {"scope": "organization", "limit_usd": "0.0000000001"}),
        ("invalid", {"scope": "organization", "limit_usd": 1_000_000_001}),
        ("invalid", {"scope": "organization", "window": "year"}),
        ("invalid", {"scope": "organization", "hard": "yes"}),
    ],
)
async def test_a_limit_on_nothing_is_refused(world: World, code: str, wrong: dict[str, Any]) -> None:
    await world.agent("ada")
    if wrong.get("project_id") == "home":
        wrong = wrong | {"project_id": world.project.id}
    before = await last_event(world)

    await refusal(code, world.person().set_quota(**{"limit_usd": 1} | wrong))

    assert await last_event(world) == before
    assert (await world.person().get_quota())["items"] == []


@pytest.mark.parametrize("scope", ["organization", "project", "agent"])
async def test_a_hard_limit_that_is_used_up_refuses_claims_and_never_the_record(world: World, scope: str) -> None:
    owner, ada = world.person(), await world.agent("ada")
    named = {"project": {"project_id": world.project.id}, "agent": {"project_id": world.project.id, "agent_id": "ada"}}
    await owner.set_quota(scope=scope, limit_usd=1, **named.get(scope, {}))
    task = await owner.create_task(title="x")
    assert (await spend(ada, "0.999999999", "a"))["exceeded"] is False
    booked = await spend(ada, "0.000000001", "b")

    refused = await refusal("budget_exceeded", ada.claim_task(task_id=task["id"]))
    more = await spend(ada, "5", "c")

    assert (booked["exceeded"], booked["remaining_usd"]) == (True, "0")
    assert refused.facts["scope"] == scope
    assert refused.facts["limit_usd"] == "1"
    assert (more["exceeded"], more["remaining_usd"], more["spent_usd"]) == (True, "-5", "6")
    assert (await owner.get_task(task_id=task["id"]))["status"] == "pending"
    await owner.set_quota(scope=scope, limit_usd=7, **named.get(scope, {}))
    assert (await ada.claim_task(task_id=task["id"]))["attempt"] == 1


async def test_an_estimate_that_would_pass_a_hard_limit_is_refused(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="organization", limit_usd=1)
    await spend(ada, "0.5", "a")
    fits = await owner.create_task(title="fits", estimated_cost_usd="0.5")
    passes = await owner.create_task(title="passes", estimated_cost_usd="0.500000001")

    await refusal("budget_exceeded", ada.claim_task(task_id=passes["id"]))

    assert (await ada.claim_task(task_id=fits["id"]))["attempt"] == 1


async def test_a_soft_limit_refuses_nothing_and_is_told(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="organization", limit_usd=1, hard=False)
    await owner.create_task(title="x", estimated_cost_usd=9)

    booked = await spend(ada, "2", "a")

    assert booked["exceeded"] is True
    assert "remaining_usd" not in booked
    assert (await ada.claim_task())["attempt"] == 1
    shown = (await ada.get_quota())["items"][0]
    assert (shown["exceeded"], shown["hard"], shown["remaining_usd"]) == (True, False, "-1")


@pytest.mark.parametrize(
    ("window", "ends"),
    [
        ("day", datetime(2026, 11, 25, tzinfo=UTC)),
        ("week", datetime(2026, 11, 30, tzinfo=UTC)),
        ("month", datetime(2026, 12, 1, tzinfo=UTC)),
        ("total", None),
    ],
)
async def test_a_window_ends_at_midnight_utc_and_lets_claims_through_again(
    world: World, window: str, ends: datetime | None
) -> None:
    owner, ada = world.person(), await world.agent("ada")
    made = await owner.set_quota(scope="organization", limit_usd=1, window=window)
    task = await owner.create_task(title="x")
    await spend(ada, "1", "a")
    assert made.get("resets_at") == (ends.isoformat().replace("+00:00", "Z") if ends else None)
    until_s = ((ends or datetime(2036, 1, 1, tzinfo=UTC)) - world.clock.now()).total_seconds()

    world.clock.move(until_s - 1)
    await refusal("budget_exceeded", ada.claim_task(task_id=task["id"]))
    world.clock.move(1)

    if ends is None:
        await refusal("budget_exceeded", ada.claim_task(task_id=task["id"]))
    else:
        assert (await owner.get_quota())["items"][0]["spent_usd"] == "0"
        assert (await ada.claim_task(task_id=task["id"]))["attempt"] == 1


async def test_the_tightest_hard_limit_is_the_one_that_is_told(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="organization", limit_usd=100)
    await owner.set_quota(scope="project", project_id=world.project.id, limit_usd=5, window="day")
    await owner.set_quota(scope="agent", project_id=world.project.id, agent_id="ada", limit_usd=2, hard=False)

    booked = await spend(ada, "3", "a")

    assert (booked["spent_usd"], booked["remaining_usd"], booked["exceeded"]) == ("3", "2", True)
    assert (await ada.start_session())["budget"] == {"limit_usd": "5", "spent_usd": "3", "remaining_usd": "2"}


async def test_another_project_and_another_agent_have_limits_of_their_own(world: World) -> None:
    owner, home = world.person(), world.project.id
    ada, bob = await world.agent("ada"), await world.agent("bob")
    other = await owner.create_project(name="Other")
    await owner.register_agent(agent_id="ada", name="Ada", project_id=other["id"])
    await owner.set_quota(scope="agent", project_id=home, agent_id="ada", limit_usd=1)
    for title in ("x", "y"):
        await owner.create_task(title=title, project_id=home)

    await spend(bob, "9", "a")
    await spend(ada, "0.25", "b")

    assert (await ada.claim_task())["attempt"] == 1
    assert (await bob.claim_task())["attempt"] == 1
    spent = {item["agent_id"]: item["spent_usd"] for item in (await owner.get_quota(project_id=home))["items"]}
    assert spent == {"ada": "0.25"}


async def test_limits_and_what_is_spent_of_them_outlive_a_restart(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="organization", limit_usd=1)
    await owner.create_task(title="x")
    await spend(ada, "1", "a")

    await world.restart()

    await refusal("budget_exceeded", ada.claim_task())
    assert (await owner.get_quota())["items"][0]["spent_usd"] == "1"
