"""A random walk through all that can be done to tasks: memory and store agree, and nothing is completed twice."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from conductor.domain.access import Role
from conductor.domain.tasks import CLOSED
from tests.actors.looking import events, outcome, require_memory_equals_store, restart
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio

STEPS = 160
NAMES = ("ada", "bob", "cy")
ENDS = {"task.completed", "task.failed", "task.cancelled"}


class Walk:
    """Somebody who does whatever can be done, by the dice."""

    def __init__(self, world: World, owner: Who, agents: dict[str, Who], seed: int) -> None:
        self.world, self.owner, self.agents = world, owner, agents
        self.dice = random.Random(seed)
        self.done: Counter[str] = Counter()

    async def step(self) -> None:
        """Do one thing; what is refused changes nothing."""
        moves = [self.create, self.claim, self.claim, self.finish, self.finish, self.give_up, self.review]
        move = self.dice.choice([*moves, self.reassign, self.close, self.wait, self.settings])
        ended = await move()
        self.done[f"{move.__name__} {ended or 'done'}"] += 1

    async def create(self) -> str | None:
        known = [task["id"] for task in await self.tasks()]
        tasks = []
        for number in range(self.dice.randint(1, 4)):
            others = [*known[:6], *(f"n{other}" for other in range(number))]
            tasks.append({"name": f"n{number}", "title": "x", "dependencies": self.some(others, 2)})
            if above := self.some(others, 1):
                tasks[-1]["parent_id"] = above[0]
        return await outcome(self.owner.create_tasks(tasks=tasks))

    async def claim(self) -> str | None:
        return await outcome(self.agents[self.dice.choice(NAMES)].claim_task(lease_s=600))

    async def finish(self) -> str | None:
        held = await self.one(status=["claimed"])
        if held is None:
            return "nothing"
        holder = self.agents[held["assigned_to"]]
        return await outcome(holder.complete_task(task_id=held["id"], attempt=held["attempt"], result="done"))

    async def give_up(self) -> str | None:
        held = await self.one(status=["claimed"])
        if held is None:
            return "nothing"
        status = self.dice.choice(["pending", "failed", "cancelled"])
        holder = self.agents[held["assigned_to"]]
        return await outcome(holder.update_task(task_id=held["id"], attempt=held["attempt"], status=status))

    async def review(self) -> str | None:
        handed_in = await self.one(status=["in_review"])
        if handed_in is None:
            return "nothing"
        verdict = self.dice.choice(["accept", "send_back"])
        return await outcome(self.owner.review_task(task_id=handed_in["id"], verdict=verdict, note="so"))

    async def reassign(self) -> str | None:
        task = await self.one()
        if task is None:
            return "nothing"
        who = {"agent_id": self.dice.choice(NAMES)} if self.dice.random() < 0.5 else {}
        grace_s = self.dice.choice([0, 30])
        return await outcome(self.owner.reassign_task(task_id=task["id"], grace_s=grace_s, reason="dice", **who))

    async def close(self) -> str | None:
        chosen = self.some([task["id"] for task in await self.tasks()], 2)
        if not chosen or self.dice.random() < 0.6:
            return "nothing"
        return await outcome(self.owner.close_tasks(task_ids=chosen, reason="dice"))

    async def wait(self) -> str | None:
        if self.dice.random() < 0.1:
            await restart(self.world, self.dice.choice([1, 1000]))
        await self.world.elapse(self.dice.choice([1, 31, 601]))
        return None

    async def settings(self) -> str | None:
        chosen = {name: self.dice.random() < 0.5 for name in ("require_review", "complete_parents")}
        return await outcome(self.owner.update_project(settings=chosen))

    async def tasks(self, **narrowed: Any) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = (await self.owner.list_tasks(limit=200, **narrowed))["items"]
        return page

    async def one(self, **narrowed: Any) -> dict[str, Any] | None:
        found = await self.tasks(**narrowed)
        return self.dice.choice(found) if found else None

    def some(self, of: list[str], most: int) -> list[str]:
        return self.dice.sample(of, min(self.dice.randint(0, most), len(of)))


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_done_memory_and_store_agree_and_nothing_is_completed_twice(world: World, seed: int) -> None:
    agents = {name: await world.agent(name, Role.CONTRIBUTOR) for name in NAMES}
    walk = Walk(world, world.person(), agents, seed)

    for number in range(STEPS):
        await walk.step()
        if number % 20 == 19:
            # A project in which nothing happens leaves the memory: a call brings it back.
            await agents["ada"].heartbeat(status="idle")
            require_memory_equals_store(world)

    assert walk.done["finish done"] > 0, walk.done
    assert walk.done["create done"] > 0, walk.done
    for task in await walk.tasks():
        ends = [event["kind"] for event in await events(world, subject_id=task["id"]) if event["kind"] in ENDS]
        assert len(ends) == (task["status"] in CLOSED), f"{task['id']} {ends} {walk.done}"
