"""The shapes that others rely on, written out from OPERATIONS.md: the models keep them and real replies have them.

`name` is always there, `name?` may be absent, `name[]` is a list that is there also when empty, `name{}` an object;
`name:Shape`, `name:[Shape]` and `name?:Shape` say what is inside.
"""

from __future__ import annotations

import json
import re
import types
import typing
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from conductor.operations.catalogue import CATALOGUE
from conductor.operations.faults import Fault
from tests.support.furnished import GOLDEN, Furnished

SHAPES = {
    "Task": "id project_id title description? status priority assigned_to? attempt dependencies[] blocked_by[] files[] "
    "tags[] requires[] progress? result? created_at updated_at due_at?",
    "Claim": "task:Task attempt lease_expires_at locks:[Lock] context:Context",
    "Context": "focus? goals[] instructions? style_guide? checkpoint_rules[] allowed_paths[] denied_paths[] related[] "
    "checkpoint? cut[]",
    "Briefing": "task_id? context:Context",
    "Check": "commit name passed details? reported_by at",
    "Completion": "task:Task unblocked[] released[]",
    "Lock": "id paths[] mode agent_id task_id? token acquired_at expires_at",
    "Grant": "status lock?:Lock lost_after_s? ticket? position? holders?:[Lock] eta_s?",
    "Release": "released[] granted_next[]",
    "Locks": "items:[Lock] waiting:[Waiting] next_cursor?",
    "Waiting": "ticket agent_id paths[] mode position since",
    "Agent": "id agent_id name kind? pause?:Pause provider? model? role status health capabilities[] last_seen_at? "
    "current_task? spent_today_usd",
    "Registration": "agent:Agent token?",
    "AccessRequest": "id project_id agent_id name agent_type requested_role capabilities[] status requested_at "
    "reviewed_at? reason?",
    "AccessAnswer": "request:AccessRequest claim? position? token?",
    "Approval": "request:AccessRequest agent:Agent token?",
    "Rejection": "request:AccessRequest",
    "Booking": "id cost_usd? reported_usd? computed_usd? spent_usd remaining_usd? exceeded",
    "Costs": "rows:[Sum] total:Sum forecast_usd?",
    "Sum": "cost_usd input_tokens output_tokens cache_read_tokens cache_write_tokens events",
    "Heartbeat": "next_heartbeat_s notices:[Notice] leases_renewed[]",
    "Notice": "kind text",
    "Session": "session_id agent:Agent project:Project task?:Task locks:[Lock] budget:Budget notices:[Notice] "
    "next:[Next]",
    "Next": "tool args{} because",
    "Budget": "limit_usd? spent_usd remaining_usd?",
    "Organization": "id name slug plan",
    "Project": "id organization_id name slug conflict_strategy root_path? git_remote? my_role? archived_at? "
    "counts:Counts budget:Budget pause?",
    "Counts": "tasks{} agents{} locks",
    "Onboarding": "welcome? focus? goals[] style_guide? instruction_files{} checkpoint_rules[] remind_every_tasks "
    "version",
    "Member": "id name email? role",
    "NewToken": "id token? kind expires_at?",
    "Revocation": "revoked",
    "Identity": "kind organization_id project_id? role agent_id? member_id? expires_at?",
    "Event": "number at kind actor subject_id? facts{}",
    "Entry": "number",
    "Quota": "scope limit_usd spent_usd reserved_usd remaining_usd exceeded window resets_at?",
    "Quotas": "items:[Quota]",
    "Imported": "created:[BeadTask] updated:[BeadTask] unchanged problems[]",
    "BeadTask": "bead_id task_id",
    "Exported": "beads:[Bead] convoys:[Convoy] next_cursor?",
    "Bead": "id title description? status priority issue_type assignee? labels?[] dependencies?[] created_at?",
    "Convoy": "name beads[]",
    "Token": "id kind role name? project_id? agent_id? member_id? created_at expires_at? revoked_at?",
    "TaskSeen": "id project_id title status attempts:[Attempt] history:[Change]",
    "Attempt": "number agent_id started_at ended_at? outcome? error?",
    "Change": "number at actor kind facts{}",
    "Created": "created:[CreatedTask]",
    "CreatedTask": "name? task_id title",
    "Closed": "closed[] already_closed[]",
    "Reviewed": "task:Task unblocked[]",
    "Reassigned": "task:Task agent_id at?",
    "Explained": "agent_id chosen?:Chosen others:[Other]",
    "Chosen": "task_id title reasons[]",
    "Other": "task_id title place? obstacle? sentence",
    "Message": "id thread_id sender to subject? text attachments[] urgent sent_at reply_to?",
    "Sent": "message:Message recipients[] skipped[]",
    "Mail": "items:[Message] more",
    "MessageSeen": "id thread_id sender to text urgent sent_at recipients delivered acknowledged",
    "Checkpoint": "id agent_id task_id? attempt? summary next_steps[] state{} files[] locks[] automatic made_at "
    "expires_at",
    "Saved": "id task_id? attempt? locks[] made_at expires_at",
    "Resumed": "checkpoint:Checkpoint missing[]",
    "Invited": "member:Member token?",
    "Team": "id name slug member_ids[] project_ids[]",
    "PutOut": "agent:Agent tokens_ended tasks[] released[]",
    "Rows": "table rows[] next_cursor?",
    "Deleted": "id slug deleted",
    "Pause": "scope project_id? agent_id? mode reason by since",
    "Lifted": "scope project_id? agent_id? lifted remaining:[Pause]",
    "Ended": "ended[]",
    "SessionSeen": "id agent_id client? started_at last_seen_at ended_at? end_reason?",
    "Checked": "allowed agent_id? reasons:[Verdict] locks:[Lock] next:[Next]",
    "Verdict": "path verdict holder? lock_id? token? because",
    "Conflicts": "strategy conflicts:[ConflictSeen] found",
    "ConflictSeen": "kind agents[] subjects[] paths[] message answer because",
    "Zones": "zones:[Zone] version changed_by? changed_at?",
    "Zone": "pattern owners[] mode note?",
    "Rules": "agent_id allowed_paths[] denied_paths[]",
    "Fault": "code message retryable facts{} next:[Next] wait_s?",
}
SHAPES |= {
    f"{item}Page": f"items:[{item}] next_cursor?"
    for item in (
        "Task",
        "Agent",
        "AccessRequest",
        "Organization",
        "Project",
        "Member",
        "Token",
        "Event",
        "Team",
        "MessageSeen",
        "Checkpoint",
        "SessionSeen",
    )
}

