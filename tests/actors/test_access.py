"""How agents are let in: asking, proving oneself by the claim, being approved or rejected, and the token's way home."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conductor.domain.access import Caller, Role, TokenKind
from tests.actors.bearing import ask, enter, kept, require_shut_out, stranger
from tests.actors.looking import events, last_event, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def approved(world: World, agent_id: str = "ada", **decision: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask and be approved; gives the first answer and the approver's reply."""
    first = await ask(stranger(world), agent_id)
    return first, await world.person().approve_access(request_id=first["request"]["id"], **decision)


async def test_the_first_answer_carries_a_claim_a_place_and_no_token(world: World) -> None:
    first = await ask(
        stranger(world), capabilities=["python", "python"], requested_role="reviewer", reason="To help.", model="m"
    )

    request = first["request"]
    assert len(first["claim"]) == 52
    assert first["position"] == 1
    assert "token" not in first
    expected = {
        "project_id": world.project.id,
        "agent_id": "ada",
        "name": "Ada",
        "agent_type": "claude-code",
        "requested_role": "reviewer",
        "capabilities": ["python"],
        "status": "pending",
        "requested_at": "2026-11-24T12:00:00Z",
        "expires_at": "2026-11-25T12:00:00Z",
        "reason": "To help.",
    }
    assert {name: request[name] for name in expected} == expected
    assert "reviewed_at" not in request


async def test_only_the_hash_of_the_claim_is_kept(world: World) -> None:
    first = await ask(stranger(world), idempotency_key="k")
    await world.person().approve_access(request_id=first["request"]["id"])

    answer = await ask(stranger(world), claim=first["claim"])

    for table in ("access_requests", "tokens", "events", "idempotency", "batches"):
        rows = kept(world, table)
        assert rows, table
        assert first["claim"] not in str(rows), table
        assert answer["token"].rpartition("_")[2] not in str(rows), table


async def test_asking_again_without_the_claim_tells_the_place_and_neither_claim_nor_token(world: World) -> None:
    first = await ask(stranger(world))
    world.clock.move(1)
    other = await ask(stranger(world, 2), "bob")

    again = await ask(stranger(world, 3), requested_role="lead")

    assert again == {"request": first["request"], "position": 1}
    assert other["position"] == 2


@pytest.mark.parametrize("claim", [None, "wrong"])
async def test_an_answer_without_the_right_claim_never_carries_a_token(world: World, claim: str | None) -> None:
    given = {} if claim is None else {"claim": claim}
    first, _ = await approved(world)

    before = await ask(stranger(world), **given)
    fetched = await ask(stranger(world), claim=first["claim"])
    between = await ask(stranger(world), **given)
    await enter(world, fetched["token"])
    after = await ask(stranger(world), **given) if claim else before

    for answer in (before, between, after):
        assert answer["request"]["status"] == "approved"
        assert "token" not in answer
        assert "claim" not in answer


async def test_a_claim_where_nobody_asked_is_not_found(world: World) -> None:
    await refusal("not_found", ask(stranger(world), claim="x" * 52))

    assert (await world.person().list_access_requests())["items"] == []


async def test_after_approval_the_claim_fetches_a_token_that_lets_the_agent_in(world: World) -> None:
    first, reply = await approved(world)
    assert "token" not in reply
    assert reply["agent"]["role"] == "contributor"

    answer = await ask(stranger(world), claim=first["claim"])
    ada = await enter(world, answer["token"])

    assert answer["request"]["status"] == "approved"
    assert "position" not in answer
    seen = await ada.whoami()
    assert seen == {
        "kind": "agt",
        "organization_id": world.organization.id,
        "project_id": world.project.id,
        "role": "contributor",
        "agent_id": "ada",
    }
    assert (await ada.start_session())["agent"]["agent_id"] == "ada"


async def test_polling_before_the_first_use_gives_a_new_token_and_revokes_the_former(world: World) -> None:
    first, _ = await approved(world)
    tokens = [(await ask(stranger(world), claim=first["claim"]))["token"] for _ in range(3)]

    assert len(set(tokens)) == 3
    await require_shut_out(world, tokens[0])
    await require_shut_out(world, tokens[1])
    await enter(world, tokens[2])


