"""Who waits for whom, and the wait that would never end: found before it begins, named, with a way out.

The graph is over agents. An agent waits for the holders of what its tickets want, for the tickets that go before its
own, and for the holders of the tasks on which it declared its own to wait. It is handed in as a function, because its
parts lie with several keepers. Whatever adds a wait must ask `cycle_through` first: then there is never a cycle, and
nothing needs to look for one later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from conductor.domain import errors
from conductor.domain.tasks import CLOSED, HELD, Task


class Kind(StrEnum):
    """By what one agent keeps another waiting."""

    LOCK = "lock"
    TICKET = "ticket"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Wait:
    """One agent waits for another.

    subject: id of the lock, of the ticket that goes first, or of the task on which it waits. where: the pattern they
    meet at; None for a task. by: id of the ticket, or of the task, that waits.
    """

    waiter: str
    holder: str
    kind: Kind
    subject: str
    where: str | None = None
    by: str | None = None


Edges = Callable[[str], Iterable[Wait]]
"""Gives what an agent waits for; an agent that waits for nothing has none."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Waits that close a circle: each one's holder is the next one's waiter, the last one's holder the first's waiter.

    The first is the wait that was asked for.
    """

    waits: tuple[Wait, ...]

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents in it, whoever asked first and last."""
        return (*(wait.waiter for wait in self.waits), self.waits[-1].holder)


def cycle_through(agent_id: str, blockers: Iterable[Wait], edges: Edges) -> Cycle | None:
    """Find a cycle that new waits of an agent would close: the shortest; None when it may wait.

    blockers: the waits that it would begin or has. edges: of the others, with the new waits' effects on them (a ticket
    that goes before theirs) in it.
    Each agent is looked at once: time is linear in the waits that can be reached.
    """
    came_by: dict[str, Wait] = {}
    pending: deque[str] = deque()

    def follow(waits: Iterable[Wait]) -> Cycle | None:
        for wait in waits:
            if wait.holder == agent_id and wait.waiter != agent_id:
                return Cycle(_way_back(agent_id, wait, came_by))
            if wait.holder != agent_id and wait.holder not in came_by:
                came_by[wait.holder] = wait
                pending.append(wait.holder)
        return None

    cycle = follow(blockers)
    while pending and cycle is None:
        cycle = follow(edges(pending.popleft()))
    return cycle


def task_waits(agent_id: str, held: Iterable[Task], find: Callable[[str], Task | None]) -> list[Wait]:
    """List whom an agent waits for by the declared waits (blocked_on) of the tasks that it holds.

    held: tasks, of which only this agent's are looked at. find: gives a task that may be open; None: it is closed.
    A task that nobody holds keeps waiting whoever waits for it until those behind its own waits are done.
    """
    waits: list[Wait] = []
    for task in held:
        if task.holder != agent_id or task.status not in HELD:
            continue
        seen = {task.id}
        pending = list(task.blocked_on)
        while pending:
            other = find(pending.pop())
            if other is None or other.id in seen or other.status in CLOSED:
                continue
            seen.add(other.id)
            if other.status in HELD and other.holder is not None:
                if other.holder != agent_id:
                    waits.append(Wait(agent_id, other.holder, Kind.TASK, other.id, by=task.id))
            else:
                pending += [*other.dependencies, *other.blocked_on]
    return waits


def deadlock(cycle: Cycle) -> errors.Deadlock:
    """Word the refusal of a wait that would close a cycle: each step of it, and what the caller can do."""
    caller, last = cycle.waits[0].waiter, cycle.waits[-1]
    steps = "; ".join(_step(wait) for wait in cycle.waits)
    advice, next_steps = _ways_out(last)
    return errors.Deadlock(
        f"Waiting here would never end: {steps}. You did not get a place. {advice}",
        facts={
            "agent_id": caller,
            "agents": list(cycle.agents),
            "cycle": [_facts(wait) for wait in cycle.waits],
        },
        next=next_steps,
    )


def _step(wait: Wait) -> str:
    match wait.kind:
        case Kind.LOCK:
            return f"{wait.waiter} waits for {wait.holder}, who leases {wait.where}"
        case Kind.TICKET:
            return f"{wait.waiter} waits for {wait.holder}, who is before it at {wait.where}"
        case Kind.TASK:
            return f"{wait.waiter} waits for {wait.holder}, who holds {wait.subject}"


def _ways_out(last: Wait) -> tuple[str, Sequence[errors.NextStep]]:
    """Say how the caller breaks the cycle: by what the last in it waits for."""
    elsewhere = errors.NextStep("claim_task", {}, "another ready task may touch other files")
    match last.kind:
        case Kind.LOCK:
            return (
                f"Release {last.where} (lock {last.subject}), for which {last.waiter} waits, or take another task.",
                [
                    errors.NextStep("release_lock", {"lock_id": last.subject}, f"{last.waiter} waits for it"),
                    elsewhere,
                ],
            )
        case Kind.TICKET:
            return (
                f"{last.waiter} is behind you at {last.where}: ask for less at once, release what you lease there, "
                "or take another task.",
                [errors.NextStep("list_locks", {}, "see who holds and who waits"), elsewhere],
            )
        case Kind.TASK:
            return (
                f"Finish {last.subject}, for which {last.waiter} waits, without this, or take another task.",
                [errors.NextStep("get_task", {"task_id": last.subject}, f"{last.waiter} waits for it"), elsewhere],
            )


def _facts(wait: Wait) -> Mapping[str, errors.Fact]:
    return {
        "agent_id": wait.waiter,
        "waits_for": wait.holder,
        "kind": wait.kind.value,
        "subject": wait.subject,
        "where": wait.where,
        "by": wait.by,
    }


def _way_back(agent_id: str, closing: Wait, came_by: Mapping[str, Wait]) -> tuple[Wait, ...]:
    way = [closing]
    while way[-1].waiter != agent_id:
        way.append(came_by[way[-1].waiter])
    return tuple(reversed(way))
