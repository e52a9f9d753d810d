"""Every write repeated with its idempotency key is done once: generated from the catalogue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE
from tests.support.furnished import Furnished

pytestmark = pytest.mark.anyio

WRITES = [name for name, row in CATALOGUE.items() if row.writes]
SECRETS = {"token", "claim"}


async def test_a_write_sent_many_times_with_one_key_has_one_effect_and_one_answer(here: Furnished) -> None:
    owner = here.callers[Role.OWNER]

    for name in WRITES:
        who, request = here.natural(name), here.request(name) | {"idempotency_key": "again and again"}
        first: dict[str, Any] = await getattr(who, name)(**request)
        before = (await owner.list_events(limit=1))["items"]

        replies = await asyncio.gather(*(getattr(who, name)(**request) for _ in range(5)))

        bare = {key: value for key, value in first.items() if key not in SECRETS}
        assert all(reply == bare for reply in replies), name
        assert (await owner.list_events(limit=1))["items"] == before, f"{name} had a second effect"


async def test_a_key_used_for_another_request_is_refused(here: Furnished) -> None:
    for name in WRITES:
        who, request = here.natural(name), here.request(name) | {"idempotency_key": "k"}
        await getattr(who, name)(**request)
        other = await here.world.answer(name, who.caller, request | _change(request, name, here.ids["project"]))

        assert other.code == "idempotency_mismatch", f"{name}: {other.line}"


async def test_a_refusal_is_not_kept_under_its_key(here: Furnished) -> None:
    owner, ada = here.callers[Role.OWNER], here.callers[Role.CONTRIBUTOR]
    blocked = await owner.create_task(
        project_id=here.ids["project"], title="Blocked", dependencies=[here.ids["working"]]
    )
    claim = {"task_id": blocked["id"], "idempotency_key": "k"}
    assert (await here.world.answer("claim_task", ada.caller, claim)).code == "not_ready"
    await ada.complete_task(task_id=here.ids["working"], attempt=1, result="done")

    assert (await ada.claim_task(**claim))["attempt"] == 1


def _change(request: dict[str, Any], name: str, project_id: str) -> dict[str, Any]:
    """Give a change that makes another request, valid by itself."""
    changes: dict[str, dict[str, Any]] = {
        "claim_task": {"lease_s": 601},
        "complete_task": {"result": "Otherwise."},
        "release_lock": {"force": True},
        "remove_member": {"member_id": "mbr_0000000000"},
        "revoke_token": {"token_id": "tok_0000000000"},
        "rotate_token": {"overlap_s": 1},
        "start_session": {"project_id": project_id},
        "acquire_lock": {"ttl_s": 61},
        "heartbeat": {"stage": "writing"},
        "update_task": {"note": "Otherwise."},
        "approve_access": {"expires_in_days": 31},
        "reject_access": {"reason": "Otherwise."},
        "update_onboarding_config": {"focus": "Otherwise."},
        "report_check": {"passed": False},
        "refresh_context": {"budget_tokens": 201},
        "record_cost": {"input_tokens": 1001},
        "log_action": {"action": "otherwise"},
        "create_tasks": {"tasks": [{"title": "Otherwise"}]},
        "close_tasks": {"reason": "Otherwise."},
        "review_task": {"note": "Otherwise."},
        "reassign_task": {"reason": "Otherwise."},
        "import_beads": {"convoys": []},
        "send_message": {"text": "Otherwise."},
        "read_messages": {"limit": 3},
        "pause": {"reason": "Otherwise."},
        "drain": {"reason": "Otherwise."},
        "resume": {"agent_id": "obi"},
        "end_session": {"session_id": "ses_0000000000"},
        "save_checkpoint": {"summary": "Otherwise."},
        "resume_checkpoint": {"project_id": project_id},
        "set_quota": {"limit_usd": "26"},
        "archive_project": {"project_id": project_id},
        "restore_project": {"project_id": project_id},
        "update_member": {"name": "Otherwise"},
        "update_team": {"name": "Otherwise"},
        "delete_team": {"team_id": "tem_0000000000"},
        "revoke_access": {"reason": "Otherwise."},
        "set_zones": {"zones": []},
        "set_path_rules": {"denied_paths": []},
        "export_organization": {"cursor": "WyJldmVudHMiXQ=="},
        "delete_organization": {"confirm": "otherwise"},
    }
    return changes.get(name) or {"name" if "name" in request else "title": "Otherwise"}
