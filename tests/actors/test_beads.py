"""Importing beads: the same end in whatever order they come, no duplicates, nobody's work undone; and back again."""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import Any

import pytest

from conductor.domain.access import Role
from conductor.operations import beads as ops
from tests.support.world import Refused, Who, World

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


def bead(bead_id: str, *waits: str, parent: str | None = None, **more: Any) -> Json:
    """A bead as Beads exports it."""
    links = [{"issue_id": bead_id, "depends_on_id": other, "type": "blocks"} for other in waits]
    if parent is not None:
        links.append({"issue_id": bead_id, "depends_on_id": parent, "type": "parent-child"})
    return {"id": bead_id, "title": f"Do {bead_id}", "dependencies": links} | more


async def tasks_of(who: Who) -> dict[str, Json]:
    """Give all tasks by their beads' ids, with what they name named as beads are."""
    found: dict[str, Json] = {}
    page = await who.list_tasks(limit=200, detail="full")
    names = {task["id"]: task.get("external_id", task["id"]) for task in page["items"]}
    for task in page["items"]:
        plain = {
            key: task.get(key)
            for key in ("title", "status", "priority", "assigned_to", "result", "description", "retry_at")
        }
        found[names[task["id"]]] = plain | {
            "id": task["id"],
            "dependencies": sorted(names[other] for other in task["dependencies"]),
            "blocked_by": sorted(names[other] for other in task["blocked_by"]),
            "parent": names[task["parent_id"]] if "parent_id" in task else None,
            "tags": sorted(task["tags"]),
        }
    return found


def without_ids(tasks: dict[str, Json]) -> dict[str, Json]:
    """The same without what each world makes itself."""
    return {name: {key: value for key, value in task.items() if key != "id"} for name, task in tasks.items()}


async def events(world: World) -> int:
    """Give the number of the last event."""
    [last] = (await world.person().list_events(limit=1))["items"]
    number: int = last["number"]
    return number


async def test_beads_become_tasks_with_what_they_wait_for(world: World) -> None:
    owner = world.person()

    reply = await owner.import_beads(
        beads=[
            bead("bd-1", "bd-2", parent="bd-9", priority=0, issue_type="bug", labels=["ui"], description="It blinks."),
            bead("bd-2", status="closed", close_reason="Merged."),
            bead("bd-9", issue_type="epic"),
        ]
    )

    assert [made["bead_id"] for made in reply["created"]] == ["bd-1", "bd-2", "bd-9"]
    assert (reply["updated"], reply["unchanged"], reply["problems"]) == ([], 0, [])
    tasks = await tasks_of(owner)
    assert tasks["bd-1"] | {"id": ""} == {
        "id": "",
        "title": "Do bd-1",
        "status": "pending",
        "priority": "critical",
        "assigned_to": None,
        "result": None,
        "description": "It blinks.",
        "retry_at": None,
        "dependencies": ["bd-2"],
        "blocked_by": [],
        "parent": "bd-9",
        "tags": ["type:bug", "ui"],
    }
    assert (tasks["bd-2"]["status"], tasks["bd-2"]["result"]) == ("completed", "Merged.")


async def test_the_same_again_changes_nothing_and_writes_nothing(world: World) -> None:
    owner = world.person()
    told = {
        "beads": [bead("bd-1", "bd-2", parent="bd-3"), bead("bd-2", status="closed"), bead("bd-3", "bd-gone")],
        "convoys": [{"name": "release", "beads": ["bd-1", "bd-later"]}],
    }
    await owner.import_beads(**told)
    before = await events(world)

    reply = await owner.import_beads(**told)

    assert (reply["created"], reply["updated"], reply["unchanged"]) == ([], [], 4)
    assert await events(world) == before


GRAPH = [
    bead("bd-1", "bd-2", "bd-3", parent="bd-5"),
    bead("bd-2", "bd-4", parent="bd-5", labels=["x"]),
    bead("bd-3", status="closed"),
    bead("bd-4", priority=4),
    bead("bd-5", issue_type="epic"),
    bead("hq-1", issue_type="convoy", dependencies=[{"depends_on_id": "bd-4", "type": "tracks"}]),
]
CONVOY = {"name": "release", "beads": ["bd-1", "bd-2", "bd-4"]}


