"""Profiles: what is known of a kind of agent fills in what it did not say of itself, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conductor.domain import errors
from conductor.integrations import coding_agents
from tests.actors.bearing import stranger
from tests.actors.conftest import MakeWorld
from tests.support.world import World

pytestmark = pytest.mark.anyio

CODEX = coding_agents.known().find("codex")


async def test_a_registered_agent_of_a_known_kind_gets_what_is_known_of_it(world: World) -> None:
    made = await world.person().register_agent(agent_id="ada", name="Ada", agent_type="codex")

    assert CODEX is not None
    shown = made["agent"]
    assert (shown["kind"], shown["provider"], shown["capabilities"]) == ("codex", "openai", list(CODEX.capabilities))


async def test_what_an_agent_said_of_itself_outranks_its_profile(world: World) -> None:
    made = await world.person().register_agent(
        agent_id="ada", name="Ada", agent_type="claude", provider="bedrock", capabilities=["cobol"]
    )

    shown = made["agent"]
    assert (shown["kind"], shown["provider"], shown["capabilities"]) == ("claude-code", "bedrock", ["cobol"])


async def test_of_an_unknown_kind_the_name_is_kept_and_nothing_is_made_up(world: World) -> None:
    owner = world.person()

    made = await owner.register_agent(agent_id="ada", name="Ada", agent_type="home-grown")
    bare = await owner.register_agent(agent_id="bob", name="Bob")

    assert (made["agent"]["kind"], made["agent"]["capabilities"]) == ("home-grown", [])
    assert "kind" not in bare["agent"]
    assert bare["agent"]["capabilities"] == []


async def test_an_agent_that_is_registered_anew_without_a_kind_keeps_it(world: World) -> None:
    owner = world.person()
    await owner.register_agent(agent_id="ada", name="Ada", agent_type="codex")

    made = await owner.register_agent(agent_id="ada", name="Ada", capabilities=["sql"], supersede=True)

    assert (made["agent"]["kind"], made["agent"]["capabilities"]) == ("codex", ["sql"])


async def test_an_agent_that_asked_for_access_gets_what_is_known_of_its_kind(world: World) -> None:
    asked = await stranger(world).request_access(agent_id="gem", name="Gem", agent_type="gemini-cli")

    made = await world.person().approve_access(request_id=asked["request"]["id"])

    profile = coding_agents.known().find("gemini-cli")
    assert profile is not None
    assert made["agent"]["kind"] == "gemini-cli"
    assert made["agent"]["capabilities"] == list(profile.capabilities)


async def test_a_task_that_requires_what_a_profile_names_finds_the_agent(world: World) -> None:
    owner = world.person()
    ada = await world.agent("ada", agent_type="codex")
    task = (await owner.create_task(title="Review it", requires=["review"]))["id"]

    assert (await ada.claim_task())["task"]["id"] == task


async def test_an_agent_is_told_once_per_crossing_that_its_context_runs_full(world: World) -> None:
    ada = await world.agent("ada")

    async def told(used: int, **more: Any) -> list[str]:
        notices = (await ada.heartbeat(status="working", context_used=used, **more))["notices"]
        assert all("save_checkpoint" in notice["text"] and len(notice["text"]) <= 160 for notice in notices)
        return [notice["kind"] for notice in notices]

    assert await told(79, context_limit=100) == []
    assert await told(80) == ["context"]
    assert await told(95) == []
    assert await told(10) == []
    assert await told(99) == ["context"]


async def test_the_limit_of_a_context_is_its_profiles_where_the_agent_names_none(world: World) -> None:
    ada, bob = await world.agent("ada", agent_type="claude-code"), await world.agent("bob")

    known = (await ada.heartbeat(status="working", context_used=170_000))["notices"]
    unknown = (await bob.heartbeat(status="working", context_used=170_000))["notices"]
    own = (await ada.heartbeat(status="working", context_used=170_000, context_limit=1_000_000))["notices"]

    assert [notice["text"][:25] for notice in known] == ["Your context is 85 % full"]
    assert unknown == own == []


async def test_an_operators_profiles_come_before_the_built_in_ones(make_world: MakeWorld, tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[codex]\ncapabilities = ["fortran"]\n')

    world = make_world(CONDUCTOR_AGENTS__PROFILES=str(file))

    made = await world.person().register_agent(agent_id="ada", name="Ada", agent_type="codex")
    assert (made["agent"]["capabilities"], made["agent"]["provider"]) == (["fortran"], "openai")


async def test_a_wrong_file_of_profiles_stops_the_start(make_world: MakeWorld, tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match=r"none\.toml"):
        make_world(CONDUCTOR_AGENTS__PROFILES=str(tmp_path / "none.toml"))
