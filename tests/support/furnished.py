"""An organisation with one of everything, and for each operation a request that succeeds in it.

The requests are files, tests/contract/golden/<operation>.json. A text `{name}` in them stands for the id of the thing
that this module makes under that name; everything else is as a caller would send it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conductor.domain.access import AGENT_ROLES, MEMBER_ROLES, Caller, Role, TokenKind
from conductor.domain.organizations import Organization, Project
from conductor.operations.catalogue import CATALOGUE
from tests.support.world import Who, World

GOLDEN = Path(__file__).parent.parent / "contract" / "golden"

NAMES = {Role.LEAD: "lea", Role.CONTRIBUTOR: "ada", Role.REVIEWER: "rex", Role.OBSERVER: "obi"}
"""The agents of every furnished organisation."""


@dataclass(frozen=True)
class Furnished:
    """An organisation and who may act in it. ids: what `{name}` stands for. marker: in every text that was written."""

    world: World
    organization: Organization
    ids: Mapping[str, str]
    callers: Mapping[Role, Who]
    marker: str

    def natural(self, operation: str) -> Who:
        """Give somebody who would make this call."""
        row = CATALOGUE[operation]
        if operation in {"update_task", "release_lock"}:
            return self.callers[Role.CONTRIBUTOR]
        order = (Role.OWNER, Role.CONTRIBUTOR, Role.SERVICE, Role.ENROLMENT, Role.ROOT)
        return self.callers[next(role for role in order if role in row.allowed)]

    def request(self, operation: str) -> dict[str, Any]:
        """Give the arguments of the golden request, with this organisation's ids."""
        filled: dict[str, Any] = fill(golden(operation), self.ids)
        return filled


def golden(operation: str) -> dict[str, Any]:
    """Read an operation's golden request as it stands in its file."""
    read: dict[str, Any] = json.loads((GOLDEN / f"{operation}.json").read_text(encoding="utf-8"))
    return read


def fill(value: Any, ids: Mapping[str, str]) -> Any:
    """Put ids where `{name}` stands, in lists and objects too."""
    match value:
        case str() if value.startswith("{") and value.endswith("}"):
            return ids[value[1:-1]]
        case list():
            return [fill(each, ids) for each in value]
        case dict():
            return {name: fill(each, ids) for name, each in value.items()}
        case _:
            return value


async def furnish(world: World, slug: str | None = None, marker: str = "plain") -> Furnished:
    """Fill an organisation: the world's own, or a new one."""
    organization, project = world.organization, world.project
    member_id = world.owner_member.id
    if slug is not None:
        organization, project, member = world.found(slug)
        member_id = member.id
    callers = _callers(world, organization, project, member_id)
    owner, lead, ada = callers[Role.OWNER], callers[Role.LEAD], callers[Role.CONTRIBUTOR]
    here = {"project_id": project.id}
    ids = {"organization": organization.id, "project": project.id, "owner": member_id}
    ids["other_project"] = (await owner.create_project(name=f"Other {marker}", slug="other"))["id"]
    await owner.update_project(**here, settings={"leads_approve": True}, git_remote=f"https://example.org/{marker}")
    for role, name in NAMES.items():
        await owner.register_agent(**here, agent_id=name, name=f"{name} {marker}", role=role.value)
    titles = ("task", "dependency", "parent", "claimable", "held", "working", "cancelled")
    for name in (*titles, "in_review", "closable", "reassignable"):
        made = await owner.create_task(
            **here, title=f"{name} {marker}", description=marker, files=[f"{name}/"], tags=["same"]
        )
        ids[name] = made["id"]
    await ada.claim_task(task_id=ids["in_review"])
    await owner.update_project(**here, settings={"require_review": True})
    await ada.complete_task(task_id=ids["in_review"], attempt=1, result=marker)
    await owner.update_project(**here, settings={"require_review": False})
    for name in ("held", "working"):
        claimed = await ada.claim_task(task_id=ids[name])
        ids[f"{name}_lock"] = claimed["locks"][0]["id"]
    await ada.update_task(task_id=ids["held"], attempt=1, status="in_progress", note=marker)
    await lead.update_task(task_id=ids["cancelled"], status="cancelled", note=marker)
    ids["lock"] = (await ada.acquire_lock(paths=["spare/"], reason=marker))["lock"]["id"]
    asking = callers[Role.ENROLMENT]
    for name in ("request", "refusable"):
        asked = await asking.request_access(
            **here, agent_id=f"new-{name}", name=marker, agent_type="codex", reason=marker
        )
        ids[name] = asked["request"]["id"]
        ids[f"{name}_claim"] = asked["claim"]
    ids["session"] = (await ada.start_session(client=marker))["session_id"]
    await lead.drain(scope="agent", agent_id=NAMES[Role.REVIEWER], reason=marker)
    sent = await owner.send_message(**here, to="all", text=f"the {marker}", subject=marker, attachments=[marker])
    ids["message"] = sent["message"]["id"]
    await ada.read_messages()
    saved = await ada.save_checkpoint(
        task_id=ids["held"], summary=marker, next_steps=[marker], state={"mark": marker}, files=["held/"]
    )
    ids["checkpoint"] = saved["id"]
    ids["member"] = (await owner.add_member(name=f"Max {marker}", email=f"{marker}@example.org"))["id"]
    ids["slug"] = organization.slug
    ids["team"] = (await owner.create_team(name=f"Team {marker}"))["id"]
    await owner.update_team(team_id=ids["team"], add_members=[ids["member"]], add_projects=[ids["other_project"]])
    for name in ("token", "old_token"):
        ids[name] = (await owner.create_token(kind="svc", name=marker))["id"]
    await owner.set_quota(scope="organization", limit_usd=1000)
    await ada.record_cost(model=marker, input_tokens=1, output_tokens=1, cost_usd=1, idempotency_key="furnished")
    await owner.log_action(action=marker, resource_id=marker, metadata={"mark": marker})
    await owner.update_onboarding_config(**here, focus=marker, goals=[marker], version=0)
    await owner.set_zones(**here, zones=[{"pattern": "zoned/", "mode": "read_only", "note": marker}], version=0)
    return Furnished(world, organization, ids, callers, marker)


def _callers(world: World, organization: Organization, project: Project, member_id: str) -> dict[Role, Who]:
    home, end = organization.id, organization.id[-4:]
    callers = {
        role: Caller(TokenKind.USER, role, home, f"tok_{role.value}{end}", member_id=member_id)
        for role in (Role.ROOT, *MEMBER_ROLES)
    }
    callers |= {
        role: Caller(TokenKind.AGENT, role, home, f"tok_{role.value}{end}", project.id, NAMES[role])
        for role in AGENT_ROLES
    }
    callers[Role.SERVICE] = Caller(TokenKind.SERVICE, Role.SERVICE, home, f"tok_service{end}")
    callers[Role.ENROLMENT] = Caller(TokenKind.ENROLMENT, Role.ENROLMENT, home, f"tok_enrol{end}")
    return {role: Who(world, caller) for role, caller in callers.items()}
