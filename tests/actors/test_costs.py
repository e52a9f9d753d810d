"""The ledger: each cost event counts once for ever, in full, priced or not, for whom it was, on the day it came."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from conductor.domain.access import Caller, Role, TokenKind
from tests.actors.looking import events, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

EVENT: dict[str, Any] = {"model": "own", "input_tokens": 10, "output_tokens": 5, "cost_usd": "0.25"}
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-4-5", "provider": "anthropic", "input_tokens": 1_000_000,
                          "output_tokens": 0}  # fmt: skip


def service(world: World, number: int = 1, project_id: str | None = None) -> Who:
    """A service with a token of its own."""
    token_id = f"tok_svc000000{number}"
    return Who(world, Caller(TokenKind.SERVICE, Role.SERVICE, world.organization.id, token_id, project_id))


async def total(world: World, **wanted: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await world.person().get_costs(**wanted))["total"]
    return found


async def test_a_cost_is_booked_and_told(world: World) -> None:
    ada = await world.agent("ada")

    booked = await ada.record_cost(**EVENT, idempotency_key="k")

    assert booked == {
        "id": "cost_1",
        "cost_usd": "0.25",
        "reported_usd": "0.25",
        "spent_usd": "0.25",
        "exceeded": False,
    }
    assert await total(world) == {
        "cost_usd": "0.25",
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "events": 1,
        "unpriced_events": 0,
    }
    assert (await world.person().list_agents())["items"][0]["spent_today_usd"] == "0.25"
    assert len(await events(world, kind=["cost.recorded"])) == 1


async def test_the_same_key_gives_the_same_reply_and_counts_once_for_ever(world: World) -> None:
    ada = await world.agent("ada")
    first = await ada.record_cost(**EVENT, idempotency_key="k")
    await ada.record_cost(**EVENT, idempotency_key="other")

    replies = [await ada.record_cost(**EVENT, idempotency_key="k")]
    await world.restart(40 * 86_400)
    replies.append(await ada.record_cost(**EVENT, idempotency_key="k"))
    replies += await asyncio.gather(*(ada.record_cost(**EVENT, idempotency_key="k") for _ in range(50)))

    assert all(reply == first for reply in replies)
    assert (await total(world))["events"] == 2
    assert len(await events(world, kind=["cost.recorded"])) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another"},
        {"provider": "x"},
        {"input_tokens": 11},
        {"output_tokens": 6},
        {"cache_read_tokens": 1},
        {"cost_usd": "0.250000001"},
        {"cost_usd": None},
        {"occurred_at": "2026-11-24T11:00:00Z"},
    ],
)
async def test_the_same_key_with_another_body_is_refused(world: World, other: dict[str, Any]) -> None:
    ada = await world.agent("ada")
    first = await ada.record_cost(**EVENT, idempotency_key="k")
    body = {name: value for name, value in (EVENT | other).items() if value is not None}

    await refusal("idempotency_mismatch", ada.record_cost(**body, idempotency_key="k"))

    assert await ada.record_cost(**EVENT, idempotency_key="k") == first
    assert (await total(world))["events"] == 1


async def test_the_same_event_said_in_other_words_is_the_same(world: World) -> None:
    ada = await world.agent("ada")
    first = await ada.record_cost(**EVENT, idempotency_key="k")

    same = [
        await ada.record_cost(**EVENT | {"cost_usd": 0.25}, idempotency_key="k"),
        await ada.record_cost(**EVENT | {"cost_usd": "0.2500"}, idempotency_key="k"),
        await ada.record_cost(**EVENT, agent_id="ada", project_id=world.project.id, idempotency_key="k"),
    ]

    assert all(reply == first for reply in same)


async def test_three_deliveries_in_any_order_across_restarts_leave_exactly_the_set_of_events(world: World) -> None:
    names = ("ada", "bob")
    agents = {name: await world.agent(name) for name in names}
    shuffled = random.Random(7)
    wanted: dict[tuple[str, str], dict[str, Any]] = {
        (name, f"{name}-{number}"): {
            "model": f"m{number % 3}",
            "input_tokens": number,
            "output_tokens": 1,
            "cost_usd": str(Decimal(number) / 1000),
            "idempotency_key": str(number),
        }
        for name in names
        for number in range(40)
    }
    deliveries = list(wanted) * 3
    shuffled.shuffle(deliveries)

    replies: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for start in range(0, len(deliveries), 60):
        part = deliveries[start : start + 60]
        answers = await asyncio.gather(*(agents[key[0]].record_cost(**wanted[key]) for key in part))
        for key, answer in zip(part, answers, strict=True):
            replies.setdefault(key, []).append(answer)
        await world.restart(3600)

    assert all(len(answers) == 3 and answers[0] == answers[1] == answers[2] for answers in replies.values())
    assert len({answers[0]["id"] for answers in replies.values()}) == len(wanted)
    found = await world.person().get_costs(group_by=["agent", "model"])
    expected: dict[tuple[str, str], list[Any]] = {}
    for (name, _), event in wanted.items():
        row = expected.setdefault((name, event["model"]), [Decimal(0), 0, 0])
        row[0], row[1], row[2] = row[0] + Decimal(event["cost_usd"]), row[1] + event["input_tokens"], row[2] + 1
    told = {
        (row["agent"], row["model"]): [Decimal(row["cost_usd"]), row["input_tokens"], row["events"]]
        for row in found["rows"]
    }
    assert told == expected
    assert found["total"]["events"] == len(wanted)
    spent = (await world.person().get_project())["budget"]["spent_usd"]
    assert Decimal(spent) == sum(Decimal(event["cost_usd"]) for event in wanted.values())


async def test_keys_belong_to_their_source(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.record_cost(**EVENT, idempotency_key="1")
    await bob.record_cost(**EVENT, idempotency_key="1")
    assert (await total(world))["events"] == 2, "without a source the keys are the caller's own"

    await ada.record_cost(**EVENT, source="otel", idempotency_key="1")
    await service(world).record_cost(**EVENT, source="otel", agent_id="ada", idempotency_key="1")
    assert (await total(world))["events"] == 3, "a named source is one, whoever delivers its events"
    await bob.record_cost(**EVENT, source="otel", idempotency_key="1")
    assert (await total(world))["events"] == 4, "nobody takes the keys of another's events"

    await bob.record_cost(**EVENT, source=f"agent:{world.project.id}:ada", idempotency_key="2")
    await ada.record_cost(**EVENT | {"cost_usd": "1"}, idempotency_key="2")
    assert (await total(world))["events"] == 6, "nobody takes another's keys by naming its source"


async def test_a_model_without_a_price_is_unpriced_and_not_free(world: World) -> None:
    ada = await world.agent("ada")

    booked = await ada.record_cost(model="nobody-knows", input_tokens=10, output_tokens=5, idempotency_key="k")

    assert set(booked) == {"id", "spent_usd", "exceeded"}
    summed = await total(world)
    assert (summed["cost_usd"], summed["events"], summed["unpriced_events"]) == ("0", 1, 1)


async def test_what_is_reported_counts_and_what_is_computed_is_told_beside_it(world: World) -> None:
    ada = await world.agent("ada")

    computed = await ada.record_cost(**CLAUDE, idempotency_key="a")
    both = await ada.record_cost(**CLAUDE, cost_usd="1.5", idempotency_key="b")
    free = await ada.record_cost(**CLAUDE, cost_usd=0, idempotency_key="c")

    price = computed["computed_usd"]
    assert Decimal(price) > 0
    assert computed["cost_usd"] == price
    assert "reported_usd" not in computed
    assert (both["cost_usd"], both["reported_usd"], both["computed_usd"]) == ("1.5", "1.5", price)
    assert (free["cost_usd"], free["reported_usd"], free["computed_usd"]) == ("0", "0", price)
    assert Decimal((await total(world))["cost_usd"]) == Decimal(price) + Decimal("1.5")


async def test_a_service_names_the_agent_and_an_agent_only_itself(world: World) -> None:
    ada = await world.agent("ada")
    await world.agent("bob")

    await refusal("forbidden", ada.record_cost(**EVENT, agent_id="bob", idempotency_key="a"))
    await refusal("not_found", service(world).record_cost(**EVENT, agent_id="eve", idempotency_key="b"))
    await service(world).record_cost(**EVENT, agent_id="bob", idempotency_key="c")
    await service(world).record_cost(**EVENT, idempotency_key="d")
    await refusal("forbidden", world.person().record_cost(**EVENT, idempotency_key="e"))

    rows = (await world.person().get_costs(group_by=["agent"]))["rows"]
    assert [(row.get("agent"), row["events"]) for row in rows] == [(None, 1), ("bob", 1)]


async def test_a_service_names_the_project_where_there_are_several_unless_its_token_does(world: World) -> None:
    other = await world.person().create_project(name="Other")
    await world.agent("ada")

    await refusal("invalid", service(world).record_cost(**EVENT, agent_id="ada", idempotency_key="a"))
    named = {"project_id": world.project.id, "agent_id": "ada"}
    await service(world).record_cost(**EVENT, **named, idempotency_key="b")
    await service(world, 2, world.project.id).record_cost(**EVENT, agent_id="ada", idempotency_key="c")
    bound = service(world, 3, other["id"])
    await refusal("not_found", bound.record_cost(**EVENT, **named, idempotency_key="d"))

    assert (await total(world, project_id=world.project.id))["events"] == 2
    assert (await total(world, project_id=other["id"]))["events"] == 0


async def test_a_cost_can_name_a_task_of_its_project_and_no_other(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x")
    other = await owner.create_project(name="Other")
    foreign = await owner.create_task(title="y", project_id=other["id"])

    for wrong in (foreign["id"], "tsk_0000000000", "nonsense"):
        await refusal("not_found", ada.record_cost(**EVENT, task_id=wrong, idempotency_key="a"))
    await ada.record_cost(**EVENT, task_id=task["id"], idempotency_key="a")

    assert (await total(world, task_id=task["id"]))["events"] == 1
    assert (await ada.get_costs(task_id=task["id"]))["total"]["events"] == 1
    for wrong in (foreign["id"], "tsk_0000000000", "nonsense"):
        await refusal("not_found", ada.get_costs(task_id=wrong))


async def test_a_cost_from_the_future_is_refused_and_one_from_the_past_counts_now(world: World) -> None:
    ada = await world.agent("ada")
    await world.person().set_quota(scope="organization", limit_usd=1, window="day")

    await refusal("invalid", ada.record_cost(**EVENT, occurred_at="2026-11-24T12:05:01Z", idempotency_key="a"))
    await ada.record_cost(**EVENT, occurred_at="2026-11-24T12:05:00Z", idempotency_key="a")
    booked = await ada.record_cost(**EVENT, occurred_at="2026-01-31T23:59:59+01:00", idempotency_key="b")

    assert booked["spent_usd"] == "0.5"
    assert booked["remaining_usd"] == "0.5"
    days = (await world.person().get_costs(group_by=["day"]))["rows"]
    assert sorted(row["day"] for row in days) == ["2026-01-31", "2026-11-24"]
    assert (await total(world, since="2026-02-01"))["events"] == 1
    assert (await total(world, until="2026-02-01"))["events"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"input_tokens": 10**10 + 1},
        {"input_tokens": 1.5},
        {"input_tokens": "1"},
        {"cost_usd": -1},
        {"cost_usd": "0.0000000001"},
        {"cost_usd": "1e5"},
        {"cost_usd": " 1"},
        {"cost_usd": "١"},
        {"cost_usd": 10**10},
        {"model": ""},
        {"model": "m\x00"},
        {"occurred_at": "2026-11-24T12:00:00"},
        {"occurred_at": "0001-01-01T00:00:00Z"},
        {"idempotency_key": ""},
        {"provider": "openai", "model": "gpt-5", "cache_read_tokens": 11},
    ],
)
async def test_what_no_call_can_cost_is_refused(world: World, wrong: dict[str, Any]) -> None:
    ada = await world.agent("ada")

    await refusal("invalid", ada.record_cost(**EVENT | {"idempotency_key": "k"} | wrong))

    assert (await total(world))["events"] == 0


async def test_a_cost_event_needs_its_key(world: World) -> None:
    await refusal("invalid", (await world.agent("ada")).record_cost(**EVENT))


async def test_no_sum_of_absurd_amounts_breaks_the_ledger(world: World) -> None:
    ada = await world.agent("ada")
    for number in range(9):
        await ada.record_cost(**EVENT | {"cost_usd": 1_000_000_000}, idempotency_key=str(number))

    await refusal("invalid", ada.record_cost(**EVENT | {"cost_usd": 1_000_000_000}, idempotency_key="9"))
    await refusal("invalid", ada.record_cost(**EVENT | {"cost_usd": "0.000000001"}, idempotency_key="9"))

    assert (await total(world))["cost_usd"] == "9000000000"
    assert (await world.person().get_project())["budget"]["spent_usd"] == "9000000000"
    assert (await ada.record_cost(**EVENT | {"cost_usd": 0}, idempotency_key="10"))["cost_usd"] == "0"


async def test_costs_are_told_in_groups_the_dearest_first(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x")
    await ada.record_cost(model="m1", provider="p", input_tokens=1, output_tokens=2, cost_usd=1, cache_read_tokens=3,
                          cache_write_tokens=4, task_id=task["id"], idempotency_key="1")  # fmt: skip
    world.clock.move(86_400)
    await ada.record_cost(model="m2", input_tokens=1, output_tokens=1, cost_usd=2, idempotency_key="2")
    await bob.record_cost(model="m1", provider="p", input_tokens=1, output_tokens=1, cost_usd=4, idempotency_key="3")

    async def told(*group_by: str, **wanted: Any) -> list[tuple[Any, ...]]:
        rows = (await owner.get_costs(group_by=list(group_by), **wanted))["rows"]
        return [(*(row.get(name) for name in group_by), row["cost_usd"]) for row in rows]

    assert await told("agent") == [("bob", "4"), ("ada", "3")]
    assert await told("model") == [("m1", "5"), ("m2", "2")]
    assert await told("provider") == [("p", "5"), (None, "2")]
    assert await told("task") == [(None, "6"), (task["id"], "1")]
    assert await told("project") == [(world.project.id, "7")]
    assert await told("day") == [("2026-11-25", "6"), ("2026-11-24", "1")]
    assert await told("agent", "day") == [("bob", "2026-11-25", "4"), ("ada", "2026-11-25", "2"),
                                          ("ada", "2026-11-24", "1")]  # fmt: skip
    assert await told("model", agent_id="ada") == [("m2", "2"), ("m1", "1")]
    assert await told("agent", model="m1", provider="p", since="2026-11-25") == [("bob", "4")]
    assert await told("agent", until="2026-11-24T12:00:00Z") == []
    first = (await owner.get_costs(group_by=["task"]))["rows"][1]
    assert (first["input_tokens"], first["output_tokens"], first["cache_read_tokens"]) == (1, 2, 3)
    await refusal("invalid", owner.get_costs(group_by=["agent", "agent"]))
    await refusal("invalid", owner.get_costs(group_by=["colour"]))


async def test_people_see_the_organisations_costs_and_agents_their_projects(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    other = await owner.create_project(name="Other")
    await ada.record_cost(**EVENT, idempotency_key="1")
    await service(world, 1, other["id"]).record_cost(**EVENT, idempotency_key="2")

    assert (await total(world))["events"] == 2
    assert (await world.person(Role.MEMBER).get_costs())["total"]["events"] == 2
    assert (await ada.get_costs())["total"]["events"] == 1
    await refusal("not_found", ada.get_costs(project_id=other["id"]))
    await refusal("invalid", world.person(Role.VIEWER).get_costs())
    assert (await world.person(Role.VIEWER).get_costs(project_id=other["id"]))["total"]["events"] == 1


async def test_at_most_a_thousand_groups_are_told_and_the_total_is_of_all(world: World) -> None:
    ada = await world.agent("ada")
    await asyncio.gather(
        *(
            ada.record_cost(
                model=f"m{number}", input_tokens=1, output_tokens=1, cost_usd=number, idempotency_key=str(number)
            )
            for number in range(1001)
        )
    )

    found = await world.person().get_costs(group_by=["model"])

    assert [row["model"] for row in found["rows"]] == [f"m{number}" for number in range(1000, 0, -1)]
    assert (found["has_more"], found["total"]["events"]) == (True, 1001)
