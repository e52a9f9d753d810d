"""At most one live exclusive lease for anything two requests could both touch, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.reliability.lock_history import Grant, History, Release, Sighting, violations
from tests.reliability.storm import Storm
from tests.support.callers import Refused, RestCaller, calling
from tests.support.daemon import DaemonProcess

TREE = (
    "Makefile", "README.md", "docs", "docs/a.md", "docs/deep/c.md", "src", "src/api.py", "src/app.py", "src/ui",
    "src/ui/[id]/page.tsx", "src/ui/page.tsx", "src/ui/x/page.tsx",
)  # fmt: skip
PATTERNS = (
    "*", "**/*.md", "**/page.tsx", "README.md", "docs/", "docs/**", "docs/?.md", "src/", "src/**", "src/*.py",
    "src/app.py", "src/ui/*/page.tsx", "src/ui/[id]/page.tsx",
)  # fmt: skip


REST = 120
"""Operations of the others while an agent is silent: more time than any lease lasts."""

SILENT = 3
"""So many agents at most are silent at a time: time runs by what the others do."""


def files_of(pattern: str) -> frozenset[str]:
    """The files of the tree that a pattern stands for, read from docs/concepts.md and from no code of ours."""
    if pattern.endswith("/"):
        return frozenset(file for file in TREE if f"{file}/".startswith(pattern))
    *folders, last = pattern.split("/")
    inner = "".join("(?:[^/]+/)*" if part == "**" else f"{_segment(part)}/" for part in folders)
    shape = re.compile(inner + ("(?:[^/]+/)*[^/]+" if last == "**" else _segment(last)))
    return frozenset(file for file in TREE if shape.fullmatch(file))


def _segment(part: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character)) for character in part)


@dataclass
class Locker:
    """An agent that leases, renews, gives back, falls silent and looks, at random."""

    name: str
    caller: RestCaller
    history: History
    storm: Storm
    random: random.Random
    silent: set[str]
    held: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    async def live(self) -> None:
        """Work until the storm is over, then give everything back."""
        while not self.storm.is_over:
            await self._act()
            self.storm.count()
        while self.held:
            await self._release()

    async def _act(self) -> None:
        match self.random.choices(("acquire", "release", "list", "beat", "rest"), (50, 30, 8, 8, 4))[0]:
            case "acquire":
                await self._acquire()
            case "release" if self.held:
                await self._release()
            case "list":
                await self._list()
            case "rest":
                await self._rest()
            case _:
                await self._ask("heartbeat", status="working")

    async def _acquire(self) -> None:
        paths = self.random.sample(PATTERNS, self.random.choice((1, 1, 2, 3)))
        mode = self.random.choices(("exclusive", "shared"), (3, 2))[0]
        ttl_s = self.random.randint(10, 20)
        sent, answered, reply = await self._ask("acquire_lock", paths=paths, mode=mode, ttl_s=ttl_s)
        if isinstance(reply, Refused):
            assert reply.code == "lock_held", reply
            blockers = frozenset(holder["lock_id"] for holder in reply.fault["facts"]["holders"])
            self.history.sightings.append(Sighting(sent, answered, blockers, is_all=False))
            return
        lock = reply["lock"]
        files = frozenset().union(*map(files_of, lock["paths"]))
        expires_at = datetime.fromisoformat(lock["expires_at"]).timestamp()
        is_exclusive = lock["mode"] == "exclusive"
        self.history.grants.append(
            Grant(sent, answered, self.name, lock["id"], lock["token"], is_exclusive, files, ttl_s, expires_at)
        )
        if lock["id"] not in self.held:
            self.held.append(lock["id"])

    async def _release(self) -> None:
        lock_id = self.held.pop(self.random.randrange(len(self.held)))
        sent, answered, reply = await self._ask("release_lock", lock_id=lock_id)
        if isinstance(reply, Refused):
            assert reply.code == "not_found", reply
        was_held = not isinstance(reply, Refused) and reply["released"] == [lock_id]
        self.history.releases.append(Release(sent, answered, lock_id, was_held))

    async def _list(self) -> None:
        sent, answered, reply = await self._ask("list_locks", limit=200)
        assert not isinstance(reply, Refused)
        listed = frozenset(lock["id"] for lock in reply["items"])
        self.history.sightings.append(Sighting(sent, answered, listed, is_all=True))

    async def _rest(self) -> None:
        """Be silent until what it holds has ended, unless the storm is over before, or others are silent already."""
        if len(self.silent) < SILENT:
            self.silent.add(self.name)
            await self.storm.reach(min(self.storm.done + REST, self.storm.operations))
            self.silent.discard(self.name)

    async def _ask(self, operation: str, **arguments: Any) -> tuple[float, float, dict[str, Any] | Refused]:
        sent = self._now()
        reply: dict[str, Any] | Refused
        try:
            reply = await self.caller.surely(operation, **arguments)
        except Refused as refused:
            reply = refused
        answered = self._now()
        if operation != "list_locks":
            self.history.contacts[self.name].append((sent, answered))
        self.seen[f"{operation} {reply.code if isinstance(reply, Refused) else 'done'}"] += 1
        return sent, answered, reply

    def _now(self) -> float:
        return self.caller.daemon.clock.now().timestamp()


@pytest.mark.timeout(3600)
def test_no_two_agents_ever_hold_what_is_exclusive_and_no_lease_is_lost_or_stuck(
    daemon: DaemonProcess, is_soak: bool
) -> None:
    history = History()
    size = (20_000, 34, 6) if is_soak else (2_000, 2, 1)

    seen, left = asyncio.run(_storm(daemon, size, history, agents=12 if is_soak else 8))

    assert violations(history) == []
    assert left == []
    assert len(history.starts) == size[1] + size[2]
    # A history in which nothing was contended would show nothing.
    assert min(seen["acquire_lock done"], seen["acquire_lock lock_held"], seen["release_lock done"]) > 50, seen


async def _storm(
    daemon: DaemonProcess, size: tuple[int, int, int], history: History, *, agents: int
) -> tuple[Counter[str], list[str]]:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with calling(daemon) as owner:
        storm = Storm(owner, *size, hurry_s=2.0)
        lockers: list[Locker] = []
        silent: set[str] = set()
        for number in range(agents):
            name = f"agent-{number}"
            token = (await owner.surely("register_agent", agent_id=name, name=name))["token"]
            lockers.append(Locker(name, owner.like(token), history, storm, random.Random(seed + number), silent))
        await storm.rage([locker.live() for locker in lockers])
        history.starts.extend(storm.starts)
        left = [lock["id"] for lock in (await owner.call("list_locks"))["items"]]
    return sum((locker.seen for locker in lockers), Counter()), left
