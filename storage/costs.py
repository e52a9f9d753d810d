"""The ledger of costs, what was spent in each window, and the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, func, select, type_coerce

from conductor.domain.events import EventKind
from conductor.domain.money import Usage, UsdNano
from conductor.domain.quotas import Level, Quota, Scope, Window, window_start
from storage import tables
from storage.records import QUOTA
from storage.unit import Unit

_costs = tables.costs
_spend = tables.spend
ALL_DAYS = -1
"""The row of spend that holds the total of all days."""

_EPOCH_DAY = date(1970, 1, 1)
_DAY_MICROS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One model call on the ledger. key: the event's own, unique in its source. tokens: for token budgets."""

    source: str
    key: str
    body_hash: str
    project_id: str | None
    agent_id: str | None
    task_id: str | None
    model: str
    provider: str | None
    usage: Usage
    tokens: int
    reported_nano: UsdNano | None
    computed_nano: UsdNano | None
    cost_nano: UsdNano | None
    price_ref: str | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class CostFilter:
    """Which costs are summed; None does not narrow. since <= occurred_at < until."""

    project_id: str | None = None
    agent_id: str | None = None
    task_id: str | None = None
    model: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CostSum:
    """Sums of a group; keys in the order that was asked for."""

    keys: tuple[Any, ...]
    cost_nano: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    events: int
    unpriced_events: int


def subject_of(scope: Scope, project_id: str | None, agent_id: str | None) -> str:
    """Name whose spending a row is: '' for the organisation."""
    if scope is Scope.AGENT:
        return f"{project_id}/{agent_id}"
    return project_id or "" if scope is Scope.PROJECT else ""


