"""Teams: who is in them, which projects they were given, and that a project of teams is nowhere for others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors import visibility
from conductor.domain.access import Caller, Role, TokenKind
from conductor.operations.catalogue import CATALOGUE
from tests.actors.bearing import enter
from tests.actors.conftest import MakeWorld
from tests.actors.looking import events, last_event, refusal
from tests.support.furnished import Furnished, furnish
from tests.support.world import Refused, Who, World

pytestmark = pytest.mark.anyio


async def joined(world: World, name: str, role: str = "member") -> tuple[str, Who]:
    """Somebody who came in by an invitation; gives the member's id, too."""
    invited = await world.person().invite_member(name=name, role=role)
    return invited["member"]["id"], await enter(world, invited["token"])


async def secluded(world: World) -> dict[str, Any]:
    """A second project that only its teams see."""
    made: dict[str, Any] = await world.person().create_project(name="Secret", settings={"team_only": True})
    return made


async def test_a_team_is_made_changed_listed_and_deleted(world: World) -> None:
    owner = world.person()
    max_, _ = await joined(world, "Max")
    team = await owner.create_team(name="Web Team")
    assert team == {"id": team["id"], "name": "Web Team", "slug": "web-team", "member_ids": [], "project_ids": []}

    changed = await owner.update_team(
        team_id=team["id"], name="Web", add_members=[max_, max_], add_projects=[world.project.id]
    )
    listed = (await world.person(Role.VIEWER).list_teams())["items"]
    shrunk = await owner.update_team(team_id=team["id"], remove_members=[max_], remove_projects=[world.project.id])
    deleted = await owner.delete_team(team_id=team["id"])

    assert changed == {**team, "name": "Web", "member_ids": [max_], "project_ids": [world.project.id]}
    assert listed == [changed]
    assert shrunk == deleted == {**team, "name": "Web"}
    assert (await owner.list_teams())["items"] == []
    kinds = [event["kind"] for event in await events(world, subject_id=team["id"])]
    assert kinds == ["team.created", "team.updated", "team.updated", "team.deleted"]
    await refusal("not_found", owner.delete_team(team_id=team["id"]))


async def test_a_change_of_a_team_is_whole_or_not_at_all(world: World) -> None:
    owner = world.person()
    max_, _ = await joined(world, "Max")
    _, foreign_project, foreign_member = world.found("bravo")
    team = await owner.create_team(name="Web")
    before = await last_event(world)

    for code, change in (
        ("not_found", {"add_members": [max_, foreign_member.id]}),
        ("not_found", {"add_members": [max_], "add_projects": [foreign_project.id]}),
        ("not_found", {"add_members": [max_], "add_projects": ["nonsense"]}),
        ("invalid", {"add_members": [max_], "remove_members": [max_]}),
    ):
        await refusal(code, owner.update_team(team_id=team["id"], **change))

    assert await last_event(world) == before
    assert (await owner.list_teams())["items"] == [team]
    assert await owner.update_team(team_id=team["id"], remove_members=[max_]) == team
    assert await last_event(world) == before


async def test_a_team_of_another_organisation_is_not_found(world: World) -> None:
    bravo, _, _ = world.found("bravo")
    theirs = await world.person(organization=bravo).create_team(name="Theirs")

    await refusal("not_found", world.person().update_team(team_id=theirs["id"], name="Ours"))
    await refusal("not_found", world.person().delete_team(team_id=theirs["id"]))

    assert (await world.person().list_teams())["items"] == []
    assert len((await world.person(organization=bravo).list_teams())["items"]) == 1


async def test_a_taken_slug_is_refused_and_of_many_at_once_one_gets_it(world: World) -> None:
    owner = world.person()

    answers = await asyncio.gather(
        *(world.answer("create_team", owner.caller, {"name": f"N{n}", "slug": "one"}) for n in range(8))
    )

    assert sorted((answer.code for answer in answers), key=str) == [None, *["invalid"] * 7]