async def test_many_polls_at_once_leave_exactly_one_token_alive(world: World) -> None:
    first, _ = await approved(world)

    answers = await asyncio.gather(*(ask(stranger(world), claim=first["claim"]) for _ in range(20)))

    alive = [token for token in (await world.person().list_tokens(limit=200))["items"] if "revoked_at" not in token]
    assert len({answer["token"] for answer in answers}) == 20
    assert len(alive) == 1


async def test_after_the_first_use_polling_gives_no_token_any_more(world: World) -> None:
    first, _ = await approved(world)
    token = (await ask(stranger(world), claim=first["claim"]))["token"]
    await enter(world, token)

    answer = await ask(stranger(world), claim=first["claim"])

    assert "token" not in answer
    assert answer["request"]["status"] == "approved"
    await enter(world, token)


async def test_polling_gives_no_token_after_an_admin_ended_the_one_that_was_fetched(world: World) -> None:
    first, _ = await approved(world)
    token = (await ask(stranger(world), claim=first["claim"]))["token"]
    await world.person().revoke_token(token_id=f"tok_{token.split('_')[2]}")

    answer = await ask(stranger(world), claim=first["claim"])

    assert "token" not in answer
    await require_shut_out(world, token)


async def test_a_claim_is_over_when_the_agent_is_given_to_somebody_else(world: World) -> None:
    first, _ = await approved(world)
    taken = await world.person().register_agent(agent_id="ada", name="Another", role="lead", supersede=True)

    answer = await ask(stranger(world), claim=first["claim"])

    assert "token" not in answer
    assert (await enter(world, taken["token"])).caller.role is Role.LEAD
    again = await ask(stranger(world))
    assert again["request"]["status"] == "pending"
    assert again["claim"]


async def test_with_deliver_approver_the_approvers_reply_carries_the_token_and_no_poll_does(world: World) -> None:
    first, reply = await approved(world, deliver="approver")

    ada = await enter(world, reply["token"])
    answer = await ask(stranger(world), claim=first["claim"])

    assert ada.caller.agent_name == "ada"
    assert "token" not in answer
    assert answer["request"]["status"] == "approved"


async def test_a_replayed_approval_tells_no_token(world: World) -> None:
    first = await ask(stranger(world))
    decision = {"request_id": first["request"]["id"], "deliver": "approver", "idempotency_key": "once"}

    reply = await world.person().approve_access(**decision)
    again = await world.person().approve_access(**decision)

    assert reply.pop("token")
    assert again == reply


async def test_an_approval_can_narrow_role_paths_and_time(world: World) -> None:
    first = await ask(stranger(world), requested_role="lead")
    reply = await world.person().approve_access(
        request_id=first["request"]["id"],
        role="observer",
        expires_in_days=2,
        allowed_paths=["src//", "./docs/a.md"],
        deliver="approver",
    )

    assert reply["agent"]["role"] == "observer"
    assert reply["agent"]["allowed_paths"] == ["docs/a.md", "src/"]
    ada = await enter(world, reply["token"])
    assert (await ada.whoami())["expires_at"] == "2026-11-26T12:00:00Z"
    world.clock.move(2 * 86_400)
    await require_shut_out(world, reply["token"])


async def test_the_time_of_a_token_runs_from_the_approval_and_not_from_the_fetch(world: World) -> None:
    first, _ = await approved(world, expires_in_days=2)
    world.clock.move(86_399)
    answer = await ask(stranger(world), claim=first["claim"])
    assert (await (await enter(world, answer["token"])).whoami())["expires_at"] == "2026-11-26T12:00:00Z"

    other, _ = await approved(world, "bob", expires_in_days=1)
    world.clock.move(86_400)

    assert "token" not in await ask(stranger(world), "bob", claim=other["claim"])


