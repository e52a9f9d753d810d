"""check_paths: one verdict before an edit and before a commit, from what is committed."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.domain import globs
from conductor.domain.access import Caller, Role, TokenKind
from tests.actors.looking import events, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def verdicts(who: Who, *paths: str, **more: Any) -> list[str]:
    """Give the verdicts on paths, in their order."""
    reply = await who.check_paths(paths=list(paths), **more)
    assert reply["allowed"] == all(reason["verdict"] == "ok" for reason in reply["reasons"])
    return [reason["verdict"] for reason in reply["reasons"]]


def token_of(lock: dict[str, Any]) -> dict[str, Any]:
    """Give a lock as a commit's trailer names it."""
    return {"lock_id": lock["id"], "token": lock["token"]}


async def test_a_leased_path_may_be_edited_and_no_other(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    mine = (await ada.acquire_lock(paths=["src/", "docs/*.md"]))["lock"]
    theirs = (await bob.acquire_lock(paths=["lib/**/b.py"]))["lock"]

    reply = await ada.check_paths(paths=["src/deep/a.py", "docs/x.md", "lib/x/b.py", "lib/x/c.py", "docs/x/y.md"])

    told = [(each["path"], each["verdict"], each.get("holder"), each.get("lock_id")) for each in reply["reasons"]]
    assert told == [
        ("src/deep/a.py", "ok", None, mine["id"]),
        ("docs/x.md", "ok", None, mine["id"]),
        ("lib/x/b.py", "locked_by_other", "bob", theirs["id"]),
        ("lib/x/c.py", "not_locked", None, None),
        ("docs/x/y.md", "not_locked", None, None),
    ]
    assert (reply["allowed"], reply["agent_id"]) == (False, "ada")
    assert [lock["id"] for lock in reply["locks"]] == [mine["id"]]
    assert [(step["tool"], step["args"]) for step in reply["next"]] == [
        ("acquire_lock", {"paths": ["lib/x/c.py", "docs/x/y.md"]}),
        ("list_locks", {"path": "lib/x/b.py"}),
        ("claim_task", {}),
    ]
    assert await verdicts(ada, "src/a.py", "docs/x.md") == ["ok", "ok"]


async def test_a_shared_lease_lets_nobody_edit(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.acquire_lock(paths=["a.py"], mode="shared")
    mine = await ada.check_paths(paths=["a.py"])

    assert [reason["verdict"] for reason in mine["reasons"]] == ["not_locked"]
    assert "shared" in mine["reasons"][0]["because"]
    assert await verdicts(bob, "a.py") == ["locked_by_other"]


async def test_a_glob_may_be_edited_when_leases_cover_all_that_it_means(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.acquire_lock(paths=["src/*.py"])
    await bob.acquire_lock(paths=["lib/deep/b.py"])

    assert await verdicts(ada, "src/a*.py", "src/", "lib/", "**") == [
        "ok",
        "not_locked",
        "locked_by_other",
        "locked_by_other",
    ]
    await ada.acquire_lock(paths=["src/"])
    assert await verdicts(ada, "src/", "src/**/x.py") == ["ok", "ok"]


async def test_a_lease_that_ended_lets_nobody_edit_however_it_ended(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    for path in ("released.py", "narrowed.py", "forced.py"):
        await ada.acquire_lock(paths=[path, f"{path}.too"])
    await ada.acquire_lock(paths=["expired.py"], ttl_s=10)
    assert await verdicts(ada, "released.py", "narrowed.py", "forced.py", "expired.py") == ["ok"] * 4
    locks = {lock["paths"][0]: lock["id"] for lock in (await owner.list_locks())["items"]}

    await ada.release_lock(lock_id=locks["released.py"])
    await ada.release_lock(paths=["narrowed.py"])
    await owner.release_lock(lock_id=locks["forced.py"], force=True)
    await world.elapse(11)

    assert await verdicts(ada, "released.py", "narrowed.py", "forced.py", "expired.py") == ["not_locked"] * 4
    assert await verdicts(ada, "narrowed.py.too") == ["ok"]


async def test_what_was_narrowed_and_leased_again_is_found_again(world: World) -> None:
    ada = await world.agent("ada")
    lock = (await ada.acquire_lock(paths=["src/", "docs/"]))["lock"]

    await ada.release_lock(paths=["docs/"])
    widened = (await ada.acquire_lock(paths=["src/", "docs/"]))["lock"]

    assert widened["id"] == lock["id"]
    assert await verdicts(ada, "docs/a.md", "src/a.py") == ["ok", "ok"]


async def test_a_commit_passes_after_an_orderly_release_when_nobody_was_granted_it_since(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["src/"]))["lock"]
    await ada.release_lock(all=True)
    await bob.acquire_lock(paths=["docs/"])

    reply = await ada.check_paths(paths=["src/a.py"], tokens=[token_of(lock)], intent="commit")

    assert reply["allowed"] is True
    assert (reply["reasons"][0]["lock_id"], reply["reasons"][0]["token"]) == (lock["id"], lock["token"])
    assert await verdicts(ada, "src/a.py", tokens=[token_of(lock)]) == ["not_locked"], "to edit it must lease again"


async def test_a_stale_holder_is_refused_at_the_hook_and_at_the_gate(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await ada.acquire_lock(paths=["src/"], ttl_s=10))["lock"]
    await world.elapse(11)
    theirs = (await bob.acquire_lock(paths=["src/a.py"]))["lock"]

    edit = (await ada.check_paths(paths=["src/a.py"]))["reasons"][0]
    commit = await ada.check_paths(paths=["src/a.py", "src/b.py"], tokens=[token_of(lock)], intent="commit")

    assert (edit["verdict"], edit["holder"], edit["lock_id"]) == ("locked_by_other", "bob", theirs["id"])
    told = [(reason["verdict"], reason.get("holder"), reason["token"]) for reason in commit["reasons"]]
    assert told == [("stale_token", "bob", lock["token"]), ("ok", None, lock["token"])]
    await bob.release_lock(all=True)
    assert await verdicts(ada, "src/a.py", tokens=[token_of(lock)], intent="commit") == ["stale_token"]
    again = (await ada.acquire_lock(paths=["src/a.py"]))["lock"]
    tokens = [token_of(lock), token_of(again)]
    assert await verdicts(ada, "src/a.py", tokens=tokens, intent="commit") == ["ok"]


async def test_a_commit_without_a_token_is_judged_by_current_locks(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.acquire_lock(paths=["src/"])
    await bob.acquire_lock(paths=["docs/"])

    assert await verdicts(ada, "src/a.py", "docs/a.md", "c.py", intent="commit") == [
        "ok",
        "locked_by_other",
        "not_locked",
    ]


async def test_a_token_counts_only_for_whom_it_was_given_and_for_what(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    mine = (await ada.acquire_lock(paths=["mine.py"]))["lock"]
    read = (await ada.acquire_lock(paths=["read.py"], mode="shared"))["lock"]
    theirs = (await bob.acquire_lock(paths=["theirs.py"]))["lock"]
    await ada.release_lock(all=True)
    await bob.release_lock(all=True)
    tokens = [token_of(lock) for lock in (mine, read, theirs)]
    forged = {"lock_id": mine["id"], "token": mine["token"] + 1}

    assert await verdicts(ada, "mine.py", "read.py", "theirs.py", "other.py", tokens=tokens, intent="commit") == [
        "ok",
        "not_locked",
        "not_locked",
        "not_locked",
    ]
    unknown = await ada.check_paths(paths=["mine.py"], tokens=[forged], intent="commit")
    assert unknown["reasons"][0]["verdict"] == "not_locked"
    assert f"{mine['id']}#{forged['token']}" in unknown["reasons"][0]["because"]


async def test_a_git_gate_asks_for_the_agent_it_names(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    await ada.acquire_lock(paths=["a.py"])
    service = Who(world, Caller(TokenKind.SERVICE, Role.SERVICE, world.organization.id, "tok_ci00000000"))

    for asking in (owner, service):
        assert (await asking.check_paths(paths=["a.py"], agent_id="ada"))["allowed"] is True
    await refusal("not_found", owner.check_paths(paths=["a.py"], agent_id="nobody"))
    await refusal("path_invalid", ada.check_paths(paths=["../a.py"]))


async def test_without_an_agent_it_is_asked_for_whom_the_tokens_were_granted(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    mine = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    theirs = (await bob.acquire_lock(paths=["b.py"]))["lock"]

    reply = await owner.check_paths(paths=["a.py", "b.py"], tokens=[token_of(mine)], intent="commit")

    assert reply["agent_id"] == "ada"
    assert [reason["verdict"] for reason in reply["reasons"]] == ["ok", "locked_by_other"]
    several = [token_of(mine), token_of(theirs)]
    assert "ada, bob" in str(await refusal("invalid", owner.check_paths(paths=["a.py"], tokens=several)))
    unknown = [{"lock_id": "lck_0000000000", "token": 1}]
    assert "nobody" in str(await refusal("invalid", owner.check_paths(paths=["a.py"], tokens=unknown)))


async def test_a_person_needs_no_lease_and_only_keeps_off_those_of_agents(world: World) -> None:
    ada, owner = await world.agent("ada", denied_paths=["secret/"]), world.person()
    await ada.acquire_lock(paths=["a.py"])
    await owner.set_zones(zones=[{"pattern": "gen/", "mode": "read_only"}], version=0)

    reply = await owner.check_paths(paths=["a.py", "b.py", "gen/c.py", "secret/d"], intent="commit")

    assert "agent_id" not in reply
    assert [reason["verdict"] for reason in reply["reasons"]] == ["locked_by_other", "ok", "ok", "ok"]
    await owner.update_project(project_id=world.project.id, conflict_strategy="merge")
    assert await verdicts(owner, "a.py") == ["ok"]
    await owner.archive_project(project_id=world.project.id)
    assert await verdicts(owner, "b.py", project_id=world.project.id) == ["paused"]


async def test_who_may_not_edit_is_told_by_what(world: World) -> None:
    owner = world.person()
    ada = await world.agent("ada", allowed_paths=["src/", "docs/"], denied_paths=["src/secret/"])
    obi = await world.agent("obi", Role.OBSERVER)
    await owner.set_zones(zones=[{"pattern": "docs/api/", "mode": "read_only", "note": "generated"}], version=0)
    await ada.acquire_lock(paths=["src/a.py", "docs/b.md"])

    reply = await ada.check_paths(paths=["src/a.py", "lib/a.py", "src/secret/a", "docs/api/a.md"])

    assert [reason["verdict"] for reason in reply["reasons"]] == ["ok", "path_denied", "path_denied", "zone_denied"]
    assert "generated" in reply["reasons"][3]["because"]
    assert await verdicts(obi, "src/a.py") == ["path_denied"]


async def test_a_paused_agent_may_edit_and_commit_nothing_and_a_draining_one_ends_its_work(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    lock = (await ada.acquire_lock(paths=["a.py"]))["lock"]

    await owner.drain(scope="agent", agent_id="ada", reason="the evening")
    draining = await verdicts(ada, "a.py")
    await owner.pause(scope="agent", agent_id="ada", reason="the rebase")

    assert draining == ["ok"]
    assert await verdicts(ada, "a.py", "b.py") == ["paused", "paused"]
    assert await verdicts(ada, "a.py", tokens=[token_of(lock)], intent="commit") == ["paused"]
    reply = await ada.check_paths(paths=["a.py"])
    assert "the rebase" in reply["reasons"][0]["because"]
    assert [step["tool"] for step in reply["next"]] == ["heartbeat"]
    await owner.resume(scope="agent", agent_id="ada")
    await owner.archive_project(project_id=world.project.id)
    assert await verdicts(ada, "a.py") == ["paused"]


async def test_a_spent_budget_ends_edits_and_lets_what_was_done_be_committed(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    await ada.acquire_lock(paths=["a.py"])
    await owner.set_quota(scope="organization", limit_usd=1)
    await ada.record_cost(model="m", input_tokens=1, output_tokens=1, cost_usd=2, idempotency_key="k")

    assert await verdicts(ada, "a.py") == ["budget_exceeded"]
    assert await verdicts(ada, "a.py", intent="commit") == ["ok"]


@pytest.mark.parametrize("strategy", ["merge", "review"])
async def test_where_overlaps_are_allowed_they_are_told_and_zones_still_hold(world: World, strategy: str) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await owner.update_project(project_id=world.project.id, conflict_strategy=strategy)
    await owner.set_zones(zones=[{"pattern": "core/", "owners": ["bob"]}], version=0)
    lock = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    await bob.acquire_lock(paths=["a.py"])

    reply = await ada.check_paths(paths=["a.py", "b.py", "core/c.py"], tokens=[token_of(lock)], intent="commit")

    assert [(reason["verdict"], reason.get("holder")) for reason in reply["reasons"]] == [
        ("ok", "bob"),
        ("ok", None),
        ("zone_denied", None),
    ]


async def test_in_a_project_of_zones_the_owner_needs_no_lease_where_nobody_else_has_one(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await owner.update_project(project_id=world.project.id, conflict_strategy="zone")
    await owner.set_zones(zones=[{"pattern": "core/", "owners": ["ada"]}], version=0)
    await bob.acquire_lock(paths=["docs/"])

    assert await verdicts(ada, "core/a.py", "docs/a.md", "free.py") == ["ok", "locked_by_other", "ok"]
    assert await verdicts(bob, "core/a.py", "docs/a.md", "free.py") == ["zone_denied", "ok", "ok"]


async def test_names_that_differ_in_case_are_one_where_the_project_says_so(world: World) -> None:
    ada, bob, owner = await world.agent("ada"), await world.agent("bob"), world.person()
    await owner.update_project(project_id=world.project.id, settings={"fold_case": True}, root_path="/srv/repo")
    await ada.acquire_lock(paths=["Src/A.py"])

    reply = await bob.check_paths(paths=["sRC/a.PY", "/srv/repo/SRC/a.py"])

    told = [(reason["path"], reason["verdict"]) for reason in reply["reasons"]]
    assert told == [("sRC/a.PY", "locked_by_other"), ("/srv/repo/SRC/a.py", "locked_by_other")]


async def test_asking_changes_nothing_and_survives_a_restart(world: World) -> None:
    ada = await world.agent("ada")
    await ada.acquire_lock(paths=["src/**/a.py", "b.py"], ttl_s=900)
    before = await events(world)

    await world.restart(after_s=5)

    assert await verdicts(ada, "src/x/a.py", "b.py", "c.py") == ["ok", "ok", "not_locked"]
    assert await events(world) == before


PATTERNS = [
    "a",
    "b/a",
    "b/a/c",
    "a/",
    "b/",
    "b/a/",
    "*",
    "*/a",
    "b/*",
    "b/**",
    "**",
    "**/a",
    "**/*.md",
    "b/**/c",
    "?/a",
]


async def test_what_is_found_by_its_place_is_exactly_what_overlaps(world: World) -> None:
    agents = [await world.agent(f"agent-{number}") for number in range(len(PATTERNS))]
    await world.person().update_project(project_id=world.project.id, conflict_strategy="review")
    for who, pattern in zip(agents, PATTERNS, strict=True):
        await who.acquire_lock(paths=[pattern])
    asked = [*PATTERNS, "b/x.md", "B/a", "b_a", "b%", "c/b/a", "b/a/c/d/e"]

    with world.store.reading(world.organization.id) as tx:
        together = tx.locks.touching.leases(world.project.id, asked)
        alone = {path: tx.locks.touching.leases(world.project.id, [path])[path] for path in asked}
        fences = tx.locks.touching.fences(world.project.id, asked, but="nobody", above=0)

    for path in asked:
        true = sorted(text for text in PATTERNS if globs.overlapping(globs.parse(text), globs.parse(path)))
        assert sorted(lease.paths[0] for lease in together[path]) == true, path
        assert sorted(lease.paths[0] for lease in alone[path]) == true, path
        assert sorted(fence.path for fence in fences[path]) == true, path


async def test_who_may_not_edit_for_two_reasons_is_refused_by_either(world: World) -> None:
    ada, cal, owner = await world.agent("ada"), await world.agent("cal"), world.person()
    await owner.set_zones(zones=[{"pattern": "db/", "owners": ["ada"]}], version=0)
    await ada.acquire_lock(paths=["db/1.sql", "q.txt"])

    reply = await cal.check_paths(paths=["db/1.sql", "q.txt", "**"])

    assert [reason["verdict"] for reason in reply["reasons"]] == ["zone_denied", "locked_by_other", "zone_denied"]
    assert "db/1.sql lies in the zone db/ of ada" in reply["reasons"][0]["because"]
    assert "** reaches into the zone db/" in reply["reasons"][2]["because"]
    assert reply["allowed"] is False


async def test_a_reason_names_only_what_is_leased_of_the_path(world: World) -> None:
    ada, cal = await world.agent("ada"), await world.agent("cal")
    await ada.acquire_lock(paths=["a.py", "b.py", "c.py", "d.py", "e.py", "src/held.py"])

    reason = (await cal.check_paths(paths=["src/"]))["reasons"][0]

    assert reason["because"].startswith("ada leases src/held.py (exclusive)")
