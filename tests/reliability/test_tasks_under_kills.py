"""One owner for each attempt, one completion for each task, none lost, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.reliability.storm import Storm
from tests.support.callers import Refused, RestCaller, calling
from tests.support.daemon import DaemonProcess


@dataclass
class Ledger:
    """What the workers were told. dependencies: of each task. owners: of each task and attempt. results: as given."""

    dependencies: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    results: dict[str, list[str]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def is_done(self) -> bool:
        """Whether each task was completed."""
        return len(self.results) == len(self.dependencies)


@dataclass
class Worker:
    """An agent that claims, completes, and at times fails or gives back, until nothing is left."""

    name: str
    caller: RestCaller
    ledger: Ledger
    storm: Storm
    random: random.Random

    async def work(self) -> None:
        """Work until every task is completed."""
        while not self.ledger.is_done:
            try:
                claim = await self.caller.surely("claim_task")
            except Refused as refused:
                self.ledger.refusals[refused.code] += 1
                # What failed rests for a while.
                self.storm.hurry(1.0)
                await asyncio.sleep(0.02)
                continue
            self.storm.count()
            task_id, attempt = claim["task"]["id"], claim["attempt"]
            self.ledger.owners.setdefault((task_id, attempt), []).append(self.name)
            await self._end(task_id, attempt)
            self.storm.count()

    async def _end(self, task_id: str, attempt: int) -> None:
        held = {"task_id": task_id, "attempt": attempt}
        chance = self.random.random()
        if chance < 0.2:
            status = "failed" if chance < 0.1 else "pending"
            await self.caller.surely("update_task", **held, status=status, note="not now")
            with pytest.raises(Refused) as refused:
                await self.caller.surely("complete_task", **held, result="too late")
            assert refused.value.code == "stale_attempt"
            return
        result = f"{self.name}, attempt {attempt}"
        done = await self.caller.surely("complete_task", **held, result=result)
        assert done["task"]["status"] == "completed"
        self.ledger.results.setdefault(task_id, []).append(result)


@pytest.mark.timeout(3600)
def test_every_task_is_completed_once_by_the_owner_of_its_attempt(daemon: DaemonProcess, is_soak: bool) -> None:
    workers, count, host_kills, daemon_kills = (16, 2_000, 12, 4) if is_soak else (8, 150, 2, 1)
    ledger = Ledger()

    asyncio.run(_work(daemon, ledger, workers, count, host_kills, daemon_kills))

    shared = {key: names for key, names in ledger.owners.items() if len(names) > 1}
    assert shared == {}
    again = {task_id: results for task_id, results in ledger.results.items() if len(results) > 1}
    assert again == {}
    kept = {task["id"]: (task["status"], task.get("result")) for task in daemon.every("list_tasks")}
    assert kept == {task_id: ("completed", results[0]) for task_id, results in ledger.results.items()}
    assert set(ledger.refusals) <= {"nothing_ready"}
    _assert_the_log_agrees(daemon, ledger)


async def _work(
    daemon: DaemonProcess, ledger: Ledger, workers: int, count: int, host_kills: int, daemon_kills: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with calling(daemon) as owner:
        made: list[str] = []
        for number in range(count):
            needed = chance.sample(made[-20:], min(len(made), chance.choice((0, 1, 1, 2, 3))))
            task = await owner.surely("create_task", title=f"task {number}", dependencies=needed, max_attempts=100)
            made.append(task["id"])
            ledger.dependencies[task["id"]] = needed
        storm = Storm(owner, 2 * count, host_kills, daemon_kills)
        crew = []
        for number in range(workers):
            name = f"agent-{number}"
            token = (await owner.surely("register_agent", agent_id=name, name=name))["token"]
            crew.append(Worker(name, owner.like(token), ledger, storm, random.Random(seed + number)))
        await storm.rage([worker.work() for worker in crew])
    assert len(storm.starts) == host_kills + daemon_kills


def _assert_the_log_agrees(daemon: DaemonProcess, ledger: Ledger) -> None:
    """One event for each claim and completion, and no claim before all that the task waited for was completed."""
    completed: set[str] = set()
    claimed: set[tuple[str, int]] = set()
    for event in daemon.every("list_events", since=0, kind=["task.claimed", "task.completed"]):
        task_id = event["subject_id"]
        if event["kind"] == "task.completed":
            assert task_id not in completed
            completed.add(task_id)
        else:
            assert set(ledger.dependencies[task_id]) <= completed
            assert (task_id, event["facts"]["attempt"]) not in claimed
            claimed.add((task_id, event["facts"]["attempt"]))
    assert completed == set(ledger.dependencies)
    assert claimed == set(ledger.owners)