async def test_a_request_expires_after_24_hours_and_can_be_made_anew(world: World) -> None:
    first = await ask(stranger(world))
    world.clock.move(24 * 3600 - 1)
    assert (await ask(stranger(world), claim=first["claim"]))["request"]["status"] == "pending"
    world.clock.move(1)

    answer = await ask(stranger(world), claim=first["claim"])
    refused = await refusal("not_pending", world.person().approve_access(request_id=first["request"]["id"]))
    anew = await ask(stranger(world))

    assert answer["request"]["status"] == "expired"
    assert refused.facts["status"] == "expired"
    assert anew["request"]["id"] != first["request"]["id"]
    assert anew["claim"] != first["claim"]
    assert anew["position"] == 1
    kinds = [event["kind"] for event in await events(world, subject_id=first["request"]["id"])]
    assert kinds == ["access.requested", "access.expired"]


async def test_the_claim_of_an_older_request_opens_nothing(world: World) -> None:
    first = await ask(stranger(world))
    world.clock.move(24 * 3600)
    second = await ask(stranger(world))
    await world.person().approve_access(request_id=second["request"]["id"])

    answer = await ask(stranger(world), claim=first["claim"])

    assert "token" not in answer
    assert (await ask(stranger(world), claim=second["claim"]))["token"]


async def test_a_rejected_request_tells_why_and_the_agent_may_ask_again(world: World) -> None:
    first = await ask(stranger(world))
    reply = await world.person().reject_access(request_id=first["request"]["id"], reason="Not this week.")

    answer = await ask(stranger(world), claim=first["claim"])
    world.clock.move(1)
    anew = await ask(stranger(world))

    assert reply["request"] == answer["request"]
    assert answer["request"]["status"] == "rejected"
    assert answer["request"]["reason"] == "Not this week."
    assert answer["request"]["reviewed_at"] == "2026-11-24T12:00:00Z"
    assert set(answer) == {"request"}
    assert anew["claim"]


@pytest.mark.parametrize("decide", ["approve_access", "reject_access"])
async def test_a_request_is_decided_once(world: World, decide: str) -> None:
    approved_one, _ = await approved(world)
    rejected_one = await ask(stranger(world), "bob")
    await world.person().reject_access(request_id=rejected_one["request"]["id"], reason="No.")
    arguments = {"reason": "No."} if decide == "reject_access" else {}
    before = await last_event(world)

    for request, status in ((approved_one, "approved"), (rejected_one, "rejected")):
        call = getattr(world.person(), decide)(request_id=request["request"]["id"], **arguments)
        refused = await refusal("not_pending", call)
        assert refused.facts["status"] == status
    for wrong in ("req_0000000000", "nonsense", world.project.id):
        await refusal("not_found", getattr(world.person(), decide)(request_id=wrong, **arguments))

    assert await last_event(world) == before


async def test_of_many_decisions_at_once_one_counts(world: World) -> None:
    first = await ask(stranger(world))
    request_id = first["request"]["id"]
    approvals = [world.answer("approve_access", world.person().caller, {"request_id": request_id}) for _ in range(8)]
    rejections = [
        world.answer("reject_access", world.person().caller, {"request_id": request_id, "reason": "No."})
        for _ in range(8)
    ]

    codes = [answer.code for answer in await asyncio.gather(*approvals, *rejections)]

    assert codes.count(None) == 1
    assert codes.count("not_pending") == 15


async def test_requests_are_listed_the_oldest_first_by_status_and_in_pages(world: World) -> None:
    owner = world.person()
    for number in range(7):
        await ask(stranger(world), f"a{number}")
        world.clock.move(3600)
    requests = {item["agent_id"]: item for item in (await owner.list_access_requests())["items"]}
    await owner.approve_access(request_id=requests["a1"]["id"])
    await owner.reject_access(request_id=requests["a3"]["id"], reason="No.")
    world.clock.move(18 * 3600)

    async def listed(**wanted: Any) -> list[str]:
        found: list[str] = []
        page = await owner.list_access_requests(**wanted)
        while True:
            found += [item["agent_id"] for item in page["items"]]
            if "next_cursor" not in page:
                return found
            assert page["items"], "a page that has a next one is not empty"
            page = await owner.list_access_requests(**wanted, cursor=page["next_cursor"])

    assert await listed(limit=2) == [f"a{number}" for number in range(7)]
    assert await listed(status=["expired"]) == ["a0"]
    assert await listed(status=["pending"], limit=1) == ["a2", "a4", "a5", "a6"]
    assert await listed(status=["approved", "rejected"], limit=1) == ["a1", "a3"]
    assert await listed(status=["expired", "pending"], limit=2) == ["a0", "a2", "a4", "a5", "a6"]


