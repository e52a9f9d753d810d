"""Live leases and fences as they are kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, func, select, type_coerce

from conductor.domain import globs
from conductor.domain.events import EventKind
from conductor.domain.locks import Grant, Lease, LeaseEnd
from storage import pages, tables
from storage.columns import to_micros
from storage.records import LEASE
from storage.touching import Touching, place_of
from storage.unit import Unit

_locks = tables.locks
_ACQUIRED = type_coerce(_locks.c.acquired_at, BigInteger)


class Locks:
    """The live leases of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.touching = Touching(unit)

    def grant(self, lease: Lease, kind: Grant) -> None:
        """Keep a granted lease, its fences where the token is new, and the event."""
        unit = self._unit
        if kind is Grant.NEW:
            unit.add_record(LEASE, lease)
        else:
            unit.save_record(LEASE, lease)
        if kind is not Grant.RENEWED:
            for path in lease.paths:
                unit.merge(
                    "upsert",
                    tables.fences,
                    {
                        "organization_id": unit.organization_id,
                        "project_id": lease.project_id,
                        "path": path,
                        "agent_id": lease.agent_id,
                        "token": lease.token,
                        "place": place_of(path),
                    },
                )
            self.touching.keep(lease, is_new=kind is Grant.NEW)
        unit.record(
            EventKind.LOCK_RENEWED if kind is Grant.RENEWED else EventKind.LOCK_GRANTED,
            lease.id,
            project_id=lease.project_id,
            agent_id=lease.agent_id,
            paths=list(lease.paths),
            mode=lease.mode.value,
            token=lease.token,
            expires_at=lease.expires_at.isoformat(),
            task_id=lease.task_id,
            reason=lease.reason,
        )

    def renew(self, lease: Lease) -> None:
        """Keep a lease's later end after a sign of life; writes no event."""
        self._unit.save_record(LEASE, lease)

    def narrow(self, lease: Lease, released: list[str]) -> None:
        """Keep a lease that lost some of its paths."""
        self._unit.save_record(LEASE, lease)
        self.touching.forget(lease, released)
        self._unit.record(
            EventKind.LOCK_RELEASED,
            lease.id,
            project_id=lease.project_id,
            agent_id=lease.agent_id,
            paths=released,
            kept=list(lease.paths),
        )

    def end(self, lease: Lease, why: LeaseEnd) -> None:
        """Take out a lease that has ended, and say why."""
        self._unit.delete(_locks, {"organization_id": self._unit.organization_id, "id": lease.id})
        self.touching.forget(lease, lease.paths)
        self._unit.record(
            EventKind.LOCK_EXPIRED if why is LeaseEnd.EXPIRED else EventKind.LOCK_RELEASED,
            lease.id,
            project_id=lease.project_id,
            agent_id=lease.agent_id,
            paths=list(lease.paths),
            token=lease.token,
            why=why.value,
            task_id=lease.task_id,
        )

    def get(self, lock_id: str) -> Lease | None:
        """Read a live lease, whatever its project."""
        return self._unit.one(LEASE, _locks.c.id == lock_id)

    def of_project(self, project_id: str) -> list[Lease]:
        """Read all leases of a project that have not been ended."""
        return self._unit.records(LEASE, _locks.c.project_id == project_id, order=[_locks.c.id])

    def of_agent(self, project_id: str, agent_id: str) -> list[Lease]:
        """Read the live leases of an agent."""
        return self._unit.records(
            LEASE,
            _locks.c.project_id == project_id,
            _locks.c.agent_id == agent_id,
            _locks.c.expires_at > self._unit.now,
            order=[_locks.c.acquired_at, _locks.c.id],
        )

    def count(self, project_id: str) -> int:
        """Count the live leases of a project."""
        rows = self._unit.rows(
            select(func.count()).where(
                _locks.c.organization_id == self._unit.organization_id,
                _locks.c.project_id == project_id,
                _locks.c.expires_at > self._unit.now,
            )
        )
        return int(rows[0][0])

    def page(
        self,
        project_id: str,
        *,
        agent_id: str | None = None,
        path: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> pages.Page[Lease]:
        """List live leases, the oldest first; path: only those that could meet this canonical pattern."""
        where = [
            _locks.c.project_id == project_id,
            _locks.c.expires_at > self._unit.now,
            *pages.beyond([_ACQUIRED, _locks.c.id], cursor, (int, str), newest_first=False),
        ]
        if agent_id is not None:
            where.append(_locks.c.agent_id == agent_id)
        order = [_locks.c.acquired_at, _locks.c.id]
        found = self._unit.records(LEASE, *where, order=order, limit=None if path else limit + 1)
        if path:
            wanted = globs.parse(path)
            found = [
                lease for lease in found if any(globs.overlapping(globs.parse(held), wanted) for held in lease.paths)
            ]
        return pages.cut(found, limit, lambda lease: (to_micros(lease.acquired_at), lease.id))

    def highest_token(self, project_id: str) -> int:
        """Read the highest fencing token that a project has granted; 0: none."""
        table = tables.fences
        rows = self._unit.rows(
            select(func.max(table.c.token)).where(
                table.c.organization_id == self._unit.organization_id, table.c.project_id == project_id
            )
        )
        return int(rows[0][0] or 0)
