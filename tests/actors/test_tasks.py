"""Tasks from their making to their end: what gates a claim, what a completion frees, what becomes of failures."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, last_event, outcome, refusal, require_memory_equals_store
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def test_a_new_task_is_pending_and_shows_what_was_asked_for(world: World) -> None:
    owner = world.person()
    first = await owner.create_task(title="Design")

    task = await owner.create_task(
        title="Build",
        description="With care.\nTwice.",
        priority="high",
        dependencies=[first["id"], first["id"]],
        parent_id=first["id"],
        files=["src//b.py", "./src/a.py", "docs/"],
        tags=["api", "api", "ü,\"'\\"],
        requires=["python"],
        assigned_to="ada",
        due_at="2026-12-01T00:00:00+01:00",
        max_attempts=5,
        estimated_cost_usd="1.25",
        evidence=["commit", "tests"],
    )

    seen = await owner.get_task(task_id=task["id"])
    assert seen.pop("attempts") == []
    assert [change["kind"] for change in seen.pop("history")] == ["task.created"]
    assert task == seen
    expected = {
        "status": "pending",
        "priority": "high",
        "attempt": 0,
        "max_attempts": 5,
        "dependencies": [first["id"]],
        "blocked_by": [first["id"]],
        "files": ["docs/", "src/a.py", "src/b.py"],
        "tags": ["api", "ü,\"'\\"],
        "requires": ["python"],
        "assigned_to": "ada",
        "due_at": "2026-11-30T23:00:00Z",
        "estimated_cost_usd": "1.25",
        "evidence": ["commit", "tests"],
        "parent_id": first["id"],
        "description": "With care.\nTwice.",
    }
    assert {name: task[name] for name in expected} == expected
    assert (first["priority"], first["max_attempts"], first["files"], first["blocked_by"]) == ("medium", 3, [], [])


async def test_making_a_task_writes_one_event(world: World) -> None:
    before = await last_event(world)

    task = await world.person().create_task(title="Build", files=["a.py"])

    written = await events(world, since=before)
    assert [(event["kind"], event["subject_id"]) for event in written] == [("task.created", task["id"])]
    assert written[0]["facts"]["files"] == ["a.py"]


async def test_a_task_that_names_no_task_of_the_project_is_refused_and_not_made(world: World) -> None:
    owner, home = world.person(), world.project.id
    other = await owner.create_project(name="Other")
    foreign = await owner.create_task(title="Elsewhere", project_id=other["id"])
    before = await last_event(world)

    for wrong in (foreign["id"], "tsk_0000000000", "nonsense"):
        for named in ({"dependencies": [wrong]}, {"parent_id": wrong}):
            refused = await refusal("unknown_dependency", owner.create_task(title="x", project_id=home, **named))
            assert refused.facts["unknown"] == [wrong]

    assert (await owner.list_tasks(project_id=home))["items"] == []
    assert await last_event(world) == before


async def test_a_task_whose_files_cannot_be_leased_is_refused(world: World) -> None:
    owner = world.person()

    for path in ("../up", "/etc/passwd", ".git/config", "a/\x00", "a\u200b.py"):
        await refusal("path_invalid", owner.create_task(title="x", files=["fine.py", path]))
    await refusal("invalid", owner.create_task(title="x", files=["fine.py", ""]))

    assert (await owner.list_tasks())["items"] == []


async def test_only_leads_and_people_from_member_up_make_tasks(world: World) -> None:
    workers = [await world.agent(role.value, role) for role in (Role.CONTRIBUTOR, Role.REVIEWER, Role.OBSERVER)]

    for who in (*workers, world.person(Role.VIEWER)):
        await refusal("forbidden", who.create_task(title="x"))

    lead = await world.agent("lea", Role.LEAD)
    assert (await lead.create_task(title="x"))["status"] == "pending"
    assert (await world.person(Role.MEMBER).create_task(title="y"))["status"] == "pending"


async def test_a_task_is_not_ready_before_all_it_depends_on_is_completed(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    first, second = [await owner.create_task(title=title) for title in ("one", "two")]
    last = await owner.create_task(title="last", dependencies=[first["id"], second["id"]])

    refused = await refusal("not_ready", ada.claim_task(task_id=last["id"]))
    assert refused.facts["blocked_by"] == [first["id"], second["id"]]
    done = await _finish(ada, first["id"])
    assert done["unblocked"] == []
    assert (await refusal("not_ready", ada.claim_task(task_id=last["id"]))).facts["blocked_by"] == [second["id"]]
    done = await _finish(ada, second["id"])

    assert done["unblocked"] == [last["id"]]
    claimed = await ada.claim_task(task_id=last["id"])
    assert claimed["task"]["blocked_by"] == []
    assert [other["task_id"] for other in claimed["context"]["related"]] == sorted([first["id"], second["id"]])
    require_memory_equals_store(world)


async def test_one_commit_completes_a_task_frees_its_dependants_and_its_locks_and_no_others(
    make_world: MakeWorld,
) -> None:
    probe = Probe()
    world = make_world(probe=probe)
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="Build", files=["src/"])
    after = await owner.create_task(title="Test", dependencies=[task["id"]])
    claimed = await ada.claim_task(task_id=task["id"])
    bound = await ada.acquire_lock(paths=["docs/a.md"], task_id=task["id"])
    free = await ada.acquire_lock(paths=["notes.md"])
    commits, before = probe.commits(), await last_event(world)

    done = await ada.complete_task(task_id=task["id"], attempt=1, result="Built.")

    assert probe.commits() == commits + 1
    assert done["unblocked"] == [after["id"]]
    assert sorted(done["released"]) == sorted([claimed["locks"][0]["id"], bound["lock"]["id"]])
    assert [lock["id"] for lock in (await owner.list_locks())["items"]] == [free["lock"]["id"]]
    kinds = sorted(event["kind"] for event in await events(world, since=before))
    assert kinds == ["lock.released", "lock.released", "task.completed"]
    task = done["task"]
    assert (task["status"], task["result"], task["progress"]) == ("completed", "Built.", 1.0)
    require_memory_equals_store(world)


async def test_a_task_can_be_completed_from_every_state_in_which_it_is_held(world: World) -> None:
    ada = await world.agent("ada")

    for moves in ([], ["in_progress"], ["blocked"], ["in_progress", "blocked", "in_progress"]):
        task = await world.person().create_task(title="x")
        await ada.claim_task(task_id=task["id"])
        for status in moves:
            await ada.update_task(task_id=task["id"], attempt=1, status=status)
        done = await ada.complete_task(task_id=task["id"], attempt=1, result="done")
        assert done["task"]["status"] == "completed"


async def test_a_completion_by_anybody_but_the_holder_of_this_attempt_is_stale(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x")

    await refusal("stale_attempt", ada.complete_task(task_id=task["id"], attempt=1, result="never claimed"))
    await ada.claim_task(task_id=task["id"])
    await refusal("stale_attempt", bob.complete_task(task_id=task["id"], attempt=1, result="not mine"))
    await refusal("stale_attempt", ada.complete_task(task_id=task["id"], attempt=2, result="another attempt"))
    await refusal("not_found", ada.complete_task(task_id="tsk_0000000000", attempt=1, result="x"))
    await refusal("not_found", ada.complete_task(task_id="nonsense", attempt=1, result="x"))
    await refusal("forbidden", owner.complete_task(task_id=task["id"], attempt=1, result="a person"))

    assert (await owner.get_task(task_id=task["id"]))["status"] == "claimed"


async def test_of_many_completions_at_once_exactly_one_counts(world: World) -> None:
    ada = await world.agent("ada")
    task = await world.person().create_task(title="x")
    await ada.claim_task(task_id=task["id"])

    codes = await asyncio.gather(
        *(outcome(ada.complete_task(task_id=task["id"], attempt=1, result=str(n))) for n in range(64))
    )

    assert codes.count(None) == 1
    assert codes.count("stale_attempt") == 63
    assert len(await events(world, kind=["task.completed"])) == 1


async def test_what_a_board_remembers_does_not_grow_with_what_was_done(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    first = (await owner.create_task(title="first"))["id"]
    last = (await owner.create_task(title="last"))["id"]

    for number in range(10):
        task = await owner.create_task(title=str(number), dependencies=[first])
        await owner.update_task(task_id=last, dependencies=[task["id"]])
        await _finish(ada, first if number == 0 else task["id"])
        if number == 0:
            await _finish(ada, task["id"])

        plain = await owner.create_task(title="nobody waits for it")
        await _finish(ada, plain["id"])

    rooms = world.handles[0].host._rooms
    assert rooms is not None
    [(_, room)] = rooms.items()
    assert list(room.board.memory.tasks) == [last]
    assert len(room.board.memory._closed) == 1, "only what an open task names"
    require_memory_equals_store(world)


async def test_a_failed_attempt_rests_longer_each_time_and_keeps_its_error(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x", max_attempts=9, files=["a.py"])
    rests = []

    for attempt in range(1, 5):
        claimed = await ada.claim_task(task_id=task["id"])
        assert claimed["attempt"] == attempt
        assert claimed["context"].get("last_error") == (f"error {attempt - 1}" if attempt > 1 else None)
        failed = await ada.update_task(task_id=task["id"], attempt=attempt, status="failed", note=f"error {attempt}")
        assert (failed["status"], failed["error"]) == ("pending", f"error {attempt}")
        assert "assigned_to" not in failed
        refused = await refusal("not_ready", ada.claim_task(task_id=task["id"]))
        assert refused.facts["obstacle"] == "retry_later"
        rests.append(_moment(failed["retry_at"]) - world.clock.now())
        assert refused.fault["wait_s"] == pytest.approx(rests[-1].total_seconds(), abs=0.001)
        await world.elapse(rests[-1].total_seconds())

    for number, rest in enumerate(rests):
        whole = timedelta(seconds=5 * 2**number)
        assert whole / 2 <= rest <= whole
    assert (await owner.list_locks())["items"] == []


async def test_after_its_last_attempt_a_task_is_failed_for_good_with_every_error(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x", max_attempts=2)
    after = await owner.create_task(title="after", dependencies=[task["id"]])

    for attempt in (1, 2):
        await ada.claim_task(task_id=task["id"])
        failed = await ada.update_task(task_id=task["id"], attempt=attempt, status="failed", note=f"error {attempt}")
        await world.elapse(10)

    assert failed["status"] == "failed"
    seen = await owner.get_task(task_id=task["id"])
    assert [(one["number"], one["outcome"], one["error"]) for one in seen["attempts"]] == [
        (1, "failed", "error 1"),
        (2, "failed", "error 2"),
    ]
    assert all(one["ended_at"] for one in seen["attempts"])
    assert len(await events(world, kind=["task.failed"], subject_id=task["id"])) == 1
    assert (await refusal("not_ready", ada.claim_task(task_id=task["id"]))).facts["status"] == "failed"
    refused = await refusal("not_ready", ada.claim_task(task_id=after["id"]))
    assert refused.facts["blocked_by"] == refused.facts["given_up"] == [task["id"]]
    assert (await owner.get_task(task_id=after["id"]))["blocked_by"] == [task["id"]]
    require_memory_equals_store(world)


async def test_a_dependant_of_a_cancelled_task_stays_blocked_and_says_by_what(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await owner.create_task(title="x")
    after = await owner.create_task(title="after", dependencies=[task["id"]])

    await owner.update_task(task_id=task["id"], status="cancelled")

    refused = await refusal("not_ready", ada.claim_task(task_id=after["id"]))
    assert refused.facts["given_up"] == [task["id"]]
    assert "cancelled" in refused.fault["message"]


async def test_evidence_is_required_only_where_the_project_says_so(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    tasks = [await owner.create_task(title=str(number)) for number in range(2)]
    named = await owner.create_task(title="named", evidence=["files", "tests"])
    for task in (*tasks, named):
        await ada.claim_task(task_id=task["id"])
    await ada.complete_task(task_id=tasks[0]["id"], attempt=1, result="done")
    await owner.update_project(settings={"require_evidence": True})

    refused = await refusal(
        "evidence_missing",
        ada.complete_task(task_id=tasks[1]["id"], attempt=1, result="done", evidence={"files": ["a"]}),
    )
    assert refused.facts["missing"] == ["commit"]
    refused = await refusal(
        "evidence_missing",
        ada.complete_task(task_id=named["id"], attempt=1, result="x", evidence={"checks": ["files"]}),
    )
    assert refused.facts["missing"] == ["files", "tests"]

    await ada.complete_task(task_id=tasks[1]["id"], attempt=1, result="done", evidence={"commit": "0123abc"})
    done = await ada.complete_task(
        task_id=named["id"], attempt=1, result="done", evidence={"files": ["src/a.py"], "checks": ["tests"]}
    )
    assert done["task"]["status"] == "completed"


async def test_evidence_with_a_path_that_cannot_be_is_invalid_and_the_task_is_still_held(world: World) -> None:
    ada = await world.agent("ada")
    task = await world.person().create_task(title="x")
    await ada.claim_task(task_id=task["id"])

    for path in ("../up", ".git/HEAD"):
        refused = await refusal(
            "invalid", ada.complete_task(task_id=task["id"], attempt=1, result="x", evidence={"files": [path]})
        )
        assert "evidence.files" in refused.fault["message"]

    assert (await ada.get_task(task_id=task["id"]))["status"] == "claimed"


async def test_what_an_agent_claimed_and_completed_is_counted(world: World) -> None:
    ada = await world.agent("ada")
    tasks = [await world.person().create_task(title=str(number)) for number in range(3)]

    for task in tasks[:2]:
        await _finish(ada, task["id"])
    await ada.claim_task(task_id=tasks[2]["id"])
    await ada.update_task(task_id=tasks[2]["id"], attempt=1, status="pending")

    with world.store.reading(world.organization.id) as tx:
        agent = tx.agents.of_project(world.project.id)[0]
    assert (agent.tasks_claimed, agent.tasks_completed) == (3, 2)
    require_memory_equals_store(world)


async def _finish(agent: Who, task_id: str) -> dict[str, Any]:
    claimed = await agent.claim_task(task_id=task_id)
    done: dict[str, Any] = await agent.complete_task(task_id=task_id, attempt=claimed["attempt"], result="done")
    return done


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
