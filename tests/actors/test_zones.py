"""Zones and path rules: who sets them, and that claims and leases keep to them under every strategy."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, refusal, require_memory_equals_store
from tests.actors.test_lock_waits import queued
from tests.support.world import World

pytestmark = pytest.mark.anyio

STRATEGIES = pytest.mark.parametrize("strategy", ["lock", "zone", "merge", "review"])


async def with_zones(world: World, *zones: dict[str, Any], strategy: str = "lock") -> None:
    """Give the world's project its zones."""
    owner = world.person()
    await owner.update_project(project_id=world.project.id, conflict_strategy=strategy)
    await owner.set_zones(zones=list(zones), version=0)


async def test_zones_are_read_as_they_were_set_and_their_versions_count(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    assert await owner.get_zones() == {"zones": [], "version": 0}
    before = await last_event(world)

    made = await owner.set_zones(
        zones=[
            {"pattern": "./core//", "owners": ["ada", "role:lead", "ada"]},
            {"pattern": "gen/**", "mode": "read_only", "note": "made by the build"},
            {"pattern": "docs/", "mode": "shared"},
        ],
        version=0,
    )

    assert made["zones"] == [
        {"pattern": "core/", "owners": ["ada", "role:lead"], "mode": "owned"},
        {"pattern": "gen/**", "owners": [], "mode": "read_only", "note": "made by the build"},
        {"pattern": "docs/", "owners": [], "mode": "shared"},
    ]
    assert (made["version"], made["changed_by"]) == (1, f"member:{world.owner_member.id}")
    assert await owner.get_zones() == made
    written = await events(world, since=before)
    assert [(event["kind"], event["facts"]["version"]) for event in written] == [("zones.set", 1)]
    overtaken = await refusal("version_conflict", owner.set_zones(zones=[], version=0))
    assert overtaken.facts == {"version": 1, "given": 0}
    assert (await owner.set_zones(zones=made["zones"], version=1))["version"] == 1, "the same again is no change"
    assert (await owner.set_zones(zones=[], version=1))["version"] == 2


async def test_a_list_that_cannot_be_meant_is_refused_and_nothing_is_changed(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    await owner.create_team(name="Backend")
    before = await last_event(world)

    for zones, told in (
        ([{"pattern": "a/", "mode": "shared"}, {"pattern": "./a/", "mode": "read_only"}], "earlier zone"),
        ([{"pattern": "a/"}], "owned by nobody"),
        ([{"pattern": "a/", "owners": ["bob"]}], "no agent of that name"),
        ([{"pattern": "a/", "owners": ["role:boss"]}], "roles are lead"),
        ([{"pattern": "a/", "owners": ["team:frontend"]}], "no team"),
    ):
        refused = await refusal("invalid", owner.set_zones(zones=zones, version=0))
        assert told in str(refused)
    await refusal("path_invalid", owner.set_zones(zones=[{"pattern": "../a", "mode": "shared"}], version=0))
    heavy = "/".join(["**/a"] * 8) + "/b" * 40
    many = [{"pattern": f"{n}/{heavy}", "mode": "shared"} for n in range(8)]
    await refusal("path_invalid", owner.set_zones(zones=many, version=0))

    assert await last_event(world) == before
    teams = [{"pattern": "a/", "owners": ["team:backend"]}]
    assert (await owner.set_zones(zones=teams, version=0))["version"] == 1


async def test_people_from_member_up_and_leads_set_zones_and_everybody_reads_them(world: World) -> None:
    lea, ada = await world.agent("lea", Role.LEAD), await world.agent("ada")
    zones = [{"pattern": "core/", "owners": ["lea"]}]

    await refusal("forbidden", ada.set_zones(zones=zones, version=0))
    await refusal("forbidden", world.person(Role.VIEWER).set_zones(zones=zones, version=0))
    await lea.set_zones(zones=zones, version=0)

    assert [zone["pattern"] for zone in (await ada.get_zones())["zones"]] == ["core/"]


@STRATEGIES
async def test_a_zone_is_leased_by_its_owners_alone(world: World, strategy: str) -> None:
    ada, bob, lea = await world.agent("ada"), await world.agent("bob"), await world.agent("lea", Role.LEAD)
    await with_zones(world, {"pattern": "core/", "owners": ["ada", "role:lead"], "note": "alone"}, strategy=strategy)
    before = await last_event(world)

    refused = await refusal("zone_denied", bob.acquire_lock(paths=["docs/a.md", "core/a.py"]))

    assert (refused.facts["zone"], refused.facts["owners"]) == ("core/", ["ada", "role:lead"])
    assert "core/ (alone) of ada, role:lead: bob is none of them" in str(refused)
    await refusal("zone_denied", bob.acquire_lock(paths=["**/x.py"]))
    await refusal("zone_denied", bob.acquire_lock(paths=["core/a.py"], mode="shared"))
    assert await last_event(world) == before
    assert (await ada.acquire_lock(paths=["core/a.py"]))["status"] == "granted"
    assert (await lea.acquire_lock(paths=["core/b.py"]))["status"] == "granted"
    assert (await bob.acquire_lock(paths=["docs/"]))["status"] == "granted", "outside of all zones everybody may"


@STRATEGIES
async def test_what_is_read_only_is_changed_by_nobody_and_read_by_all(world: World, strategy: str) -> None:
    ada, lea = await world.agent("ada"), await world.agent("lea", Role.LEAD)
    await with_zones(world, {"pattern": "gen/", "mode": "read_only"}, strategy=strategy)

    for who in (ada, lea):
        refused = await refusal("zone_denied", who.acquire_lock(paths=["gen/a.py"]))
        assert refused.facts["mode"] == "read_only"
        assert (await who.acquire_lock(paths=["gen/a.py"], mode="shared"))["status"] == "granted"


async def test_the_first_zone_that_a_path_lies_in_decides(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await with_zones(
        world,
        {"pattern": "core/open/", "mode": "shared"},
        {"pattern": "core/bobs/", "owners": ["bob"]},
        {"pattern": "core/", "owners": ["ada"]},
    )

    await bob.acquire_lock(paths=["core/open/a.py", "core/bobs/", "core/open/"])
    await refusal("zone_denied", bob.acquire_lock(paths=["core/a.py"]))
    await refusal("zone_denied", ada.acquire_lock(paths=["core/bobs/a.py"]))
    await refusal("zone_denied", ada.acquire_lock(paths=["core/"]))


async def test_a_team_owns_through_the_agents_that_people_put_into_it(world: World) -> None:
    owner = world.person()
    await owner.create_team(name="Backend")
    ada = await world.agent("ada", capabilities=["python", "team:backend"])
    bob = await world.agent("bob", capabilities=["python"])
    await with_zones(world, {"pattern": "core/", "owners": ["team:backend"]})

    await refusal("zone_denied", bob.acquire_lock(paths=["core/a.py"]))

    assert (await ada.acquire_lock(paths=["core/a.py"]))["status"] == "granted"


@STRATEGIES
async def test_a_task_in_a_zone_is_claimed_by_its_owners_alone(world: World, strategy: str) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await with_zones(world, {"pattern": "core/", "owners": ["ada"]}, strategy=strategy)
    inside = await owner.create_task(title="Inside", files=["core/a.py"], priority="critical")
    outside = await owner.create_task(title="Outside", files=["docs/"])

    await refusal("zone_denied", bob.claim_task(task_id=inside["id"]))
    await refusal("zone_denied", bob.claim_task(task_id=inside["id"], acquire_locks=False))

    assert (await bob.explain_task())["chosen"]["task_id"] == outside["id"]
    assert (await bob.claim_task())["task"]["id"] == outside["id"]
    nothing = await refusal("nothing_ready", bob.claim_task())
    assert nothing.facts["reasons"] == {"outside_paths": 1}
    assert (await ada.claim_task())["task"]["id"] == inside["id"]


async def test_zones_outlive_a_restart_and_changed_ones_bind_at_once(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await with_zones(world, {"pattern": "core/", "owners": ["ada"]})
    await ada.acquire_lock(paths=["core/a.py"])
    await world.restart(after_s=1)

    await refusal("zone_denied", bob.acquire_lock(paths=["core/b.py"]))
    await owner.set_zones(zones=[{"pattern": "core/", "owners": ["bob"]}], version=1)

    assert (await bob.acquire_lock(paths=["core/b.py"]))["status"] == "granted"
    await refusal("zone_denied", ada.acquire_lock(paths=["core/a.py"]))
    reply = await ada.check_paths(paths=["core/a.py"])
    assert reply["reasons"][0]["verdict"] == "zone_denied", "also what it still leases"
    require_memory_equals_store(world)


async def test_who_waits_in_a_zone_that_bars_it_now_is_passed_over(world: World) -> None:
    ada, bob, cal = [await world.agent(name) for name in ("ada", "bob", "cal")]
    lock = (await ada.acquire_lock(paths=["core/"]))["lock"]
    await queued(bob, paths=["core/a.py"])
    await queued(cal, paths=["core/a.py"])

    await world.person().set_zones(zones=[{"pattern": "core/", "owners": ["ada", "cal"]}], version=0)
    await ada.release_lock(lock_id=lock["id"])

    assert [held["agent_id"] for held in (await ada.list_locks())["items"]] == ["cal"]


async def test_who_waits_to_read_what_is_read_only_is_granted_it(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["gen/"]))["lock"]
    await queued(bob, paths=["gen/a.py"], mode="shared")

    await world.person().set_zones(zones=[{"pattern": "gen/", "mode": "read_only"}], version=0)
    await ada.release_lock(lock_id=lock["id"])

    assert [held["agent_id"] for held in (await ada.list_locks())["items"]] == ["bob"]


async def test_zones_are_spelt_as_the_project_compares_paths(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await with_zones(world, {"pattern": "Core/", "owners": ["ada"]}, {"pattern": "core/", "owners": ["bob"]})

    await owner.update_project(project_id=world.project.id, settings={"fold_case": True})

    assert [zone["pattern"] for zone in (await owner.get_zones())["zones"]] == ["core/"]
    await refusal("zone_denied", bob.acquire_lock(paths=["CORE/a.py"]))
    assert (await ada.acquire_lock(paths=["coRe/a.py"]))["status"] == "granted"


async def test_path_rules_bind_at_once_and_the_agent_is_told(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    before = await last_event(world)

    rules = await owner.set_path_rules(agent_id="ada", allowed_paths=["./src//", "docs/"], denied_paths=["src/secret/"])

    assert rules == {"agent_id": "ada", "allowed_paths": ["docs/", "src/"], "denied_paths": ["src/secret/"]}
    written = await events(world, since=before)
    assert [event["kind"] for event in written] == ["agent.updated"]
    await refusal("zone_denied", ada.acquire_lock(paths=["lib/a.py"]))
    await refusal("zone_denied", ada.acquire_lock(paths=["src/"]))
    assert (await ada.acquire_lock(paths=["src/a.py"]))["status"] == "granted"
    assert [notice["kind"] for notice in (await ada.heartbeat(status="working"))["notices"]] == ["path_rules"]
    same = await owner.set_path_rules(agent_id="ada", denied_paths=["src/secret/"])
    assert same == rules, "what is left out stays"
    assert (await owner.set_path_rules(agent_id="ada", allowed_paths=[]))["allowed_paths"] == []
    await refusal("not_found", owner.set_path_rules(agent_id="nobody"))


async def test_a_lead_gives_no_more_than_it_has_itself(world: World) -> None:
    lea = await world.agent("lea", Role.LEAD, allowed_paths=["src/"], denied_paths=["src/secret/"])
    await world.agent("max", Role.LEAD)
    ada = await world.agent("ada", allowed_paths=["src/"])

    for wider in (["docs/"], [], ["src/", "docs/"]):
        await refusal("zone_denied", lea.set_path_rules(agent_id="ada", allowed_paths=wider))
    rules = await lea.set_path_rules(agent_id="ada", allowed_paths=["src/app/"], denied_paths=[])

    assert rules["denied_paths"] == ["src/secret/"]
    await refusal("forbidden", lea.set_path_rules(agent_id="max", allowed_paths=["src/"]))
    await refusal("forbidden", lea.set_path_rules(agent_id="lea", denied_paths=[]))
    await refusal("forbidden", ada.set_path_rules(agent_id="ada", allowed_paths=[]))


async def test_globs_that_begin_in_the_root_folder_are_bounded_for_an_organization(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.lock_manager.MOST_AT_ROOT", 3)
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.acquire_lock(paths=["**/*.md", "*.toml"])

    refused = await refusal("path_invalid", bob.acquire_lock(paths=["**/a.py", "**/b.py"]))

    assert (refused.facts["held"], refused.facts["most"]) == (2, 3)
    await bob.acquire_lock(paths=["**/a.py", "src/**/b.py"])
    await refusal("path_invalid", ada.acquire_lock(paths=["**/c.py"]))
    assert (await ada.acquire_lock(paths=["*.toml"]))["status"] == "granted", "what it leases it may renew"
    await bob.release_lock(all=True)
    assert (await ada.acquire_lock(paths=["**/c.py"]))["status"] == "granted"


async def test_conflicts_are_told_with_what_the_strategy_does_about_them(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await owner.update_project(project_id=world.project.id, conflict_strategy="merge")
    assert (await owner.detect_conflicts())["conflicts"] == []
    locks = [(await who.acquire_lock(paths=["src/"]))["lock"]["id"] for who in (ada, bob)]
    await bob.acquire_lock(paths=["docs/"])
    await ada.acquire_lock(paths=["docs/a.md"])

    told = await bob.detect_conflicts()

    assert told["found"] == 2
    await owner.set_zones(zones=[{"pattern": "docs/", "mode": "read_only"}], version=0)
    barred = [each for each in (await bob.detect_conflicts())["conflicts"] if each["kind"] == "zone_violation"]
    assert sorted((each["agents"], each["answer"]) for each in barred) == [
        (["ada"], "ask_owners"),
        (["bob"], "ask_owners"),
    ]
    first = next(each for each in told["conflicts"] if set(each["subjects"]) == set(locks))
    assert (first["kind"], first["answer"], sorted(first["agents"])) == (
        "overlapping_locks",
        "try_merge",
        ["ada", "bob"],
    )
    assert len((await bob.detect_conflicts(limit=1))["conflicts"]) == 1
