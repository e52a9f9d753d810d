"""What a project tells its agents: versions that nobody overwrites unseen, and what reaches a claim."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, refusal
from tests.support.world import World

pytestmark = pytest.mark.anyio

FULL: dict[str, Any] = {
    "welcome": "Hello.\nRead on.",
    "focus": "Ship the shop.",
    "goals": ["fast", "safe"],
    "style_guide": "Small files.",
    "instruction_files": {"claude-code": "./CLAUDE.md", "codex": "AGENTS.md"},
    "checkpoint_rules": ["before a merge"],
    "remind_every_tasks": 5,
}


async def test_before_anybody_writes_it_it_is_empty_and_of_version_0(world: World) -> None:
    ada = await world.agent("ada")

    assert await ada.get_onboarding_config() == {
        "goals": [],
        "instruction_files": {},
        "checkpoint_rules": [],
        "remind_every_tasks": 0,
        "version": 0,
    }


async def test_a_change_raises_the_version_and_leaves_what_it_does_not_name(world: World) -> None:
    owner, lead = world.person(), await world.agent("lea", Role.LEAD)

    first = await owner.update_onboarding_config(**FULL, version=0)
    second = await lead.update_onboarding_config(goals=[], focus="", version=1)

    files = {"claude-code": "CLAUDE.md", "codex": "AGENTS.md"}
    assert first == FULL | {"instruction_files": files, "version": 1}
    assert second == first | {"goals": [], "focus": "", "version": 2}
    assert await owner.get_onboarding_config() == second
    changes = await events(world, kind=["onboarding.updated"])
    assert [event["facts"]["version"] for event in changes] == [1, 2]
    assert changes[1]["facts"]["changed"] == ["focus", "goals"]


@pytest.mark.parametrize("version", [0, 2, 99])
async def test_a_change_of_another_version_is_refused_and_changes_nothing(world: World, version: int) -> None:
    owner = world.person()
    first = await owner.update_onboarding_config(focus="a", version=0)
    before = await last_event(world)

    refused = await refusal("version_conflict", owner.update_onboarding_config(focus="b", version=version))

    assert refused.facts == {"version": 1, "given": version}
    assert await owner.get_onboarding_config() == first
    assert await last_event(world) == before


async def test_of_many_changes_of_one_version_at_once_one_is_kept(world: World) -> None:
    owner = world.person()

    answers = await asyncio.gather(
        *(world.answer("update_onboarding_config", owner.caller, {"focus": str(n), "version": 0}) for n in range(32))
    )

    codes = [answer.code for answer in answers]
    assert codes.count(None) == 1
    assert codes.count("version_conflict") == 31
    kept = await owner.get_onboarding_config()
    assert kept["version"] == 1
    assert kept["focus"] == str(codes.index(None))


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("path_invalid", {"instruction_files": {"codex": "../up.md"}}),
        ("path_invalid", {"instruction_files": {"codex": "/etc/passwd"}}),
        ("invalid", {"goals": ["x"] * 33}),
        ("invalid", {"goals": ["a\x00"]}),
        ("invalid", {"welcome": "x" * 20_001}),
        ("invalid", {"remind_every_tasks": -1}),
        ("invalid", {"remind_every_tasks": 1001}),
        ("invalid", {"version": -1}),
        ("invalid", {"version": 10**30}),
    ],
)
async def test_what_agents_cannot_be_told_is_refused(world: World, code: str, wrong: dict[str, Any]) -> None:
    await refusal(code, world.person().update_onboarding_config(**{"version": 0} | wrong))

    assert (await world.person().get_onboarding_config())["version"] == 0


async def test_only_admins_and_leads_change_what_agents_are_told(world: World) -> None:
    await refusal("forbidden", world.person(Role.MEMBER).update_onboarding_config(focus="x", version=0))
    await refusal("forbidden", (await world.agent("ada")).update_onboarding_config(focus="x", version=0))

    assert (await world.person(Role.ADMIN).update_onboarding_config(focus="x", version=0))["version"] == 1


async def test_a_claim_carries_what_the_project_tells(world: World) -> None:
    await world.person().update_onboarding_config(**FULL, version=0)
    ada = await world.agent("ada", provider="codex", allowed_paths=["src/"])
    await world.person().create_task(title="x")

    context = (await ada.claim_task())["context"]

    assert context["focus"] == "Ship the shop."
    assert context["goals"] == ["fast", "safe"]
    assert context["style_guide"] == "Small files."
    assert context["checkpoint_rules"] == ["before a merge"]
    assert context["allowed_paths"] == ["src/"]
    assert context["instructions"] == "AGENTS.md"


async def test_each_project_tells_its_own_agents_and_keeps_it_over_a_restart(world: World) -> None:
    owner = world.person()
    other = await owner.create_project(name="Other")
    await owner.update_onboarding_config(focus="here", version=0, project_id=world.project.id)
    await owner.update_onboarding_config(focus="there", version=0, project_id=other["id"])

    await world.restart()

    assert (await owner.get_onboarding_config(project_id=world.project.id))["focus"] == "here"
    assert (await owner.get_onboarding_config(project_id=other["id"]))["focus"] == "there"
    assert (await owner.update_onboarding_config(goals=["g"], version=1, project_id=other["id"]))["version"] == 2


async def test_every_version_can_be_read_again_with_who_made_it(world: World) -> None:
    owner, lead = world.person(), await world.agent("lea", Role.LEAD)
    first = await owner.update_onboarding_config(**FULL, version=0)
    world.clock.move(60)
    second = await lead.update_onboarding_config(focus="Second.", version=1)

    read = [await lead.get_onboarding_config(version=version) for version in (0, 1, 2)]

    assert read[0]["version"] == 0
    assert read[0]["goals"] == []
    assert read[1] == first | {"changed_by": owner.caller.actor, "changed_at": read[1]["changed_at"]}
    assert read[2] == second | {"changed_by": "agent:lea", "changed_at": read[2]["changed_at"]}
    assert read[1]["changed_at"] < read[2]["changed_at"]


@pytest.mark.parametrize("version", [3, 2**53 - 1])
async def test_a_version_that_never_was_is_not_found(world: World, version: int) -> None:
    await world.person().update_onboarding_config(focus="x", version=0)
    await world.person().update_onboarding_config(focus="y", version=1)

    await refusal("not_found", world.person().get_onboarding_config(version=version))


async def test_a_refused_change_leaves_no_version(world: World) -> None:
    owner = world.person()
    await owner.update_onboarding_config(focus="x", version=0)
    await refusal("version_conflict", owner.update_onboarding_config(focus="y", version=0))

    await refusal("not_found", owner.get_onboarding_config(version=2))


async def test_what_an_earlier_release_told_is_kept_when_it_is_changed(world: World) -> None:
    owner = world.person()
    await owner.update_onboarding_config(**FULL, version=0)
    with world.store.transaction(world.organization.id) as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM onboarding_versions")
    before = await owner.get_onboarding_config(version=1)

    await owner.update_onboarding_config(focus="Second.", version=1)

    assert before["focus"] == "Ship the shop."
    kept = await owner.get_onboarding_config(version=1)
    assert (kept["focus"], kept["changed_by"]) == ("Ship the shop.", "unknown")
