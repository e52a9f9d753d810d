"""Checkpoints: what is kept, who goes on from it, when it is over, and what is left of an agent that was lost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from actors import checkpointing
from actors.checkpointing import MOST_LOCKS
from conductor.domain.access import Role
from tests.actors.conftest import MakeWorld
from tests.actors.looking import events, last_event, refusal, restart
from tests.support.world import World

pytestmark = pytest.mark.anyio

DAY_S = 86_400


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_checkpoint_keeps_what_was_said_and_what_the_agent_held(world: World) -> None:
    ada = await world.agent("ada")
    task = await world.person().create_task(title="Parser", files=["src/parser.py"])
    await ada.claim_task(task_id=task["id"])
    await ada.acquire_lock(paths=["docs/"])
    before = await last_event(world)

    saved = await ada.save_checkpoint(
        summary="The lexer\nis done.",
        next_steps=["Read names."],
        state={"branch": "p", "line": 3},
        files=["./src/a.py"],
    )

    assert (saved["task_id"], saved["attempt"], saved["locks"]) == (task["id"], 1, ["docs/", "src/parser.py"])
    assert _at(saved["made_at"]) == world.clock.now()
    assert _at(saved["expires_at"]) == world.clock.now() + timedelta(days=30)
    written = await events(world, since=before)
    assert [(event["kind"], event["subject_id"]) for event in written] == [("checkpoint.saved", saved["id"])]
    kept = (await ada.resume_checkpoint())["checkpoint"]
    assert kept == saved | {
        "agent_id": "ada",
        "automatic": False,
        "summary": "The lexer\nis done.",
        "next_steps": ["Read names."],
        "state": {"branch": "p", "line": 3},
        "files": ["src/a.py"],
    }


async def test_the_latest_checkpoint_of_a_task_is_resumed_by_whoever_has_it_now(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = (await world.person().create_task(title="Parser", files=["src/parser.py"]))["id"]
    await ada.claim_task(task_id=task)
    first = await ada.save_checkpoint(summary="one", task_id=task)
    world.clock.move(1)
    latest = await ada.save_checkpoint(summary="two", task_id=task, files=["src/lexer.py"])
    await ada.update_task(task_id=task, attempt=1, status="pending")
    claimed = await bob.claim_task(task_id=task)
    before = await last_event(world)

    resumed = await bob.resume_checkpoint(task_id=task)

    assert claimed["attempt"] == 2
    assert (resumed["checkpoint"]["id"], resumed["checkpoint"]["summary"]) == (latest["id"], "two")
    assert resumed["missing"] == ["src/lexer.py"], "the task's own file is leased with the claim"
    assert (await bob.resume_checkpoint(checkpoint_id=first["id"]))["checkpoint"]["summary"] == "one"
    written = await events(world, since=before)
    assert [(event["kind"], event["actor"], event["facts"]["saved_by"]) for event in written] == [
        ("checkpoint.resumed", "agent:bob", "ada")
    ] * 2
    assert (await ada.resume_checkpoint())["checkpoint"]["id"] == latest["id"], "its own last"
    await refusal("not_found", bob.resume_checkpoint())


async def test_a_checkpoint_of_no_task_belongs_to_its_agent(world: World) -> None:
    ada = await world.agent("ada")

    saved = await ada.save_checkpoint(summary="Looked around.")

    assert "task_id" not in saved
    assert (await ada.resume_checkpoint())["checkpoint"]["id"] == saved["id"]


async def test_only_the_holder_of_a_task_saves_where_it_stands(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = (await world.person().create_task(title="Parser"))["id"]
    await ada.claim_task(task_id=task)
    before = await last_event(world)

    await refusal("forbidden", bob.save_checkpoint(summary="x", task_id=task))
    await refusal("not_found", bob.save_checkpoint(summary="x", task_id="tsk_0000000000"))
    await refusal("path_invalid", ada.save_checkpoint(summary="x", files=["../out"]))

    assert await last_event(world) == before


async def test_a_checkpoint_that_is_not_there_is_not_resumed(world: World) -> None:
    ada = await world.agent("ada")
    task = (await world.person().create_task(title="Parser"))["id"]
    other = await world.person().create_project(name="Other", slug="other")
    with world.store.reading(world.organization.id) as tx:
        place = tx.projects.get(other["id"])
    there = await world.agent("ada", project=place)
    elsewhere = await there.save_checkpoint(summary="elsewhere")

    for named in ({"task_id": task}, {"checkpoint_id": elsewhere["id"]}, {"checkpoint_id": "nonsense"}, {}):
        await refusal("not_found", ada.resume_checkpoint(**named))
    await refusal("invalid", ada.resume_checkpoint(task_id=task, checkpoint_id=elsewhere["id"]))


async def test_a_list_shows_the_newest_first_page_by_page_and_cuts_long_summaries(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = (await world.person().create_task(title="Parser"))["id"]
    await ada.claim_task(task_id=task)
    for number in range(3):
        world.clock.move(1)
        await ada.save_checkpoint(summary=f"{number} " + "x" * 400)
    await bob.save_checkpoint(summary="of no task")
    rex = await world.agent("rex", Role.REVIEWER)

    first = await rex.list_checkpoints(task_id=task, limit=2)
    second = await rex.list_checkpoints(task_id=task, limit=2, cursor=first["next_cursor"])
    whole = await rex.list_checkpoints(agent_id="ada", detail="full", limit=1)

    assert [item["summary"][0] for item in (*first["items"], *second["items"])] == ["2", "1", "0"]
    assert {len(item["summary"]) for item in first["items"]} == {200}
    assert "next_cursor" not in second
    assert len(whole["items"][0]["summary"]) == 402
    by_person = await world.person().list_checkpoints(task_id=task)
    assert len(by_person["items"]) == 3
    assert len((await world.person().list_checkpoints(project_id=world.project.id))["items"]) == 4


async def test_a_checkpoint_is_over_after_its_days_and_then_forgotten(make_world: MakeWorld) -> None:
    world = make_world(CONDUCTOR_CHECKPOINTS__KEEP_DAYS="1")
    ada = await world.agent("ada")
    saved = await ada.save_checkpoint(summary="old")
    await world.elapse(DAY_S - 1)
    assert (await ada.resume_checkpoint())["checkpoint"]["id"] == saved["id"]

    await world.elapse(1)

    await refusal("not_found", ada.resume_checkpoint())
    await refusal("not_found", ada.resume_checkpoint(checkpoint_id=saved["id"]))
    assert (await ada.list_checkpoints())["items"] == []
    await world.elapse(10)
    with world.store.transaction(world.organization.id) as transaction:
        tx = transaction.unit(world.organization.id)
        tx.now = world.clock.now() - timedelta(days=2)
        assert tx.checkpoints.get(saved["id"]) is None, "its row is gone"


async def test_a_lost_agent_leaves_a_checkpoint_of_each_task_in_the_commit_that_requeues_it(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    tasks = [(await world.person().create_task(title=f"T{n}", files=[f"{n}.py"]))["id"] for n in range(2)]
    for task in tasks:
        await ada.claim_task(task_id=task, lease_s=7200)
    await ada.heartbeat(status="working", task_id=tasks[0], stage="testing", note="Two tests fail.")
    await ada.update_task(task_id=tasks[1], attempt=1, status="in_progress", note="Half is there.", progress=0.5)
    await world.elapse(600)
    await bob.heartbeat(status="idle")

    await world.elapse(900)

    one, other = [(await bob.resume_checkpoint(task_id=task))["checkpoint"] for task in tasks]
    assert one["automatic"] is other["automatic"] is True
    assert (one["agent_id"], one["attempt"], one["files"], one["locks"]) == ("ada", 1, ["0.py"], ["0.py", "1.py"])
    assert "ada was lost after 1500 s of silence" in one["summary"]
    assert "Stage: testing." in one["summary"]
    assert "Two tests fail." in one["summary"]
    assert "Half is there." in other["summary"]
    assert "50%" in other["summary"]
    saved = await events(world, kind=["checkpoint.saved"])
    assert {event["actor"] for event in saved} == {"conductor"}


async def test_another_agent_goes_on_from_what_a_lost_one_saved(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    task = (await world.person().create_task(title="Parser", files=["src/"]))["id"]
    await ada.claim_task(task_id=task)
    await ada.save_checkpoint(summary="Numbers are read.", next_steps=["Read names."], state={"branch": "parser"})
    await world.elapse(900)
    await restart(world, 5)
    await bob.heartbeat(status="idle")
    await world.elapse(600)
    await bob.claim_task(task_id=task)

    resumed = await bob.resume_checkpoint(task_id=task)

    checkpoint = resumed["checkpoint"]
    assert checkpoint["automatic"] is True
    assert "Numbers are read." in checkpoint["summary"]
    assert (checkpoint["next_steps"], checkpoint["state"]) == (["Read names."], {"branch": "parser"})
    assert resumed["missing"] == []


async def test_a_lost_agent_that_held_nothing_leaves_no_checkpoint(world: World) -> None:
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"])

    await world.elapse(900)

    assert (await world.person().list_checkpoints(project_id=world.project.id))["items"] == []


async def test_what_an_earlier_agent_left_goes_through_the_hands_of_those_who_were_lost_too(world: World) -> None:
    owner = world.person()
    task = await owner.create_task(title="Long", max_attempts=9)
    first, second, third = [await world.agent(name) for name in ("one", "two", "three")]
    await first.claim_task(task_id=task["id"], lease_s=86_400)
    await first.save_checkpoint(task_id=task["id"], summary="half", next_steps=["the other half"])
    await world.elapse(901)
    await world.elapse(600)
    await second.claim_task(task_id=task["id"], lease_s=86_400)
    await world.elapse(901)
    await world.elapse(1200)

    claimed = await third.claim_task(task_id=task["id"])

    assert claimed["context"]["checkpoint"]["next_steps"] == ["the other half"]
    assert "half" in claimed["context"]["checkpoint"]["summary"]


async def test_of_very_many_leases_a_checkpoint_keeps_some_those_of_its_task_first(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    for number in range(MOST_LOCKS // 50 + 1):
        await ada.acquire_lock(paths=[f"{number}/{place}.py" for place in range(50)], ttl_s=7200)
    task = await owner.create_task(title="x", files=["z.py"])
    await ada.claim_task(task_id=task["id"], lease_s=7200)

    saved = await ada.save_checkpoint(summary="x", files=["new.py", "1/2.py"])
    resumed = await ada.resume_checkpoint()
    await world.elapse(1000)
    automatic = (await owner.list_checkpoints(task_id=task["id"]))["items"][0]

    assert len(saved["locks"]) == len(automatic["locks"]) == MOST_LOCKS
    assert "z.py" in saved["locks"]
    assert "z.py" in automatic["locks"]
    assert resumed["missing"] == ["new.py"]


async def test_what_is_dear_to_compare_counts_as_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "MOST_COMPARISONS", 2)
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["src/", "docs/"])
    await ada.save_checkpoint(summary="x", files=["docs/a.md", "src/a.py"])

    assert (await ada.resume_checkpoint())["missing"] == ["src/a.py"]
