"""Plans: what a new organisation begins with, and that only its making writes it."""

from __future__ import annotations

import pytest

from conductor.domain import plans
from conductor.domain.access import Role
from tests.actors.bearing import kept
from tests.actors.looking import refusal
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("plan", "limits"), [("free", ["100"]), ("pro", ["2000"]), ("enterprise", [])])
async def test_an_organisation_begins_with_the_quotas_of_its_plan(world: World, plan: str, limits: list[str]) -> None:
    root = world.person(Role.ROOT)

    made = await root.create_organization(name="Umbrella", plan=plan)

    quotas = (await root.get_quota(organization_id=made["id"]))["items"]
    assert [quota["limit_usd"] for quota in quotas] == limits
    assert {(quota["scope"], quota["window"], quota["hard"]) for quota in quotas} <= {("organization", "month", True)}
    assert made["plan"] == plan


async def test_the_free_plan_is_what_one_gets_without_asking(world: World) -> None:
    made = await world.person(Role.ROOT).create_organization(name="Umbrella")

    assert made["plan"] == "free"
    assert len(kept(world, "quotas", made["id"])) == 1


async def test_an_unknown_plan_is_refused_with_the_list_and_nothing_is_written(world: World) -> None:
    root = world.person(Role.ROOT)

    refused = await refusal("invalid", root.create_organization(name="Umbrella", plan="gold"))

    assert refused.facts == {"argument": "plan", "plans": ["free", "pro", "enterprise"]}
    assert [item["slug"] for item in (await root.list_organizations())["items"]] == ["acme"]


async def test_the_installations_own_organisation_has_no_quota(world: World) -> None:
    assert kept(world, "quotas") == []


async def test_the_organisations_people_change_the_quota_of_their_plan(world: World) -> None:
    root = world.person(Role.ROOT)
    made = await root.create_organization(name="Umbrella")

    await root.set_quota(organization_id=made["id"], scope="organization", limit_usd=500)

    quotas = (await root.get_quota(organization_id=made["id"]))["items"]
    assert [quota["limit_usd"] for quota in quotas] == ["500"]


@pytest.mark.parametrize(
    "text",
    [
        '[a]\ntitle = "A"\nquotas = []\nprojects = 3',
        "[a]\nquotas = []",
        '[a]\ntitle = "A"\nquotas = [{ limit_usd = "1", window = "year", hard = true }]',
        '[a]\ntitle = "A"\nquotas = [{ limit_usd = "1", window = "day" }]',
    ],
)
def test_a_file_of_plans_with_a_mistake_is_not_read(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        plans.read(text)
