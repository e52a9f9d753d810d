"""A week of work on a clock that is set: agents of different skill die, come back, lie and write to each other.

Whatever they do, every task is completed once or is dead with its history, nobody holds what it should not, and every
message reaches its recipient once and in order. The seed of a run is printed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from conductor.domain import globs
from tests.support.world import Refused, Who, World

pytestmark = pytest.mark.anyio

SKILLS = ("python", "rust", "web", "docs", "sql")
STEP_MIN = 10.0
LOST_AFTER_S = 3600
POISONED = 0.01
"""This part of the tasks no agent can finish."""


@dataclass
class Scale:
    """How much is done. CI simulates the whole week as well: the clock is set, not waited for."""

    agents: int = 30
    tasks: int = 2000
    days: float = 7.0


@dataclass
class Ledger:
    """What everybody was told, to be held against what is kept."""

    owners: dict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    completed: Counter[str] = field(default_factory=Counter)
    sent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    got: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refusals: Counter[str] = field(default_factory=Counter)
    lies: int = 0
    deaths: int = 0
    resumed: int = 0


@dataclass
class Worker:
    """One agent and what it believes."""

    name: str
    who: Who
    chance: random.Random
    ledger: Ledger
    poisoned: set[str]
    task_id: str | None = None
    attempt: int = 0
    done_at: float = 0.0
    next_at: float = 0.0
    dead_until: float = 0.0
    former: tuple[str, int] | None = None

    async def turn(self, minute: float, names: list[str]) -> None:
        """Do what an agent does at that minute of the week."""
        if minute < self.dead_until:
            return
        if self.dead_until:
            self.dead_until = 0.0
            await self._come_back()
        if self.chance.random() < 0.004:
            # It is gone without a word; what it holds must not stay with it.
            self.ledger.deaths += 1
            self.dead_until = minute + self.chance.choice((30, 120, 300, 900))
            return
        if self.task_id is None:
            await self._seek(minute)
        else:
            await self._work(minute, names)

    async def _come_back(self) -> None:
        session = await self.who.start_session()
        held = session.get("task")
        if self.task_id is not None and (held is None or held["id"] != self.task_id):
            self.former = (self.task_id, self.attempt)
            self.task_id = None

    async def _seek(self, minute: float) -> None:
        await self._lie()
        if minute < self.next_at:
            await self._ask("heartbeat", status="idle")
            return
        claim = await self._ask("claim_task", lease_s=14_400)
        if claim is None:
            self.next_at = minute + self.chance.choice((STEP_MIN, 3 * STEP_MIN))
            return
        self.task_id, self.attempt = claim["task"]["id"], claim["attempt"]
        self.ledger.owners[self.task_id, self.attempt].append(self.name)
        if claim["context"].get("checkpoint") is not None:
            self.ledger.resumed += 1
            await self._ask("resume_checkpoint", task_id=self.task_id)
        self.done_at = minute + self.chance.choice((20, 40, 60, 90, 150))

    async def _work(self, minute: float, names: list[str]) -> None:
        assert self.task_id is not None
        held = {"task_id": self.task_id, "attempt": self.attempt}
        dice = self.chance.random()
        if minute >= self.done_at:
            await self._finish(held, dice)
        elif dice < 0.05:
            await self._say(names)
        elif dice < 0.15:
            await self._listen()
        elif dice < 0.2:
            await self._ask("save_checkpoint", task_id=self.task_id, summary=f"{self.name} at {minute:.0f}")
        elif dice < 0.3:
            await self._ask("update_task", **held, status="in_progress", progress=round(dice, 2), note=self.name)
        else:
            await self._ask("heartbeat", status="working", task_id=self.task_id)

    async def _finish(self, held: dict[str, Any], dice: float) -> None:
        task_id: str = held["task_id"]
        if task_id in self.poisoned or dice < 0.06:
            await self._ask("update_task", **held, status="failed", note=f"{self.name} could not")
        elif dice < 0.1:
            await self._ask("update_task", **held, status="pending")
        else:
            reply = await self._ask("complete_task", **held, result=f"{self.name}, attempt {self.attempt}")
            if reply is not None:
                self.ledger.completed[task_id] += 1
        self.former = (task_id, self.attempt)
        self.task_id = None

    async def _lie(self) -> None:
        """Say that an attempt which is over was done."""
        if self.former is None or self.chance.random() > 0.3:
            return
        task_id, attempt = self.former
        self.ledger.lies += 1
        with pytest.raises(Refused) as refused:
            await self.who.complete_task(task_id=task_id, attempt=attempt, result="done, I swear")
        assert refused.value.code in {"stale_attempt", "paused"}, refused.value.fault

    async def _say(self, names: list[str]) -> None:
        to = self.chance.choice([*self.chance.sample(names, 2), "role:contributor", "all"])
        sent = await self._ask("send_message", to=to, text=f"{self.name} says hello", urgent=self.chance.random() < 0.2)
        for name in sent["recipients"] if sent is not None else ():
            self.ledger.sent[name].append(sent["message"]["id"])

    async def _listen(self) -> None:
        read = await self._ask("read_messages")
        ids = [message["id"] for message in read["items"]] if read is not None else []
        self.ledger.got[self.name] += ids
        if ids:
            await self._ask("read_messages", acknowledge=ids[:50], limit=1)

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        try:
            reply = await getattr(self.who, operation)(**arguments)
        except Refused as refused:
            self.ledger.refusals[refused.code] += 1
            if refused.code in {"stale_attempt", "forbidden", "not_found"} and self.task_id is not None:
                # Its attempt was ended behind its back: reassigned, cancelled, or lost.
                self.former = (self.task_id, self.attempt)
                self.task_id = None
            return None
        if operation == "read_messages" and arguments:
            # Even this call may bring news.
            self.ledger.got[self.name] += [message["id"] for message in reply["items"]]
        return reply


@pytest.fixture
def anyio_backend() -> str:
    """Coroutines run on asyncio, as in the daemon."""
    return "asyncio"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A server on a clock that is set."""
    made = World(database_url)
    yield made
    await made.close()


