"""From domain records to rows and back: the fields of a record are the columns of its table.

Where a record holds another record, it is kept as JSON; the few such places are named here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Table

from conductor.domain import (
    agents,
    beads,
    checkpoints,
    lock_tickets,
    locks,
    messages,
    organizations,
    pauses,
    quotas,
    tasks,
)
from storage import tables

RecordT = TypeVar("RecordT")


class Record(Generic[RecordT]):
    """How one kind of record is kept.

    encode, decode: conversions of single fields between the record and the column.
    """

    def __init__(
        self,
        table: Table,
        kind: Callable[..., RecordT],
        fields: tuple[str, ...],
        encode: Mapping[str, Callable[[Any], Any]] | None = None,
        decode: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.table = table
        self.fields = fields
        self._kind = kind
        self._get = attrgetter(*fields)
        self._encode = dict(encode or {})
        self._decode = dict(decode or {})
        self.columns = [table.c[name] for name in fields]

    def to_row(self, record: RecordT, organization_id: str) -> dict[str, Any]:
        """Give the row of a record."""
        row: dict[str, Any] = dict(zip(self.fields, self._get(record), strict=True))
        for name, convert in self._encode.items():
            row[name] = convert(row[name])
        row["organization_id"] = organization_id
        return row

    def from_row(self, row: tuple[Any, ...]) -> RecordT:
        """Give the record of a row that was selected with `columns`."""
        values = dict(zip(self.fields, row, strict=True))
        for name, convert in self._decode.items():
            values[name] = convert(values[name])
        return self._kind(**values)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _evidence(value: Mapping[str, Any] | None) -> tasks.Evidence | None:
    if value is None:
        return None
    return tasks.Evidence(value["commit"], tuple(value["files"]), tuple(value["checks"]))


def _settings(value: Mapping[str, Any]) -> organizations.ProjectSettings:
    # What an earlier release wrote lacks later settings: they have their defaults.
    kept = organizations.ProjectSettings(**value)
    return dataclasses.replace(
        kept,
        auto_approve=organizations.AutoApprove(kept.auto_approve),
        auto_approve_listed=tuple(kept.auto_approve_listed),
    )


MEMBER: Record[organizations.Member] = Record(tables.members, organizations.Member, _names(organizations.Member))
PROJECT: Record[organizations.Project] = Record(
    tables.projects,
    organizations.Project,
    _names(organizations.Project),
    encode={"settings": dataclasses.asdict},
    decode={"settings": _settings},
)
TOKEN: Record[organizations.Token] = Record(tables.tokens, organizations.Token, _names(organizations.Token))
ONBOARDING: Record[organizations.Onboarding] = Record(
    tables.onboarding, organizations.Onboarding, _names(organizations.Onboarding)
)
AGENT: Record[agents.Agent] = Record(tables.agents, agents.Agent, _names(agents.Agent))
ACCESS_REQUEST: Record[agents.AccessRequest] = Record(
    tables.access_requests, agents.AccessRequest, _names(agents.AccessRequest)
)
TASK: Record[tasks.Task] = Record(
    tables.tasks,
    tasks.Task,
    _names(tasks.Task),
    encode={"evidence": lambda value: None if value is None else dataclasses.asdict(value)},
    decode={"evidence": _evidence},
)
ATTEMPT: Record[tasks.Attempt] = Record(tables.attempts, tasks.Attempt, _names(tasks.Attempt))
LEASE: Record[locks.Lease] = Record(tables.locks, locks.Lease, _names(locks.Lease))
TICKET: Record[lock_tickets.Ticket] = Record(
    tables.lock_waits,
    lock_tickets.Ticket,
    _names(lock_tickets.Ticket),
    encode={"passes": sorted, "yields": sorted},
    decode={"passes": frozenset, "yields": frozenset},
)
SESSION: Record[agents.Session] = Record(tables.sessions, agents.Session, _names(agents.Session))
PAUSE: Record[pauses.Pause] = Record(tables.pauses, pauses.Pause, _names(pauses.Pause))
MESSAGE: Record[messages.Message] = Record(tables.messages, messages.Message, _names(messages.Message))
DELIVERY: Record[messages.Delivery] = Record(tables.deliveries, messages.Delivery, _names(messages.Delivery))
CHECKPOINT: Record[checkpoints.Checkpoint] = Record(
    tables.checkpoints, checkpoints.Checkpoint, _names(checkpoints.Checkpoint)
)
OPEN_LINK: Record[beads.OpenLink] = Record(tables.bead_links, beads.OpenLink, _names(beads.OpenLink))
TEAM: Record[organizations.Team] = Record(tables.teams, organizations.Team, _names(organizations.Team))
QUOTA: Record[quotas.Quota] = Record(tables.quotas, quotas.Quota, _names(quotas.Quota))
