"""What completions are judged by: reported checks, and who was granted what since an attempt began."""

from __future__ import annotations

from sqlalchemy import func, select

from conductor.domain.events import EventKind
from conductor.domain.evidence import Check, Granted
from conductor.domain.locks import Mode
from storage import tables
from storage.unit import Unit

_checks = tables.checks
_events = tables.events

MOST_GRANTS = 1_000
"""Grants of a project that one completion is judged by, the newest: an attempt of hours in a busy project has fewer."""


class Checks:
    """The reported checks of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def report(self, project_id: str, commit: str, check: Check) -> None:
        """Keep a check's result on a commit, in the place of an earlier one, and the event."""
        unit = self._unit
        unit.merge(
            "upsert",
            _checks,
            {
                "organization_id": unit.organization_id,
                "project_id": project_id,
                "commit_id": commit,
                "name": check.name,
                "passed": check.passed,
                "details": check.details,
                "reported_by": check.reported_by,
                "at": check.at,
            },
        )
        unit.record(
            EventKind.CHECK_REPORTED, commit, project_id=project_id, commit=commit, name=check.name, passed=check.passed
        )

    def of_commit(self, project_id: str, commit: str) -> dict[str, Check]:
        """Read the checks that were reported on a commit, by name."""
        unit = self._unit
        rows = unit.rows(
            select(_checks.c.name, _checks.c.passed, _checks.c.details, _checks.c.reported_by, _checks.c.at).where(
                _checks.c.organization_id == unit.organization_id,
                _checks.c.project_id == project_id,
                _checks.c.commit_id == commit,
            )
        )
        return {row[0]: Check(*row) for row in rows}

    def grants_since_claim(self, project_id: str, task_id: str) -> list[Granted]:
        """Read who was granted which leases in a project since a task was last claimed, in order."""
        unit = self._unit
        mine = _events.c.organization_id == unit.organization_id
        claimed = unit.rows(
            select(func.max(_events.c.number)).where(
                mine, _events.c.subject_id == task_id, _events.c.kind == EventKind.TASK_CLAIMED
            )
        )[0][0]
        if claimed is None:
            return []
        # The claim's own lease is granted right before the claim, by the same command.
        rows = unit.rows(
            select(_events.c.facts, _events.c.at)
            .where(
                mine,
                _events.c.project_id == project_id,
                _events.c.number >= claimed - 1,
                _events.c.kind == EventKind.LOCK_GRANTED,
            )
            .order_by(_events.c.number.desc())
            .limit(MOST_GRANTS)
        )
        return [
            Granted(facts["agent_id"], tuple(facts["paths"]), facts["mode"] == Mode.EXCLUSIVE, at)
            for facts, at in reversed(rows)
        ]