async def test_the_order_of_the_calls_does_not_matter(world: World) -> None:
    results = []
    chance = random.Random(20261124)
    orders = [chance.sample(range(len(GRAPH) + 1), len(GRAPH) + 1) for _ in range(12)]
    for number, order in enumerate(orders):
        owner = world.person()
        made = await owner.create_project(name=f"P{number}")
        here = {"project_id": made["id"]}
        for place in order:
            part = {"beads": [GRAPH[place]]} if place < len(GRAPH) else {"convoys": [CONVOY]}
            await owner.import_beads(**here, **part)
        page = await owner.export_beads(**here)
        results.append((order, page))

    def plain(page: Json) -> Json:
        kept = ("id", "title", "status", "priority", "issue_type", "labels", "dependencies", "defer_until")
        listed = {each["id"]: {name: each.get(name) for name in kept} for each in page["beads"]}
        for each in listed.values():
            each["dependencies"] = sorted(each["dependencies"], key=str)
        convoys = {each["name"]: sorted(each["beads"]) for each in page["convoys"]}
        return {"beads": listed, "convoys": convoys}

    first = plain(results[0][1])
    for order, page in results:
        assert plain(page) == first, order
    assert first["convoys"] == {"release": ["bd-1", "bd-2", "bd-4"]}
    assert {name: each["status"] for name, each in first["beads"].items()} == {
        "bd-1": "open", "bd-2": "open", "bd-3": "closed", "bd-4": "open", "bd-5": "open", "hq-1": "open"
    }  # fmt: skip