REPLIES = {
    "create_task": "Task",
    "update_task": "Task",
    "get_task": "Task",
    "claim_task": "Claim",
    "complete_task": "Completion",
    "list_tasks": "TaskPage",
    "acquire_lock": "Grant",
    "release_lock": "Release",
    "list_locks": "Locks",
    "register_agent": "Registration",
    "request_access": "AccessAnswer",
    "approve_access": "Approval",
    "reject_access": "Rejection",
    "list_access_requests": "AccessRequestPage",
    "heartbeat": "Heartbeat",
    "list_agents": "AgentPage",
    "start_session": "Session",
    "get_project": "Project",
    "create_project": "Project",
    "update_project": "Project",
    "list_projects": "ProjectPage",
    "record_cost": "Booking",
    "get_costs": "Costs",
    "set_quota": "Quota",
    "get_quota": "Quotas",
    "get_onboarding_config": "Onboarding",
    "refresh_context": "Briefing",
    "report_check": "Check",
    "update_onboarding_config": "Onboarding",
    "create_organization": "Organization",
    "list_organizations": "OrganizationPage",
    "add_member": "Member",
    "remove_member": "Member",
    "list_members": "MemberPage",
    "create_token": "NewToken",
    "rotate_token": "NewToken",
    "revoke_token": "Revocation",
    "list_tokens": "TokenPage",
    "list_events": "EventPage",
    "log_action": "Entry",
    "whoami": "Identity",
    "archive_project": "Project",
    "restore_project": "Project",
    "invite_member": "Invited",
    "update_member": "Member",
    "create_team": "Team",
    "update_team": "Team",
    "delete_team": "Team",
    "list_teams": "TeamPage",
    "revoke_access": "PutOut",
    "export_organization": "Rows",
    "delete_organization": "Deleted",
    "import_beads": "Imported",
    "export_beads": "Exported",
    "create_tasks": "Created",
    "close_tasks": "Closed",
    "review_task": "Reviewed",
    "reassign_task": "Reassigned",
    "explain_task": "Explained",
    "send_message": "Sent",
    "read_messages": "Mail",
    "list_messages": "MessageSeenPage",
    "save_checkpoint": "Saved",
    "resume_checkpoint": "Resumed",
    "list_checkpoints": "CheckpointPage",
    "pause": "Pause",
    "drain": "Pause",
    "resume": "Lifted",
    "end_session": "Ended",
    "list_sessions": "SessionSeenPage",
    "check_paths": "Checked",
    "detect_conflicts": "Conflicts",
    "get_zones": "Zones",
    "set_zones": "Zones",
    "set_path_rules": "Rules",
}

