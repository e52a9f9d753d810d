"""Projects: making and changing them, what they count, and how a caller that names none finds its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, refusal, require_memory_equals_store
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_a_project_is_made_with_what_was_asked_for(world: World) -> None:
    owner = world.person()
    project = await owner.create_project(
        name="Web Shop",
        conflict_strategy="zone",
        root_path="/srv/web shop",
        git_remote="git@example.org:web.git",
        settings={"fold_case": True, "lost_after_s": 60},
    )

    assert project == {
        "id": project["id"],
        "organization_id": world.organization.id,
        "name": "Web Shop",
        "slug": "web-shop",
        "conflict_strategy": "zone",
        "root_path": "/srv/web shop",
        "git_remote": "git@example.org:web.git",
        "settings": {
            "fold_case": True,
            "require_evidence": False,
            "leads_approve": False,
            "lost_after_s": 60,
            "require_verification": False,
            "require_review": False,
            "complete_parents": False,
            "partial_match": False,
            "auto_approve": "none",
            "auto_approve_listed": [],
            "team_only": False,
        },
        "my_role": "owner",
        "counts": {"tasks": {}, "agents": {}, "locks": 0},
        "budget": {"spent_usd": "0"},
    }
    assert await owner.get_project(project_id=project["id"]) == project


async def test_a_project_counts_what_it_holds_and_tells_the_callers_role_and_budget(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.set_quota(scope="project", project_id=world.project.id, limit_usd=10)
    await owner.set_quota(scope="agent", project_id=world.project.id, agent_id="ada", limit_usd=3)
    for title in ("a", "b"):
        await owner.create_task(title=title, files=[f"{title}.py"])
    await ada.claim_task()
    await ada.record_cost(model="m", input_tokens=1, output_tokens=1, cost_usd="0.5", idempotency_key="k")

    seen, mine = await owner.get_project(), await ada.get_project()

    assert seen["counts"] == {"tasks": {"claimed": 1, "pending": 1}, "agents": {"working": 1}, "locks": 1}
    assert (seen["my_role"], mine["my_role"]) == ("owner", "contributor")
    assert seen["budget"] == {"limit_usd": "10", "spent_usd": "0.5", "remaining_usd": "9.5"}
    assert mine["budget"] == {"limit_usd": "3", "spent_usd": "0.5", "remaining_usd": "2.5"}


async def test_a_change_leaves_what_it_does_not_name(world: World) -> None:
    owner = world.person()
    made = await owner.create_project(name="Web", git_remote="a", settings={"leads_approve": True})

    changed = await owner.update_project(project_id=made["id"], name="Shop", settings={"lost_after_s": 30})
    before = await last_event(world)
    again = await owner.update_project(project_id=made["id"], name="Shop", settings={"lost_after_s": 30})

    expected = made | {"name": "Shop", "settings": made["settings"] | {"lost_after_s": 30}}
    assert changed == again == expected
    assert await last_event(world) == before, "a change that changes nothing is no event"
    kinds = [event["kind"] for event in await events(world, subject_id=made["id"])]
    assert kinds == ["project.created", "project.updated"]


async def test_a_slug_belongs_to_one_project_of_the_organisation(world: World) -> None:
    owner = world.person()
    other = await owner.create_project(name="Other")
    before = await last_event(world)

    await refusal("invalid", owner.create_project(name="Default"))
    await refusal("invalid", owner.create_project(name="x", slug="other"))
    await refusal("invalid", owner.create_project(name="…"))
    await refusal("invalid", owner.update_project(project_id=other["id"], slug="default"))
    for slug in ("", "-a", "A", "a_b", "a" * 64):
        await refusal("invalid", owner.create_project(name="x", slug=slug))

    assert await last_event(world) == before
    assert (await owner.update_project(project_id=other["id"], slug="third"))["slug"] == "third"
    assert (await owner.create_project(name="Other"))["slug"] == "other"


async def test_of_many_who_want_a_slug_at_once_one_gets_it(world: World) -> None:
    owner = world.person()

    answers = await asyncio.gather(
        *(world.answer("create_project", owner.caller, {"name": f"N{n}", "slug": "one"}) for n in range(16))
    )

    assert [answer.code for answer in answers].count(None) == 1


async def test_projects_are_listed_by_slug_in_pages(world: World) -> None:
    owner = world.person(Role.VIEWER)
    for name in ("c", "a", "b"):
        await world.person().create_project(name=name)

    first = await owner.list_projects(limit=3)
    rest = await owner.list_projects(limit=3, cursor=first["next_cursor"])

    assert [item["slug"] for item in first["items"] + rest["items"]] == ["a", "b", "c", "default"]
    assert "next_cursor" not in rest
    await refusal("invalid", owner.list_projects(cursor="bm9uc2Vuc2U="))
    await refusal("invalid", owner.list_projects(cursor="WyJcdTAwMDAiXQ=="))


async def test_an_agent_sees_its_own_project_and_no_other(world: World) -> None:
    other = await world.person().create_project(name="Other")
    ada = await world.agent("ada")

    assert [item["id"] for item in (await ada.list_projects())["items"]] == [world.project.id]
    assert (await ada.get_project())["id"] == world.project.id
    refused = await refusal("not_found", ada.get_project(project_id=other["id"]))
    random = await refusal("not_found", ada.get_project(project_id="prj_0000000000"))
    assert refused.fault["message"].replace(other["id"], "?") == random.fault["message"].replace("prj_0000000000", "?")


async def test_a_caller_bound_to_no_project_names_one_as_soon_as_there_are_two(world: World) -> None:
    viewer = world.person(Role.VIEWER)
    assert (await viewer.get_project())["slug"] == "default"
    other = await world.person().create_project(name="Other")

    refused = await refusal("invalid", viewer.get_project())

    assert refused.facts["projects"] == [
        {"project_id": world.project.id, "slug": "default"},
        {"project_id": other["id"], "slug": "other"},
    ]
    assert world.project.id in refused.fault["message"]
    task = await world.person().create_task(title="x", project_id=other["id"])
    assert (await viewer.get_task(task_id=task["id"]))["id"] == task["id"], "an id tells its project"
    await refusal("not_found", viewer.get_task(task_id=task["id"], project_id=world.project.id))
    for wrong in ("prj_0000000000", "nonsense", task["id"]):
        await refusal("not_found", viewer.get_project(project_id=wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"root_path": "/srv/\x00"},
        {"git_remote": "a\nb"},
        {"name": ""},
        {"name": "x" * 301},
        {"conflict_strategy": "war"},
        {"settings": {"lost_after_s": 9}},
        {"settings": {"colour": "red"}},
        {"settings": {"fold_case": 1}},
    ],
)
async def test_what_no_project_can_be_is_refused(world: World, wrong: dict[str, Any]) -> None:
    await refusal("invalid", world.person().update_project(**wrong))
    await refusal("invalid", world.person().create_project(**{"name": "x"} | wrong))


async def test_case_is_folded_anew_only_while_no_path_is_in_use(world: World) -> None:
    owner = world.person()
    ada = await world.agent("ada", denied_paths=["Secret/"])
    task = await owner.create_task(title="x", files=["Src/A.py"])
    lock = await ada.acquire_lock(paths=["Docs/"])

    await refusal("invalid", owner.update_project(settings={"fold_case": True}))
    await ada.release_lock(lock_id=lock["lock"]["id"])
    await refusal("invalid", owner.update_project(settings={"fold_case": True}))
    await owner.update_task(task_id=task["id"], status="cancelled")
    await owner.update_project(settings={"fold_case": True})

    assert (await owner.list_agents())["items"][0]["denied_paths"] == ["secret/"]
    await refusal("zone_denied", ada.acquire_lock(paths=["SECRET/key"]))
    require_memory_equals_store(world)
    await world.restart()
    await refusal("zone_denied", ada.acquire_lock(paths=["secret/key"]))


async def test_a_projects_own_patience_decides_when_an_agent_is_lost(world: World) -> None:
    ada = await world.agent("ada")
    await ada.heartbeat(status="working")
    await world.person().update_project(settings={"lost_after_s": 20})
    await world.elapse(70)
    await ada.heartbeat(status="working")
    await world.elapse(19)
    assert (await world.person().list_agents())["items"][0]["health"] != "lost"

    await world.elapse(1)

    assert (await world.person().list_agents())["items"][0]["health"] == "lost"


async def test_an_archived_project_stays_readable_and_takes_no_change_until_it_is_restored(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x")
    place = {"project_id": world.project.id}

    archived = await owner.archive_project(**place)

    assert archived["archived_at"] == "2026-11-24T12:00:00Z"
    for call in (
        owner.create_task(**place, title="y"),
        owner.update_project(**place, name="z"),
        owner.update_task(task_id=task["id"], title="z"),
        ada.claim_task(),
        ada.heartbeat(status="idle"),
    ):
        await refusal("paused", call)
    assert (await owner.get_task(task_id=task["id"]))["title"] == "x"
    assert "archived_at" in await owner.get_project(**place)
    restored = await owner.restore_project(**place)
    assert "archived_at" not in restored
    assert (await ada.claim_task())["task"]["id"] == task["id"]
    kinds = [event["kind"] for event in await events(world, subject_id=world.project.id)]
    assert kinds == ["project.created", "project.archived", "project.restored"]
    require_memory_equals_store(world)


async def test_archiving_or_restoring_twice_changes_nothing_more(world: World) -> None:
    owner, place = world.person(), {"project_id": world.project.id}
    first = await owner.archive_project(**place)
    before = await last_event(world)
    world.clock.move(60)

    assert await owner.archive_project(**place) == first
    assert await last_event(world) == before
    restored = await owner.restore_project(**place)
    before = await last_event(world)
    assert await owner.restore_project(**place) == restored
    assert await last_event(world) == before


async def test_lists_and_calls_that_name_no_project_leave_archived_ones_out(world: World) -> None:
    owner = world.person()
    old = await owner.create_project(name="Old")
    await refusal("invalid", owner.create_task(title="x"))

    await owner.archive_project(project_id=old["id"])

    assert (await owner.create_task(title="x"))["project_id"] == world.project.id
    assert [item["slug"] for item in (await owner.list_projects())["items"]] == ["default"]
    assert [item["slug"] for item in (await owner.list_projects(archived=True))["items"]] == ["default", "old"]
    await refusal("invalid", owner.create_project(name="Old"))


async def test_an_archived_project_is_archived_after_a_restart(world: World) -> None:
    owner, place = world.person(), {"project_id": world.project.id}
    await owner.archive_project(**place)

    await world.restart()

    await refusal("paused", owner.create_task(**place, title="x"))
    assert "archived_at" not in await owner.restore_project(**place)


async def test_people_below_admin_and_agents_archive_nothing(world: World) -> None:
    lead = await world.agent("lea", Role.LEAD)

    for who in (world.person(Role.MEMBER), world.person(Role.VIEWER), lead):
        await refusal("forbidden", who.archive_project(project_id=world.project.id))
        await refusal("forbidden", who.restore_project(project_id=world.project.id))