async def test_what_is_named_before_it_comes_is_linked_when_it_comes(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    early = await owner.import_beads(beads=[bead("bd-1", "bd-2")])
    late = await owner.import_beads(beads=[bead("bd-2")])

    tasks = await tasks_of(owner)
    assert early["problems"] == ["named, but not here yet: linked when they are imported: bd-2"]
    assert [changed["bead_id"] for changed in late["updated"]] == ["bd-1"]
    assert tasks["bd-1"]["blocked_by"] == ["bd-2"]
    assert (await ada.claim_task())["task"]["id"] == tasks["bd-2"]["id"]


async def test_a_convoy_is_a_task_above_its_beads_that_waits_for_them(world: World) -> None:
    owner = world.person()
    await owner.import_beads(convoys=[{"name": "release", "beads": ["bd-1", "bd-2"]}])
    empty = (await tasks_of(owner))["convoy:release"]
    await owner.import_beads(beads=[bead("bd-1")])
    await owner.import_beads(beads=[bead("bd-2", parent="bd-1")])

    tasks = await tasks_of(owner)
    assert empty["retry_at"] is not None, "a convoy whose beads have not come is nothing to take"
    assert tasks["convoy:release"]["retry_at"] is None
    assert tasks["convoy:release"]["blocked_by"] == ["bd-1", "bd-2"]
    assert [tasks[name]["parent"] for name in ("bd-1", "bd-2")] == ["convoy:release", "bd-1"]
    assert all("convoy:release" in tasks[name]["tags"] for name in ("bd-1", "bd-2", "convoy:release"))


async def test_a_convoy_is_done_with_its_last_bead_where_parents_are(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.update_project(project_id=world.project.id, settings={"complete_parents": True})
    await owner.import_beads(
        beads=[bead("bd-1"), bead("bd-2", status="closed")], convoys=[{"name": "release", "beads": ["bd-1", "bd-2"]}]
    )

    claimed = await ada.claim_task()
    await ada.complete_task(task_id=claimed["task"]["id"], attempt=1, result="done")

    assert (await tasks_of(owner))["convoy:release"]["status"] == "completed"


async def test_a_bead_that_was_changed_there_is_changed_here_and_what_was_added_here_stays(world: World) -> None:
    owner = world.person()
    await owner.import_beads(beads=[bead("bd-1", priority=2, labels=["ui"])])
    task_id = (await tasks_of(owner))["bd-1"]["id"]
    await owner.update_task(task_id=task_id, tags=["ui", "urgent"], files=["src/"])
    before = await events(world)

    reply = await owner.import_beads(beads=[bead("bd-1", title="Do it well", priority=0, labels=["ui", "api"])])

    assert [changed["task_id"] for changed in reply["updated"]] == [task_id]
    task = await owner.get_task(task_id=task_id)
    assert (task["title"], task["priority"], task["files"]) == ("Do it well", "critical", ["src/"])
    assert task["tags"] == ["ui", "urgent", "api"]
    assert task["history"][0]["facts"]["changed"] == ["title", "priority", "tags"]
    assert await events(world) == before + 2


async def test_a_bead_closed_there_completes_its_task_and_frees_what_waits(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=[bead("bd-1", "bd-2"), bead("bd-2")])

    await owner.import_beads(beads=[bead("bd-2", status="closed", close_reason="Merged.")])

    tasks = await tasks_of(owner)
    assert (tasks["bd-2"]["status"], tasks["bd-2"]["result"]) == ("completed", "Merged.")
    assert (await ada.claim_task())["task"]["id"] == tasks["bd-1"]["id"]


async def test_what_an_agent_works_on_is_not_taken_out_of_its_hands(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=[bead("bd-1")])
    task_id = (await tasks_of(owner))["bd-1"]["id"]
    await ada.claim_task(task_id=task_id)

    closed = await owner.import_beads(beads=[bead("bd-1", status="closed")])
    waits = await owner.import_beads(beads=[bead("bd-1", "bd-2"), bead("bd-2")])

    assert "in hand" in closed["problems"][0]
    assert waits["problems"] == ["an agent works on it: what it waits for was not changed: bd-1"]
    assert (await ada.complete_task(task_id=task_id, attempt=1, result="done"))["task"]["status"] == "completed"


@pytest.mark.parametrize("status", ["open", "closed", "tombstone"])
async def test_what_is_closed_here_is_not_opened_or_changed_from_there(world: World, status: str) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=[bead("bd-1")])
    task_id = (await ada.claim_task())["task"]["id"]
    await ada.complete_task(task_id=task_id, attempt=1, result="done")
    before = await tasks_of(owner)

    reply = await owner.import_beads(beads=[bead("bd-1", title="Otherwise", status=status)])

    assert (reply["created"], reply["updated"]) == ([], [])
    assert await tasks_of(owner) == before


async def test_a_bead_deleted_there_cancels_its_task_and_is_never_made(world: World) -> None:
    owner = world.person()
    await owner.import_beads(beads=[bead("bd-1", "bd-9"), bead("bd-2")])

    await owner.import_beads(beads=[bead("bd-2", status="tombstone"), bead("bd-9", status="tombstone")])
    reply = await owner.import_beads(beads=[bead("bd-3", "bd-9"), bead("bd-9", status="tombstone")])

    tasks = await tasks_of(owner)
    assert set(tasks) == {"bd-1", "bd-2", "bd-3"}
    assert tasks["bd-2"]["status"] == "cancelled"
    assert reply["problems"] == []


async def test_a_deferred_bead_is_not_taken_until_it_is_open_again(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=[bead("bd-1", status="deferred")])
    with pytest.raises(Refused) as refused:
        await ada.claim_task()

    await owner.import_beads(beads=[bead("bd-1")])

    assert refused.value.code == "nothing_ready"
    assert (await ada.claim_task())["task"]["title"] == "Do bd-1"


async def test_an_assignee_that_is_an_agent_here_gets_it_and_others_are_named(world: World) -> None:
    owner = world.person()
    await world.agent("ada")

    reply = await owner.import_beads(beads=[bead("bd-1", assignee="ada"), bead("bd-2", assignee="dave@example.org")])

    tasks = await tasks_of(owner)
    assert (tasks["bd-1"]["assigned_to"], tasks["bd-2"]["assigned_to"]) == ("ada", None)
    assert reply["problems"] == ["assigned to somebody who is no agent here: anybody may take it: bd-2"]


async def test_what_is_not_taken_over_is_named(world: World) -> None:
    reply = await world.person().import_beads(
        beads=[
            bead("bd-1", comments=[{"text": "hm"}], content_hash="abc"),
            bead("bd-2", issue_type="agent"),
            bead("bd-1", title="Twice"),
            bead("bd-3", title=" \t"),
            bead("bd-4", dependencies=[{"depends_on_id": "bd-1", "type": "related"}]),
        ]
    )

    assert [made["bead_id"] for made in reply["created"]] == ["bd-1", "bd-4"]
    assert reply["problems"] == [
        "fields that have no counterpart here were left out: comments, content_hash",
        "beads of the type agent are no work: left out: bd-2",
        "given twice: the first one counts: bd-1",
        "without a title: left out: bd-3",
        "dependencies of these types say nothing about the order of work and were left out: related",
    ]


@pytest.mark.parametrize("split", [0, 1, 2, 3])
async def test_a_cycle_is_refused_whichever_call_would_close_it(world: World, split: int) -> None:
    owner = world.person()
    circle = [bead("bd-1", "bd-2"), bead("bd-2", "bd-3"), bead("bd-3", "bd-1")]
    if split:
        await owner.import_beads(beads=circle[:split][:2])
    before = (await tasks_of(owner), await events(world))

    with pytest.raises(Refused) as refused:
        await owner.import_beads(beads=circle)

    assert refused.value.code == "dependency_cycle"
    assert (await tasks_of(owner), await events(world)) == before


async def test_parents_that_would_make_no_tree_are_left_out_and_named(world: World) -> None:
    owner = world.person()

    reply = await owner.import_beads(
        beads=[
            bead("bd-1", parent="bd-2"),
            bead("bd-2", parent="bd-1"),
            bead("bd-3", parent="bd-4"),
            bead("bd-4", status="closed"),
        ]
    )

    tasks = await tasks_of(owner)
    assert [tasks[f"bd-{number}"]["parent"] for number in range(1, 5)] == ["bd-2", None, None, None]
    assert len(reply["problems"]) == 2


async def test_500_beads_with_dependencies_come_in_one_call(world: World) -> None:
    owner = world.person()
    chance = random.Random(7)
    told = [bead("bd-0")]
    for number in range(1, ops.MOST_BEADS):
        told.append(bead(f"bd-{number}", *{f"bd-{chance.randrange(number)}" for _ in range(3)}))
    chance.shuffle(told)

    reply = await owner.import_beads(beads=told)
    again = await owner.import_beads(beads=told)

    assert len(reply["created"]) == ops.MOST_BEADS
    assert again["unchanged"] == ops.MOST_BEADS
    with pytest.raises(Refused, match="at most 500"):
        await owner.import_beads(beads=[*told, bead("bd-500")])


async def test_one_projects_beads_are_none_of_another(world: World) -> None:
    owner = world.person()
    other = (await owner.create_project(name="Other"))["id"]

    for project_id in (world.project.id, other):
        reply = await owner.import_beads(project_id=project_id, beads=[bead("bd-1")])
        assert len(reply["created"]) == 1


async def test_an_export_brought_into_another_project_is_the_same_there(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(project_id=world.project.id, beads=GRAPH, convoys=[CONVOY])
    made = await owner.create_task(project_id=world.project.id, title="Made here", description="Say so.", tags=["own"])
    await ada.claim_task(task_id=made["id"])
    other = (await owner.create_project(name="Other"))["id"]

    pages: list[Json] = []
    cursor: Json = {}
    while not pages or "next_cursor" in pages[-1]:
        pages.append(await owner.export_beads(project_id=world.project.id, limit=3, **cursor))
        cursor = {"cursor": pages[-1].get("next_cursor")}
    for page in pages:
        await owner.import_beads(project_id=other, beads=page["beads"], convoys=page["convoys"])

    there = await owner.export_beads(project_id=other)
    listed = {each["id"]: each for each in there["beads"]}
    given = {each["id"]: each for each in itertools.chain.from_iterable(page["beads"] for page in pages)}
    assert listed.keys() == given.keys() == {*(each["id"] for each in GRAPH), made["id"]}
    assert (given[made["id"]]["status"], listed[made["id"]]["status"]) == ("in_progress", "open")
    for bead_id in (each["id"] for each in GRAPH):
        for name in ("title", "status", "priority", "issue_type", "labels"):
            assert listed[bead_id].get(name) == given[bead_id].get(name), (bead_id, name)
        assert sorted(map(str, listed[bead_id]["dependencies"])) == sorted(map(str, given[bead_id]["dependencies"]))


async def test_an_export_brought_back_changes_nothing(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=GRAPH, convoys=[CONVOY])
    made = await owner.create_task(project_id=world.project.id, title="Made here", description="Say so.", tags=["own"])
    await ada.claim_task(task_id=made["id"])
    page = await owner.export_beads()
    before = await tasks_of(owner)

    reply = await owner.import_beads(beads=page["beads"], convoys=page["convoys"])

    assert (reply["created"], reply["updated"], reply["problems"]) == ([], [], [])
    assert await tasks_of(owner) == before


async def test_whatever_was_brought_in_can_be_given_back(world: World) -> None:
    owner = world.person()
    many = [bead(f"bd-{number}") for number in range(500)]
    await owner.import_beads(beads=many, convoys=[{"name": "x" * 300, "beads": [each["id"] for each in many]}])
    await owner.import_beads(
        beads=[
            bead("bd-long", *(f"bd-{number}" for number in range(499)), title="t" * 2_000, labels=["l" * 300] * 200),
            bead("bd-closed", status="closed", close_reason="r" * 20_000, design="d" * 20_000),
            bead("bd-late"),
        ]
    )
    [convoy] = (await owner.list_tasks(tags=["type:convoy"]))["items"]
    [late] = (await owner.list_tasks(text="Do bd-late"))["items"]
    await owner.update_task(task_id=late["id"], dependencies=[convoy["id"]])

    page = await owner.export_beads(limit=500)
    rest = await owner.export_beads(limit=500, cursor=page["next_cursor"])

    links = {each["id"]: len(each["dependencies"]) for each in (*page["beads"], *rest["beads"])}
    assert (links["bd-long"], links["bd-late"]) == (499, 1)
    assert [len(each["beads"]) for each in (*page["convoys"], *rest["convoys"])] == [500]


async def test_what_an_export_says_is_what_beads_reads(world: World) -> None:
    owner = world.person()
    await owner.import_beads(
        beads=[bead("bd-1", "bd-2", design="As before.", due_at="2026-12-24T18:00:00Z"), bead("bd-2", status="closed")]
    )

    answer = await world.answer("export_beads", owner.caller, {})

    [first, second] = json.loads(answer.body)["beads"]
    assert first["design"] == "As before."
    assert first["dependencies"] == [{"issue_id": "bd-1", "depends_on_id": "bd-2", "type": "blocks"}]
    assert first["due_at"] == "2026-12-24T18:00:00Z"
    assert {"created_at", "updated_at"} <= first.keys()
    assert second["status"] == "closed"
    assert {"closed_at", "close_reason"} <= second.keys()


async def test_an_import_outlives_a_restart(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    await owner.import_beads(beads=[bead("bd-1", "bd-2")])
    await world.restart()

    await owner.import_beads(beads=[bead("bd-2")])
    await world.restart()

    assert (await ada.claim_task())["task"]["title"] == "Do bd-2"


async def test_open_links_that_come_again_cost_no_more_than_the_first_time(world: World) -> None:
    owner = world.person()
    told = [bead(f"bd-{number}", *(f"bd-{number}-{other}" for other in range(100))) for number in range(60)]
    took_s = []

    for _ in range(2):
        began = time.perf_counter()
        await owner.import_beads(beads=told)
        took_s.append(time.perf_counter() - began)

    # Looking through all of them for each takes a hundred times as long.
    assert took_s[1] < 10 * took_s[0]


async def test_where_results_are_checked_an_agent_completes_nothing_by_an_import(world: World) -> None:
    owner, lea = world.person(), await world.agent("lea", Role.LEAD)
    await owner.update_project(settings={"require_review": True})
    task = await owner.create_task(title="Ship it")
    closed = {"beads": [bead(task["id"], title="Ship it", status="closed", close_reason="Trust me.")]}

    by_agent = await lea.import_beads(**closed)
    stands = (await owner.get_task(task_id=task["id"]))["status"]
    await owner.import_beads(**closed)

    assert by_agent["problems"] == [
        f"closed there, but results are checked here: open until a person says so: {task['id']}"
    ]
    assert stands == "pending"
    assert (await owner.get_task(task_id=task["id"]))["status"] == "completed"
