"""Organisations, members, projects, tokens and onboarding as they are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Text, select, type_coerce

from conductor.domain import errors, ids
from conductor.domain.access import Role
from conductor.domain.events import EventKind
from conductor.domain.organizations import (
    ConflictStrategy,
    Member,
    Onboarding,
    Organization,
    Project,
    ProjectSettings,
    Token,
    slug_of,
)
from storage import pages, tables
from storage.columns import to_micros
from storage.records import MEMBER, ONBOARDING, PROJECT, TOKEN
from storage.unit import Unit

_organizations = tables.organizations
_members = tables.members
_projects = tables.projects
_tokens = tables.tokens
_ORGANIZATION = [
    _organizations.c.organization_id,
    _organizations.c.name,
    _organizations.c.slug,
    _organizations.c.plan,
    _organizations.c.created_at,
]


def organization_of(row: tuple[Any, ...]) -> Organization:
    """Give the organisation of a row."""
    return Organization(*row)


class Organizations:
    """The organisation itself and its people."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def create(self, name: str, *, slug: str | None = None, plan: str = "free") -> Organization:
        """Make the organisation whose id the unit was opened with.

        Raises Invalid when another organisation has the slug.
        """
        unit = self._unit
        organization = Organization(unit.organization_id, name, slug or slug_of(name), plan, unit.now)
        if not unit.found_organization(organization):
            raise errors.Invalid(
                f"An organization with the slug {organization.slug} exists: give another slug.",
                facts={"slug": organization.slug},
            )
        unit.record(EventKind.ORGANIZATION_CREATED, organization.id, name=name, slug=organization.slug, plan=plan)
        return organization

    def get(self) -> Organization | None:
        """Read the organisation of this unit."""
        rows = self._unit.rows(
            select(*_ORGANIZATION).where(_organizations.c.organization_id == self._unit.organization_id)
        )
        return organization_of(rows[0]) if rows else None

    def add_member(self, name: str, *, email: str | None = None, role: Role = Role.MEMBER) -> Member:
        """Add a person."""
        unit = self._unit
        member = Member(unit.make_id(ids.Kind.MEMBER), name, email, role, unit.now)
        unit.add_record(MEMBER, member)
        unit.record(EventKind.MEMBER_ADDED, member.id, name=name, role=role.value)
        return member

    def save_member(self, member: Member) -> None:
        """Keep a member's new state."""
        self._unit.save_record(MEMBER, member)

    def member(self, member_id: str) -> Member | None:
        """Read a member who has not been removed."""
        return self._unit.one(MEMBER, _members.c.id == member_id, _members.c.removed_at.is_(None))

    def owners(self) -> list[Member]:
        """Read who owns the organisation."""
        return self._unit.records(
            MEMBER, _members.c.role.in_([Role.OWNER, Role.ROOT]), _members.c.removed_at.is_(None), order=[_members.c.id]
        )

    def members(self, *, limit: int = 20, cursor: str | None = None) -> pages.Page[Member]:
        """List the members, the oldest first."""
        created = type_coerce(_members.c.created_at, BigInteger)
        where = [
            _members.c.removed_at.is_(None),
            *pages.beyond([created, _members.c.id], cursor, (int, str), newest_first=False),
        ]
        found = self._unit.records(MEMBER, *where, order=[_members.c.created_at, _members.c.id], limit=limit + 1)
        return pages.cut(found, limit, lambda member: (to_micros(member.created_at), member.id))


