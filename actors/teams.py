"""Teams of an organisation: who is in them and which projects they were given. Part of the directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from actors import members, views
from actors.call import Call
from actors.places import no_project
from conductor.domain import errors
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Team
from conductor.operations import teams as ops
from storage.teams import MOST_IN_TEAM


def create(request: ops.CreateTeam, call: Call) -> ops.Team:
    """Make a team with nobody in it."""
    return views.team(call.tx.teams.create(request.name, slug=request.slug), [], [])


def update(request: ops.UpdateTeam, call: Call) -> ops.Team:
    """Change a team; all of the request or nothing of it."""
    team = _found(request.team_id, call)
    people, projects = _inside(team, call)
    _require_apart(request.add_members, request.remove_members, "members")
    _require_apart(request.add_projects, request.remove_projects, "projects")
    for member_id in request.add_members:
        members.found(member_id, call)
    for project_id in request.add_projects:
        if call.tx.projects.get(project_id) is None:
            raise no_project(project_id)
    come, go = _new(request.add_members, people), _there(request.remove_members, people)
    given, taken = _new(request.add_projects, projects), _there(request.remove_projects, projects)
    _require_room(len(people) + len(come) - len(go), "members")
    _require_room(len(projects) + len(given) - len(taken), "projects")
    after = replace(team, name=request.name or team.name)
    if after == team and not (come or go or given or taken):
        return views.team(team, people, projects)
    if after != team:
        call.tx.teams.save(after)
    call.tx.teams.remove_members(team.id, go)
    call.tx.teams.remove_projects(team.id, taken)
    call.tx.teams.add_members(team.id, come)
    call.tx.teams.add_projects(team.id, given)
    call.tx.record(
        EventKind.TEAM_UPDATED,
        team.id,
        name=after.name,
        added_members=come or None,
        removed_members=go or None,
        added_projects=given or None,
        removed_projects=taken or None,
    )
    return views.team(after, sorted({*people, *come} - {*go}), sorted({*projects, *given} - {*taken}))


def delete(request: ops.DeleteTeam, call: Call) -> ops.Team:
    """Delete a team; gives it as it was."""
    team = _found(request.team_id, call)
    people, projects = _inside(team, call)
    call.tx.teams.delete(team)
    return views.team(team, people, projects)


def _found(team_id: str, call: Call) -> Team:
    team = call.tx.teams.get(team_id)
    if team is None:
        raise errors.NotFound(
            f"No team {team_id} here. See the teams with list_teams.",
            facts={"team_id": team_id},
            next=[NextStep("list_teams", {}, "see the teams")],
        )
    return team


def _inside(team: Team, call: Call) -> tuple[list[str], list[str]]:
    return call.tx.teams.members([team.id])[team.id], call.tx.teams.projects([team.id])[team.id]


def _require_apart(added: Sequence[str], removed: Sequence[str], what: str) -> None:
    both = sorted({*added} & {*removed})
    if both:
        raise errors.Invalid(
            f"{', '.join(both[:5])} cannot be added and removed at once: leave one out. Nothing was changed.",
            facts={"argument": f"add_{what}", "both": both},
        )


def _require_room(count: int, what: str) -> None:
    if count > MOST_IN_TEAM:
        raise errors.Invalid(
            f"A team has at most {MOST_IN_TEAM} {what}; this one would have {count}. Nothing was changed.",
            facts={"argument": f"add_{what}", "most": MOST_IN_TEAM},
        )


def _new(wanted: Iterable[str], there: Sequence[str]) -> list[str]:
    return [each for each in dict.fromkeys(wanted) if each not in there]


def _there(wanted: Iterable[str], there: Sequence[str]) -> list[str]:
    return [each for each in dict.fromkeys(wanted) if each in there]