class Costs:
    """The costs of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def find(self, source: str, key: str) -> tuple[str, str] | None:
        """Read the body's hash and the reply of an event that was booked before."""
        rows = self._unit.rows(
            select(_costs.c.body_hash, _costs.c.reply).where(
                _costs.c.organization_id == self._unit.organization_id, _costs.c.source == source, _costs.c.key == key
            )
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def take_number(self) -> int:
        """Take the next number of the ledger."""
        return self._unit.next_numbers("costs", 1)

    def book(self, number: int, entry: Entry, reply: str) -> None:
        """Put an event on the ledger and on the sums it belongs to."""
        unit = self._unit
        usage = entry.usage
        unit.insert(
            _costs,
            {
                "organization_id": unit.organization_id,
                "number": number,
                "source": entry.source,
                "key": entry.key,
                "body_hash": entry.body_hash,
                "reply": reply,
                "project_id": entry.project_id,
                "agent_id": entry.agent_id,
                "task_id": entry.task_id,
                "model": entry.model,
                "provider": entry.provider,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "reported_nano": entry.reported_nano,
                "computed_nano": entry.computed_nano,
                "cost_nano": entry.cost_nano,
                "price_ref": entry.price_ref,
                "occurred_at": entry.occurred_at,
                "recorded_at": unit.now,
            },
        )
        # Budgets count a cost on the day it reached us: a report dated back must not slip under a limit.
        day = (unit.now.date() - _EPOCH_DAY).days
        for scope, subject in self._subjects(entry.project_id, entry.agent_id):
            for row_day in (day, ALL_DAYS):
                unit.merge(
                    "add",
                    _spend,
                    {
                        "organization_id": unit.organization_id,
                        "scope": scope,
                        "subject": subject,
                        "day": row_day,
                        "cost_nano": entry.cost_nano or 0,
                        "tokens": entry.tokens,
                        "events": 1,
                    },
                )
        unit.record(
            EventKind.COST_RECORDED,
            str(number),
            project_id=entry.project_id,
            agent_id=entry.agent_id,
            task_id=entry.task_id,
            model=entry.model,
            cost_nano=entry.cost_nano,
            source=entry.source,
        )

    def spent(self, scope: Scope, project_id: str | None, agent_id: str | None, window: Window) -> int:
        """Sum what was spent in the window that now lies in, in nano-dollars."""
        return self._sum(_spend.c.cost_nano, scope, subject_of(scope, project_id, agent_id), window)

    def spent_today(self, project_id: str) -> dict[str, int]:
        """Sum what each agent of a project spent since midnight UTC, in nano-dollars."""
        day = (self._unit.now.date() - _EPOCH_DAY).days
        prefix = f"{project_id}/"
        rows = self._unit.rows(
            select(_spend.c.subject, _spend.c.cost_nano).where(
                _spend.c.organization_id == self._unit.organization_id,
                _spend.c.scope == Scope.AGENT,
                _spend.c.day == day,
                _spend.c.subject.startswith(prefix, autoescape=True),
            )
        )
        return {row[0].removeprefix(prefix): row[1] for row in rows}

    def tokens_used(self, project_id: str, agent_id: str) -> int:
        """Count the tokens that an agent has used in its life."""
        return self._sum(_spend.c.tokens, Scope.AGENT, subject_of(Scope.AGENT, project_id, agent_id), Window.TOTAL)

    def sums(
        self, wanted: CostFilter = CostFilter(), group_by: Sequence[str] = (), *, limit: int | None = None
    ) -> list[CostSum]:
        """Sum costs by groups (day, project, agent, task, model, provider), the dearest first, at most `limit`."""
        keys = [self._group(name) for name in group_by]
        tokens = [
            _costs.c.input_tokens,
            _costs.c.output_tokens,
            _costs.c.cache_read_tokens,
            _costs.c.cache_write_tokens,
        ]
        sums = [
            func.coalesce(func.sum(_costs.c.cost_nano), 0),
            *[func.coalesce(func.sum(column), 0) for column in tokens],
            func.count(),
            func.count() - func.count(_costs.c.cost_nano),
        ]
        statement = select(*keys, *sums).where(
            _costs.c.organization_id == self._unit.organization_id, *self._narrowed(wanted)
        )
        if keys:
            statement = (
                statement.group_by(*keys).order_by(sums[0].desc(), *[key.nulls_first() for key in keys]).limit(limit)
            )
        found = []
        for row in self._unit.rows(statement):
            values = tuple(
                _EPOCH_DAY + timedelta(days=int(value)) if name == "day" else value
                for name, value in zip(group_by, row, strict=False)
            )
            found.append(CostSum(values, *(int(value) for value in row[len(keys) :])))
        return found

    def by_agent(self, project_id: str | None = None) -> dict[str, int]:
        """Sum what each agent has cost, in nano-dollars."""
        return {
            str(group.keys[0]): group.cost_nano for group in self.sums(CostFilter(project_id=project_id), ["agent"])
        }

    def _narrowed(self, wanted: CostFilter) -> list[ColumnElement[bool]]:
        where = [
            _costs.c[name] == value
            for name in ("project_id", "agent_id", "task_id", "model", "provider")
            if (value := getattr(wanted, name)) is not None
        ]
        if wanted.since is not None:
            where.append(_costs.c.occurred_at >= wanted.since)
        if wanted.until is not None:
            where.append(_costs.c.occurred_at < wanted.until)
        return where

    def _group(self, name: str) -> ColumnElement[Any]:
        if name == "day":
            micros = type_coerce(_costs.c.occurred_at, BigInteger)
            # Both databases divide integers to integers.
            return micros.op("/")(_DAY_MICROS)
        return _costs.c[name if name in {"model", "provider"} else f"{name}_id"]

    def _sum(self, column: Any, scope: Scope, subject: str, window: Window) -> int:
        where = [
            _spend.c.organization_id == self._unit.organization_id,
            _spend.c.scope == scope,
            _spend.c.subject == subject,
        ]
        if window is Window.TOTAL:
            where.append(_spend.c.day == ALL_DAYS)
        else:
            where.append(_spend.c.day >= (window_start(window, self._unit.now) - _EPOCH_DAY).days)
        rows = self._unit.rows(select(func.coalesce(func.sum(column), 0)).where(*where))
        return int(rows[0][0])

    @staticmethod
    def _subjects(project_id: str | None, agent_id: str | None) -> list[tuple[Scope, str]]:
        subjects = [(Scope.ORGANIZATION, "")]
        if project_id is not None:
            subjects.append((Scope.PROJECT, subject_of(Scope.PROJECT, project_id, None)))
            if agent_id is not None:
                subjects.append((Scope.AGENT, subject_of(Scope.AGENT, project_id, agent_id)))
        return subjects


class Quotas:
    """The limits of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def set(self, quota: Quota) -> Quota:
        """Set a limit; it replaces the one of the same scope, target and window."""
        unit = self._unit
        row = QUOTA.to_row(quota, unit.organization_id)
        subject = subject_of(quota.scope, quota.project_id, quota.agent_id)
        unit.merge("upsert", tables.quotas, {**row, "subject": subject})
        unit.record(
            EventKind.QUOTA_SET,
            subject or unit.organization_id,
            project_id=quota.project_id,
            scope=quota.scope.value,
            limit_nano=quota.limit_nano,
            window=quota.window.value,
            hard=quota.hard,
        )
        return quota

    def levels(self, costs: Costs, project_id: str | None = None, agent_id: str | None = None) -> list[Level]:
        """Read the limits that bound an agent in a project, or all of an organisation, with what is spent of them.

        Outermost first.
        """
        table = tables.quotas
        order = list(Scope)
        found = []
        for quota in self._unit.records(QUOTA, order=[table.c.scope, table.c.subject, table.c.window]):
            if project_id is not None and quota.project_id not in (None, project_id):
                continue
            if agent_id is not None and quota.agent_id not in (None, agent_id):
                continue
            found.append(Level(quota, costs.spent(quota.scope, quota.project_id, quota.agent_id, quota.window)))
        return sorted(found, key=lambda level: order.index(level.quota.scope))
