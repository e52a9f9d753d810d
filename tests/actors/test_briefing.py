"""What an agent is told at a claim and whenever it asks: instructions as they are in a commit, within its budget."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from actors.briefing import MOST_RELATED
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import last_event, refusal
from tests.support.repository import GitRepository
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


async def tell(world: World, root: Path | None = None, **config: Any) -> None:
    """Set the project up."""
    if root is not None:
        await world.person().update_project(root_path=str(root))
    await world.person().update_onboarding_config(version=0, **config)


async def claim(world: World, who: Who, **task: Any) -> dict[str, Any]:
    """Make a task and claim it; gives the context."""
    await world.person().create_task(**({"title": "Work"} | task))
    context: dict[str, Any] = (await who.claim_task())["context"]
    return context


async def test_instructions_are_the_text_of_the_file_at_the_commit_that_is_checked_out(
    world: World, repository: GitRepository
) -> None:
    made = repository.commit({"CLAUDE.md": "Be good.\n", "AGENTS.md": "Others."})
    (repository.folder / "CLAUDE.md").write_text("Not committed.")
    await tell(world, repository.folder, instruction_files={"anthropic": "CLAUDE.md"})
    ada = await world.agent("ada", provider="anthropic")

    context = await claim(world, ada)

    assert (context["instructions"], context["instructions_file"], context["instructions_commit"]) == (
        "Be good.\n",
        "CLAUDE.md",
        made,
    )
    assert context["cut"] == []


async def test_a_new_commit_brings_new_instructions(world: World, repository: GitRepository) -> None:
    repository.commit({"AGENTS.md": "one"})
    await tell(world, repository.folder)
    ada = await world.agent("ada", instructions_file="AGENTS.md")
    first = await claim(world, ada)
    again = await ada.refresh_context()
    second_commit = repository.commit({"AGENTS.md": "two"})

    second = await ada.refresh_context()

    assert first["instructions"] == again["context"]["instructions"] == "one"
    assert (second["context"]["instructions"], second["context"]["instructions_commit"]) == ("two", second_commit)


async def test_an_agents_own_file_goes_before_that_of_its_kind(world: World, repository: GitRepository) -> None:
    repository.commit({"own.md": "own", "kind.md": "kind", "CLAUDE.md": "usual"})
    await tell(world, repository.folder, instruction_files={"claude-code": "kind.md"})
    own = await world.agent("own", agent_type="claude-code", instructions_file="own.md")
    kind = await world.agent("kind", agent_type="claude-code")

    assert (await claim(world, own))["instructions"] == "own"
    assert (await claim(world, kind))["instructions"] == "kind"


async def test_without_a_choice_the_file_that_the_kind_usually_reads_is_read(
    world: World, repository: GitRepository
) -> None:
    repository.commit({"CLAUDE.md": "usual"})
    await tell(world, repository.folder)
    claude = await world.agent("claude", agent_type="claude-code")
    codex = await world.agent("codex", agent_type="codex")

    assert (await claim(world, claude))["instructions"] == "usual"
    assert "instructions" not in await claim(world, codex)


@pytest.mark.parametrize("why", ["no repository", "no file", "a link outside", "too large"])
async def test_what_cannot_be_read_is_told_by_its_path(
    world: World, repository: GitRepository, tmp_path: Path, why: str
) -> None:
    match why:
        case "no file":
            repository.commit({"other.md": "1"})
        case "a link outside":
            (repository.folder / "AGENTS.md").symlink_to("/etc/passwd")
            repository.commit({})
        case "too large":
            repository.commit({"AGENTS.md": "x" * 1_100_000})
        case _:
            pass
    root = tmp_path / "none" if why == "no repository" else repository.folder
    await tell(world, root, instruction_files={"codex": "AGENTS.md"})
    ada = await world.agent("ada", provider="codex")

    context = await claim(world, ada)

    assert context["instructions"] == context["instructions_file"] == "AGENTS.md"
    assert "instructions_commit" not in context


async def test_a_repository_that_hangs_does_not_keep_an_agent_from_its_task(
    make_world: MakeWorld, repository: GitRepository
) -> None:
    world = make_world(CONDUCTOR_REPOSITORIES__TIMEOUT_S="0.3")
    repository.commit({"AGENTS.md": "1"})
    (repository.folder / ".git" / "HEAD").unlink()
    os.mkfifo(repository.folder / ".git" / "HEAD")
    await tell(world, repository.folder, instruction_files={"codex": "AGENTS.md"})
    ada = await world.agent("ada", provider="codex")

    assert (await claim(world, ada))["instructions"] == "AGENTS.md"


async def test_what_drives_terminals_does_not_reach_an_agent(world: World, repository: GitRepository) -> None:
    repository.commit({"AGENTS.md": "a\x1b[2Jb\x00c\u202ed\ttab\nline"})
    await tell(world, repository.folder)
    ada = await world.agent("ada", instructions_file="AGENTS.md")

    assert (await claim(world, ada))["instructions"] == "a[2Jbcd\ttab\nline"


async def test_in_a_project_that_folds_case_the_file_is_found_by_its_own_name(
    world: World, repository: GitRepository
) -> None:
    repository.commit({"Docs/CLAUDE.md": "folded"})
    await world.person().update_project(root_path=str(repository.folder), settings={"fold_case": True})
    await tell(world, instruction_files={"codex": "Docs/CLAUDE.md"})
    ada = await world.agent("ada", provider="codex")
    bob = await world.agent("bob", instructions_file="Docs/CLAUDE.md")

    assert (await claim(world, ada))["instructions"] == "folded"
    assert (await claim(world, bob))["instructions"] == "folded"


async def test_of_very_many_dependencies_only_some_are_read(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    beads = [{"id": f"bd-{number}", "title": "x", "status": "closed"} for number in range(MOST_RELATED + 1)]
    await owner.import_beads(beads=beads, convoys=[{"name": "release", "beads": [bead["id"] for bead in beads]}])

    claimed = await ada.claim_task()

    assert len(claimed["task"]["dependencies"]) == MOST_RELATED + 1
    assert f" of {MOST_RELATED} whole" in claimed["context"]["cut"][0]
    assert claimed["context"]["cut"][-1] == "related: 1 more dependencies, get_task has their ids"


async def test_a_long_file_is_cut_to_the_budget_and_that_is_named(world: World, repository: GitRepository) -> None:
    repository.commit({"AGENTS.md": "x" * 30_000})
    await tell(world, repository.folder)
    ada = await world.agent("ada", instructions_file="AGENTS.md")
    short = await claim(world, ada)

    long = (await ada.refresh_context(budget_tokens=20_000))["context"]

    assert 7_000 < len(short["instructions"]) <= 8_000
    assert short["cut"][0].startswith("instructions: ")
    assert len(long["instructions"]) == 20_000
    assert long["cut"] == ["instructions: the file is longer, read AGENTS.md"]


async def test_refreshing_tells_of_the_task_that_is_held_and_writes_nothing(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await tell(world, focus="Ship.")
    needed = await owner.create_task(title="First")
    await ada.claim_task()
    await ada.complete_task(task_id=needed["id"], attempt=1, result="It is so.")
    parent = await owner.create_task(title="Parent", assigned_to="nobody")
    await owner.create_task(title="Second", dependencies=[needed["id"]], parent_id=parent["id"])
    held = (await ada.claim_task())["task"]
    before = await last_event(world)

    told = await ada.refresh_context()

    assert told["task_id"] == held["id"]
    assert told["context"]["focus"] == "Ship."
    related = {other["title"]: other.get("result") for other in told["context"]["related"]}
    assert related == {"First": "It is so.", "Parent": None}
    assert await last_event(world) == before


async def test_refreshing_without_a_task_tells_of_the_project(world: World) -> None:
    await tell(world, focus="Ship.")
    for role in (Role.LEAD, Role.REVIEWER, Role.OBSERVER):
        told = await (await world.agent(role.value, role)).refresh_context()

        assert "task_id" not in told
        assert (told["context"]["focus"], told["context"]["related"]) == ("Ship.", [])


async def test_another_agent_that_goes_on_is_told_the_last_checkpoint_and_error(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = await world.person().create_task(title="Work")
    first = await ada.claim_task()
    await ada.save_checkpoint(task_id=task["id"], summary="half done", next_steps=["the other half"], files=["a.py"])
    await ada.update_task(task_id=task["id"], attempt=first["attempt"], status="failed", note="it broke")
    await world.elapse(1_000)

    context = (await bob.claim_task(task_id=task["id"]))["context"]

    assert context["last_error"] == "it broke"
    assert context["checkpoint"]["agent_id"] == "ada"
    assert (context["checkpoint"]["summary"], context["checkpoint"]["next_steps"]) == ("half done", ["the other half"])
    assert (await bob.refresh_context())["context"]["checkpoint"] == context["checkpoint"]
    assert "checkpoint" not in (await bob.refresh_context(task_id=(await _another(world))))["context"]


async def _another(world: World) -> str:
    task_id: str = (await world.person().create_task(title="Another"))["id"]
    return task_id


async def test_an_agent_without_a_task_is_told_its_own_last_checkpoint(world: World) -> None:
    rex = await world.agent("rex", Role.REVIEWER)
    await rex.save_checkpoint(summary="read half of it")

    assert (await rex.refresh_context())["context"]["checkpoint"]["summary"] == "read half of it"


async def test_a_newcomer_is_welcomed_once_and_everybody_is_reminded(world: World) -> None:
    await tell(world, welcome="Hello.", remind_every_tasks=2)
    ada = await world.agent("ada")
    contexts = [await claim(world, ada) for _ in range(4)]

    assert ["welcome" in context for context in contexts] == [True, False, False, False]
    assert ["reminder" in context for context in contexts] == [False, True, False, True]
    assert "welcome" not in (await ada.refresh_context())["context"]


@pytest.mark.parametrize("budget", [199, 20_001, -1])
async def test_a_budget_has_bounds(world: World, budget: int) -> None:
    await refusal("invalid", (await world.agent("ada")).refresh_context(budget_tokens=budget))


async def test_a_task_of_another_project_is_not_told_of(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    other = await owner.create_project(name="Other")
    secret = await owner.create_task(title="Secret", project_id=other["id"])

    await refusal("not_found", ada.refresh_context(task_id=secret["id"]))
