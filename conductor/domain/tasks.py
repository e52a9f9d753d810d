"""Tasks: the state machine as a table of moves, readiness, attempts and their end.

A task is claimed by one agent at a time; each claim is an attempt with a number, and only the holder of the present
attempt can complete it. What no agent can finish ends as failed after `max_attempts`, with every error kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conductor.domain import errors


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    CLAIMED = "claimed"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    IN_REVIEW = "in_review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """How much a task matters."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


RANK: Mapping[Priority, int] = {kind: rank for rank, kind in enumerate(Priority)}
"""0 is served first."""

HELD = frozenset({TaskStatus.CLAIMED, TaskStatus.IN_PROGRESS, TaskStatus.BLOCKED})
"""States in which an agent holds the task (blocked: it waits, and still holds)."""

CLOSED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
GIVEN_UP = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})


class Move(StrEnum):
    """What can be done to a task's state."""

    CLAIM = "claim"
    START = "start"
    BLOCK = "block"
    COMPLETE = "complete"
    RELEASE = "release"
    FAIL = "fail"
    LOSE = "lose"
    GIVE_UP = "give_up"
    CANCEL = "cancel"
    REOPEN = "reopen"
    SUBMIT = "submit"
    ACCEPT = "accept"
    SEND_BACK = "send_back"
    CONCLUDE = "conclude"


