"""Who may call what: every role against every operation, and tokens of one project against the other.

The table is written out from OPERATIONS.md, not taken from the catalogue: it is what the catalogue is held against.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from conductor.domain.access import Caller, Role, TokenKind
from conductor.operations.catalogue import CATALOGUE
from tests.actors.conftest import MakeWorld
from tests.support.furnished import Furnished, furnish

pytestmark = pytest.mark.anyio

MEANING = {
    "admin+": {"root", "owner", "admin"},
    "member+": {"root", "owner", "admin", "member"},
    "people": {"root", "owner", "admin", "member", "viewer"},
    "agt": {"lead", "contributor", "reviewer", "observer"},
    "svc": {"service"},
    "enr": {"enrolment"},
}
MEANING |= {role.value: {role.value} for role in Role}
MEANING["all"] = MEANING["people"] | MEANING["agt"]

TABLE = """
create_task             lead member+
claim_task              lead contributor
update_task             lead contributor member+
complete_task           lead contributor
list_tasks              all
acquire_lock            lead contributor
release_lock            lead contributor member+
list_locks              all
register_agent          lead member+
request_access          enr agt
heartbeat               agt
list_agents             all
get_project             all
list_projects           all
record_cost             agt svc
get_costs               all
approve_access          admin+ lead
reject_access           admin+ lead
list_access_requests    admin+ lead
get_onboarding_config   all
update_onboarding_config admin+ lead
create_organization     root
list_organizations      people
add_member              admin+
list_members            people
remove_member           admin+
create_project          admin+
update_project          admin+
create_token            admin+
list_tokens             admin+
revoke_token            admin+
rotate_token            all
get_task                all
start_session           agt
list_events             all
log_action              all
whoami                  all svc enr
set_quota               admin+
get_quota               all
invite_member           admin+
update_member           admin+
archive_project         admin+
restore_project         admin+
create_team             admin+
update_team             admin+
delete_team             admin+
list_teams              people
revoke_access           admin+ lead
export_organization     root owner
create_tasks            lead member+
import_beads            lead member+
export_beads            all
close_tasks             lead member+
review_task             lead reviewer member+
reassign_task           lead member+
explain_task            all
report_check            svc member+
refresh_context         agt
send_message            agt member+
read_messages           agt
list_messages           all
save_checkpoint         agt
resume_checkpoint       agt
list_checkpoints        all
pause                   lead member+
drain                   lead member+
resume                  lead member+
end_session             agt
list_sessions           all
check_paths             all svc
detect_conflicts        all
get_zones               all
set_zones               member+ lead
set_path_rules          member+ lead
delete_organization     root owner
"""

# The last line ends the organisation: it is tried after all others.

MAY = {
    name: frozenset(Role(role) for word in words for role in MEANING[word])
    for name, *words in (line.split() for line in TABLE.strip().splitlines())
}

OBJECT_REFUSALS = {None, "not_found", "not_holder", "not_pending", "stale_attempt", "illegal_move", "version_conflict",
                   "already_claimed", "lock_held", "idempotency_mismatch", "invalid"}  # fmt: skip
"""How a call may end that the role allows: the object itself may be of another mind."""

ADAS_OWN = {"heartbeat": "task_id", "acquire_lock": "task_id", "get_quota": "agent_id", "read_messages": "acknowledge",
            "end_session": "session_id"}  # fmt: skip
"""Arguments by which the golden requests name what is ada's: other agents leave them out."""


def asked(here: Furnished, name: str, role: Role) -> dict[str, Any]:
    """Give the golden request as a caller of that role would send it."""
    arguments = here.request(name)
    if role in MAY["heartbeat"] - {Role.CONTRIBUTOR}:
        arguments.pop(ADAS_OWN.get(name, ""), None)
    return arguments


