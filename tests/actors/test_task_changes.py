"""Changes of tasks: every move of the state machine and who may make it, the graph that never closes, reopening."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, outcome, refusal, require_memory_equals_store
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

STATES = ["pending", "claimed", "in_progress", "blocked", "completed", "failed", "cancelled"]


async def test_the_holder_reports_progress_and_each_change_is_one_event(world: World) -> None:
    ada = await world.agent("ada")
    task = await _claimed(world, ada)
    before = await last_event(world)

    changed = await ada.update_task(
        task_id=task,
        attempt=1,
        status="in_progress",
        progress=0.5,
        note="half",
        title="New",
        files=["b.py"],
        tags=["t"],
    )
    await ada.update_task(task_id=task, attempt=1, progress=0.75)
    await ada.update_task(task_id=task, attempt=1, progress=0.75)

    assert (changed["status"], changed["progress"], changed["note"]) == ("in_progress", 0.5, "half")
    assert (changed["title"], changed["files"], changed["tags"]) == ("New", ["b.py"], ["t"])
    written = await events(world, since=before)
    assert [event["kind"] for event in written] == ["task.updated"] * 2
    assert written[0]["facts"]["status"] == "in_progress"
    assert written[1]["facts"] == {"progress": 0.75}
    require_memory_equals_store(world)


async def test_every_move_that_the_table_lacks_is_refused_and_changes_nothing(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    illegal = {
        "pending": ["in_progress", "blocked", "failed", "pending"],
        "claimed": [],
        "in_progress": [],
        "blocked": [],
        "completed": ["in_progress", "blocked", "failed", "cancelled"],
        "failed": ["in_progress", "blocked", "failed", "cancelled"],
        "cancelled": ["in_progress", "blocked", "failed", "cancelled"],
    }

    for state in STATES:
        task = await _in_state(world, ada, state)
        for status in illegal[state]:
            refused = await refusal("illegal_move", owner.update_task(task_id=task, status=status, note="never"))
            assert refused.facts["status"] == state
        for status in ("claimed", "completed"):
            refused = await refusal("invalid", owner.update_task(task_id=task, status=status))
            assert ("claim_task" if status == "claimed" else "complete_task") in refused.fault["message"]
        seen = await owner.get_task(task_id=task)
        assert (seen["status"], seen.get("note")) == (state, None)


async def test_a_released_task_is_ready_at_once_and_its_locks_are_free(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = await _claimed(world, ada, files=["a.py"])
    before = await last_event(world)

    released = await ada.update_task(task_id=task, attempt=1, status="pending", note="not mine", priority="high")

    assert (released["status"], released["attempt"], released["priority"]) == ("pending", 1, "high")
    assert "assigned_to" not in released
    assert (await ada.list_locks())["items"] == []
    written = {event["kind"]: event["facts"] for event in await events(world, since=before)}
    assert sorted(written) == ["lock.released", "task.released"]
    assert (written["task.released"]["note"], written["task.released"]["priority"]) == ("not mine", "high")
    claimed = await bob.claim_task(task_id=task)
    assert (claimed["attempt"], "last_error" in claimed["context"]) == (2, False)
    await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="late"))
    assert [one.get("outcome") for one in (await bob.get_task(task_id=task))["attempts"]] == ["released", None]
    require_memory_equals_store(world)


async def test_a_release_is_no_failure_however_often(world: World) -> None:
    ada = await world.agent("ada")
    task = await world.person().create_task(title="x", max_attempts=1)

    for attempt in (1, 2, 3):
        await ada.claim_task(task_id=task["id"])
        released = await ada.update_task(task_id=task["id"], attempt=attempt, status="pending")

    assert released["status"] == "pending"


async def test_a_task_is_cancelled_from_any_open_state_and_its_holder_is_stale(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")

    for state in ("pending", "claimed", "in_progress", "blocked"):
        task = await _in_state(world, ada, state)
        cancelled = await owner.update_task(task_id=task, status="cancelled", note="no longer wanted")

        assert (cancelled["status"], cancelled["note"]) == ("cancelled", "no longer wanted")
        assert (await owner.list_locks())["items"] == []
        assert len(await events(world, kind=["task.cancelled"], subject_id=task)) == 1
        await refusal("stale_attempt", ada.complete_task(task_id=task, attempt=1, result="late"))
        await refusal("stale_attempt", ada.update_task(task_id=task, attempt=1, progress=1.0))
        assert (await owner.list_agents())["items"][0]["status"] == "idle"
    require_memory_equals_store(world)


async def test_leads_and_people_set_when_a_task_is_due_and_whose_it_is_and_holders_do_not(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await owner.create_task(title="x", assigned_to="ada")

    changed = await owner.update_task(task_id=task["id"], due_at="2026-12-01T00:00:00Z", assigned_to="bob")

    assert (changed["due_at"], changed["assigned_to"]) == ("2026-12-01T00:00:00Z", "bob")
    facts = (await events(world, kind=["task.updated"], subject_id=task["id"]))[-1]["facts"]
    assert facts == {"due_at": "2026-12-01T00:00:00+00:00", "reserved_for": "bob"}
    await refusal("not_ready", ada.claim_task(task_id=task["id"]))
    await bob.claim_task(task_id=task["id"])
    for argument, value in (("due_at", "2026-12-02T00:00:00Z"), ("assigned_to", "ada")):
        refused = await refusal("forbidden", bob.update_task(task_id=task["id"], attempt=1, **{argument: value}))
        assert refused.facts["argument"] == argument
    require_memory_equals_store(world)


async def test_changes_are_for_the_holder_with_its_attempt_leads_and_people_from_member_up(world: World) -> None:
    owner, lead = world.person(), await world.agent("lea", Role.LEAD)
    ada, bob, eve = await world.agent("ada"), await world.agent("bob"), await world.agent("eve", Role.REVIEWER)
    task = await _claimed(world, ada)

    assert (await refusal("invalid", ada.update_task(task_id=task, note="x"))).facts["argument"] == "attempt"
    await refusal("stale_attempt", ada.update_task(task_id=task, attempt=2, note="x"))
    await refusal("stale_attempt", bob.update_task(task_id=task, attempt=1, note="x"))
    await refusal("stale_attempt", lead.update_task(task_id=task, attempt=1, note="x"))
    await refusal("forbidden", bob.update_task(task_id=task, note="x"))
    await refusal("forbidden", eve.update_task(task_id=task, note="x"))
    await refusal("forbidden", world.person(Role.VIEWER).update_task(task_id=task, note="x"))
    assert (await refusal("invalid", owner.update_task(task_id=task, attempt=1, note="x"))).facts[
        "argument"
    ] == "attempt"
    for who in (owner, lead, world.person(Role.MEMBER)):
        assert (await who.update_task(task_id=task, note=str(who.caller.role)))["note"] == who.caller.role
        for status in ("in_progress", "blocked"):
            await refusal("forbidden", who.update_task(task_id=task, status=status))
    await refusal("not_found", owner.update_task(task_id="tsk_0000000000", note="x"))
    await refusal("not_found", owner.update_task(task_id="nonsense", note="x"))
    assert (await lead.update_task(task_id=task, status="pending"))["status"] == "pending"


async def test_a_blocked_holder_says_what_it_waits_for_and_still_holds(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = await _claimed(world, ada, files=["a.py"])
    other = await owner.create_task(title="other")

    blocked = await ada.update_task(task_id=task, attempt=1, status="blocked", blocked_by=[other["id"], other["id"]])
    assert (blocked["status"], blocked["blocked_by"], blocked["assigned_to"]) == ("blocked", [other["id"]], "ada")
    await bob.claim_task(task_id=other["id"])
    done = await bob.complete_task(task_id=other["id"], attempt=1, result="x")

    assert done["unblocked"] == []
    seen = await owner.get_task(task_id=task)
    assert (seen["status"], seen["blocked_by"]) == ("blocked", [])
    going_on = await ada.update_task(task_id=task, attempt=1, status="in_progress")
    assert (going_on["status"], going_on["blocked_by"]) == ("in_progress", [])
    assert len((await owner.list_locks())["items"]) == 1
    require_memory_equals_store(world)


async def test_blocked_by_goes_with_blocked_only_and_names_tasks_of_the_project(world: World) -> None:
    ada = await world.agent("ada")
    task = await _claimed(world, ada)
    other = await world.person().create_task(title="other")

    for status in ({}, {"status": "in_progress"}, {"status": "pending"}):
        await refusal("invalid", ada.update_task(task_id=task, attempt=1, blocked_by=[other["id"]], **status))
    refused = await refusal(
        "unknown_dependency",
        ada.update_task(task_id=task, attempt=1, status="blocked", blocked_by=[other["id"], "tsk_0000000000"]),
    )

    assert refused.facts["unknown"] == ["tsk_0000000000"]
    assert (await ada.get_task(task_id=task))["status"] == "claimed"


async def test_a_wait_that_would_close_a_circle_is_refused_with_the_circle_named(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    mine, theirs = await _claimed(world, ada), await _claimed(world, bob)
    between = (await owner.create_task(title="between", dependencies=[mine]))["id"]

    refused = await refusal(
        "dependency_cycle", ada.update_task(task_id=mine, attempt=1, status="blocked", blocked_by=[mine])
    )
    assert refused.facts["cycle"] == [mine, mine]
    refused = await refusal(
        "dependency_cycle", ada.update_task(task_id=mine, attempt=1, status="blocked", blocked_by=[between])
    )
    assert refused.facts["cycle"] == [mine, between, mine]
    await bob.update_task(task_id=theirs, attempt=1, status="blocked", blocked_by=[between])
    refused = await refusal(
        "dependency_cycle", ada.update_task(task_id=mine, attempt=1, status="blocked", blocked_by=[theirs])
    )
    assert refused.facts["cycle"] == [mine, theirs, between, mine]
    await bob.update_task(task_id=theirs, attempt=1, status="in_progress")
    await ada.update_task(task_id=mine, attempt=1, status="blocked", blocked_by=[theirs])
    await refusal("dependency_cycle", bob.update_task(task_id=theirs, attempt=1, status="blocked", blocked_by=[mine]))
    require_memory_equals_store(world)


async def test_dependencies_are_given_as_a_whole_new_list(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    a, b, c = [(await owner.create_task(title=title))["id"] for title in "abc"]
    task = (await owner.create_task(title="x", dependencies=[a, b]))["id"]

    changed = await owner.update_task(task_id=task, dependencies=[c, b, c])
    assert (changed["dependencies"], changed["blocked_by"]) == ([c, b], [c, b])
    assert (await refusal("not_ready", ada.claim_task(task_id=task))).facts["blocked_by"] == [c, b]
    changed = await owner.update_task(task_id=task, dependencies=[])
    assert (changed["dependencies"], changed["blocked_by"]) == ([], [])
    require_memory_equals_store(world)
    assert (await ada.claim_task(task_id=task))["attempt"] == 1

    refused = await refusal("illegal_move", owner.update_task(task_id=task, dependencies=[a]))
    assert refused.facts["allowed"] == ["pending", "blocked"]
    await ada.update_task(task_id=task, attempt=1, status="blocked")
    assert (await owner.update_task(task_id=task, dependencies=[a]))["blocked_by"] == [a]


async def test_dependencies_are_changed_by_leads_and_people_and_name_tasks_of_the_project(world: World) -> None:
    owner, ada, lead = world.person(), await world.agent("ada"), await world.agent("lea", Role.LEAD)
    home = world.project.id
    other = await owner.create_project(name="Other")
    foreign = (await owner.create_task(title="x", project_id=other["id"]))["id"]
    first = (await owner.create_task(title="first", project_id=home))["id"]
    task = await _claimed(world, ada)
    await ada.update_task(task_id=task, attempt=1, status="blocked")

    await refusal("forbidden", ada.update_task(task_id=task, attempt=1, dependencies=[first]))
    for wrong in (foreign, "tsk_0000000000", "nonsense"):
        refused = await refusal("unknown_dependency", lead.update_task(task_id=task, dependencies=[first, wrong]))
        assert refused.facts["unknown"] == [wrong]

    assert (await lead.update_task(task_id=task, dependencies=[first]))["dependencies"] == [first]


async def test_an_edge_that_would_close_a_circle_is_refused_also_through_closed_tasks(world: World) -> None:
    owner = world.person()
    a = (await owner.create_task(title="a"))["id"]
    b = (await owner.create_task(title="b", dependencies=[a]))["id"]
    c = (await owner.create_task(title="c", dependencies=[b]))["id"]

    assert (await refusal("dependency_cycle", owner.update_task(task_id=a, dependencies=[a]))).facts["cycle"] == [a, a]
    refused = await refusal("dependency_cycle", owner.update_task(task_id=a, dependencies=[c]))
    assert refused.facts["cycle"] == [a, c, b, a]
    await owner.update_task(task_id=b, status="cancelled")
    await refusal("dependency_cycle", owner.update_task(task_id=a, dependencies=[c]))

    assert (await owner.get_task(task_id=a))["dependencies"] == []
    require_memory_equals_store(world)


async def test_of_two_callers_that_race_to_close_a_circle_exactly_one_wins_every_time(world: World) -> None:
    owner, lead = world.person(), await world.agent("lea", Role.LEAD)
    pairs = [
        [(await owner.create_task(title=f"{number} {end}"))["id"] for end in ("one", "other")] for number in range(100)
    ]

    codes = await asyncio.gather(
        *(
            outcome(who.update_task(task_id=task, dependencies=[needed]))
            for one, other in pairs
            for who, task, needed in ((owner, one, other), (lead, other, one))
        )
    )

    for number, (one, other) in enumerate(pairs):
        assert sorted(str(code) for code in codes[2 * number : 2 * number + 2]) == ["None", "dependency_cycle"]
        edges = [len((await owner.get_task(task_id=task))["dependencies"]) for task in (one, other)]
        assert sorted(edges) == [0, 1]
    require_memory_equals_store(world)


async def test_a_person_reopens_a_closed_task_and_its_dependants_wait_again(world: World) -> None:
    owner, ada, lead = world.person(), await world.agent("ada"), await world.agent("lea", Role.LEAD)
    for state in ("completed", "failed", "cancelled"):
        task = await _in_state(world, ada, state)
        after = (await owner.create_task(title="after", dependencies=[task]))["id"]
        attempt = (await owner.get_task(task_id=task))["attempt"]

        await refusal("forbidden", lead.update_task(task_id=task, status="pending"))
        if attempt:
            await refusal("stale_attempt", ada.update_task(task_id=task, attempt=attempt, status="pending"))
        reopened = await owner.update_task(task_id=task, status="pending", note="again")

        assert (reopened["status"], reopened["attempt"], reopened["note"]) == ("pending", attempt, "again")
        assert not {"assigned_to", "result", "error", "progress", "retry_at"} & set(reopened)
        assert (await refusal("not_ready", ada.claim_task(task_id=after))).facts["blocked_by"] == [task]
        claimed = await ada.claim_task(task_id=task)
        assert claimed["attempt"] == attempt + 1
        done = await ada.complete_task(task_id=task, attempt=attempt + 1, result="again")
        assert done["unblocked"] == [after]
        assert len(await events(world, kind=["task.reopened"], subject_id=task)) == 1
    require_memory_equals_store(world)


async def test_a_reopened_task_has_all_its_attempts_again(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await _in_state(world, ada, "failed")

    await owner.update_task(task_id=task, status="pending")
    await ada.claim_task(task_id=task)
    failed = await ada.update_task(task_id=task, attempt=2, status="failed", note="again")

    assert failed["status"] == "failed"
    assert [one["outcome"] for one in (await owner.get_task(task_id=task))["attempts"]] == ["failed", "failed"]


async def test_a_task_is_not_reopened_once_a_dependant_was_claimed(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    task = await _in_state(world, ada, "completed")
    after = (await owner.create_task(title="after", dependencies=[task]))["id"]
    await ada.claim_task(task_id=after)
    await ada.update_task(task_id=after, attempt=1, status="pending")

    refused = await refusal("illegal_move", owner.update_task(task_id=task, status="pending"))

    assert refused.facts["claimed_dependants"] == [after]
    assert (await owner.get_task(task_id=task))["status"] == "completed"


async def test_files_are_canonical_and_those_that_cannot_be_leased_change_nothing(world: World) -> None:
    owner = world.person()
    task = (await owner.create_task(title="x", files=["a.py"]))["id"]

    await refusal("path_invalid", owner.update_task(task_id=task, files=["../b.py"], title="never"))
    changed = await owner.update_task(task_id=task, files=["./b//c.py", "b/c.py"])

    assert (changed["files"], changed["title"]) == (["b/c.py"], "x")


async def _claimed(world: World, agent: Who, **particulars: Any) -> str:
    task = await world.person().create_task(title="x", project_id=world.project.id, **particulars)
    await agent.claim_task(task_id=task["id"])
    task_id: str = task["id"]
    return task_id


async def _in_state(world: World, agent: Who, state: str) -> str:
    """Make a task and bring it into a state, by the agent where it takes one."""
    owner = world.person()
    task: str = (await owner.create_task(title=state, max_attempts=1, files=[f"{state}.py"]))["id"]
    if state in {"claimed", "in_progress", "blocked", "completed", "failed"}:
        await agent.claim_task(task_id=task)
    match state:
        case "in_progress" | "blocked":
            await agent.update_task(task_id=task, attempt=1, status=state)
        case "failed":
            await agent.update_task(task_id=task, attempt=1, status="failed")
        case "completed":
            await agent.complete_task(task_id=task, attempt=1, result="x")
        case "cancelled":
            await owner.update_task(task_id=task, status="cancelled")
    return task