MOVES: Mapping[tuple[TaskStatus, Move], TaskStatus] = {
    (TaskStatus.PENDING, Move.CLAIM): TaskStatus.CLAIMED,
    **{(held, Move.START): TaskStatus.IN_PROGRESS for held in HELD},
    **{(held, Move.BLOCK): TaskStatus.BLOCKED for held in HELD},
    **{(held, Move.COMPLETE): TaskStatus.COMPLETED for held in HELD},
    **{(held, Move.RELEASE): TaskStatus.PENDING for held in HELD},
    **{(held, Move.FAIL): TaskStatus.PENDING for held in HELD},
    **{(held, Move.LOSE): TaskStatus.PENDING for held in HELD},
    **{(held, Move.GIVE_UP): TaskStatus.FAILED for held in HELD},
    (TaskStatus.PENDING, Move.CANCEL): TaskStatus.CANCELLED,
    **{(held, Move.CANCEL): TaskStatus.CANCELLED for held in HELD},
    **{(closed, Move.REOPEN): TaskStatus.PENDING for closed in CLOSED},
    **{(held, Move.SUBMIT): TaskStatus.IN_REVIEW for held in HELD},
    (TaskStatus.IN_REVIEW, Move.ACCEPT): TaskStatus.COMPLETED,
    (TaskStatus.IN_REVIEW, Move.SEND_BACK): TaskStatus.PENDING,
    (TaskStatus.IN_REVIEW, Move.CANCEL): TaskStatus.CANCELLED,
    # A parent that its subtasks complete was never held.
    (TaskStatus.PENDING, Move.CONCLUDE): TaskStatus.COMPLETED,
}
"""The state machine. A pair that is not here is an illegal move."""


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    AGENT_LOST = "agent_lost"
    LEASE_EXPIRED = "lease_expired"
    SUBMITTED = "submitted"
    REASSIGNED = "reassigned"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a task, from its start to its end."""

    task_id: str
    number: int
    agent_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an agent shows for its completion: a commit id, the files it touched, the checks that passed."""

    commit: str | None = None
    files: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class Verification(StrEnum):
    """What a result is worth: the agent's word, or checked by the server."""

    REPORTED = "reported"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work in a project.

    files: the globs it will touch, leased with the claim. requires: capabilities an agent must have.
    assigned_to: the only agent that may claim it, if any; while claimed, its holder.
    reserved_for: who it was assigned to when nobody holds it. evidence: what a completion must show where the
    project requires evidence: `commit`, `files`, or the name of a check.
    blocked_on: tasks the holder waits for. retry_at: not to be claimed before.
    reserved_until: a reservation that reassigning made lapses then; None: it stays.
    reassign_to, reassign_at: who gets the task, and when its holder's time of grace ends. reassignments: how often.
    verification, problems: of the result, and why it could not be verified. reviewed_by: who accepted or sent back.
    external_id: what another system calls it.
    """

    id: str
    project_id: str
    title: str
    description: str | None
    status: TaskStatus
    priority: Priority
    dependencies: tuple[str, ...]
    files: tuple[str, ...]
    tags: tuple[str, ...]
    requires: tuple[str, ...]
    max_attempts: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    parent_id: str | None = None
    reserved_for: str | None = None
    holder: str | None = None
    attempt: int = 0
    failures: int = 0
    lease_s: int | None = None
    lease_expires_at: datetime | None = None
    blocked_on: tuple[str, ...] = ()
    evidence_required: tuple[str, ...] = ()
    estimated_cost_nano: int | None = None
    progress: float | None = None
    note: str | None = None
    result: str | None = None
    evidence: Evidence | None = None
    error: str | None = None
    due_at: datetime | None = None
    retry_at: datetime | None = None
    closed_at: datetime | None = None
    reserved_until: datetime | None = None
    reassign_to: str | None = None
    reassign_at: datetime | None = None
    reassignments: int = 0
    verification: Verification | None = None
    problems: tuple[str, ...] = ()
    reviewed_by: str | None = None
    external_id: str | None = None

    @property
    def assigned_to(self) -> str | None:
        """The agent that holds the task, else the one it is kept for."""
        return self.holder or self.reserved_for


def moved(task: Task, move: Move) -> TaskStatus:
    """Look up where a move leads.

    Raises IllegalMove naming the state and the moves that it allows.
    """
    target = MOVES.get((task.status, move))
    if target is None:
        allowed = sorted(other.value for status, other in MOVES if status is task.status)
        raise errors.IllegalMove(
            f"Task {task.id} is {task.status}; {move} is not possible from there, only: {', '.join(allowed)}. "
            "Look at it with get_task.",
            facts={"task_id": task.id, "status": task.status.value, "move": move.value, "allowed": allowed},
            next=[errors.NextStep("get_task", {"task_id": task.id}, "see where it stands")],
        )
    return target


def unfinished(task: Task, status_of: Callable[[str], TaskStatus | None]) -> list[str]:
    """List what a task waits for: dependencies and declared waits that are not completed."""
    return [
        other
        for other in dict.fromkeys((*task.dependencies, *task.blocked_on))
        if status_of(other) is not TaskStatus.COMPLETED
    ]


def require_attempt(task: Task, agent_id: str, attempt: int) -> None:
    """Refuse a caller that does not hold the present attempt of a task.

    Raises StaleAttempt: the attempt was ended (by loss, release, cancellation) and another may have begun.
    """
    if task.holder == agent_id and task.attempt == attempt and task.status in HELD:
        return
    # A completed task still names who completed it, and nobody holds it.
    holder = task.holder if task.status in HELD else None
    step = errors.NextStep("claim_task", {}, "take the best ready task")
    if holder == agent_id:
        sentence = f"You hold {task.id} by attempt {task.attempt}, not {attempt}: call again with that one."
        step = errors.NextStep("get_task", {"task_id": task.id}, "see your attempt")
    elif task.status is TaskStatus.COMPLETED and (task.holder, task.attempt) == (agent_id, attempt):
        sentence = f"You completed {task.id} already: nothing is left to do there. Take another task with claim_task."
    elif task.status is TaskStatus.IN_REVIEW and (task.holder, task.attempt) == (agent_id, attempt):
        sentence = f"You handed {task.id} in already: a reviewer has it now. Take another task with claim_task."
    else:
        stands = f"is held by {holder} (attempt {task.attempt})" if holder else f"is {task.status}"
        sentence = (
            f"Attempt {attempt} of {task.id} is not yours or is over: the task {stands}. Leave its files alone; take a "
            "task with claim_task."
        )
    raise errors.StaleAttempt(
        sentence,
        facts={"task_id": task.id, "attempt": task.attempt, "status": task.status.value, "holder": holder},
        next=[step],
    )


def require_evidence(task: Task, evidence: Evidence | None) -> None:
    """Refuse a completion that lacks evidence, for projects that require it.

    What the task names must be there; a task that names nothing needs a commit.
    Raises EvidenceMissing listing what is missing.
    """
    shown = evidence or Evidence()
    # A check that is called `commit` is no commit.
    present = {*shown.checks} - {"commit", "files"}
    if shown.commit:
        present.add("commit")
    if shown.files:
        present.add("files")
    missing = [name for name in (task.evidence_required or ("commit",)) if name not in present]
    if missing:
        raise errors.EvidenceMissing(
            f"This project requires evidence; {task.id} lacks: {', '.join(missing)}. Complete it again with "
            "evidence {commit, files, checks} that has them.",
            facts={"task_id": task.id, "missing": missing, "required": list(task.evidence_required or ("commit",))},
        )


def retry_delay_s(failures: int, jitter: float, *, base_s: float, most_s: float) -> float:
    """Compute how long a task rests after its attempts failed: exponential back-off with jitter.

    failures: how many have failed, >= 1. jitter: in [0, 1), from the caller's entropy.
    The delay lies between half and all of min(most_s, base_s * 2 ** (failures - 1)).
    """
    whole = min(most_s, base_s * 2.0 ** min(failures - 1, 32))
    return whole * (0.5 + jitter / 2)
