"""Teams as they are kept: who is in them, which projects they were given, and so who sees what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import BigInteger, Table, delete, func, select, type_coerce

from conductor.domain import errors, ids
from conductor.domain.events import EventKind
from conductor.domain.organizations import Team, slug_of
from storage import pages, tables
from storage.columns import to_micros
from storage.records import TEAM
from storage.unit import Unit

_teams = tables.teams
_members = tables.team_members
_projects = tables.team_projects

MOST_TEAMS = 1000
"""Teams of one organisation: each is looked through when people's sight is reckoned."""

MOST_IN_TEAM = 1000
"""People, and projects, of one team."""


class Teams:
    """The teams of one organisation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def create(self, name: str, *, slug: str | None = None) -> Team:
        """Make a team.

        Raises Invalid when another team of the organisation has the slug, or there are too many.
        """
        unit = self._unit
        team = Team(unit.make_id(ids.Kind.TEAM), name, slug or slug_of(name), unit.now)
        if self._one(_teams.c.slug == team.slug) is not None:
            raise errors.Invalid(
                f"A team with the slug {team.slug} exists: give another slug, or change that team with update_team.",
                facts={"argument": "slug", "slug": team.slug},
                next=[errors.NextStep("list_teams", {}, "see the teams")],
            )
        if self._count(_teams) >= MOST_TEAMS:
            raise errors.Invalid(
                f"An organization has at most {MOST_TEAMS} teams. Delete one with delete_team first.",
                facts={"most": MOST_TEAMS},
            )
        unit.add_record(TEAM, team)
        unit.record(EventKind.TEAM_CREATED, team.id, name=team.name, slug=team.slug)
        return team

    def get(self, team_id: str) -> Team | None:
        """Read a team by its id."""
        return self._one(_teams.c.id == team_id)

    def save(self, team: Team) -> None:
        """Keep a team's new state."""
        self._unit.save_record(TEAM, team)

    def delete(self, team: Team) -> None:
        """Delete a team; who was in it and what it was given stays."""
        here = self._unit.organization_id
        for table in (_members, _projects):
            self._unit.execute(delete(table).where(table.c.organization_id == here, table.c.team_id == team.id))
        self._unit.delete(_teams, {"organization_id": here, "id": team.id})
        self._unit.record(EventKind.TEAM_DELETED, team.id, name=team.name, slug=team.slug)

    def page(self, *, limit: int = 20, cursor: str | None = None) -> pages.Page[Team]:
        """List the teams, the oldest first."""
        created = type_coerce(_teams.c.created_at, BigInteger)
        where = pages.beyond([created, _teams.c.id], cursor, (int, str), newest_first=False)
        found = self._unit.records(TEAM, *where, order=[_teams.c.created_at, _teams.c.id], limit=limit + 1)
        return pages.cut(found, limit, lambda team: (to_micros(team.created_at), team.id))

    def members(self, team_ids: Collection[str]) -> dict[str, list[str]]:
        """Read who is in teams, by team."""
        return self._inside(_members, "member_id", team_ids)

    def projects(self, team_ids: Collection[str]) -> dict[str, list[str]]:
        """Read which projects teams were given, by team."""
        return self._inside(_projects, "project_id", team_ids)

    def slugs(self, among: Collection[str]) -> set[str]:
        """Read which of some slugs are teams'."""
        where = [_teams.c.organization_id == self._unit.organization_id, _teams.c.slug.in_(sorted(among))]
        return {row[0] for row in self._unit.rows(select(_teams.c.slug).where(*where))}

    def add_members(self, team_id: str, member_ids: Iterable[str]) -> None:
        """Take people into a team; who is in it stays in it."""
        self._add(_members, "member_id", team_id, member_ids)

    def add_projects(self, team_id: str, project_ids: Iterable[str]) -> None:
        """Give projects to a team; which it has it keeps."""
        self._add(_projects, "project_id", team_id, project_ids)

    def remove_members(self, team_id: str, member_ids: Iterable[str]) -> None:
        """Take people out of a team."""
        self._remove(_members, "member_id", team_id, member_ids)

    def remove_projects(self, team_id: str, project_ids: Iterable[str]) -> None:
        """Take projects from a team."""
        self._remove(_projects, "project_id", team_id, project_ids)

    def leave_all(self, member_id: str) -> None:
        """Take somebody out of every team; the event is that of their removal."""
        here = _members.c.organization_id == self._unit.organization_id
        self._unit.execute(delete(_members).where(here, _members.c.member_id == member_id))

    def seers(self) -> Mapping[str, frozenset[str]]:
        """Read who is in some team of each project that a team was given, by project."""
        both = (_members.c.organization_id == _projects.c.organization_id) & (_members.c.team_id == _projects.c.team_id)
        rows = self._unit.rows(
            select(_projects.c.project_id, _members.c.member_id)
            .select_from(_projects.join(_members, both))
            .where(_projects.c.organization_id == self._unit.organization_id)
            .distinct()
        )
        found: dict[str, set[str]] = {}
        for project_id, member_id in rows:
            found.setdefault(project_id, set()).add(member_id)
        return {project_id: frozenset(member_ids) for project_id, member_ids in found.items()}

    def _one(self, where: object) -> Team | None:
        return self._unit.one(TEAM, where)

    def _count(self, table: Table) -> int:
        rows = self._unit.rows(
            select(func.count()).select_from(table).where(table.c.organization_id == self._unit.organization_id)
        )
        return int(rows[0][0])

    def _inside(self, table: Table, column: str, team_ids: Collection[str]) -> dict[str, list[str]]:
        rows = self._unit.rows(
            select(table.c.team_id, table.c[column])
            .where(table.c.organization_id == self._unit.organization_id, table.c.team_id.in_(sorted(team_ids)))
            .order_by(table.c.team_id, table.c[column])
        )
        found: dict[str, list[str]] = {team_id: [] for team_id in team_ids}
        for team_id, inside in rows:
            found[team_id].append(inside)
        return found

    def _add(self, table: Table, column: str, team_id: str, others: Iterable[str]) -> None:
        for other in others:
            row = {"organization_id": self._unit.organization_id, "team_id": team_id, column: other}
            self._unit.insert(table, row)

    def _remove(self, table: Table, column: str, team_id: str, others: Iterable[str]) -> None:
        for other in others:
            row = {"organization_id": self._unit.organization_id, "team_id": team_id, column: other}
            self._unit.delete(table, row)
