"""Who sees which project: people below admin do not see one with settings.team_only unless a team of theirs has it,
and an enrolment token of the whole organisation none of them: one that is bound to the project lets agents ask there.

What a person does not see answers everywhere like what does not exist. The daemon keeps what it read for a second at
most, and drops it when a change of teams, people or projects has been carried out.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from conductor.domain.access import Caller, Role
from storage.store import Store
from storage.unit_of_work import UnitOfWork

KEPT_S = 1.0
"""As long as a token's row is believed: a change whose answer was lost is effective within it, too."""

KEPT_MOST = 10_000
"""Organisations remembered at once."""

LIMITED = frozenset({Role.MEMBER, Role.VIEWER, Role.ENROLMENT})
"""Roles whose sight is bounded."""

CHANGING = frozenset(
    {
        "create_team",
        "update_team",
        "delete_team",
        "create_project",
        "update_project",
        "archive_project",
        "restore_project",
        "update_member",
        "remove_member",
        "delete_organization",
    }
)
"""Operations after which somebody may see more or less."""

Seers = Mapping[str, frozenset[str]]
"""The members who see it, by each project that only its teams see."""


@dataclass(frozen=True, slots=True)
class _Kept:
    seers: Seers
    until: float


class Visibility:
    """What is hidden from whom, by organisation. Used by many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}
        self._changes: dict[str, int] = {}
        self._lock = threading.Lock()

    def hidden(self, caller: Caller) -> frozenset[str]:
        """List the projects that the caller does not see. Reads the store unless `is_known`."""
        if caller.role not in LIMITED:
            return frozenset()
        kept = self._kept.get(caller.organization_id)
        if kept is None or kept.until <= self._store.clock.monotonic():
            kept = self._read(caller.organization_id)
        return _hidden(kept.seers, caller)

    def is_known(self, caller: Caller) -> bool:
        """Tell whether what is hidden from the caller is remembered."""
        if caller.role not in LIMITED:
            return True
        kept = self._kept.get(caller.organization_id)
        return kept is not None and kept.until > self._store.clock.monotonic()

    def forget(self, organization_id: str) -> None:
        """Read anew who sees what in an organisation: it may have changed just now."""
        with self._lock:
            self._kept.pop(organization_id, None)
            # Who reads just now may have read what was before: that must not be kept.
            if len(self._changes) >= KEPT_MOST:
                self._changes.clear()
                self._kept.clear()
            self._changes[organization_id] = self._changes.get(organization_id, 0) + 1

    def _read(self, organization_id: str) -> _Kept:
        began = self._store.clock.monotonic()
        changes = self._changes.get(organization_id)
        with self._store.reading(organization_id) as tx:
            read = _Kept(_seers(tx), began + KEPT_S)
        with self._lock:
            if self._changes.get(organization_id) == changes:
                if len(self._kept) >= KEPT_MOST:
                    self._kept.clear()
                self._kept[organization_id] = read
        return read


def hidden_in(tx: UnitOfWork, caller: Caller) -> frozenset[str]:
    """List the projects of a unit's organisation that the caller does not see."""
    return _hidden(_seers(tx), caller) if caller.role in LIMITED else frozenset()


def _seers(tx: UnitOfWork) -> Seers:
    bounded = tx.projects.team_only()
    if not bounded:
        return {}
    seers = tx.teams.seers()
    return {project_id: seers.get(project_id, frozenset()) for project_id in bounded}


def _hidden(seers: Seers, caller: Caller) -> frozenset[str]:
    return frozenset(
        project_id
        for project_id, who in seers.items()
        if caller.member_id not in who and (caller.role is not Role.ENROLMENT or caller.project_id != project_id)
    )
