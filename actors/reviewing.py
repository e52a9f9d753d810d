"""Reviews: a result that was handed in is accepted or sent back, never by the one who made it."""

from __future__ import annotations

from dataclasses import replace

from actors.attempts import Attempts
from actors.call import Call
from actors.roster import Roster
from actors.subtasks import Subtasks
from conductor.domain import errors, tasks
from conductor.domain.access import Role
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.tasks import Move, Task
from conductor.operations import work as ops
from storage.unit_of_work import UnitOfWork


class Reviewing:
    """Reviews of one project's tasks."""

    def __init__(self, attempts: Attempts, subtasks: Subtasks, roster: Roster) -> None:
        self._attempts = attempts
        self._subtasks = subtasks
        self._roster = roster

    def announce(self, task: Task, tx: UnitOfWork) -> None:
        """Tell the reviewers among the agents that a result was handed in."""
        names = [
            agent.agent_id
            for agent in self._roster.all()
            if agent.role is Role.REVIEWER and agent.lost_at is None and agent.agent_id != task.holder
        ]
        if names:
            told = f"{task.id} waits for a review: look with get_task, then accept or send_back with review_task."
            tx.notices.leave_all(task.project_id, names, "review", told)

    def review(self, task: Task, request: ops.ReviewTask, call: Call) -> tuple[Task, list[str]]:
        """Carry out a verdict; returns the task and what its acceptance set free.

        Raises IllegalMove, Forbidden, Invalid.
        """
        accepts = request.verdict is ops.Verdict.ACCEPT
        status = tasks.moved(task, Move.ACCEPT if accepts else Move.SEND_BACK)
        if task.holder is not None and task.holder == call.caller.agent_name:
            raise errors.Forbidden(
                f"You did {task.id} yourself: another agent or a person reviews it. Take another task.",
                facts={"task_id": task.id, "done_by": task.holder},
                next=[NextStep("list_tasks", {"status": ["in_review"]}, "see what else waits for a review")],
            )
        reviewed = replace(task, status=status, reviewed_by=call.caller.actor, updated_at=call.now)
        if accepts:
            return self._accept(replace(reviewed, closed_at=call.now), request.note, call)
        if not (request.note or "").strip():
            raise errors.Invalid(
                "note goes with send_back: say what is to be done before the result can be accepted.",
                facts={"argument": "note"},
            )
        return self._send_back(reviewed, str(request.note), call), []

    def _accept(self, accepted: Task, note: str | None, call: Call) -> tuple[Task, list[str]]:
        tx = call.tx
        unblocked = self._attempts.keep(accepted, tx)
        self._attempts.settle(accepted.holder, call.now, tx, completed=1)
        tx.record(
            EventKind.TASK_COMPLETED,
            accepted.id,
            project_id=accepted.project_id,
            agent_id=accepted.holder,
            attempt=accepted.attempt,
            unblocked=list(unblocked),
            reviewed_by=accepted.reviewed_by,
            note=note,
            commit=accepted.evidence.commit if accepted.evidence else None,
        )
        return accepted, self._subtasks.conclude([accepted], unblocked, call.now, tx)

    def _send_back(self, reviewed: Task, note: str, call: Call) -> Task:
        """Put the task back; what was done stays to be seen as its result until the next one hands in another."""
        tx, worker = call.tx, reviewed.holder
        error = f"sent back by {call.caller.actor}: {note}"
        sent_back = replace(reviewed, holder=None, error=error, progress=None)
        attempt = tx.tasks.attempt(reviewed.id, reviewed.attempt)
        if attempt is not None:
            # Whoever claims it next is told the error of the attempt before.
            tx.tasks.end_attempt(replace(attempt, error=error))
        self._attempts.keep(sent_back, tx)
        tx.record(
            EventKind.TASK_SENT_BACK,
            reviewed.id,
            project_id=reviewed.project_id,
            agent_id=worker,
            attempt=reviewed.attempt,
            reviewed_by=reviewed.reviewed_by,
            note=note,
        )
        if worker is not None:
            told = f"{reviewed.id} was sent back, claim it again with claim_task: {note}"
            tx.notices.leave(reviewed.project_id, worker, "sent_back", told)
        return sent_back
