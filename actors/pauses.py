"""The gate: which calls stand still, because of a pause or because their project is archived.

The daemon keeps what stands still in memory, one organisation at a time, so that the gate costs a call nothing; what
changes it goes through the same daemon and makes it forget. Must never let a call pass that a pause forbids once the
pause was answered, and never hold up a person but in an archived project.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conductor.domain import pauses
from conductor.domain.access import Caller, TokenKind
from conductor.domain.pauses import Pause, PauseMode
from conductor.operations.row import Operation
from storage.store import Store

CHANGING = frozenset({"pause", "drain", "resume", "archive_project", "restore_project", "delete_organization"})
"""What these did is read anew."""

OF_THE_ARCHIVE = frozenset({"archive_project", "restore_project", "record_cost"})
"""What an archived project still takes: the first, so that it may be repeated; the last, because it was spent."""

TAKING = frozenset({"claim_task", "acquire_lock"})
"""What a draining agent takes no more of; locks it may still need for the task that it is to finish."""

BELIEVED_S = 10.0
"""Seconds after which it is read anew: the outcome of a change may have been lost, and it was committed later."""

KEPT = 1_000
"""Organisations in memory; more are read again."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """What stands still in an organisation, as it was read. archived: projects, and since when."""

    pauses: tuple[Pause, ...]
    archived: dict[str, datetime]
    read_at: float


class Gate:
    """Refuses calls of paused agents, and changes in archived projects, before they are sent anywhere.

    It is read by many threads, and asked on every write.
    """

    def __init__(self) -> None:
        self._known: dict[str, Standstill] = {}
        self._changes: dict[str, int] = {}
        self._lock = threading.Lock()

    def known(self, organization_id: str) -> Standstill | None:
        """Give what is remembered of an organisation; None: it must be read."""
        found = self._known.get(organization_id)
        if found is not None and time.monotonic() - found.read_at < BELIEVED_S:
            return found
        return None

    def read(self, organization_id: str, store: Store) -> Standstill:
        """Read what stands still, and remember it unless it changed meanwhile."""
        before = self._changes.get(organization_id, 0)
        read_at = time.monotonic()
        with store.reading(organization_id) as tx:
            found = Standstill(tuple(tx.pauses.of_organization()), tx.pauses.archived_projects(), read_at)
        with self._lock:
            if self._changes.get(organization_id, 0) == before:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[organization_id] = found
        return found

    def forget(self, organization_id: str) -> None:
        """Take note that something may have changed."""
        with self._lock:
            self._changes[organization_id] = self._changes.get(organization_id, 0) + 1
            self._known.pop(organization_id, None)


def concerns(row: Operation[Any, Any], caller: Caller, project_id: str | None) -> bool:
    """Tell whether a call may have to stand still at all: reads never do, nor do people outside of a project."""
    return row.writes and not row.founds and (project_id is not None or caller.kind is TokenKind.AGENT)


def require_open(still: Standstill, row: Operation[Any, Any], caller: Caller, project_id: str | None) -> Pause | None:
    """Refuse a call that stands still. Gives the draining pause that lets it pass only to who holds a task.

    Raises Paused.
    """
    archived_at = still.archived.get(project_id or "")
    if archived_at is not None and row.name not in OF_THE_ARCHIVE:
        raise pauses.archived(project_id or "", archived_at)
    if caller.kind is not TokenKind.AGENT or row.while_paused:
        return None
    pause = pauses.bearing(still.pauses, caller.project_id or "", caller.agent_name or "")
    if pause is None or (pause.mode is PauseMode.DRAINING and row.name not in TAKING):
        return None
    if pause.mode is PauseMode.DRAINING and row.name != "claim_task":
        return pause
    raise pauses.paused(pause)


def require_busy(pause: Pause, caller: Caller, store: Store) -> None:
    """Refuse a draining agent that holds no task. Raises Paused."""
    with store.reading(caller.organization_id) as tx:
        agent = tx.agents.get(caller.project_id or "", caller.agent_name or "")
    if agent is None or agent.current_task_id is None:
        raise pauses.paused(pause)
