"""check_paths as the receiving git server asks it: for commits that name leases, and for people, who need none."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.domain.access import Caller, Role, TokenKind
from tests.actors.looking import refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


def service(world: World) -> Who:
    return Who(world, Caller(TokenKind.SERVICE, Role.SERVICE, world.organization.id, "tok_ci00000000"))


def fence(lock: dict[str, Any]) -> dict[str, Any]:
    return {"lock_id": lock["id"], "token": lock["token"]}


async def test_a_commit_that_names_leases_is_judged_as_their_agents(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    first = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    await ada.release_lock(all=True)
    later = (await bob.acquire_lock(paths=["*.py"]))["lock"]

    passed = await service(world).check_paths(paths=["a.py"], tokens=[fence(later)], intent="commit")
    stale = await service(world).check_paths(paths=["a.py"], tokens=[fence(first)], intent="commit")

    assert (passed["agent_id"], passed["allowed"]) == ("bob", True)
    assert (stale["agent_id"], stale["reasons"][0]["verdict"]) == ("ada", "stale_token")
    assert stale["reasons"][0]["holder"] == "bob"


async def test_a_commit_of_another_agent_is_judged_as_its_own_whoever_pushes_it(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    lock = (await bob.acquire_lock(paths=["b.py"]))["lock"]

    pushed = await ada.check_paths(paths=["b.py"], tokens=[fence(lock)], intent="commit")
    edited = await ada.check_paths(paths=["b.py"], tokens=[fence(lock)], intent="edit")

    assert (pushed["agent_id"], pushed["allowed"]) == ("bob", True)
    assert (edited["agent_id"], edited["reasons"][0]["verdict"]) == ("ada", "locked_by_other")


async def test_leases_of_nobody_or_of_several_are_refused(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    first = (await ada.acquire_lock(paths=["a.py"]))["lock"]
    second = (await bob.acquire_lock(paths=["b.py"]))["lock"]
    nobodys = {"lock_id": "lck_0123456789", "token": 1}

    for tokens in ([fence(first), fence(second)], [nobodys]):
        await refusal("invalid", service(world).check_paths(paths=["a.py"], tokens=tokens, intent="commit"))


async def test_a_person_needs_no_lease_and_is_told_whose_is_in_the_way(world: World) -> None:
    ada, owner = await world.agent("ada"), world.person()
    lock = (await ada.acquire_lock(paths=["src/"], mode="shared"))["lock"]

    for asking in (owner, service(world)):
        free = await asking.check_paths(paths=["a.py"], intent="commit")
        held = await asking.check_paths(paths=["a.py", "src/a.py"], intent="commit")

        assert free["allowed"] is True
        assert "agent_id" not in free
        assert [reason["verdict"] for reason in held["reasons"]] == ["ok", "locked_by_other"]
        assert (held["reasons"][1]["holder"], held["reasons"][1]["lock_id"]) == ("ada", lock["id"])
