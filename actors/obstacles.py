"""What stands between an agent and a task, in words: for the refusal of a claim and for explain_task alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from actors.board_memory import BoardMemory
from conductor.domain import tasks
from conductor.domain.agents import Agent
from conductor.domain.errors import Fact
from conductor.domain.selection import Obstacle, Reach
from conductor.domain.tasks import Task

SHOWN = 8
"""Tasks or agents named in a sentence: enough to act on, and a bound on what is sent."""


@dataclass(frozen=True, slots=True)
class Told:
    """An obstacle in words.

    sentence: begins with a verb, as it goes on from the task's id. wait_s: after so long it may be gone.
    """

    sentence: str
    facts: dict[str, Fact] = field(default_factory=dict)
    wait_s: float | None = None


def told(task: Task, obstacle: Obstacle, agent: Agent, memory: BoardMemory, reach: Reach, now: datetime) -> Told:
    """Put into words what keeps an agent from a task."""
    name = agent.agent_id
    match obstacle:
        case Obstacle.DEPENDENCIES:
            return _dependencies(task, memory)
        case Obstacle.RETRY_LATER:
            if task.retry_at is None:
                raise ValueError(f"{task.id} does not rest")
            return Told(
                f"rests after a failed attempt until {clock(task.retry_at)}",
                {"retry_at": task.retry_at.isoformat()},
                (task.retry_at - now).total_seconds(),
            )
        case Obstacle.SUBTASKS:
            children = [child.id for child in memory.open_children(task.id)]
            return Told(
                f"completes with its {len(children)} open subtask(s), {few(children)}",
                {"open_subtasks": children[:SHOWN]},
            )
        case Obstacle.ASSIGNED_ELSEWHERE:
            return _assigned(task, now)
        case Obstacle.MISSING_CAPABILITY:
            missing = sorted(set(task.requires) - set(agent.capabilities))
            return Told(f"requires {', '.join(missing)}, which {name} does not have", {"missing_capabilities": missing})
        case Obstacle.LOAD:
            held = [other.id for other in memory.held_by(name)]
            return Told(f"would be one too many: {name} holds {few(held)} and must finish one first")
        case Obstacle.OUTSIDE_PATHS:
            return Told(f"touches files outside the paths that {name} may touch")
        case Obstacle.BUDGET:
            return Told(f"would pass a budget that bounds {name}")
        case Obstacle.FILES_LEASED:
            leases = reach.leases_in_the_way(task)
            holders = few(sorted({lease.agent_id for lease in leases}))
            return Told(f"touches files that {holders} leases until {clock(leases[-1].expires_at)}")
        case _ as never:
            assert_never(never)


def few(names: Sequence[str]) -> str:
    """Name the first of many and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def clock(at: datetime) -> str:
    """Give the time of the day."""
    return f"{at:%H:%M:%SZ}"


def _dependencies(task: Task, memory: BoardMemory) -> Told:
    waits = memory.waits(task)
    named = [f"{other} ({memory.status(other) or 'unknown'})" for other in waits]
    sentence = f"waits for {few(named)}"
    given_up = [other for other in waits if memory.status(other) in tasks.GIVEN_UP]
    if not given_up:
        return Told(sentence)
    sentence += f"; {few(given_up)} will not complete by itself: a person must reopen it or drop the edge"
    return Told(sentence, {"given_up": given_up})


def _assigned(task: Task, now: datetime) -> Told:
    facts: dict[str, Fact] = {"assigned_to": task.reserved_for}
    if task.reserved_until is None:
        return Told(f"is kept for {task.reserved_for}", facts)
    return Told(
        f"is kept for {task.reserved_for} until {clock(task.reserved_until)}",
        facts | {"reserved_until": task.reserved_until.isoformat()},
        (task.reserved_until - now).total_seconds(),
    )
