"""Checkpoints of a project: saved by agents, resumed by them or by whoever takes their task over.

When an agent is lost in the midst of a task, one is made of what it last told, in the commit that requeues the task.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from actors import mail_views
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.lock_manager import LockManager
from conductor.domain import checkpoints, errors, globs, ids, paths
from conductor.domain.agents import Agent
from conductor.domain.checkpoints import Checkpoint
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.locks import Lease
from conductor.domain.tasks import Task
from conductor.operations import checkpoints as ops
from conductor.setting_groups import Checkpoints as CheckpointSettings
from storage.unit_of_work import UnitOfWork

MOST_LOCKS = 200
"""Leased patterns that one checkpoint keeps, as many as files: an agent may have leased thousands."""

MOST_COMPARISONS = 20_000
"""Of a checkpoint's paths with the patterns that its reader has leased: honest work needs a few hundred."""


class Checkpointing:
    """Keeps the checkpoints of a project.

    require_held: refuses a task that the agent does not hold. Raises NotFound, Forbidden.
    """

    def __init__(
        self,
        project_id: str,
        memory: BoardMemory,
        locks: LockManager,
        require_held: Callable[[str, str, UnitOfWork], None],
        settings: CheckpointSettings,
    ) -> None:
        self._project_id = project_id
        self._memory = memory
        self._locks = locks
        self._require_held = require_held
        self._keeps = timedelta(days=settings.keep_days)

    def save(self, name: str, request: ops.SaveCheckpoint, call: Call) -> ops.SavedCheckpoint:
        """Keep where an agent stands, with the locks that it holds now."""
        tx = call.tx
        files = self._locks.canonical(request.files)
        if request.task_id is not None:
            self._require_held(request.task_id, name, tx)
        held = self._memory.held_by(name)
        task = next((task for task in held if request.task_id in (None, task.id)), None)
        checkpoint = Checkpoint(
            id=tx.make_id(ids.Kind.CHECKPOINT),
            project_id=self._project_id,
            agent_id=name,
            task_id=task.id if task is not None else None,
            attempt=task.attempt if task is not None else None,
            summary=request.summary,
            next_steps=tuple(request.next_steps),
            state=dict(request.state),
            files=files,
            locks=_kept(self._live(name, call.now), task),
            is_automatic=False,
            made_at=call.now,
            expires_at=call.now + self._keeps,
        )
        tx.checkpoints.add(checkpoint)
        return mail_views.saved(checkpoint)

    def resume(self, name: str, request: ops.ResumeCheckpoint, call: Call) -> ops.ResumedCheckpoint:
        """Give an agent the checkpoint to go on from: a named one, the last of a task, or its own last."""
        if request.task_id is not None and request.checkpoint_id is not None:
            raise errors.Invalid(
                "Give task_id for the last checkpoint of a task, or checkpoint_id for one of them, not both.",
                facts={"task_id": request.task_id, "checkpoint_id": request.checkpoint_id},
            )
        found = self._found(name, request, call.tx)
        if found is None:
            what = request.checkpoint_id or (f"of {request.task_id}" if request.task_id else "of yours")
            raise errors.NotFound(
                f"No checkpoint {what} here: there was none, or its time is over. Begin anew from the task itself, or "
                "look for another with list_checkpoints.",
                facts={"task_id": request.task_id, "checkpoint_id": request.checkpoint_id},
                next=[NextStep("list_checkpoints", {}, "see what there is")],
            )
        call.tx.record(
            EventKind.CHECKPOINT_RESUMED,
            found.id,
            project_id=self._project_id,
            agent_id=name,
            task_id=found.task_id,
            saved_by=found.agent_id,
        )
        return ops.ResumedCheckpoint(
            checkpoint=mail_views.checkpoint(found), missing=self._missing(name, found, call.now)
        )

    def lose(self, agent: Agent, silence_s: float, now: datetime, tx: UnitOfWork) -> None:
        """Keep where an agent stood that was lost, for each task that it holds: before they are taken from it."""
        leases = self._live(agent.agent_id, now)
        for task in self._memory.held_by(agent.agent_id):
            last = tx.checkpoints.latest(self._project_id, task_id=task.id)
            checkpoint_id, locks = tx.make_id(ids.Kind.CHECKPOINT), _kept(leases, task)
            tx.checkpoints.add(
                checkpoints.automatic(checkpoint_id, task, agent, silence_s, locks, last, now, now + self._keeps)
            )

    def _found(self, name: str, request: ops.ResumeCheckpoint, tx: UnitOfWork) -> Checkpoint | None:
        if request.checkpoint_id is not None:
            if not ids.is_id(request.checkpoint_id, ids.Kind.CHECKPOINT):
                return None
            found = tx.checkpoints.get(request.checkpoint_id)
            return found if found is not None and found.project_id == self._project_id else None
        if request.task_id is not None:
            return tx.checkpoints.latest(self._project_id, task_id=request.task_id)
        return tx.checkpoints.latest(self._project_id, agent_id=name)

    def _live(self, name: str, now: datetime) -> list[Lease]:
        return [lease for lease in self._locks.table.of_agent(name) if lease.is_live(now)]

    def _missing(self, name: str, checkpoint: Checkpoint, now: datetime) -> list[str]:
        held = {path for lease in self._live(name, now) for path in lease.paths}
        patterns = [globs.parse(path) for path in sorted(held) if paths.is_pattern(path)]
        missing, left = [], MOST_COMPARISONS
        for path in sorted({*checkpoint.files, *checkpoint.locks} - held):
            left -= len(patterns)
            # What was not compared is leased once more, which costs its agent nothing.
            if left < 0 or not (patterns and globs.covers(patterns, globs.parse(path))):
                missing.append(path)
        return missing


def _kept(leases: Sequence[Lease], task: Task | None) -> tuple[str, ...]:
    """Choose the leased patterns that a checkpoint keeps: those of its task first."""
    task_id = task.id if task is not None else None
    own = [lease for lease in leases if lease.task_id == task_id]
    others = [lease for lease in leases if lease.task_id != task_id]
    listed = dict.fromkeys(path for lease in (*own, *others[:MOST_LOCKS]) for path in lease.paths)
    return tuple(sorted(itertools.islice(listed, MOST_LOCKS)))
