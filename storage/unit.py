"""What one command, or a whole batch of them, reads and writes for one organisation.

Writes are kept back as a map from key to row and go out together before the next read or the commit: a batch of 64
commands costs a handful of statements, and a row that a batch changes five times is written once. A read through
the unit sees what was written in it. Must never read or write another organisation's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from conductor.domain import errors, ids
from conductor.domain.errors import Fact
from conductor.domain.events import Event, EventKind
from conductor.domain.organizations import Organization
from storage import tables
from storage.records import Record
from storage.statements import Statements, Verb

RecordT = TypeVar("RecordT")
Values = dict[str, Any]

_PARENTS_FIRST = tuple(tables.metadata.sorted_tables)
"""Sorting takes longer than sending: once is enough."""

_KEYS = {table.name: tuple(column.name for column in table.primary_key) for table in _PARENTS_FIRST}


class Unit:
    """One organisation's part of a transaction.

    now, actor: of the command at hand, set by whoever runs it; they go into events and rows.
    Raises Unavailable on a write when the unit is only for reading.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        organization_id: str,
        *,
        now: datetime,
        actor: str,
        entropy: ids.Entropy,
        read_only: bool = False,
    ) -> None:
        self.organization_id = organization_id
        self.now = now
        self.actor = actor
        self.entropy = entropy
        self._connection = connection
        self._statements = statements
        self._read_only = read_only
        self._fresh: dict[str, dict[Any, Values]] = {}
        self._changed: dict[str, dict[Any, Values]] = {}
        self._merged: dict[tuple[Verb, str], dict[Any, Values]] = {}
        self._gone: dict[str, dict[Any, Values]] = {}
        self._events: list[Event] = []
        self._writes = 0

    @property
    def connection(self) -> Connection:
        """The transaction that this unit is a part of."""
        return self._connection

    @property
    def writes(self) -> int:
        """How many changes were asked of the unit so far: a refused command must leave it as it was."""
        return self._writes

    def make_id(self, kind: ids.Kind) -> str:
        """Make an id for something new."""
        return ids.make(kind, self.entropy)

    def record(
        self,
        kind: EventKind,
        subject_id: str | None = None,
        *,
        project_id: str | None = None,
        **facts: Fact,
    ) -> None:
        """Write an event of the command at hand; facts that are None are left out."""
        self._change()
        kept = {name: value for name, value in facts.items() if value is not None}
        self._events.append(Event(kind, self.now, self.actor, project_id, subject_id, kept))

    def insert(self, table: Table, row: Values) -> None:
        """Add a row that must be new."""
        self._change()
        self._fresh.setdefault(table.name, {})[self._key(table, row)] = row

    def update(self, table: Table, row: Values) -> None:
        """Replace a whole row by its key."""
        self._change()
        key = self._key(table, row)
        fresh = self._fresh.get(table.name)
        if fresh is not None and key in fresh:
            fresh[key] = row
        else:
            self._changed.setdefault(table.name, {})[key] = row

    def merge(self, verb: Verb, table: Table, row: Values) -> None:
        """Add or replace (upsert), or add to (add), the row of the same key."""
        self._change()
        rows = self._merged.setdefault((verb, table.name), {})
        key = self._key(table, row)
        before = rows.get(key)
        if verb == "add" and before is not None:
            names = [column.name for column in table.c if not column.primary_key]
            row = {**row, **{name: before[name] + row[name] for name in names}}
        rows[key] = row

    def delete(self, table: Table, row: Mapping[str, Any]) -> None:
        """Take out the row of a key; a row that was never written simply is not."""
        self._change()
        key = self._key(table, row)
        if self._fresh.get(table.name, {}).pop(key, None) is not None:
            return
        self._changed.get(table.name, {}).pop(key, None)
        self._gone.setdefault(table.name, {})[key] = {f"key_{name}": row[name] for name in _KEYS[table.name]}

    def add_record(self, record: Record[RecordT], value: RecordT) -> None:
        """Add a new record."""
        self.insert(record.table, record.to_row(value, self.organization_id))

    def save_record(self, record: Record[RecordT], value: RecordT) -> None:
        """Replace a record."""
        self.update(record.table, record.to_row(value, self.organization_id))

    def execute(self, statement: Any) -> Any:
        """Run a statement after what is kept back; it must name the organisation."""
        self.flush()
        return self._connection.execute(statement)

    def execute_many(self, statement: Any, rows: list[Values]) -> None:
        """Run a statement that changes rows, once for each set of values; it must name the organisation."""
        self._change()
        self.flush()
        self._connection.execute(statement, rows)

    def found_organization(self, organization: Organization) -> bool:
        """Write the organisation's own row; False: its slug is taken, maybe by one that this unit cannot see."""
        self._change()
        maker: Any = postgresql.insert if self._statements.dialect.name == "postgresql" else sqlite.insert
        table = tables.organizations
        statement = maker(table).values(
            organization_id=organization.id,
            name=organization.name,
            slug=organization.slug,
            plan=organization.plan,
            created_at=organization.created_at,
        )
        answer = self._connection.execute(
            statement.on_conflict_do_nothing(index_elements=[table.c.slug]).returning(table.c.organization_id)
        )
        is_new = answer.first() is not None
        if not is_new:
            # Nothing was written: whoever refuses now has kept the promise that a refusal writes nothing.
            self._writes -= 1
        return is_new

    def rows(self, statement: Any) -> Sequence[tuple[Any, ...]]:
        """Read rows with a statement that names the organisation."""
        found: Sequence[tuple[Any, ...]] = self.execute(statement).all()
        return found

    def records(
        self, record: Record[RecordT], *where: Any, order: Sequence[Any] = (), limit: int | None = None
    ) -> list[RecordT]:
        """Read records of this organisation."""
        statement = select(*record.columns).where(record.table.c.organization_id == self.organization_id, *where)
        found = self.rows(statement.order_by(*order).limit(limit))
        return [record.from_row(row) for row in found]

    def one(self, record: Record[RecordT], *where: Any) -> RecordT | None:
        """Read a record of this organisation; None when there is none."""
        found = self.records(record, *where, limit=1)
        return found[0] if found else None

    def next_numbers(self, ledger: str, count: int) -> int:
        """Take numbers of a ledger; returns the last of them. The counter's row stays locked until the commit."""
        self._change()
        return self._take_numbers(ledger, count)

    def flush(self) -> int | None:
        """Send out what is kept back, parents first; returns the number of the last event, if any was sent."""
        if self._fresh or self._changed or self._merged or self._gone:
            self._send_rows()
        if not self._events:
            return None
        sent, self._events = self._events, []
        # Each event was counted as a change when it was recorded: to send it out must not look like another one, or a
        # command that reads and then refuses would seem to have written.
        last = self._take_numbers("events", len(sent))
        self._run(
            "insert",
            tables.events,
            [
                {
                    "organization_id": self.organization_id,
                    "number": number,
                    "at": event.at,
                    "kind": event.kind,
                    "actor": event.actor,
                    "project_id": event.project_id,
                    "subject_id": event.subject_id,
                    "facts": event.facts,
                }
                for number, event in enumerate(sent, start=last - len(sent) + 1)
            ],
        )
        return last

    def _take_numbers(self, ledger: str, count: int) -> int:
        counters = tables.counters
        # On the way of every batch: as text it takes a fifth of the time that building the statement does.
        mark = "?" if self._statements.dialect.name == "sqlite" else "%s"
        taken = self._connection.exec_driver_sql(
            f"UPDATE counters SET last = last + {mark} WHERE organization_id = {mark} AND name = {mark} RETURNING last",  # noqa: S608  # marks only
            (count, self.organization_id, ledger),
        ).scalar()
        if taken is not None:
            return int(taken)
        # The first number of the ledger: two may be first at once, so the row is added to, not just inserted.
        self._statements.get("add", counters).run(
            self._connection, [{"organization_id": self.organization_id, "name": ledger, "last": count}]
        )
        last = self._connection.execute(
            select(counters.c.last).where(counters.c.organization_id == self.organization_id, counters.c.name == ledger)
        ).scalar_one()
        return int(last)

    def _send_rows(self) -> None:
        fresh, self._fresh = self._fresh, {}
        changed, self._changed = self._changed, {}
        merged, self._merged = self._merged, {}
        gone, self._gone = self._gone, {}
        for table in _PARENTS_FIRST:
            name = table.name
            if rows := fresh.get(name):
                self._run("insert", table, list(rows.values()))
            if rows := changed.get(name):
                self._run("update", table, [_with_key(table, row) for row in rows.values()])
            for verb in ("upsert", "add"):
                if rows := merged.get((verb, name)):
                    self._run(verb, table, list(rows.values()))
        for table in reversed(_PARENTS_FIRST):
            if rows := gone.get(table.name):
                self._run("delete", table, list(rows.values()))

    def _run(self, verb: Verb, table: Table, rows: list[Values]) -> None:
        self._statements.get(verb, table).run(self._connection, rows)

    def _change(self) -> None:
        if self._read_only:
            raise errors.Unavailable(
                "This store is open for reading only: a daemon holds it, and every write goes through the daemon. "
                "Call the daemon (conductor status shows where it answers), or stop it first.",
            )
        self._writes += 1

    @staticmethod
    def _key(table: Table, row: Mapping[str, Any]) -> Any:
        return tuple([row[name] for name in _KEYS[table.name]])


def _with_key(table: Table, row: Values) -> Values:
    return {**row, **{f"key_{name}": row[name] for name in _KEYS[table.name]}}