async def test_who_is_removed_from_the_organisation_leaves_its_teams(world: World) -> None:
    owner = world.person()
    max_, _ = await joined(world, "Max")
    team = await owner.create_team(name="Web")
    await owner.update_team(team_id=team["id"], add_members=[max_])

    await owner.remove_member(member_id=max_)

    assert (await owner.list_teams())["items"][0]["member_ids"] == []


async def test_a_project_of_teams_is_seen_by_its_teams_and_by_admins_alone(world: World) -> None:
    owner, secret = world.person(), await secluded(world)
    inside, insider = await joined(world, "Ina")
    _, outsider = await joined(world, "Otto")
    _, viewer = await joined(world, "Vera", "viewer")
    team = await owner.create_team(name="Few")
    await owner.update_team(team_id=team["id"], add_members=[inside], add_projects=[secret["id"]])

    async def seen(who: Who) -> set[str]:
        return {project["slug"] for project in (await who.list_projects())["items"]}

    assert await seen(insider) == {"default", "secret"}
    assert await seen(owner) == await seen(world.person(Role.ADMIN)) == {"default", "secret"}
    assert await seen(outsider) == await seen(viewer) == {"default"}
    assert (await insider.get_project(project_id=secret["id"]))["id"] == secret["id"]
    assert (await outsider.list_teams())["items"][0]["project_ids"] == []
    assert (await insider.list_teams())["items"][0]["project_ids"] == [secret["id"]]


async def _hiding(make_world: MakeWorld) -> tuple[Furnished, list[Caller], str]:
    """A furnished organisation whose project is hidden from people below admin; who they are; its id."""
    here = await furnish(make_world())
    project_id = here.ids["project"]
    await here.callers[Role.OWNER].update_project(project_id=project_id, settings={"team_only": True})
    member = (await here.callers[Role.OWNER].add_member(name="Out"))["id"]
    people = [
        Caller(TokenKind.USER, role, here.organization.id, f"tok_{role}out", bound, member_id=member)
        for role in (Role.MEMBER, Role.VIEWER)
        for bound in (None, project_id)
    ]
    return here, people, project_id


async def test_a_hidden_project_answers_everywhere_as_one_that_does_not_exist(make_world: MakeWorld) -> None:
    here, people, project_id = await _hiding(make_world)
    tried = 0

    for name, row in CATALOGUE.items():
        if not row.takes_project:
            continue
        for caller in people:
            if caller.role not in row.allowed:
                continue
            told = []
            for place in (project_id, "prj_0000000000"):
                answer = await here.world.answer(name, caller, here.request(name) | {"project_id": place})
                told.append(answer.body.decode().replace(place, "?"))
                assert answer.code == "not_found", f"{name} as {caller.role}: {answer.line}"
            assert told[0] == told[1], name
            tried += 1

    assert tried > 40


async def test_an_id_inside_a_hidden_project_answers_as_one_that_nobody_has(make_world: MakeWorld) -> None:
    here, people, _ = await _hiding(make_world)
    inside = {"task_id": here.ids["task"], "lock_id": here.ids["lock"], "request_id": here.ids["request"]}
    nobodys = {"task_id": "tsk_0000000000", "lock_id": "lck_0000000000", "request_id": "req_0000000000"}
    tried = 0

    for name, row in CATALOGUE.items():
        if row.locate not in inside:
            continue
        for caller in people:
            if caller.project_id is not None or caller.role not in row.allowed:
                continue
            told = []
            for value in (inside[row.locate], nobodys[row.locate]):
                arguments = here.request(name) | {row.locate: value}
                arguments.pop("project_id", None)
                answer = await here.world.answer(name, caller, arguments)
                told.append((answer.code, answer.body.decode().replace(value, "?")))
            assert told[0] == told[1], f"{name} as {caller.role}"
            assert told[0][0] == "not_found", name
            tried += 1

    assert tried > 5


async def test_what_is_told_of_a_whole_organisation_is_told_to_nobody_from_whom_a_project_is_hidden(
    world: World,
) -> None:
    owner, secret = world.person(), await secluded(world)
    await owner.create_project(name="Third")
    _, outsider = await joined(world, "Otto")
    await owner.create_task(project_id=secret["id"], title="hush")

    for call in (outsider.list_events, outsider.get_costs, outsider.get_quota):
        refused = await refusal("invalid", call())
        assert {project["slug"] for project in refused.facts["projects"]} == {"default", "third"}
    await refusal("invalid", outsider.log_action(action="x"))

    told = await outsider.list_events(project_id=world.project.id, limit=200)
    assert "hush" not in str(told)
    assert secret["id"] not in str(told)


