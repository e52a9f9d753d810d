"""Places in the queues for leases as they are kept: so that nobody who waits loses it when the daemon stops."""

from __future__ import annotations

from enum import StrEnum

from conductor.domain.events import EventKind
from conductor.domain.lock_tickets import Ticket
from storage import tables
from storage.records import TICKET
from storage.unit import Unit

_waits = tables.lock_waits


class WaitEnd(StrEnum):
    """Why a place is gone."""

    COLLECTED = "collected"
    LEFT = "left"
    LAPSED = "lapsed"
    NOT_COLLECTED = "not_collected"
    TASK_ENDED = "task_ended"
    AGENT_GONE = "agent_gone"
    LOCK_ENDED = "lock_ended"
    REFUSED = "refused"


class LockWaits:
    """The tickets of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def queue(self, ticket: Ticket, position: int) -> None:
        """Keep a new place, and the event."""
        self._unit.add_record(TICKET, ticket)
        self._unit.record(
            EventKind.LOCK_QUEUED,
            ticket.id,
            project_id=ticket.project_id,
            agent_id=ticket.agent_id,
            paths=list(ticket.paths),
            mode=ticket.mode.value,
            position=position,
            task_id=ticket.task_id,
            reason=ticket.reason,
        )

    def save(self, ticket: Ticket) -> None:
        """Keep a place that was renewed or granted; the grant has its own event."""
        self._unit.save_record(TICKET, ticket)

    def end(self, ticket: Ticket, why: WaitEnd) -> None:
        """Take out a place, and say why."""
        self._unit.delete(_waits, {"organization_id": self._unit.organization_id, "id": ticket.id})
        self._unit.record(
            EventKind.LOCK_WAIT_ENDED,
            ticket.id,
            project_id=ticket.project_id,
            agent_id=ticket.agent_id,
            why=why.value,
            lock_id=ticket.lock_id,
        )

    def of_project(self, project_id: str) -> list[Ticket]:
        """Read all places of a project, in the order in which they came."""
        return self._unit.records(TICKET, _waits.c.project_id == project_id, order=[_waits.c.number])
