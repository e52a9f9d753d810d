"""Checkpoints as they are kept: found by task, by agent, by id, until their time is over."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, delete, select, tuple_, type_coerce

from conductor.domain.checkpoints import Checkpoint
from conductor.domain.events import EventKind
from storage import pages, tables
from storage.columns import to_micros
from storage.records import CHECKPOINT
from storage.unit import Unit

_checkpoints = tables.checkpoints
_MADE = type_coerce(_checkpoints.c.made_at, BigInteger)
_NEWEST_FIRST = (_checkpoints.c.made_at.desc(), _checkpoints.c.id.desc())


class Checkpoints:
    """The checkpoints of one organisation; those whose time is over are not there for anybody."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep a new checkpoint, and the event."""
        self._unit.add_record(CHECKPOINT, checkpoint)
        self._unit.record(
            EventKind.CHECKPOINT_SAVED,
            checkpoint.id,
            project_id=checkpoint.project_id,
            agent_id=checkpoint.agent_id,
            task_id=checkpoint.task_id,
            automatic=checkpoint.is_automatic,
            expires_at=checkpoint.expires_at.isoformat(),
        )

    def get(self, checkpoint_id: str) -> Checkpoint | None:
        """Read a checkpoint, whatever its project."""
        return self._unit.one(CHECKPOINT, _checkpoints.c.id == checkpoint_id, self._lasts())

    def latest(self, project_id: str, *, task_id: str | None = None, agent_id: str | None = None) -> Checkpoint | None:
        """Read the last checkpoint of a project, of a task in it, of an agent, or of an agent on a task."""
        found = self._unit.records(
            CHECKPOINT, *self._narrowed(project_id, task_id, agent_id), order=_NEWEST_FIRST, limit=1
        )
        return found[0] if found else None

    def page(
        self,
        project_id: str,
        *,
        task_id: str | None = None,
        agent_id: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> pages.Page[Checkpoint]:
        """List checkpoints, the newest first."""
        where = [
            *self._narrowed(project_id, task_id, agent_id),
            *pages.beyond([_MADE, _checkpoints.c.id], cursor, (int, str), newest_first=True),
        ]
        found = self._unit.records(CHECKPOINT, *where, order=_NEWEST_FIRST, limit=limit + 1)
        return pages.cut(found, limit, lambda checkpoint: (to_micros(checkpoint.made_at), checkpoint.id))

    def prune(self, most: int) -> None:
        """Forget what is over: at most so many rows, the oldest first."""
        key = list(_checkpoints.primary_key)
        over = (
            select(*key)
            .where(
                _checkpoints.c.organization_id == self._unit.organization_id,
                _checkpoints.c.expires_at <= self._unit.now,
            )
            .order_by(_checkpoints.c.expires_at)
            .limit(most)
        )
        self._unit.execute(delete(_checkpoints).where(tuple_(*key).in_(over)))

    def _narrowed(self, project_id: str, task_id: str | None, agent_id: str | None) -> list[Any]:
        where = [_checkpoints.c.project_id == project_id, self._lasts()]
        if task_id is not None:
            where.append(_checkpoints.c.task_id == task_id)
        if agent_id is not None:
            where.append(_checkpoints.c.agent_id == agent_id)
        return where

    def _lasts(self) -> Any:
        return _checkpoints.c.expires_at > self._unit.now
