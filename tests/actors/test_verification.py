"""Verified completion: the server looks for itself, in real repositories, at what an agent says it has done."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import seen
from conductor.domain.access import Caller, Role, TokenKind
from conductor.domain.briefing import Instructions
from conductor.domain.evidence import Commit, Sight
from conductor.integrations import git
from tests.actors.conftest import MakeWorld
from tests.actors.looking import events, last_event, refusal
from tests.support.repository import NOON, GitRepository
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "repository")
    made.commit({"README.md": "1"}, NOON - timedelta(days=1))
    return made


async def set_up(world: World, root: Path, **settings: Any) -> tuple[Who, dict[str, Any]]:
    """Tell the project where its repository is; give an agent with a task on src/ that it has claimed."""
    owner = world.person()
    await owner.update_project(root_path=str(root), settings=settings)
    ada = await world.agent("ada")
    await owner.create_task(title="Work", files=["src/"])
    return ada, (await ada.claim_task())["task"]


def service(world: World) -> Who:
    caller = Caller(TokenKind.SERVICE, Role.SERVICE, world.organization.id, "tok_ci00000000")
    return Who(world, caller)


async def complete(who: Who, task: dict[str, Any], commit: str | None, **evidence: Any) -> dict[str, Any]:
    shown = {"commit": commit, **evidence} if commit is not None else evidence
    answer: dict[str, Any] = await who.complete_task(
        task_id=task["id"], attempt=task["attempt"], result="done", evidence=shown
    )
    done: dict[str, Any] = answer["task"]
    return done


async def test_work_that_the_server_can_see_for_itself_is_verified(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder)
    made = repository.commit({"src/a.py": "1", "src/b/c.py": "1"})
    await service(world).report_check(commit=made, name="tests", passed=True)

    done = await complete(ada, task, made[:10], files=["src/a.py", "src/b/"], checks=["tests"])

    assert (done["status"], done["verification"], done["problems"]) == ("completed", "verified", [])
    assert (await events(world, kind=["task.completed"]))[0]["facts"]["commit"] == made


async def test_what_nobody_can_check_is_reported_and_no_more(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder)

    answer = await ada.complete_task(task_id=task["id"], attempt=1, result="trust me")

    assert (answer["task"]["verification"], answer["task"]["problems"]) == ("reported", [])


LIES = {
    "no commit": "No commit is named",
    "unknown": "is no commit of the project's repository",
    "old": "before this attempt began",
    "empty": "touches no file",
    "unclaimed file": "does not touch src/never.py",
    "not leased": "touches other/x.py, which you had not leased",
    "late lease": "touches late.py, which you had not leased when you committed",
    "failed": "Reported as failed for this commit: lint",
    "silent": "Nobody has reported for this commit: lint",
}


async def lie(name: str, world: World, ada: Who, repository: GitRepository) -> tuple[str | None, dict[str, Any]]:
    """Give a commit and evidence that do not hold."""
    match name:
        case "no commit":
            return None, {"files": ["src/a.py"]}
        case "unknown":
            return "f" * 40, {}
        case "old":
            return repository.commit({"src/a.py": "1"}, NOON - timedelta(hours=1)), {}
        case "empty":
            return repository.commit({}), {}
        case "unclaimed file":
            return repository.commit({"src/a.py": "1"}), {"files": ["src/a.py", "src/never.py"]}
        case "not leased":
            return repository.commit({"src/a.py": "1", "other/x.py": "1"}), {}
        case "late lease":
            made = repository.commit({"src/a.py": "1", "late.py": "1"})
            world.clock.move(120)
            await ada.acquire_lock(paths=["late.py"])
            return made, {}
        case "failed":
            made = repository.commit({"src/a.py": "1"})
            await service(world).report_check(commit=made, name="lint", passed=True)
            await service(world).report_check(commit=made, name="lint", passed=False)
            return made, {"checks": ["lint"]}
        case _:
            return repository.commit({"src/a.py": "1"}), {"checks": ["lint"]}


@pytest.mark.parametrize("name", LIES)
async def test_what_does_not_hold_is_said_and_completes_as_reported(
    world: World, repository: GitRepository, name: str
) -> None:
    ada, task = await set_up(world, repository.folder)
    commit, evidence = await lie(name, world, ada, repository)

    done = await complete(ada, task, commit, **evidence)

    assert (done["status"], done["verification"]) == ("completed", "reported")
    assert len(done["problems"]) == 1
    assert LIES[name] in done["problems"][0]
    assert (await ada.get_task(task_id=task["id"]))["problems"] == done["problems"]


@pytest.mark.parametrize("name", LIES)
async def test_what_does_not_hold_is_refused_where_verification_is_required(
    world: World, repository: GitRepository, name: str
) -> None:
    ada, task = await set_up(world, repository.folder, require_verification=True)
    commit, evidence = await lie(name, world, ada, repository)
    before = await last_event(world)

    refused = await refusal("evidence_missing", complete(ada, task, commit, **evidence))

    assert LIES[name] in refused.fault["message"]
    assert len(refused.facts["problems"]) == 1
    assert await last_event(world) == before
    assert (await ada.get_task(task_id=task["id"]))["status"] == "claimed"


async def test_a_refused_completion_can_be_mended(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder, require_verification=True)
    first = repository.commit({"src/a.py": "1", "extra.py": "1"})
    await refusal("evidence_missing", complete(ada, task, first))
    await refusal("evidence_missing", ada.complete_task(task_id=task["id"], attempt=1, result="without evidence"))

    await ada.acquire_lock(paths=["extra.py"])
    world.clock.move(30)
    mended = repository.commit({}, NOON + timedelta(seconds=30), "again", "--amend")

    assert (await complete(ada, task, mended))["verification"] == "verified"


async def test_a_check_that_the_task_asks_for_must_have_passed(world: World, repository: GitRepository) -> None:
    owner = world.person()
    await owner.update_project(root_path=str(repository.folder))
    ada = await world.agent("ada")
    await owner.create_task(title="Work", files=["src/"], evidence=["commit", "tests"])
    task = (await ada.claim_task())["task"]
    made = repository.commit({"src/a.py": "1"})

    done = await complete(ada, task, made)

    assert done["problems"] == [
        "Nobody has reported for this commit: tests: wait until CI or a person has (report_check)."
    ]


async def test_a_lease_released_in_order_counts_until_another_has_the_path(
    world: World, repository: GitRepository
) -> None:
    ada, task = await set_up(world, repository.folder)
    bob = await world.agent("bob")
    await ada.acquire_lock(paths=["docs/a.md", "docs/b.md"])
    made = repository.commit({"src/a.py": "1", "docs/a.md": "1", "docs/b.md": "1"})
    await ada.release_lock(paths=["docs/a.md", "docs/b.md"])
    await bob.acquire_lock(paths=["docs/b.md"])

    done = await complete(ada, task, made)

    assert len(done["problems"]) == 1
    assert "touches docs/b.md, which" in done["problems"][0]


@pytest.mark.parametrize("keeps_it", [True, False])
async def test_a_shared_lease_lets_nobody_edit(world: World, repository: GitRepository, keeps_it: bool) -> None:
    ada, task = await set_up(world, repository.folder)
    await ada.acquire_lock(paths=["docs/"], mode="shared")
    made = repository.commit({"docs/a.md": "1"})
    if not keeps_it:
        await ada.release_lock(paths=["docs/"])

    assert "docs/a.md" in (await complete(ada, task, made))["problems"][0]


async def test_a_lease_that_was_widened_after_the_commit_covers_nothing_new(
    world: World, repository: GitRepository
) -> None:
    ada, task = await set_up(world, repository.folder)
    made = repository.commit({"src/a.py": "1", "late.py": "1"})
    world.clock.move(120)
    widened = await ada.acquire_lock(paths=["src/", "late.py"], task_id=task["id"])
    assert set(widened["lock"]["paths"]) == {"src/", "late.py"}

    done = await complete(ada, task, made)

    assert len(done["problems"]) == 1
    assert "touches late.py, which" in done["problems"][0]


async def test_a_lease_from_before_the_attempt_counts_while_it_is_held(world: World, repository: GitRepository) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(root_path=str(repository.folder))
    await ada.acquire_lock(paths=["docs/"])
    world.clock.move(300)
    await owner.create_task(title="Work")
    task = (await ada.claim_task())["task"]
    made = repository.commit({"docs/a.md": "1"}, NOON + timedelta(seconds=310))

    assert (await complete(ada, task, made))["verification"] == "verified"


async def test_the_lease_of_another_covers_nothing(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder)
    bob = await world.agent("bob")
    await bob.acquire_lock(paths=["docs/"])
    made = repository.commit({"docs/a.md": "1"})

    assert "docs/a.md" in (await complete(ada, task, made))["problems"][0]


async def test_a_project_that_folds_case_compares_folded(world: World, repository: GitRepository) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(root_path=str(repository.folder), settings={"fold_case": True})
    await owner.create_task(title="Work", files=["SRC/App.py"])
    task = (await ada.claim_task())["task"]
    made = repository.commit({"Src/app.PY": "1"})

    assert (await complete(ada, task, made, files=["src/APP.py"]))["verification"] == "verified"


async def test_a_new_attempt_begins_without_the_last_ones_verification(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder)
    await complete(ada, task, repository.commit({"src/a.py": "1"}))
    await world.person().update_task(task_id=task["id"], status="pending")

    claimed = (await ada.claim_task())["task"]

    assert "verification" not in claimed
    assert claimed["problems"] == []


async def test_a_result_that_waits_for_review_is_verified_already(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder, require_review=True, require_verification=True)

    done = await complete(ada, task, repository.commit({"src/a.py": "1"}))
    accepted = await world.person().review_task(task_id=task["id"], verdict="accept", note="Good.")

    assert (done["status"], done["verification"]) == ("in_review", "verified")
    assert (accepted["task"]["status"], accepted["task"]["verification"]) == ("completed", "verified")


@pytest.mark.parametrize("where", ["none", "missing", "no repository"])
async def test_without_a_repository_work_completes_and_says_why_it_is_not_verified(
    world: World, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    owner, ada = world.person(), await world.agent("ada")
    if where != "none":
        await owner.update_project(root_path=str(tmp_path / {"missing": "x", "no repository": "folder"}[where]))
    await owner.create_task(title="Work")
    task = (await ada.claim_task())["task"]

    done = await complete(ada, task, "f" * 40)

    assert done["verification"] == "reported"
    assert {"none": "set root_path", "missing": "can enter", "no repository": "not the top"}[where] in done["problems"][
        0
    ]
    assert str(tmp_path) not in done["problems"][0]


async def test_a_repository_that_hangs_costs_its_time_once_and_nobody_else_anything(
    make_world: MakeWorld, repository: GitRepository
) -> None:
    world = make_world(CONDUCTOR_REPOSITORIES__TIMEOUT_S="0.5")
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(root_path=str(repository.folder))
    tasks = [(await owner.create_task(title=str(number)))["id"] for number in range(2)]
    for task in tasks:
        await ada.claim_task(task_id=task)
    config = repository.folder / ".git" / "config"
    config.unlink()
    os.mkfifo(config)
    took = []

    for task in tasks:
        began = time.monotonic()
        done = await complete(ada, {"id": task, "attempt": 1}, "f" * 40)
        took.append(time.monotonic() - began)
        assert "did not answer in time" in done["problems"][0]

    # The second finds the repository resting and does not wait for it again.
    assert took[1] < took[0]


async def test_without_git_work_completes_and_says_so(
    world: World, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, task = await set_up(world, repository.folder)
    made = repository.commit({"src/a.py": "1"})
    monkeypatch.setitem(git._ENVIRONMENT, "PATH", "/nonexistent")

    done = await complete(ada, task, made)

    assert "git cannot be started" in done["problems"][0]


async def test_a_change_of_the_repository_is_seen_at_once(
    world: World, repository: GitRepository, tmp_path: Path
) -> None:
    ada, task = await set_up(world, tmp_path / "none")
    made = repository.commit({"src/a.py": "1"})
    await world.person().update_project(root_path=str(repository.folder))

    assert (await complete(ada, task, made))["verification"] == "verified"


async def test_another_organisation_cannot_have_the_first_ones_repository_looked_into(
    world: World, repository: GitRepository
) -> None:
    made = repository.commit({"CLAUDE.md": "secret"})
    world.clock.move(1)
    other, project, _ = world.found("rival")
    boss = world.person(organization=other)
    await boss.update_project(root_path=str(repository.folder))
    await boss.register_agent(agent_id="eve", name="Eve", role="contributor", instructions_file="CLAUDE.md")
    await boss.create_task(title="Spy")
    eve = Who(world, Caller(TokenKind.AGENT, Role.CONTRIBUTOR, other.id, "tok_eve0000000", project.id, "eve"))

    claimed = await eve.claim_task()
    done = await complete(eve, claimed["task"], made)

    assert claimed["context"]["instructions"] == "CLAUDE.md"
    assert done["verification"] == "reported"
    assert "may not be looked into" in done["problems"][0]


async def test_a_further_organisation_has_its_repositories_in_a_folder_of_its_own(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(CONDUCTOR_REPOSITORIES__FOLDER=str(tmp_path / "all"))
    world.clock.move(1)
    other, project, _ = world.found("rival")
    own = GitRepository(tmp_path / "all" / other.id / "app")
    made = own.commit({"a.py": "1"})
    foreign = GitRepository(tmp_path / "all" / world.organization.id / "app")
    stolen = foreign.commit({"b.py": "1"})
    (tmp_path / "all" / other.id / "link").symlink_to(foreign.folder)
    leaning = GitRepository(tmp_path / "all" / other.id / "leaning")
    (leaning.folder / ".git" / "objects" / "info" / "alternates").write_text(f"{foreign.folder}/.git/objects\n")
    pointing = tmp_path / "all" / other.id / "pointing"
    pointing.mkdir()
    (pointing / ".git").write_text(f"gitdir: {foreign.folder}/.git\n")
    linked = GitRepository(tmp_path / "all" / other.id / "linked")
    for folder in (foreign.folder / ".git" / "objects").glob("??"):
        (linked.folder / ".git" / "objects" / folder.name).symlink_to(folder)
    # `.git` is no repository there, so that git takes what lies beside it for one.
    beside = GitRepository(tmp_path / "all" / other.id / "beside", "--bare")
    (beside.folder / ".git" / "objects").mkdir(parents=True)
    (beside.folder / "objects").rename(beside.folder / "old")
    (beside.folder / "objects").symlink_to(foreign.folder / ".git" / "objects")
    boss = world.person(organization=other)
    await boss.register_agent(agent_id="eve", name="Eve", role="contributor")
    eve = Who(world, Caller(TokenKind.AGENT, Role.CONTRIBUTOR, other.id, "tok_eve0000000", project.id, "eve"))
    told = {}

    for root, commit in (
        (own.folder, made),
        (foreign.folder, stolen),
        (tmp_path / "all" / other.id / "link", stolen),
        (leaning.folder, stolen),
        (pointing, stolen),
        (linked.folder, stolen),
        (beside.folder, stolen),
        (tmp_path / "all" / other.id / ".." / world.organization.id / "app", stolen),
    ):
        await boss.update_project(root_path=str(root))
        await boss.create_task(title="Spy")
        done = await complete(eve, (await eve.claim_task())["task"], commit)
        told[str(root.relative_to(tmp_path / "all"))] = done["problems"][0]

    assert "which you had not leased" in told.pop(f"{other.id}/app")
    assert all("may not be looked into" in problem for problem in told.values())
    assert len(told) == 7


async def test_an_agent_cannot_report_checks_and_a_report_is_an_event(world: World, repository: GitRepository) -> None:
    ada = await world.agent("ada")
    lead = await world.agent("lea", Role.LEAD)
    commit = "AB" * 20

    for who in (ada, lead):
        await refusal("forbidden", who.report_check(commit=commit, name="tests", passed=True))
    first = await service(world).report_check(commit=commit, name="tests", passed=False, details="3 failed")
    second = await world.person(Role.MEMBER).report_check(commit=commit, name="tests", passed=True)

    assert (first["commit"], first["passed"], first["details"]) == (commit.lower(), False, "3 failed")
    assert "details" not in second
    assert second["reported_by"].startswith("member:")
    told = await events(world, kind=["check.reported"])
    assert [event["facts"] for event in told] == [
        {"commit": commit.lower(), "name": "tests", "passed": passed} for passed in (False, True)
    ]


@pytest.mark.parametrize("commit", ["", "abc", "g" * 40, "a" * 41, "HEAD", "a" * 39])
async def test_a_check_is_of_a_whole_commit_id(world: World, commit: str) -> None:
    await refusal("invalid", service(world).report_check(commit=commit, name="tests", passed=True))


async def test_checks_are_those_of_the_project(world: World, repository: GitRepository) -> None:
    ada, task = await set_up(world, repository.folder)
    other = await world.person().create_project(name="Other")
    made = repository.commit({"src/a.py": "1"})
    await world.person().report_check(commit=made, name="tests", passed=True, project_id=other["id"])

    assert (
        "Nobody has reported"
        in (
            await complete(
                ada,
                task,
                made,
                checks=["tests"],
            )
        )["problems"][0]
    )


def test_a_sight_comes_through_as_it_was() -> None:
    commit = Commit("a" * 40, ("a.py", "ü\ufffd\n.py"), is_whole=False, committed_at=NOON)
    instructions = Instructions("CLAUDE.md", "Be good.\n", "a" * 40, is_whole=False)

    assert seen.commit_seen(seen.written_commit(commit)) == Sight(commit)
    assert seen.commit_seen(seen.written_commit(None)) == Sight()
    assert seen.commit_seen(seen.unseen("night")) == Sight(why="night")
    assert seen.commit_seen(b"") is None
    assert seen.instructions_seen(seen.written_instructions(instructions)) == instructions
    for nothing in (b"", seen.written_instructions(None), seen.unseen("night")):
        assert seen.instructions_seen(nothing) is None
