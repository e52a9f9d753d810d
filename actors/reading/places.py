"""Reads of organisations, projects, what a project tells its agents, and the log of events."""

from __future__ import annotations

from actors import onboarding, views, visibility
from actors.places import no_project
from actors.reading.read import Read
from conductor.domain.access import Role
from conductor.operations import admin as admin_ops
from conductor.operations import audit as audit_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import projects as ops
from conductor.operations import teams as team_ops


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
    page = read.tx.projects.page(
        only=read.caller.project_id,
        without=visibility.hidden_in(read.tx, read.caller),
        with_archived=request.archived,
        limit=request.limit,
        cursor=request.cursor,
    )
    shown = [views.project(project, read.tx, read.caller) for project in page.items]
    return ops.ProjectPage(items=shown, next_cursor=page.next_cursor)


def list_teams(request: team_ops.ListTeams, read: Read) -> team_ops.TeamPage:
    """List the teams of the organisation; of what they were given only what the caller sees."""
    page = read.tx.teams.page(limit=request.limit, cursor=request.cursor)
    hidden = visibility.hidden_in(read.tx, read.caller)
    ids = [team.id for team in page.items]
    members, projects = read.tx.teams.members(ids), read.tx.teams.projects(ids)
    items = [
        views.team(team, members[team.id], [project for project in projects[team.id] if project not in hidden])
        for team in page.items
    ]
    return team_ops.TeamPage(items=items, next_cursor=page.next_cursor)


def get_onboarding_config(request: onboarding_ops.GetOnboardingConfig, read: Read) -> onboarding_ops.OnboardingConfig:
    """Read what the project tells its agents."""
    present = read.tx.projects.onboarding(read.project_id)
    if request.version is None:
        return views.onboarding(present)
    if not 0 < request.version <= present.version:
        return views.onboarding(onboarding.of_version(present, request.version))
    kept = read.tx.projects.onboarding_version(read.project_id, request.version)
    if kept is None:
        return views.onboarding(onboarding.of_version(present, request.version))
    return views.onboarding(kept[0]).model_copy(update={"changed_by": kept[1], "changed_at": kept[2]})


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
