"""Operations on teams: people who are given projects together."""

from pydantic import Field

from conductor.domain.access import ADMIN_UP, PEOPLE
from conductor.operations.row import Keeper, Listing, Operation, Reply, Request, Write
from conductor.operations.words import Id, Line, Slug

AT_ONCE = 200
"""So many people or projects are changed by one call."""


class Team(Reply):
    """People and the projects that they were given together."""

    id: str
    name: str
    slug: str
    member_ids: list[str]
    project_ids: list[str]

    def line(self) -> str:
        return f"{self.slug} ({self.id}): {len(self.member_ids)} member(s), {len(self.project_ids)} project(s)"


class CreateTeam(Write):
    """Make a team; update_team gives it people and projects."""

    name: Line
    slug: Slug | None = None


class UpdateTeam(Write):
    """Change a team: its name, its people, its projects. A project with settings.team_only is seen by its teams."""

    team_id: Id
    name: Line | None = None
    add_members: list[Id] = Field(default=[], max_length=AT_ONCE)
    remove_members: list[Id] = Field(default=[], max_length=AT_ONCE)
    add_projects: list[Id] = Field(default=[], max_length=AT_ONCE)
    remove_projects: list[Id] = Field(default=[], max_length=AT_ONCE)


class DeleteTeam(Write):
    """Delete a team; its people and projects stay."""

    team_id: Id


class ListTeams(Request, Listing):
    """List the teams with their people and the projects that you can see."""


class TeamPage(Reply):
    """A page of teams."""

    items: list[Team]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} team(s): " + "; ".join(team.line() for team in self.items[:8])


CREATE_TEAM = Operation(
    "create_team",
    CreateTeam,
    Team,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("team", "create"),
    ("name",),
    writes=True,
    of_organization=True,
)
UPDATE_TEAM = Operation(
    "update_team",
    UpdateTeam,
    Team,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("team", "update"),
    ("team_id",),
    writes=True,
    of_organization=True,
)
DELETE_TEAM = Operation(
    "delete_team",
    DeleteTeam,
    Team,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("team", "delete"),
    ("team_id",),
    writes=True,
    of_organization=True,
)
LIST_TEAMS = Operation("list_teams", ListTeams, TeamPage, Keeper.STORE, PEOPLE, ("team", "list"), of_organization=True)

ROWS = (CREATE_TEAM, UPDATE_TEAM, DELETE_TEAM, LIST_TEAMS)
