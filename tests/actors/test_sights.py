"""Looking into repositories costs nobody else anything: looks are few at once, end in time, and are remembered."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from actors import seen, sights
from actors.sights import Sights
from conductor.domain.access import Caller, Role, TokenKind
from conductor.domain.organizations import Organization, Project
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.reading import read_request
from conductor.setting_groups import Repositories
from tests.support.repository import GitRepository
from tests.support.world import World

pytestmark = pytest.mark.anyio

ROW = CATALOGUE["complete_task"]


def looking(world: World, **chosen: Any) -> Sights:
    """Eyes of their own on a world's store."""
    return Sights(world.dispatcher.read, Repositories(**chosen), lambda _: None, world.clock)


async def look(eyes: Sights, organization: Organization, project: str, commit: str) -> dict[str, Any] | None:
    """Look at a commit as a completion in the project would; None: there was nothing to look into."""
    caller = Caller(TokenKind.AGENT, Role.CONTRIBUTOR, organization.id, "tok_ada0000000", project, "ada")
    shown = f'{{"task_id":"tsk_0000000000","attempt":1,"result":"x","evidence":{{"commit":"{commit}"}}}}'
    sight = seen.commit_seen(await eyes.look(ROW, read_request(ROW, shown.encode()), caller, project))
    return None if sight is None else {"why": sight.why, "commit": sight.commit}


async def project_at(world: World, organization: Organization, root: Path, name: str) -> str:
    made = await world.person(organization=organization).create_project(name=name, root_path=str(root))
    project_id: str = made["id"]
    return project_id


def hang(repository: GitRepository) -> None:
    """Let whoever reads the repository's configuration wait for ever."""
    config = repository.folder / ".git" / "config"
    config.unlink()
    os.mkfifo(config)


async def test_an_organisation_whose_repositories_hang_keeps_no_other_waiting(world: World, tmp_path: Path) -> None:
    world.clock.move(1)
    rival, _, _ = world.found("rival")
    own = GitRepository(tmp_path / "own")
    made = own.commit({"a.py": "1"})
    mine = await project_at(world, world.organization, own.folder, "Mine")
    theirs = []
    for number in range(8):
        stuck = GitRepository(tmp_path / rival.id / str(number))
        hang(stuck)
        theirs.append(await project_at(world, rival, stuck.folder, f"P{number}"))
    eyes = looking(world, folder=tmp_path, timeout_s=5)

    waiting = [asyncio.create_task(look(eyes, rival, project, "f" * 40)) for project in theirs]
    while eyes.under_way < len(theirs):  # noqa: ASYNC110  # nobody rings when a look begins
        await asyncio.sleep(0)
    found = await look(eyes, world.organization, mine, made)
    still_waiting = sum(not each.done() for each in waiting)
    reasons = {(await each or {})["why"] for each in waiting}
    eyes.close()

    assert found is not None
    assert found["commit"].id == made
    assert still_waiting > 0
    assert "git did not answer in time" in reasons
    assert reasons <= {"git did not answer in time", "the server looks into too many repositories at once"}


async def test_a_repository_that_hung_is_left_alone_for_a_while_and_then_seen_again(
    world: World, tmp_path: Path
) -> None:
    repository = GitRepository(tmp_path / "own")
    made = repository.commit({"a.py": "1"})
    config = (repository.folder / ".git" / "config").read_text()
    project = await project_at(world, world.organization, repository.folder, "Mine")
    eyes = looking(world, timeout_s=0.3)
    hang(repository)
    first = await look(eyes, world.organization, project, made)
    (repository.folder / ".git" / "config").unlink()
    (repository.folder / ".git" / "config").write_text(config)
    second = await look(eyes, world.organization, project, made)
    world.clock.move(sights.REST_S)

    third = await look(eyes, world.organization, project, made)
    eyes.close()

    assert [each and each["why"] for each in (first, second, third)] == [
        "git did not answer in time",
        "git did not answer in time there a moment ago; it is asked again soon",
        None,
    ]


async def test_where_nothing_is_to_be_seen_nothing_is_asked(world: World) -> None:
    eyes = looking(world)
    caller = Caller(TokenKind.AGENT, Role.CONTRIBUTOR, world.organization.id, "tok_ada0000000", world.project.id, "ada")
    request = read_request(ROW, b'{"task_id":"tsk_0000000000","attempt":1,"result":"x","evidence":{"files":["a"]}}')

    assert await look(eyes, world.organization, world.project.id, "f" * 40) is None
    assert await eyes.look(ROW, request, caller, world.project.id) == b""
    eyes.close()


async def test_a_relative_root_is_nobodys(world: World) -> None:
    project = await project_at(world, world.organization, Path("work"), "Mine")
    eyes = looking(world)

    found = await look(eyes, world.organization, project, "f" * 40)
    eyes.close()

    assert found == {"why": "the project's root_path is not absolute", "commit": None}


async def test_which_organisation_was_the_first_does_not_change_with_its_name(world: World) -> None:
    world.clock.move(1)
    others: list[tuple[Organization, Project]] = [world.found(slug)[:2] for slug in ("aaa", "zzz")]

    with world.store.cross_tenant() as everything:
        assert everything.first_organization() == world.organization.id
    assert len(others) == 2