@pytest.mark.timeout(1500)
async def test_a_week_of_work_ends_with_every_task_done_once_or_dead_with_its_history(world: World) -> None:
    scale = Scale()
    seed = int(os.environ.get("CONDUCTOR_TEST_SEED") or random.randrange(2**32))
    print(f"seed {seed}: CONDUCTOR_TEST_SEED repeats this week")
    chance = random.Random(seed)
    ledger = Ledger()
    owner = world.person()
    await owner.update_project(settings={"lost_after_s": LOST_AFTER_S, "complete_parents": True, "max_held_tasks": 1})

    made = await _tasks(owner, chance, scale.tasks)
    poisoned = set(chance.sample(made, int(POISONED * len(made))))
    workers = await _workers(world, chance, scale.agents, ledger, poisoned)
    await _live(world, owner, chance, workers, scale.days)
    await _finish_up(world, owner, workers)

    await _assert_every_task_ended_well(owner, ledger, made)
    await _assert_nothing_is_left_behind(owner, workers)
    await _assert_messages_came_once_and_in_order(ledger, workers)
    print(f"{ledger.deaths} deaths, {ledger.lies} lies, {ledger.resumed} resumed, refusals {dict(ledger.refusals)}")
    assert ledger.deaths > 20
    assert ledger.lies > 20
    assert ledger.resumed > 0
    assert set(ledger.refusals) <= {"nothing_ready", "paused", "stale_attempt", "forbidden", "not_found"}


async def _tasks(owner: Who, chance: random.Random, count: int) -> list[str]:
    """Make the week's tasks: in bulk, with dependencies by local names, some with subtasks."""
    made: list[str] = []
    for start in range(0, count, 500):
        batch: list[dict[str, Any]] = []
        for number in range(start, min(start + 500, count)):
            near = range(max(start, number - 30), number)
            task: dict[str, Any] = {
                "name": f"t{number}",
                "title": f"Task {number}",
                "priority": chance.choice(("critical", "high", "medium", "medium", "low")),
                "requires": sorted(chance.sample(SKILLS, chance.choice((0, 1, 1, 2)))),
                "dependencies": [
                    f"t{other}" for other in chance.sample(near, min(len(near), chance.choice((0, 1, 2))))
                ],
                "files": [f"src/{chance.randrange(400)}.py"] if chance.random() < 0.7 else [],
            }
            batch.append(task)
        for parent, child in zip(batch[::50], batch[25::50], strict=True):
            # A subtask must not wait for what waits for its parent.
            child["parent_id"], child["dependencies"] = parent["name"], []
        reply = await owner.create_tasks(tasks=chance.sample(batch, len(batch)))
        made += [each["task_id"] for each in reply["created"]]
    assert len(set(made)) == count
    return made


async def _workers(world: World, chance: random.Random, count: int, ledger: Ledger, poisoned: set[str]) -> list[Worker]:
    workers = []
    for number in range(count):
        name = f"agent-{number:02}"
        # Each skill set is had by several, so that no task waits for one agent alone.
        skills = list(SKILLS) if number % 3 == 0 else chance.sample(SKILLS, 3)
        who = await world.agent(name, capabilities=skills)
        workers.append(Worker(name, who, random.Random(chance.random()), ledger, poisoned))
    return workers


async def _live(world: World, owner: Who, chance: random.Random, workers: list[Worker], days: float) -> None:
    names = [worker.name for worker in workers]
    for step in range(int(days * 24 * 60 / STEP_MIN)):
        await world.elapse(STEP_MIN * 60)
        await asyncio.gather(*(worker.turn(step * STEP_MIN, names) for worker in workers))
        if step % 36 == 5:
            await _people_act(owner, chance, workers)
        if step % 144 == 10:
            counts = (await owner.get_project())["counts"]
            print(f"day {step // 144}: {counts}")
            await _assert_no_two_hold_the_same(owner)
        if step == 400:
            await world.restart(after_s=300)


