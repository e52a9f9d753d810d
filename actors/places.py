"""Where a call is carried out: its organisation, and the project it names, is bound to, or must mean.

Another tenant's id, another project than the token's, and an id that does not exist all answer alike.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from actors.visibility import CHANGING, Visibility
from conductor.domain import errors, ids
from conductor.domain.access import Caller, Role
from conductor.domain.errors import NextStep
from conductor.domain.organizations import Project
from conductor.operations.row import Operation, Request
from storage.store import Store
from storage.unit_of_work import UnitOfWork

_LISTED = {
    "task_id": ("task", NextStep("list_tasks", {}, "find the id")),
    "lock_id": ("lock", NextStep("list_locks", {}, "find the id")),
    "request_id": ("request", NextStep("list_access_requests", {}, "find the id")),
}
"""What an id names and how it is found, by the argument that carries it."""

KNOWN = 10_000
"""Ids of organisations and projects remembered as existing; a project is only ever deleted with its organisation."""


class Places:
    """Finds the place of each call; what exists is remembered, what does not is looked up each time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._visibility = Visibility(store)
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
            self._require_organization(named)
        return caller._replace(organization_id=named)

    def project_of(self, row: Operation[Any, Any], request: Request, caller: Caller) -> str | None:
        """Give the project a call is carried out in; None: in the organisation.

        Raises NotFound, or Invalid listing the projects when it must be named. Reads the store where it must.
        """
        if not row.takes_project:
            if row.of_organization and caller.project_id is not None:
                raise errors.Forbidden(
                    f"This token is bound to one project, and {row.name} concerns the whole organization: call with a "
                    "token that is not bound.",
                    facts={"operation": row.name, "project_id": caller.project_id},
                )
            return None
        hidden = self._visibility.hidden(caller)
        named: str | None = getattr(request, "project_id", None)
        if caller.project_id is not None:
            if named not in (None, caller.project_id) or caller.project_id in hidden:
                raise no_project(named or caller.project_id)
            return caller.project_id
        if named is not None:
            self._require_project(caller.organization_id, named)
            if named in hidden:
                raise no_project(named)
            return named
        located: str | None = getattr(request, row.locate, None) if row.locate is not None else None
        if located is not None:
            return self._located(row, located, caller, hidden)
        if caller.role in row.wide and not hidden:
            return None
        with self._store.reading(caller.organization_id) as tx:
            return only_project(tx, hidden).id

    def needs_store(self, row: Operation[Any, Any], request: Request, caller: Caller) -> bool:
        """Tell whether finding the place has to read the store, and so must leave the event loop."""
        if request.organization_id is not None and (request.organization_id, "") not in self._known:
            return True
        if not row.takes_project:
            return False
        if not self._visibility.is_known(caller):
            return True
        if caller.project_id is not None:
            return False
        named = getattr(request, "project_id", None)
        return named is None or (request.organization_id or caller.organization_id, named) not in self._known

    def changed(self, row: Operation[Any, Any], organization_id: str) -> None:
        """Take note that an operation was carried out, or may have been: somebody may see more or less from now on."""
        if row.name in CHANGING:
            self._visibility.forget(organization_id)

    def forget(self, organization_id: str) -> None:
        """Forget an organisation that was deleted."""
        self._visibility.forget(organization_id)
        # Others add to it meanwhile, so it is replaced, not walked through.
        self._known = {key for key in tuple(self._known) if key[0] != organization_id}

    def _require_organization(self, organization_id: str) -> None:
        found = None
        if ids.is_id(organization_id, ids.Kind.ORGANIZATION):
            with self._store.reading(organization_id) as tx:
                found = tx.organizations.get()
        if found is None:
            raise errors.NotFound(
                f"No organization {organization_id} here. See them with list_organizations.",
                facts={"organization_id": organization_id},
                next=[NextStep("list_organizations", {}, "find the id")],
            )
        self._remember(organization_id, "")

    def _require_project(self, organization_id: str, project_id: str) -> None:
        if (organization_id, project_id) in self._known:
            return
        with self._store.reading(organization_id) as tx:
            if not ids.is_id(project_id, ids.Kind.PROJECT) or tx.projects.get(project_id) is None:
                raise no_project(project_id)
        self._remember(organization_id, project_id)

    def _located(self, row: Operation[Any, Any], subject_id: str, caller: Caller, hidden: Collection[str]) -> str:
        with self._store.reading(caller.organization_id) as tx:
            found: Any = None
            match row.locate:
                case "task_id" if ids.is_id(subject_id, ids.Kind.TASK):
                    found = tx.tasks.get(subject_id)
                case "lock_id" if ids.is_id(subject_id, ids.Kind.LOCK):
                    found = tx.locks.get(subject_id)
                case "request_id" if ids.is_id(subject_id, ids.Kind.ACCESS_REQUEST):
                    found = tx.access_requests.get(subject_id)
        if found is None or found.project_id in hidden:
            what, step = _LISTED[str(row.locate)]
            raise errors.NotFound(
                f"No {what} {subject_id} here. Find the id with {step.tool}.",
                facts={str(row.locate): subject_id},
                next=[step],
            )
        return str(found.project_id)

    def _remember(self, organization_id: str, project_id: str) -> None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known.add((organization_id, project_id))


def only_project(tx: UnitOfWork, hidden: Collection[str] = ()) -> Project:
    """Give the organisation's only project that is not archived; hidden: projects that the caller does not see.

    Raises Invalid listing the projects when there is not exactly one: then it must be named.
    """
    page = tx.projects.page(without=hidden, with_archived=False, limit=20)
    if len(page.items) == 1:
        return page.items[0]
    listed = [{"project_id": project.id, "slug": project.slug} for project in page.items]
    told = ", ".join(f"{project.slug} ({project.id})" for project in page.items) or "there is none yet"
    more = ", and more" if page.next_cursor is not None else ""
    raise errors.Invalid(
        f"Say which project with project_id: {told}{more}.",
        facts={"argument": "project_id", "projects": listed},
        next=[NextStep("list_projects", {}, "see the projects")],
    )


def no_project(project_id: str) -> errors.NotFound:
    """Word that a project does not exist for the caller."""
    return errors.NotFound(
        f"No project {project_id} here. See the projects with list_projects.",
        facts={"project_id": project_id},
        next=[NextStep("list_projects", {}, "see the projects")],
    )