class Projects:
    """The projects of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def create(
        self,
        name: str,
        *,
        slug: str | None = None,
        conflict_strategy: ConflictStrategy = ConflictStrategy.LOCK,
        root_path: str | None = None,
        git_remote: str | None = None,
        settings: ProjectSettings | None = None,
    ) -> Project:
        """Make a project.

        Raises Invalid when another project of the organisation has the slug.
        """
        unit = self._unit
        project = Project(
            unit.make_id(ids.Kind.PROJECT),
            name,
            slug or slug_of(name),
            conflict_strategy,
            root_path,
            git_remote,
            settings or ProjectSettings(),
            unit.now,
            unit.now,
        )
        self.require_free_slug(project.slug)
        unit.add_record(PROJECT, project)
        unit.record(
            EventKind.PROJECT_CREATED,
            project.id,
            project_id=project.id,
            name=name,
            slug=project.slug,
            conflict_strategy=conflict_strategy.value,
        )
        return project

    def require_free_slug(self, slug: str) -> None:
        """Refuse a slug that another project of the organisation has. Raises Invalid."""
        if self.by_slug(slug) is not None:
            raise errors.Invalid(
                f"A project with the slug {slug} exists: give another slug, or use that project.",
                facts={"slug": slug},
                next=[errors.NextStep("list_projects", {}, "see the projects")],
            )

    def save(self, project: Project) -> None:
        """Keep a project's new state."""
        self._unit.save_record(PROJECT, project)

    def get(self, project_id: str) -> Project | None:
        """Read a project by its id."""
        return self._unit.one(PROJECT, _projects.c.id == project_id)

    def by_slug(self, slug: str) -> Project | None:
        """Read a project by its slug."""
        return self._unit.one(PROJECT, _projects.c.slug == slug)

    def all(self) -> list[Project]:
        """Read the projects, by slug."""
        return self._unit.records(PROJECT, order=[_projects.c.slug])

    def page(
        self,
        *,
        only: str | None = None,
        without: Collection[str] = (),
        with_archived: bool = True,
        limit: int = 20,
        cursor: str | None = None,
    ) -> pages.Page[Project]:
        """List the projects by slug; only: just the one of that id; without: none of these."""
        where = pages.beyond([_projects.c.slug], cursor, (str,), newest_first=False)
        if only is not None:
            where.append(_projects.c.id == only)
        if not with_archived:
            where.append(_projects.c.archived_at.is_(None))
        if without:
            where.append(_projects.c.id.not_in(sorted(without)))
        found = self._unit.records(PROJECT, *where, order=[_projects.c.slug], limit=limit + 1)
        return pages.cut(found, limit, lambda project: (project.slug,))

    def team_only(self) -> list[str]:
        """Read the ids of the projects that only their teams' people see."""
        # Settings are compact JSON; the text narrows, the record decides.
        told = type_coerce(_projects.c.settings, Text).contains('"team_only":true')
        return [project.id for project in self._unit.records(PROJECT, told) if project.settings.team_only]

    def onboarding(self, project_id: str) -> Onboarding:
        """Read what the project tells its agents; version 0: nothing yet."""
        return self._unit.one(ONBOARDING, tables.onboarding.c.project_id == project_id) or Onboarding()

    def save_onboarding(self, project_id: str, onboarding: Onboarding, before: Onboarding | None = None) -> None:
        """Keep what the project tells its agents, beside all it told them before; before: the version until now."""
        row = ONBOARDING.to_row(onboarding, self._unit.organization_id)
        self._unit.merge("upsert", tables.onboarding, {**row, "project_id": project_id})
        if before is not None and before.version and self.onboarding_version(project_id, before.version) is None:
            # An earlier release wrote it, which kept the present one only.
            self._keep_version(project_id, before, "unknown")
        self._keep_version(project_id, onboarding, self._unit.actor)

    def onboarding_version(self, project_id: str, version: int) -> tuple[Onboarding, str, datetime] | None:
        """Read a version of what the project tells its agents, with who made it and when."""
        table = tables.onboarding_versions
        rows = self._unit.rows(
            select(table.c.config, table.c.changed_by, table.c.changed_at).where(
                table.c.organization_id == self._unit.organization_id,
                table.c.project_id == project_id,
                table.c.version == version,
            )
        )
        if not rows:
            return None
        config, changed_by, changed_at = rows[0]
        kept: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in config.items()
        }
        return Onboarding(**kept), changed_by, changed_at

    def _keep_version(self, project_id: str, onboarding: Onboarding, changed_by: str) -> None:
        self._unit.insert(
            tables.onboarding_versions,
            {
                "organization_id": self._unit.organization_id,
                "project_id": project_id,
                "version": onboarding.version,
                "config": asdict(onboarding),
                "changed_by": changed_by,
                "changed_at": self._unit.now,
            },
        )


class Tokens:
    """The tokens of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, token: Token) -> None:
        """Keep a new token."""
        self._unit.add_record(TOKEN, token)

    def save(self, token: Token) -> None:
        """Keep a token's new state."""
        self._unit.save_record(TOKEN, token)

    def mark_used(self, token: Token, at: datetime) -> None:
        """Keep when a token was first shown to us; liveness, so no event."""
        self._unit.save_record(TOKEN, replace(token, used_at=at))

    def get(self, token_id: str) -> Token | None:
        """Read a token by its id."""
        return self._unit.one(TOKEN, _tokens.c.id == token_id)

    def live_of_member(self, member_id: str, now: datetime) -> list[Token]:
        """Read the valid tokens of a person."""
        found = self._unit.records(TOKEN, _tokens.c.member_id == member_id, order=[_tokens.c.id])
        return [token for token in found if token.is_valid(now)]

    def live_of_agent(self, project_id: str, agent_name: str, now: datetime) -> list[Token]:
        """Read the valid tokens of an agent."""
        found = self._unit.records(
            TOKEN, _tokens.c.project_id == project_id, _tokens.c.agent_name == agent_name, order=[_tokens.c.id]
        )
        return [token for token in found if token.is_valid(now)]

    def page(self, *, limit: int = 20, cursor: str | None = None) -> pages.Page[Token]:
        """List the tokens, the newest first."""
        created = type_coerce(_tokens.c.created_at, BigInteger)
        where = pages.beyond([created, _tokens.c.id], cursor, (int, str), newest_first=True)
        order = [_tokens.c.created_at.desc(), _tokens.c.id.desc()]
        found = self._unit.records(TOKEN, *where, order=order, limit=limit + 1)
        return pages.cut(found, limit, lambda token: (to_micros(token.created_at), token.id))
