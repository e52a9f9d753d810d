"""Messages and their deliveries as they are kept.

Deliveries are numbered from one counter of the organisation, and a message by its first: their order is the order in
which they were sent, also within a commit, which has one time. Two small indexes hold what was not delivered and what
was not acknowledged; nothing that is asked often looks at what is done with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select

from conductor.domain.events import EventKind
from conductor.domain.messages import Delivery, Message
from storage import pages, searching, tables
from storage.records import DELIVERY, MESSAGE
from storage.unit import Unit

_messages = tables.messages
_deliveries = tables.deliveries

Delivered = tuple[Delivery, Message]


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What a list is narrowed to. seen_by: the agent that asks; it finds what it sent or got. of_agent: likewise."""

    seen_by: str | None = None
    thread_id: str | None = None
    of_agent: str | None = None
    text: str | None = None
    unacknowledged: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a message has come: to how many it went, how many were given it, how many have acknowledged it."""

    recipients: int = 0
    delivered: int = 0
    acknowledged: int = 0


class Messages:
    """The messages of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def send(self, message: Message, recipients: Sequence[str]) -> None:
        """Keep a new message with its deliveries, and the event."""
        unit = self._unit
        first = unit.next_numbers("deliveries", len(recipients)) - len(recipients) + 1
        unit.add_record(MESSAGE, replace(message, number=first))
        for number, agent_id in enumerate(recipients, start=first):
            unit.add_record(DELIVERY, Delivery(message.project_id, agent_id, number, message.id))
        unit.record(
            EventKind.MESSAGE_SENT,
            message.id,
            project_id=message.project_id,
            to=message.audience,
            thread_id=message.thread_id,
            recipients=len(recipients),
            urgent=message.is_urgent,
        )

    def get(self, message_id: str) -> Message | None:
        """Read a message, whatever its project."""
        return self._unit.one(MESSAGE, _messages.c.id == message_id)

    def was_sent_to(self, message: Message, agent_id: str) -> bool:
        """Tell whether an agent is among a message's recipients."""
        return bool(self._deliveries(message.project_id, agent_id, _deliveries.c.message_id == message.id, limit=1))

    def undelivered(self, project_id: str, agent_id: str, most: int) -> list[Delivered]:
        """Read what an agent was not given yet, in order."""
        return self._deliveries(project_id, agent_id, _deliveries.c.delivered_at.is_(None), limit=most)

    def unacknowledged(self, project_id: str, agent_id: str, most: int) -> list[Delivered]:
        """Read what an agent was given and has not acknowledged, in order."""
        given = (_deliveries.c.acknowledged_at.is_(None), _deliveries.c.delivered_at.is_not(None))
        return self._deliveries(project_id, agent_id, *given, limit=most)

    def given(self, project_id: str, agent_id: str, message_ids: Collection[str]) -> list[Delivery]:
        """Read the deliveries of those of the named messages that an agent was given."""
        wanted = sorted(set(message_ids))
        if not wanted:
            return []
        found = self._deliveries(
            project_id, agent_id, _deliveries.c.message_id.in_(wanted), _deliveries.c.delivered_at.is_not(None)
        )
        return [delivery for delivery, _ in found]

    def deliver(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Keep that messages were given to their agent, and the event."""
        for delivery in deliveries:
            self._unit.save_record(DELIVERY, replace(delivery, delivered_at=now))
        self._record(EventKind.MESSAGE_DELIVERED, deliveries)

    def acknowledge(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Keep that an agent has acknowledged messages, and the event."""
        for delivery in deliveries:
            self._unit.save_record(DELIVERY, replace(delivery, acknowledged_at=now))
        self._record(EventKind.MESSAGE_ACKNOWLEDGED, deliveries)

    def unread(self, project_id: str) -> dict[str, int]:
        """Count what was not delivered yet, by agent; agents without any are left out."""
        rows = self._unit.rows(
            select(_deliveries.c.agent_id, func.count())
            .where(
                _deliveries.c.organization_id == self._unit.organization_id,
                _deliveries.c.project_id == project_id,
                _deliveries.c.delivered_at.is_(None),
            )
            .group_by(_deliveries.c.agent_id)
        )
        return {row[0]: row[1] for row in rows}

    def page(
        self, project_id: str, wanted: MessageFilter, *, limit: int = 20, cursor: str | None = None
    ) -> pages.Page[Message]:
        """List messages, the newest first."""
        where = [
            _messages.c.project_id == project_id,
            *self._narrowed(wanted),
            *pages.beyond([_messages.c.number], cursor, (int,), newest_first=True),
        ]
        found = self._unit.records(MESSAGE, *where, order=[_messages.c.number.desc()], limit=limit + 1)
        return pages.cut(found, limit, lambda message: (message.number,))

    def reach(self, message_ids: Collection[str]) -> Mapping[str, Reach]:
        """Tell how far messages have come."""
        wanted = sorted(set(message_ids))
        if not wanted:
            return {}
        rows = self._unit.rows(
            select(
                _deliveries.c.message_id,
                func.count(),
                func.count(_deliveries.c.delivered_at),
                func.count(_deliveries.c.acknowledged_at),
            )
            .where(_deliveries.c.organization_id == self._unit.organization_id, _deliveries.c.message_id.in_(wanted))
            .group_by(_deliveries.c.message_id)
        )
        return {row[0]: Reach(row[1], row[2], row[3]) for row in rows}

    def _deliveries(self, project_id: str, agent_id: str, *where: Any, limit: int | None = None) -> list[Delivered]:
        joined = _deliveries.join(
            _messages,
            (_messages.c.organization_id == _deliveries.c.organization_id)
            & (_messages.c.id == _deliveries.c.message_id),
        )
        rows = self._unit.rows(
            select(*DELIVERY.columns, *MESSAGE.columns)
            .select_from(joined)
            .where(
                _deliveries.c.organization_id == self._unit.organization_id,
                _deliveries.c.project_id == project_id,
                _deliveries.c.agent_id == agent_id,
                *where,
            )
            .order_by(_deliveries.c.number)
            .limit(limit)
        )
        parted = len(DELIVERY.columns)
        return [(DELIVERY.from_row(tuple(row[:parted])), MESSAGE.from_row(tuple(row[parted:]))) for row in rows]

    def _narrowed(self, wanted: MessageFilter) -> list[Any]:
        where: list[Any] = []
        if wanted.thread_id is not None:
            where.append(_messages.c.thread_id == wanted.thread_id)
        if wanted.since is not None:
            where.append(_messages.c.sent_at >= wanted.since)
        where += [
            or_(_messages.c.sender_agent == name, self._has_delivery(_deliveries.c.agent_id == name))
            for name in dict.fromkeys((wanted.seen_by, wanted.of_agent))
            if name is not None
        ]
        if wanted.unacknowledged:
            waits: list[Any] = [_deliveries.c.acknowledged_at.is_(None)]
            if wanted.of_agent is not None:
                waits.append(_deliveries.c.agent_id == wanted.of_agent)
            where.append(self._has_delivery(*waits))
        if wanted.text is not None:
            subject = searching.contains(func.coalesce(_messages.c.subject, ""), wanted.text)
            where.append(or_(searching.contains(_messages.c.text, wanted.text), subject))
        return where

    def _has_delivery(self, *where: Any) -> ColumnElement[bool]:
        return exists().where(
            _deliveries.c.organization_id == _messages.c.organization_id,
            _deliveries.c.message_id == _messages.c.id,
            *where,
        )

    def _record(self, kind: EventKind, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        first = deliveries[0]
        self._unit.record(
            kind,
            first.message_id if len(deliveries) == 1 else None,
            project_id=first.project_id,
            agent_id=first.agent_id,
            messages=[delivery.message_id for delivery in deliveries],
        )