async def test_each_step_writes_its_events_and_polls_that_change_nothing_write_none(world: World) -> None:
    first = await ask(stranger(world))
    start = await last_event(world)
    await ask(stranger(world))
    await ask(stranger(world), claim="wrong")
    await ask(stranger(world), claim=first["claim"])
    assert await last_event(world) == start

    await world.person().approve_access(request_id=first["request"]["id"])
    for _ in range(2):
        token = (await ask(stranger(world), claim=first["claim"]))["token"]
    await enter(world, token)
    await ask(stranger(world), claim=first["claim"])

    kinds = [event["kind"] for event in await events(world, since=start)]
    assert kinds == ["agent.registered", "access.approved", "token.created", "token.revoked", "token.created"]


async def test_access_survives_a_restart_at_every_step(world: World) -> None:
    first = await ask(stranger(world))
    await world.restart(60)
    await world.person().approve_access(request_id=first["request"]["id"])
    await world.restart(60)
    former = (await ask(stranger(world), claim=first["claim"]))["token"]
    await world.restart(60)
    token = (await ask(stranger(world), claim=first["claim"]))["token"]
    await world.restart(60)

    await require_shut_out(world, former)
    ada = await enter(world, token)

    assert (await ada.start_session())["agent"]["agent_id"] == "ada"
    assert "token" not in await ask(stranger(world), claim=first["claim"])


async def test_an_approval_that_nobody_fetches_in_time_does_not_block_the_name(world: World) -> None:
    owner, newcomer = world.person(), await world.agent("porter")
    asking = {"agent_id": "bob", "name": "Bob", "agent_type": "codex"}
    first = await newcomer.request_access(**asking)
    await owner.approve_access(request_id=first["request"]["id"])

    await world.elapse(24 * 3600)
    late = await newcomer.request_access(**asking, claim=first["claim"])
    second = await newcomer.request_access(**asking)

    assert "token" not in late
    assert second["request"]["status"] == "pending"
    assert second["request"]["id"] != first["request"]["id"]


async def test_whoever_is_let_in_under_a_name_is_its_only_bearer(world: World) -> None:
    made = await world.person().register_agent(agent_id="ada", name="Ada")
    first = await ask(stranger(world))
    await world.person().approve_access(request_id=first["request"]["id"])

    answer = await ask(stranger(world), claim=first["claim"])

    await require_shut_out(world, made["token"])
    assert (await enter(world, answer["token"])).caller.agent_name == "ada"


async def test_a_lead_lets_nobody_further_in_than_itself(world: World) -> None:
    lead = await world.agent("lead", Role.LEAD, allowed_paths=["docs/**"], denied_paths=["docs/secret/"])

    await refusal("zone_denied", lead.register_agent(agent_id="alias", name="Alias"))
    await refusal("zone_denied", lead.register_agent(agent_id="alias", name="Alias", allowed_paths=["src/**"]))
    made = await lead.register_agent(agent_id="helper", name="Helper", allowed_paths=["docs/api/**"])
    await refusal("forbidden", lead.register_agent(agent_id="helper", name="Helper", supersede=True))

    assert made["agent"]["denied_paths"] == ["docs/secret/"]


async def test_no_more_than_a_hundred_requests_wait_in_a_project(world: World) -> None:
    for number in range(100):
        await ask(stranger(world), f"agent-{number}")

    refused = await refusal("rate_limited", ask(stranger(world), "one-more"))

    assert refused.facts == {"waiting": 100}


async def test_who_decides_sees_that_a_request_would_take_an_agents_place(world: World) -> None:
    owner = world.person()
    await world.agent("ada")
    enrolment = Who(world, Caller(TokenKind.ENROLMENT, Role.ENROLMENT, world.organization.id, "tok_enrol00001"))

    for name in ("ada", "bob"):
        await enrolment.request_access(agent_id=name, name=name, agent_type="codex")

    shown = {item["agent_id"]: item["replaces_agent"] for item in (await owner.list_access_requests())["items"]}
    assert shown == {"ada": True, "bob": False}
