"""How tests of the ring look behind the scenes: refusals, events, rows, memory against the store.

Also probes, and hosts that a probe can kill.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from actors.board_memory import BoardMemory
from actors.host import Host
from actors.host_lost import HostLost
from conductor.domain import selection
from conductor.domain.agents import Agent
from conductor.domain.organizations import Project
from conductor.domain.tasks import TaskStatus
from conductor.operations.catalogue import CATALOGUE
from storage.database_url import DatabaseUrl
from storage.unit_of_work import UnitOfWork
from tests.support.world import Refused, ThreadHandle, World


async def refusal(code: str, call: Awaitable[Any]) -> Refused:
    """Await a call that must be refused with this code; the next steps it names must be calls that validate."""
    with pytest.raises(Refused) as caught:
        await call
    refused = caught.value
    assert refused.code == code, str(refused)
    for step in refused.fault["next"]:
        CATALOGUE[step["tool"]].request.model_validate_json(json.dumps(step["args"]), strict=True)
    return refused


async def outcome(call: Awaitable[dict[str, Any]]) -> str | None:
    """Await a call and tell how it ended: the error's code, or None when it was done."""
    try:
        await call
    except Refused as refused:
        return refused.code
    return None


async def events(world: World, *, since: int = 0, kind: Sequence[str] = (), subject_id: str | None = None) -> list[Any]:
    """Read the organisation's events in order, at most 200."""
    narrowed = {} if subject_id is None else {"subject_id": subject_id}
    page = await world.person().list_events(since=since, kind=list(kind), limit=200, **narrowed)
    items: list[Any] = page["items"]
    return items


async def last_event(world: World) -> int:
    """Give the number of the newest event."""
    page = await world.person().list_events(limit=1)
    number: int = page["items"][0]["number"]
    return number


async def restart(world: World, after_s: float = 0.0) -> None:
    """Stop and start everything, with time between, and wake the hosts as the daemon does."""
    await world.restart(after_s)
    await world.elapse(0)


def project_of(world: World, project_id: str) -> Project:
    """Read a project as the store has it."""
    with world.store.reading(world.organization.id) as tx:
        project = tx.projects.get(project_id)
    assert project is not None
    return project


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in a transaction of its own, as somebody beside the daemon would; give the rows, if any."""
    path = DatabaseUrl.parse(url).path
    if path is not None:
        lite = sqlite3.connect(path, isolation_level=None)
        try:
            return lite.execute(statement).fetchall()
        finally:
            lite.close()
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def require_memory_equals_store(world: World) -> None:
    """Compare what the hosts remember of each project with its rows."""
    compared = 0
    for handle in world.handles:
        rooms = handle.host._rooms
        for (organization_id, project_id), room in rooms.items() if rooms is not None else ():
            with world.store.reading(organization_id) as tx:
                kept = {task.id: task for task in tx.tasks.open_of(project_id)}
                memory = room.board.memory
                assert memory.tasks == kept
                fresh = BoardMemory(kept.values(), partial(_statuses, tx, project_id))
                assert {key: memory.waits(task) for key, task in kept.items()} == {
                    key: fresh.waits(task) for key, task in kept.items()
                }
                assert {name: memory.held_by(name) for name in memory.holders()} == {
                    name: fresh.held_by(name) for name in fresh.holders()
                }
                assert memory.next_deadline() == fresh.next_deadline()
                rules = selection.rules_of(room.keeper.project.settings, world.settings.tasks.aging_s)
                for agent in tx.agents.of_project(project_id):
                    asked = (selection.seeker_of(agent), tx.now, rules)
                    assert list(memory.ready.candidates(*asked)) == list(fresh.ready.candidates(*asked))
                    assert memory.ready.reasons(*asked) == fresh.ready.reasons(*asked)
                for task_id in kept:
                    assert memory.open_children(task_id) == fresh.open_children(task_id)
                assert (memory.pending, memory.waiting) == (fresh.pending, fresh.waiting)
                assert room.locks.table.live() == tx.locks.of_project(project_id)
                assert room.locks.table.fencing_token == tx.locks.highest_token(project_id)
                assert room.keeper.project == tx.projects.get(project_id)
                assert set(room.roster.sessions._live) == {session.id for session in tx.sessions.live(project_id)}
                for agent in tx.agents.of_project(project_id):
                    assert _unseen(room.roster.get(agent.agent_id)) == _unseen(agent)
            compared += 1
    assert compared, "no host remembers a project"


def _statuses(tx: UnitOfWork, project_id: str, others: Iterable[str]) -> dict[str, TaskStatus]:
    return tx.tasks.statuses(project_id, list(others))


def _unseen(agent: Agent) -> Agent:
    # Signs of life are flushed every few seconds: memory may be ahead.
    return replace(agent, last_seen_at=None)


Planned = BaseException | Callable[[], object] | None


class Killed(BaseException):
    """What a probe raises to end a host at a named place, as kill -9 would: no handler of ours may see it."""


class Mortal(ThreadHandle):
    """A host that a probe can kill: its memory is gone and a new one stands in its place, as Ray does it."""

    def __init__(self, make: Callable[[], Host]) -> None:
        super().__init__(make)
        self.deaths = 0

    async def many(self, batch: Any) -> Any:
        try:
            return await super().many(batch)
        except Killed:
            self.deaths += 1
            self.restart()
            raise HostLost("host", "killed by the test") from None


def make_mortal(world: World) -> list[Mortal]:
    """Let the hosts of a world that has not been used yet be killed by their probes."""
    mortals = [Mortal(handle._make) for handle in world.handles]
    for handle in world.handles:
        handle.close()
    world.handles = list(mortals)
    world.open()
    return mortals


class Probe:
    """Does at a named place what it is told to, as often as it is told."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self._planned: dict[str, list[Planned]] = {}

    def __call__(self, place: str) -> None:
        self.passed.append(place)
        planned = self._planned.get(place)
        action = planned.pop(0) if planned else None
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    def plan(self, place: str, *actions: Planned) -> None:
        """Raise or do these, one at each passing of the place from now on; None lets it pass."""
        self._planned[place] = list(actions)

    def commits(self) -> int:
        """Count the commits so far."""
        return self.passed.count("after_commit")
