"""Where a call is carried out: its organisation, and the project it names, is bound to, or must mean.

Another tenant's id, another project than the token's, and an id that does not exist all answer alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.quota_keeper import no_project
from conductor.domain import errors, ids
from conductor.domain.access import Caller, Role
from conductor.domain.errors import NextStep
from conductor.operations.row import Operation, Request
from storage.store import Store

KNOWN = 10_000
"""Ids of organisations and projects remembered as existing; they are never deleted while the daemon runs."""


class Places:
    """Finds the place of each call; what exists is remembered, what does not is looked up each time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[tuple[str, str]] = set()

    def caller_in(self, request: Request, caller: Caller) -> Caller:
        """Give the caller as it acts: in its own organisation, or for the owner of the installation in the named one.

        Raises Invalid, NotFound. Reads the store when an organisation is named for the first time.
        """
        named = request.organization_id
        if named is None:
            return caller
        if caller.role is not Role.ROOT:
            raise errors.Invalid(
                "organization_id is not an argument of yours: you act in your own organization. Leave it out.",
                facts={"argument": "organization_id"},
            )
        if (named, "") not in self._known:
            with self._store.reading(named) as tx:
                if not ids.is_id(named, ids.Kind.ORGANIZATION) or tx.organizations.get() is None:
                    raise errors.NotFound(
                        f"No organization {named!r}. See them with list_organizations.",
                        facts={"organization_id": named},
                        next=[NextStep("list_organizations", {}, "find the id")],
                    )
            self._remember(named, "")
        return replace(caller, organization_id=named)

    def project_of(self, row: Operation[Any, Any], request: Request, caller: Caller) -> str | None:
        """Give the project a call is carried out in; None: in the organisation.

        Raises NotFound, or Invalid listing the projects when it must be named. Reads the store where it must.
        """
        if not row.takes_project:
            return None
        named: str | None = getattr(request, "project_id", None)
        if caller.project_id is not None:
            if named not in (None, caller.project_id):
                raise no_project(named or "")
            return caller.project_id
        if named is not None:
            self._require_project(caller.organization_id, named)
            return named
        located: str | None = getattr(request, row.locate, None) if row.locate is not None else None
        if located is not None:
            return self._located(row, located, caller)
        if caller.role in row.wide:
            return None
        return self._only_project(caller)

    def needs_store(self, row: Operation[Any, Any], request: Request, caller: Caller) -> bool:
        """Tell whether finding the place has to read the store, and so must leave the event loop."""
        if request.organization_id is not None and (request.organization_id, "") not in self._known:
            return True
        if not row.takes_project or caller.project_id is not None:
            return False
        named = getattr(request, "project_id", None)
        return named is None or (request.organization_id or caller.organization_id, named) not in self._known

    def _require_project(self, organization_id: str, project_id: str) -> None:
        if (organization_id, project_id) in self._known:
            return
        with self._store.reading(organization_id) as tx:
            if not ids.is_id(project_id, ids.Kind.PROJECT) or tx.projects.get(project_id) is None:
                raise no_project(project_id)
        self._remember(organization_id, project_id)

    def _located(self, row: Operation[Any, Any], subject_id: str, caller: Caller) -> str:
        with self._store.reading(caller.organization_id) as tx:
            found: Any = None
            match row.locate:
                case "task_id":
                    found = tx.tasks.get(subject_id)
                case "lock_id" if ids.is_id(subject_id, ids.Kind.LOCK):
                    found = tx.locks.get(subject_id)
                case "request_id" if ids.is_id(subject_id, ids.Kind.ACCESS_REQUEST):
                    found = tx.access_requests.get(subject_id)
        if found is None:
            raise errors.NotFound(f"No {subject_id!r} here.", facts={str(row.locate): subject_id})
        return str(found.project_id)

    def _only_project(self, caller: Caller) -> str:
        with self._store.reading(caller.organization_id) as tx:
            page = tx.projects.page(limit=20)
        if len(page.items) == 1:
            return page.items[0].id
        listed = [{"project_id": project.id, "slug": project.slug} for project in page.items]
        told = ", ".join(f"{project.slug} ({project.id})" for project in page.items) or "there is none yet"
        raise errors.Invalid(
            f"Say which project with project_id: {told}.",
            facts={"argument": "project_id", "projects": listed},
            next=[NextStep("list_projects", {}, "see the projects")],
        )

    def _remember(self, organization_id: str, project_id: str) -> None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known.add((organization_id, project_id))
