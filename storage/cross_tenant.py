"""All work that crosses tenants, by name: nothing else may.

- find a token by its id, before anybody knows whose it is,
- list the organisations, for the owner of the installation, and tell which was the first,
- find the projects that have deadlines, when a host starts,
- measure all organisations, for metrics.

On PostgreSQL this is the only place that opens the policy's second door (`app.cross_tenant`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, not_, select, union

from conductor.domain.organizations import Organization, Token
from conductor.domain.tasks import CLOSED, HELD
from storage import pages, tables
from storage.organizations import organization_of
from storage.records import TOKEN


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token with the organisation it belongs to."""

    organization_id: str
    token: Token


@dataclass(frozen=True, slots=True)
class Measure:
    """How many rows of one state an organisation has, such as tasks by status."""

    organization_id: str
    organization: str
    what: str
    state: str
    count: int


class CrossTenant:
    """Reads across all tenants in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def token(self, token_id: str) -> FoundToken | None:
        """Find a token by its id."""
        table = tables.tokens
        statement = select(table.c.organization_id, *TOKEN.columns).where(table.c.id == token_id)
        row = self._connection.execute(statement).first()
        return None if row is None else FoundToken(row[0], TOKEN.from_row(tuple(row[1:])))

    def organizations(self, *, limit: int = 20, cursor: str | None = None) -> pages.Page[Organization]:
        """List the organisations by slug."""
        table = tables.organizations
        where = pages.beyond([table.c.slug], cursor, (str,), newest_first=False)
        rows = self._connection.execute(
            select(table.c.organization_id, table.c.name, table.c.slug, table.c.plan, table.c.created_at)
            .where(*where)
            .order_by(table.c.slug)
            .limit(limit + 1)
        ).all()
        return pages.cut(
            [organization_of(tuple(row)) for row in rows], limit, lambda organization: (organization.slug,)
        )

    def has_organizations(self) -> bool:
        """Tell whether the installation has been set up."""
        return self._connection.execute(select(tables.organizations.c.organization_id).limit(1)).first() is not None

    def first_organization(self) -> str | None:
        """Give the id of the installation's own organisation: the first that was made."""
        table = tables.organizations
        order = (table.c.created_at, table.c.organization_id)
        return self._connection.execute(select(table.c.organization_id).order_by(*order).limit(1)).scalar()

    def projects_with_deadlines(self) -> list[tuple[str, str]]:
        """List organisation and project of everything that time can end: live locks, waits, held tasks."""
        locks, waits, tasks = tables.locks, tables.lock_waits, tables.tasks
        open_tasks = not_(tasks.c.status.in_(sorted(CLOSED)))
        rows = self._connection.execute(
            union(
                select(locks.c.organization_id, locks.c.project_id),
                select(waits.c.organization_id, waits.c.project_id),
                select(tasks.c.organization_id, tasks.c.project_id).where(open_tasks, tasks.c.status.in_(sorted(HELD))),
            )
        ).all()
        return sorted((row[0], row[1]) for row in rows)

    def measures(self) -> list[Measure]:
        """Count what is live in each organisation: agents by status, open tasks by status, locks."""
        found = [self._grouped("agents", tables.agents, tables.agents.c.status)]
        open_tasks = not_(tables.tasks.c.status.in_(sorted(CLOSED)))
        found.append(self._grouped("tasks", tables.tasks, tables.tasks.c.status, open_tasks))
        found.append(self._grouped("locks", tables.locks, tables.locks.c.mode))
        return [measure for group in found for measure in group]

    def _grouped(self, what: str, table: Any, state: Any, *where: Any) -> list[Measure]:
        organizations = tables.organizations
        rows = self._connection.execute(
            select(organizations.c.organization_id, organizations.c.slug, state, func.count())
            .select_from(table.join(organizations, organizations.c.organization_id == table.c.organization_id))
            .where(*where)
            .group_by(organizations.c.organization_id, organizations.c.slug, state)
        ).all()
        return [Measure(row[0], row[1], what, row[2].value, row[3]) for row in rows]