_WORD = re.compile(r"(?P<name>\w+)(?P<rest>\?)?(?P<list>\[\])?(?P<object>\{\})?(?::(?P<many>\[)?(?P<inner>\w+)\]?)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_MONEY = re.compile(r"-?\d+(\.\d{1,9})?")


@dataclass(frozen=True)
class Field:
    """One field of a shape."""

    name: str
    may_be_absent: bool
    is_list: bool
    is_object: bool
    inner: str | None


def fields(shape: str) -> list[Field]:
    """Read a shape."""
    found = []
    for word in SHAPES[shape].split():
        read = _WORD.fullmatch(word)
        assert read is not None, word
        is_list = bool(read["list"] or read["many"])
        found.append(Field(read["name"], bool(read["rest"]), is_list, bool(read["object"]), read["inner"]))
    return found


def require_shape(value: Any, shape: str, place: str) -> None:
    """See that a JSON value has a shape."""
    assert isinstance(value, dict), place
    for field in fields(shape):
        where = f"{place}.{field.name}"
        if field.name not in value:
            assert field.may_be_absent, f"{where} is missing"
            continue
        inside = value[field.name]
        assert inside is not None, f"{where} is null: what is not there is left out"
        assert isinstance(inside, list) == field.is_list, where
        assert isinstance(inside, dict) or not field.is_object, where
        if field.inner is not None:
            for each in inside if field.is_list else [inside]:
                require_shape(each, field.inner, where)


def require_plain_forms(value: Any, name: str = "") -> None:
    """See that times are ISO 8601 UTC and amounts decimal text, wherever they stand."""
    match value:
        case dict():
            for key, inside in value.items():
                require_plain_forms(inside, key)
        case list():
            for inside in value:
                require_plain_forms(inside, name)
        case _ if name.endswith("_at") or name == "at":
            assert isinstance(value, str), name
            assert _TIME.fullmatch(value), f"{name}: {value}"
        case _ if name.endswith("_usd"):
            assert isinstance(value, str), name
            assert _MONEY.fullmatch(value), f"{name}: {value}"
        case _:
            pass


def require_model(model: type[BaseModel], shape: str, place: str) -> None:
    """See that a model can never serialise to anything but a shape."""
    kinds = typing.get_type_hints(model)
    for field in fields(shape):
        where = f"{place}.{field.name}"
        assert field.name in model.model_fields, where
        parts = typing.get_args(kinds[field.name]) if _is_union(kinds[field.name]) else (kinds[field.name],)
        assert type(None) not in parts or field.may_be_absent, f"{where} could be absent"
        kind = next(part for part in parts if part is not type(None))
        assert (typing.get_origin(kind) is list) == field.is_list, where
        assert typing.get_origin(kind) is dict or not field.is_object, where
        if field.inner is not None:
            require_model(typing.get_args(kind)[0] if field.is_list else kind, field.inner, where)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in {typing.Union, types.UnionType}


def test_every_operation_has_a_shape() -> None:
    assert REPLIES.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("name", REPLIES)
def test_a_model_keeps_its_shape(name: str) -> None:
    require_model(CATALOGUE[name].reply, REPLIES[name], name)


def test_an_error_has_one_shape() -> None:
    require_model(Fault, "Fault", "fault")


def test_every_operation_has_a_golden_request_that_validates() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.json" for name in CATALOGUE}
    for name, row in CATALOGUE.items():
        row.request.model_validate_json((GOLDEN / f"{name}.json").read_bytes(), strict=True)


@pytest.mark.anyio
async def test_every_golden_request_succeeds_and_its_reply_has_its_shape(here: Furnished) -> None:
    for name, row in CATALOGUE.items():
        answer = await here.world.answer(name, here.natural(name).caller, here.request(name))

        assert answer.code is None, answer.line
        row.reply.model_validate_json(answer.body, strict=True)
        reply = json.loads(answer.body)
        require_shape(reply, REPLIES[name], name)
        require_plain_forms(reply)
        assert reply.get("items", [...]), f"{name}: an empty list shows nothing of its items"
        assert answer.line.strip(), name
        assert "\n" not in answer.line, name
        assert answer.line.isprintable(), name


@pytest.mark.anyio
async def test_every_refusal_has_the_shape_of_an_error(here: Furnished) -> None:
    for name in CATALOGUE:
        for caller in here.callers.values():
            for arguments in ({"surplus": 1}, here.request(name), here.request(name) | {"project_id": "nonsense"}):
                answer = await here.world.answer(name, caller.caller, arguments)
                if answer.code is not None:
                    fault = json.loads(answer.body)
                    require_shape(fault, "Fault", name)
                    assert fault["code"] == answer.code
                    assert answer.line == f"{fault['code']}: {fault['message']}"
                    assert fault["message"].endswith((".", "?", ")")), fault["message"]
                    for step in fault["next"]:
                        row = CATALOGUE[step["tool"]]
                        row.request.model_validate_json(json.dumps(step["args"]), strict=True)
                        assert row.is_listed_for(caller.caller.role)
                        assert step["because"]