def test_the_table_names_every_operation_and_the_catalogue_says_the_same() -> None:
    assert {name: row.allowed for name, row in CATALOGUE.items()} == MAY


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_call_what_the_table_says_and_nothing_else(make_world: MakeWorld, role: Role) -> None:
    here = await furnish(make_world())
    caller = here.callers[role].caller

    for name, may in MAY.items():
        answer = await here.world.answer(name, caller, asked(here, name, role))

        if role in may:
            assert answer.code in OBJECT_REFUSALS, f"{name}: {answer.line}"
        else:
            fault = json.loads(answer.body)
            assert fault["code"] == "forbidden", f"{name}: {answer.line}"
            assert fault["facts"] == {"operation": name, "role": role.value}


@pytest.mark.parametrize("role", list(Role))
async def test_a_forbidden_call_is_refused_whatever_it_says(make_world: MakeWorld, role: Role) -> None:
    here = await furnish(make_world())
    caller = here.callers[role].caller

    for name, may in MAY.items():
        if role not in may:
            for arguments in ({}, {"surplus": 1}, {"project_id": "prj_0000000000"}):
                assert (await here.world.answer(name, caller, arguments)).code == "forbidden", name


async def test_a_forbidden_call_changes_nothing(make_world: MakeWorld) -> None:
    here = await furnish(make_world())
    owner = here.callers[Role.OWNER]
    before = (await owner.list_events(limit=1))["items"]

    for name, may in MAY.items():
        for role in set(Role) - may:
            await here.world.answer(name, here.callers[role].caller, here.request(name))

    assert (await owner.list_events(limit=1))["items"] == before


def bound_callers(here: Furnished, project_id: str) -> list[Caller]:
    """Everybody whose token is bound to the project."""
    home = here.organization.id
    people = [
        Caller(TokenKind.USER, role, home, f"tok_bound{role.value}", project_id, member_id=here.ids["owner"])
        for role in (Role.OWNER, Role.VIEWER)
    ]
    agents = [here.callers[role].caller for role in (Role.LEAD, Role.CONTRIBUTOR, Role.OBSERVER)]
    others = [
        Caller(TokenKind.SERVICE, Role.SERVICE, home, "tok_boundsvc", project_id),
        Caller(TokenKind.ENROLMENT, Role.ENROLMENT, home, "tok_boundenr", project_id),
    ]
    return [*people, *agents, *others]


async def test_a_token_bound_to_a_project_finds_no_other(make_world: MakeWorld) -> None:
    here = await furnish(make_world())
    tried = 0

    for name, row in CATALOGUE.items():
        if "project_id" not in row.request.model_fields:
            continue
        for caller in bound_callers(here, here.ids["project"]):
            if caller.role not in MAY[name]:
                continue
            told = [
                await _told(here, name, caller, here.request(name) | {"project_id": project_id})
                for project_id in (here.ids["other_project"], "prj_0000000000", "nonsense")
            ]
            assert told[0] == told[1] == told[2], name
            assert told[0]["code"] == ("forbidden" if row.of_organization else "not_found"), name
            tried += 1

    assert tried > 60


async def test_a_token_bound_to_a_project_need_not_name_it(make_world: MakeWorld) -> None:
    here = await furnish(make_world())
    lead = here.callers[Role.LEAD].caller

    for name, row in CATALOGUE.items():
        if row.takes_project and Role.LEAD in MAY[name]:
            arguments = {key: value for key, value in asked(here, name, Role.LEAD).items() if key != "project_id"}
            answer = await here.world.answer(name, lead, arguments)
            assert answer.code in OBJECT_REFUSALS - {"invalid", "not_found"}, f"{name}: {answer.line}"


async def test_nobody_but_the_owner_of_the_installation_names_an_organisation(make_world: MakeWorld) -> None:
    here = await furnish(make_world())

    for name, may in MAY.items():
        for role in may - {Role.ROOT}:
            for organization_id in (here.organization.id, "org_0000000000"):
                arguments = here.request(name) | {"organization_id": organization_id}
                answer = await here.world.answer(name, here.callers[role].caller, arguments)
                assert answer.code == "invalid", f"{name} as {role}"


async def _told(here: Furnished, name: str, caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
    """Give what an answer tells, without the project that the caller named itself."""
    answer = await here.world.answer(name, caller, arguments)
    told: dict[str, Any] = json.loads(answer.body.decode().replace(arguments["project_id"], "?"))
    return told
