"""Locks: who is granted what, what renews, widens, narrows and ends a lease, and what a refusal says."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from conductor.domain.access import Role
from tests.actors.looking import events, last_event, outcome, project_of, refusal, require_memory_equals_store
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_a_grant_says_what_is_leased_until_when_and_how_silence_ends_it(world: World) -> None:
    ada = await world.agent("ada")
    before = await last_event(world)

    granted = await ada.acquire_lock(paths=["src/b.py", "./src//a.py", "src/b.py"], ttl_s=60, reason="edit")

    lock = granted["lock"]
    assert (granted["status"], granted["lost_after_s"]) == ("granted", 900)
    assert (lock["paths"], lock["mode"], lock["agent_id"], lock["reason"]) == (
        ["src/a.py", "src/b.py"],
        "exclusive",
        "ada",
        "edit",
    )
    assert _at(lock["acquired_at"]) == world.clock.now()
    assert _at(lock["expires_at"]) == world.clock.now() + timedelta(seconds=60)
    assert 2**50 < lock["token"] < 2**53
    written = await events(world, since=before)
    assert [(event["kind"], event["subject_id"]) for event in written] == [("lock.granted", lock["id"])]
    assert written[0]["facts"]["token"] == lock["token"]


async def test_a_held_path_is_refused_with_who_holds_it_since_when_and_until_when(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["src/"], ttl_s=60))["lock"]
    await world.elapse(10)
    before = await last_event(world)

    refused = await refusal("lock_held", bob.acquire_lock(paths=["docs/a.md", "src/a.py"]))

    assert (refused.facts["holder"], refused.facts["path"]) == ("ada", "src/")
    assert _at(refused.facts["since"]) == _at(lock["acquired_at"])
    assert _at(refused.facts["expires_at"]) == _at(lock["expires_at"])
    assert refused.facts["holders"][0]["lock_id"] == lock["id"]
    assert refused.fault["wait_s"] == 50
    assert refused.fault["retryable"] is True
    assert await last_event(world) == before
    assert (await bob.acquire_lock(paths=["docs/a.md"]))["status"] == "granted", "all paths of a request or none"


async def test_two_patterns_conflict_exactly_when_some_path_could_match_both(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    for held, asked, conflicts in (
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src/", "src/deep/er/a.py", True),
        ("src/*.py", "src/*_test.*", True),
        ("src/*.py", "src/deep/a.py", False),
        ("**/*.md", "docs/", True),
        ("a/**", "a", False),
        ("a/**", "a/", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", False),
        ("src/?.py", "src/ab.py", False),
    ):
        for first, second in ((held, asked), (asked, held)):
            await ada.acquire_lock(paths=[first])
            code = await outcome(bob.acquire_lock(paths=[second]))
            assert code == ("lock_held" if conflicts else None), f"{first} against {second}"
            for who in (ada, bob):
                await who.release_lock(all=True)


async def test_shared_leases_bear_each_other_and_no_exclusive_one(world: World) -> None:
    ada, bob, cal = [await world.agent(name) for name in ("ada", "bob", "cal")]

    await ada.acquire_lock(paths=["a.py"], mode="shared")
    await bob.acquire_lock(paths=["a.py"], mode="shared")

    await refusal("lock_held", cal.acquire_lock(paths=["a.py"]))
    await refusal("lock_held", ada.acquire_lock(paths=["a.py"], mode="exclusive"))
    await bob.release_lock(all=True)
    widened = await ada.acquire_lock(paths=["a.py"], mode="exclusive")
    assert widened["lock"]["mode"] == "exclusive"
    await refusal("lock_held", cal.acquire_lock(paths=["a.py"], mode="shared"))


async def test_of_many_agents_that_ask_for_overlapping_paths_at_once_one_is_granted(world: World) -> None:
    agents = [await world.agent(f"agent-{number}") for number in range(16)]
    paths = ["src/", "src/a.py", "src/**/a.py", "**/a.py"]

    codes = await asyncio.gather(
        *(outcome(agent.acquire_lock(paths=[paths[number % 4]])) for number, agent in enumerate(agents))
    )

    assert sorted(str(code) for code in codes) == ["None"] + ["lock_held"] * 15
    assert len((await world.person().list_locks())["items"]) == 1
    require_memory_equals_store(world)


async def test_tokens_grow_within_the_project_and_others_have_their_own(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    tokens = []

    for number in range(3):
        tokens.append((await ada.acquire_lock(paths=[f"{number}.py"]))["lock"]["token"])
    await ada.release_lock(all=True)
    await world.elapse(1)
    tokens.append((await ada.acquire_lock(paths=["0.py"]))["lock"]["token"])

    assert tokens == sorted(set(tokens))
    other = await owner.create_project(name="Other")
    zoe = await world.agent("zoe", project=project_of(world, other["id"]))
    assert (await zoe.acquire_lock(paths=["0.py"]))["lock"]["token"] <= tokens[-1]


async def test_the_holders_own_request_renews_with_the_same_id_and_token(world: World) -> None:
    ada = await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["src/", "docs/a.md"], ttl_s=60))["lock"]
    await world.elapse(30)

    renewed = (await ada.acquire_lock(paths=["src/a.py"], ttl_s=90))["lock"]

    assert (renewed["id"], renewed["token"], renewed["paths"]) == (lock["id"], lock["token"], lock["paths"])
    assert _at(renewed["expires_at"]) == world.clock.now() + timedelta(seconds=90)
    shorter = (await ada.acquire_lock(paths=["src/"], ttl_s=10))["lock"]
    assert shorter["expires_at"] == renewed["expires_at"], "a renewal never ends a lease earlier than was told"
    assert [lock["id"] for lock in (await ada.list_locks())["items"]] == [lock["id"]]
    require_memory_equals_store(world)


async def test_the_holders_own_request_for_more_widens_with_the_same_id_and_a_higher_token(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["src/a.py"]))["lock"]
    await bob.acquire_lock(paths=["docs/"])

    widened = (await ada.acquire_lock(paths=["src/a.py", "src/b.py"]))["lock"]

    assert (widened["id"], widened["paths"]) == (lock["id"], ["src/a.py", "src/b.py"])
    assert widened["token"] > lock["token"]
    await refusal("lock_held", ada.acquire_lock(paths=["src/a.py", "docs/b.md"]))
    assert (await ada.list_locks(agent_id="ada"))["items"] == [widened]
    require_memory_equals_store(world)


async def test_a_wish_for_one_path_alone_is_not_refused_for_another_path_of_the_same_lease(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.acquire_lock(paths=["a.py", "b.py"], mode="shared")
    await bob.acquire_lock(paths=["b.py"], mode="shared")

    granted = await ada.acquire_lock(paths=["a.py"], mode="exclusive")

    assert (granted["lock"]["paths"], granted["lock"]["mode"]) == (["a.py"], "exclusive")
    await refusal("lock_held", ada.acquire_lock(paths=["b.py"], mode="exclusive"))
    require_memory_equals_store(world)


async def test_a_lease_bound_to_a_task_needs_the_task_to_be_held(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    task = (await owner.create_task(title="x"))["id"]

    await refusal("forbidden", ada.acquire_lock(paths=["a.py"], task_id=task))
    await bob.claim_task(task_id=task)
    await refusal("forbidden", ada.acquire_lock(paths=["a.py"], task_id=task))
    for unknown in ("tsk_0000000000", "nonsense"):
        await refusal("not_found", ada.acquire_lock(paths=["a.py"], task_id=unknown))
    granted = await bob.acquire_lock(paths=["a.py"], task_id=task)
    done = await bob.complete_task(task_id=task, attempt=1, result="x")

    assert done["released"] == [granted["lock"]["id"]]
    await refusal("forbidden", bob.acquire_lock(paths=["a.py"], task_id=task))


async def test_only_agents_that_work_lease_and_only_what_can_be_leased(world: World) -> None:
    ada = await world.agent("ada")
    eve = await world.agent("eve", Role.REVIEWER)

    for who in (world.person(), eve):
        await refusal("forbidden", who.acquire_lock(paths=["a.py"]))
    for path in ("../a", "/etc/passwd", ".git/config", "a\u200b"):
        await refusal("path_invalid", ada.acquire_lock(paths=["fine.py", path]))
    wrong: tuple[dict[str, Any], ...] = (
        {"paths": []},
        {"paths": ["a"] * 65},
        {"paths": ["a"], "ttl_s": 9},
        {"paths": ["a"], "ttl_s": 86_401},
    )
    for arguments in wrong:
        await refusal("invalid", ada.acquire_lock(**arguments))

    assert (await ada.list_locks())["items"] == []


async def test_paths_outside_what_an_agent_may_touch_are_denied(world: World) -> None:
    ada = await world.agent("ada", allowed_paths=["src/", "docs/*.md"], denied_paths=["src/secret/"])

    for paths in (["lib/a.py"], ["src/a.py", "README"], ["**/*.md"], ["src/secret/key"], ["src/*/key"], ["src/"]):
        await refusal("zone_denied", ada.acquire_lock(paths=paths))

    granted = await ada.acquire_lock(paths=["src/a.py", "docs/*.md"])
    assert granted["lock"]["paths"] == ["docs/*.md", "src/a.py"]


async def test_where_case_is_folded_names_that_differ_in_case_are_one(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    assert (await ada.acquire_lock(paths=["Src/A.py"]))["lock"]["paths"] == ["Src/A.py"]
    await bob.acquire_lock(paths=["src/a.py"])
    for who in (ada, bob):
        await who.release_lock(all=True)
    await owner.update_project(settings={"fold_case": True})

    assert (await ada.acquire_lock(paths=["Src/A.py"]))["lock"]["paths"] == ["src/a.py"]
    await refusal("lock_held", bob.acquire_lock(paths=["SRC/a.PY"]))
    assert len((await bob.list_locks(path="sRC/"))["items"]) == 1
    assert len((await ada.release_lock(paths=["SRC/A.py"]))["released"]) == 1


@pytest.mark.parametrize("strategy", ["merge", "review"])
async def test_projects_that_only_report_overlaps_grant_them(world: World, strategy: str) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    await owner.update_project(conflict_strategy=strategy)

    first = (await ada.acquire_lock(paths=["src/"]))["lock"]
    second = (await bob.acquire_lock(paths=["src/a.py"]))["lock"]

    assert second["token"] > first["token"]
    await owner.update_project(conflict_strategy="lock")
    await refusal("lock_held", (await world.agent("cal")).acquire_lock(paths=["src/b.py"]))


async def test_a_lock_is_released_by_id_by_path_or_all_and_never_by_more_than_one_of_them(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    locks = [(await ada.acquire_lock(paths=[f"{name}.py"]))["lock"] for name in "abcd"]
    await bob.acquire_lock(paths=["bob.py"])

    for arguments in ({}, {"all": True, "paths": ["a.py"]}, {"lock_id": locks[0]["id"], "all": True}):
        await refusal("invalid", ada.release_lock(**arguments))
    await refusal("invalid", ada.release_lock(all=True, agent_id="bob"))

    assert await ada.release_lock(lock_id=locks[0]["id"]) == {"released": [locks[0]["id"]], "granted_next": []}
    assert (await ada.release_lock(paths=["./b.py"]))["released"] == [locks[1]["id"]]
    assert sorted((await ada.release_lock(all=True))["released"]) == sorted(lock["id"] for lock in locks[2:])
    assert (await ada.release_lock(all=True))["released"] == []
    assert [lock["agent_id"] for lock in (await ada.list_locks())["items"]] == ["bob"]
    assert {event["facts"]["why"] for event in await events(world, kind=["lock.released"])} == {"released"}


async def test_a_released_path_is_free_and_the_lock_ends_with_its_last(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["a.py", "b.py", "src/"]))["lock"]

    assert (await ada.release_lock(paths=["src/", "a.py"]))["released"] == []
    await bob.acquire_lock(paths=["src/x.py", "a.py"])
    await refusal("lock_held", bob.acquire_lock(paths=["b.py"]))
    left = (await ada.list_locks(agent_id="ada"))["items"]
    assert [(one["id"], one["token"], one["paths"]) for one in left] == [(lock["id"], lock["token"], ["b.py"])]
    require_memory_equals_store(world)
    assert (await ada.release_lock(paths=["b.py"]))["released"] == [lock["id"]]
    assert (await bob.acquire_lock(paths=["b.py"]))["status"] == "granted"


async def test_what_is_not_leased_exactly_so_by_the_caller_is_not_released(world: World) -> None:
    owner, ada, bob = world.person(), await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["src/", "a.py"]))["lock"]

    for paths in (["src/x.py"], ["src/**"], ["a.py", "other.py"]):
        await refusal("not_holder", ada.release_lock(paths=paths))
    assert (await refusal("not_holder", bob.release_lock(paths=["a.py"]))).facts["holders"] == ["ada"]
    assert (await refusal("not_holder", bob.release_lock(lock_id=lock["id"]))).facts["holders"] == ["ada"]
    await refusal("not_holder", owner.release_lock(lock_id=lock["id"]))
    await refusal("not_found", bob.release_lock(lock_id="lck_0000000000"))
    await refusal("not_found", bob.release_lock(lock_id="nonsense"))
    await refusal("path_invalid", ada.release_lock(paths=["../a.py"]))

    assert (await ada.list_locks())["items"] == [lock]


async def test_force_is_for_leads_and_people_is_audited_and_is_told_to_the_holder(world: World) -> None:
    owner, ada, lead = world.person(), await world.agent("ada"), await world.agent("lea", Role.LEAD)
    bob = await world.agent("bob")
    one, two, three = [(await ada.acquire_lock(paths=[f"{name}.py"]))["lock"]["id"] for name in "abc"]
    await bob.acquire_lock(paths=["bob.py"])

    await refusal("forbidden", bob.release_lock(lock_id=one, force=True))
    await refusal("forbidden", world.person(Role.VIEWER).release_lock(lock_id=one, force=True))
    assert (await lead.release_lock(lock_id=one, force=True))["released"] == [one]
    assert (await owner.release_lock(paths=["b.py"], force=True))["released"] == [two]
    assert (await world.person(Role.MEMBER).release_lock(all=True, agent_id="ada", force=True))["released"] == [three]

    forced = await events(world, kind=["lock.released"])
    assert [(event["facts"]["why"], event["actor"]) for event in forced] == [
        ("forced", "agent:lea"),
        ("forced", f"member:{world.owner_member.id}"),
        ("forced", f"member:{world.owner_member.id}"),
    ]
    told = (await ada.heartbeat(status="idle"))["notices"]
    assert [notice["kind"] for notice in told] == ["lock_forced"] * 3
    assert [lock["agent_id"] for lock in (await owner.list_locks())["items"]] == ["bob"]
    assert len((await owner.release_lock(all=True, force=True))["released"]) == 1


async def test_a_lease_ends_at_the_very_moment_it_was_told_and_never_before(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["a.py"], ttl_s=60))["lock"]

    world.clock.move(59.999)
    await refusal("lock_held", bob.acquire_lock(paths=["a.py"]))
    assert len((await bob.list_locks())["items"]) == 1
    world.clock.move(0.001)
    assert (await bob.list_locks())["items"] == []
    await refusal("not_found", ada.release_lock(lock_id=lock["id"]))

    granted = await bob.acquire_lock(paths=["a.py"])
    assert granted["lock"]["token"] > lock["token"]
    ended = await events(world, kind=["lock.expired"], subject_id=lock["id"])
    assert [(event["actor"], event["facts"]["why"]) for event in ended] == [("conductor", "expired")]


async def test_an_expired_lease_is_taken_out_without_a_call_and_its_agent_is_told_once(world: World) -> None:
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["a.py"], ttl_s=60)

    await world.elapse(60)

    assert len(await events(world, kind=["lock.expired"])) == 1
    assert [notice["kind"] for notice in (await ada.heartbeat(status="idle"))["notices"]] == ["lock_expired"]
    assert (await ada.heartbeat(status="idle"))["notices"] == []
    require_memory_equals_store(world)


async def test_locks_are_listed_by_path_and_agent_the_oldest_first_in_pages(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    for number in range(5):
        await ada.acquire_lock(paths=[f"src/{number}.py"])
        await world.elapse(1)
    await bob.acquire_lock(paths=["docs/**", "*.md"])

    async def paths(**narrowed: Any) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await ada.list_locks(limit=2, **narrowed, **({} if cursor is None else {"cursor": cursor}))
            assert page["waiting"] == []
            assert len(page["items"]) <= 2
            found.extend(path for lock in page["items"] for path in lock["paths"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return found

    src = [f"src/{number}.py" for number in range(5)]
    assert await paths() == [*src, "*.md", "docs/**"]
    assert await paths(agent_id="bob") == ["*.md", "docs/**"]
    assert await paths(path="src/") == src
    assert await paths(path="src/3.py") == ["src/3.py"]
    assert await paths(path="README.md") == ["*.md", "docs/**"]
    assert await paths(path="lib/") == []
    assert await paths(path="**", agent_id="ada") == src
    await refusal("path_invalid", ada.list_locks(path="../x"))
    await refusal("invalid", ada.list_locks(cursor="bm9uc2Vuc2U="))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_patterns_that_are_dear_to_compare_are_bounded_for_each_request_and_agent(world: World) -> None:
    ada = await world.agent("ada")
    dear = ["/".join(["**", *(["a", "**"] * 7), f"end{number}"]) for number in range(30)]

    together = await refusal("path_invalid", ada.acquire_lock(paths=dear[:8]))
    for path in dear[:16]:
        await ada.acquire_lock(paths=[path])
    gathered = await refusal("path_invalid", ada.acquire_lock(paths=[dear[16]]))

    assert "too many" in str(together)
    assert "Your patterns together" in str(gathered)