async def test_the_only_project_that_one_sees_need_not_be_named(world: World) -> None:
    await secluded(world)
    _, outsider = await joined(world, "Otto")

    made = await outsider.create_task(title="x")

    assert made["project_id"] == world.project.id
    assert {event["project_id"] for event in (await outsider.list_events())["items"]} == {world.project.id}


async def test_every_change_of_teams_people_and_projects_is_effective_at_once(world: World) -> None:
    owner, secret = world.person(), await secluded(world)
    member, who = await joined(world, "Max")
    team = await owner.create_team(name="Few")
    look = {"project_id": secret["id"]}
    await refusal("not_found", who.get_project(**look))

    await owner.update_team(team_id=team["id"], add_projects=[secret["id"]], add_members=[member])
    await who.get_project(**look)
    await owner.update_team(team_id=team["id"], remove_members=[member])
    await refusal("not_found", who.get_project(**look))
    await owner.update_team(team_id=team["id"], add_members=[member])
    await who.get_project(**look)
    await owner.delete_team(team_id=team["id"])
    await refusal("not_found", who.get_project(**look))
    await owner.update_project(**look, settings={"team_only": False})
    await who.get_project(**look)
    await owner.update_project(**look, settings={"team_only": True})
    await refusal("not_found", who.get_project(**look))

    await refusal("not_found", who.create_task(**look, title="x"))


async def test_a_change_whose_answer_was_lost_is_effective_within_a_second(world: World) -> None:
    secret = await secluded(world)
    member, who = await joined(world, "Max")
    await refusal("not_found", who.get_project(project_id=secret["id"]))
    with world.store.transaction(world.organization.id) as transaction:
        tx = transaction.unit(world.organization.id)
        team = tx.teams.create("Few")
        tx.flush()
        tx.teams.add_members(team.id, [member])
        tx.teams.add_projects(team.id, [secret["id"]])

    world.clock.move(visibility.KEPT_S)

    assert (await who.get_project(project_id=secret["id"]))["id"] == secret["id"]


async def test_the_sight_of_one_organisation_says_nothing_of_another(world: World) -> None:
    secret = await secluded(world)
    bravo, theirs, stranger = world.found("bravo")
    member = world.person(Role.MEMBER, bravo, stranger.id)
    team = await world.person(organization=bravo).create_team(name="Few")

    await refusal(
        "not_found", world.person(organization=bravo).update_team(team_id=team["id"], add_projects=[secret["id"]])
    )

    await refusal("not_found", member.get_project(project_id=secret["id"]))
    assert [project["id"] for project in (await member.list_projects())["items"]] == [theirs.id]


async def test_agents_work_on_in_a_project_that_only_teams_see(world: World) -> None:
    ada = await world.agent("ada")
    await world.person().create_task(title="x")
    await world.person().update_project(settings={"team_only": True})

    assert (await ada.claim_task())["attempt"] == 1
    assert [project["id"] for project in (await ada.list_projects())["items"]] == [world.project.id]


async def test_an_enrolment_token_of_the_organization_finds_no_project_of_teams(world: World) -> None:
    owner = world.person()
    hidden = await owner.create_project(name="Secret", settings={"team_only": True})
    everywhere = Caller(TokenKind.ENROLMENT, Role.ENROLMENT, world.organization.id, "tok_enrol00001")
    there = everywhere._replace(project_id=hidden["id"])
    asking = {"agent_id": "ada", "name": "Ada", "agent_type": "codex"}

    assert (await Who(world, everywhere).request_access(**asking))["request"]["project_id"] == world.project.id
    with pytest.raises(Refused, match="not_found"):
        await Who(world, everywhere).request_access(**asking, project_id=hidden["id"])
    assert (await Who(world, there).request_access(**asking))["request"]["project_id"] == hidden["id"]
