"""Reads of organisations, projects, what a project tells its agents, and the log of events."""

from __future__ import annotations

from actors import views
from actors.places import no_project
from actors.reading.read import Read
from conductor.domain.access import Role
from conductor.operations import admin as admin_ops
from conductor.operations import audit as audit_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import projects as ops


def list_organizations(request: admin_ops.ListOrganizations, read: Read) -> admin_ops.OrganizationPage:
    """List the organisations the caller can see: all for the owner of the installation, else its own."""
    if read.caller.role is Role.ROOT:
        everything = read.store.widened(read.tx)
        page = everything.organizations(limit=request.limit, cursor=request.cursor).map(views.organization)
        return admin_ops.OrganizationPage(items=page.items, next_cursor=page.next_cursor)
    own = read.tx.organizations.get()
    return admin_ops.OrganizationPage(items=[views.organization(own)] if own is not None else [])


def get_project(request: ops.GetProject, read: Read) -> ops.Project:
    """Look at a project."""
    project = read.tx.projects.get(read.project_id)
    if project is None:
        raise no_project(read.project_id)
    return views.project(project, read.tx, read.caller)


def list_projects(request: ops.ListProjects, read: Read) -> ops.ProjectPage:
    """List the projects the caller can see: all of the organisation, or the one its token is bound to."""
    page = read.tx.projects.page(only=read.caller.project_id, limit=request.limit, cursor=request.cursor)
    shown = [views.project(project, read.tx, read.caller) for project in page.items]
    return ops.ProjectPage(items=shown, next_cursor=page.next_cursor)


def get_onboarding_config(request: onboarding_ops.GetOnboardingConfig, read: Read) -> onboarding_ops.OnboardingConfig:
    """Read what the project tells its agents."""
    return views.onboarding(read.tx.projects.onboarding(read.project_id))


def list_events(request: audit_ops.ListEvents, read: Read) -> audit_ops.EventPage:
    """Read what happened: in the project, or for people that name none in the whole organisation."""
    page = read.tx.events.page(
        project_id=read.project_id or None,
        since=request.since,
        kinds=request.kind,
        subject_id=request.subject_id,
        limit=request.limit,
        cursor=request.cursor,
    ).map(views.event)
    return audit_ops.EventPage(items=page.items, next_cursor=page.next_cursor)
