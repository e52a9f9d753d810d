"""Checkpoints: what an agent leaves behind so that it, or another, can go on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from conductor.domain.agents import Agent
from conductor.domain.errors import Fact
from conductor.domain.tasks import Task

MOST_SUMMARY = 8_000
"""Characters of a summary; what is longer belongs into the repository."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it is kept.

    summary: what was done and how it stands. next_steps: what to do now. state: whatever else the agent needs.
    files: what was touched. locks: the patterns it had leased. is_automatic: made by us when its agent was lost.
    """

    id: str
    project_id: str
    agent_id: str
    task_id: str | None
    attempt: int | None
    summary: str
    next_steps: tuple[str, ...]
    state: Mapping[str, Fact]
    files: tuple[str, ...]
    locks: tuple[str, ...]
    is_automatic: bool
    made_at: datetime
    expires_at: datetime


def automatic(
    checkpoint_id: str,
    task: Task,
    agent: Agent,
    silence_s: float,
    locks: Sequence[str],
    last: Checkpoint | None,
    now: datetime,
    expires_at: datetime,
) -> Checkpoint:
    """Make the checkpoint of an agent that was lost in the midst of a task, from what it last told.

    last: the task's last checkpoint, if any, whoever left it; it goes on in the new one, so that the newest checkpoint
    of a task always knows all.
    """
    said = [
        f"{agent.agent_id} was lost after {round(silence_s)} s of silence, in attempt {task.attempt}.",
        f"Stage: {agent.stage}." if agent.stage else "",
        f"Progress: {task.progress:.0%}." if task.progress is not None else "",
        f"Its last note: {agent.note}" if agent.note else "",
        f"The task's note: {task.note}" if task.note and task.note != agent.note else "",
        f"The last checkpoint, by {last.agent_id}, {last.made_at:%Y-%m-%d %H:%M:%SZ}: {last.summary}" if last else "",
    ]
    made = Checkpoint(
        id=checkpoint_id,
        project_id=task.project_id,
        agent_id=agent.agent_id,
        task_id=task.id,
        attempt=task.attempt,
        summary="\n".join(part for part in said if part)[:MOST_SUMMARY],
        next_steps=(),
        state={},
        files=task.files,
        locks=tuple(locks),
        is_automatic=True,
        made_at=now,
        expires_at=expires_at,
    )
    if last is None:
        return made
    files = tuple(dict.fromkeys((*task.files, *last.files)))
    return replace(made, next_steps=last.next_steps, state=last.state, files=files)