async def _people_act(owner: Who, chance: random.Random, workers: list[Worker]) -> None:
    """Pause and let go, reassign, look."""
    name = chance.choice(workers).name
    await owner.pause(scope="agent", agent_id=name, reason="lunch")
    held = (await owner.list_tasks(status=["claimed", "in_progress"], limit=50))["items"]
    movable = [task for task in held if task.get("assigned_to") != name]
    if movable:
        wanted = {"task_id": chance.choice(movable)["id"], "grace_s": 600, "reason": "rebalance"}
        answer = await owner.world.answer("reassign_task", owner.caller, wanted)
        # It may have been moved three times, or nobody else can do it.
        assert answer.code in {None, "illegal_move", "not_found"}, answer.line
    await owner.resume(scope="agent", agent_id=name)


async def _finish_up(world: World, owner: Who, workers: list[Worker]) -> None:
    """After the week: those who are dead come back, what waits for the dead in vain is cancelled by a person."""
    for worker in workers:
        worker.dead_until = min(worker.dead_until, 0.1)
        worker.chance = random.Random(worker.name)
    for step in itertools.count():
        assert step < 600, "the work does not end"
        ids = {task["id"] async for task in _all(owner, "failed", "cancelled")}
        pending = [task async for task in _all(owner, "pending", "claimed", "in_progress", "blocked", "in_review")]
        if not pending:
            return
        vain = [task["id"] for task in pending if ids & set(task["blocked_by"])]
        if vain:
            await owner.close_tasks(task_ids=vain, reason="waits for what was given up")
        await world.elapse(STEP_MIN * 60)
        minute = 20_000 + step * STEP_MIN
        await asyncio.gather(*(worker.turn(minute, [other.name for other in workers]) for worker in workers))


async def _all(owner: Who, *status: str) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = await owner.list_tasks(status=status, limit=200, **cursor)
        for task in page["items"]:
            yield task
        if "next_cursor" not in page:
            return
        cursor = {"cursor": page["next_cursor"]}


async def _assert_no_two_hold_the_same(owner: Who) -> None:
    locks = (await owner.list_locks(limit=200))["items"]
    for one, other in itertools.combinations(locks, 2):
        if one["agent_id"] != other["agent_id"]:
            for path, against in itertools.product(one["paths"], other["paths"]):
                assert not globs.overlapping(globs.parse(path), globs.parse(against)), (one, other)


async def _assert_every_task_ended_well(owner: Who, ledger: Ledger, made: list[str]) -> None:
    shared = {key: names for key, names in ledger.owners.items() if len(names) > 1}
    assert shared == {}
    events: dict[str, Counter[str]] = defaultdict(Counter)
    numbers: list[int] = []
    since = 0
    while page := (await owner.list_events(since=since, limit=200))["items"]:
        for event in page:
            numbers.append(event["number"])
            if event["kind"].startswith("task."):
                events[event["subject_id"]][event["kind"]] += 1
        since = page[-1]["number"]
    assert numbers == list(range(1, len(numbers) + 1))
    fates: Counter[str] = Counter()
    for task_id in made:
        task = await owner.get_task(task_id=task_id)
        fates[task["status"]] += 1
        kinds = events[task_id]
        match task["status"]:
            case "completed":
                assert kinds["task.completed"] == 1, task
                assert ledger.completed[task_id] == (1 if task["attempt"] else 0), task
            case "failed":
                errors = [attempt["error"] for attempt in task["attempts"] if attempt.get("error")]
                assert len(errors) >= 3, task
                assert kinds["task.failed"] == 1
            case "cancelled":
                assert kinds["task.completed"] == 0
            case _:
                raise AssertionError(f"{task_id} is {task['status']}")
        assert all(attempt.get("ended_at") for attempt in task["attempts"]), task
    assert fates["completed"] > 0.6 * len(made), fates
    assert fates["failed"] > 0, fates


async def _assert_nothing_is_left_behind(owner: Who, workers: list[Worker]) -> None:
    assert (await owner.list_locks())["items"] == []
    project = await owner.get_project()
    assert set(project["counts"]["tasks"]) <= {"completed", "failed", "cancelled"}
    for agent in (await owner.list_agents(limit=200))["items"]:
        assert agent.get("current_task") is None, agent
    assert len(workers) == 30


async def _assert_messages_came_once_and_in_order(ledger: Ledger, workers: list[Worker]) -> None:
    for worker in workers:
        while True:
            rest = (await worker.who.read_messages(limit=200))["items"]
            if not rest:
                break
            ledger.got[worker.name] += [message["id"] for message in rest]
        assert sorted(ledger.got[worker.name]) == sorted(ledger.sent[worker.name]), worker.name
        assert len(set(ledger.got[worker.name])) == len(ledger.got[worker.name])
