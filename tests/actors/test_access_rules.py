"""Rules by which a project lets agents in without a person, and what no rule ever does."""

from __future__ import annotations

from typing import Any

import pytest

from actors import admission
from conductor.domain.access import Caller, Role, TokenKind
from tests.actors.bearing import ask, enter, kept, require_shut_out, stranger
from tests.actors.looking import events, refusal
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


def neighbour(world: World, number: int = 1) -> Who:
    """Somebody with an enrolment token on the daemon's own machine."""
    who = stranger(world, number)
    return Who(world, who.caller._replace(is_local=True))


async def rule(world: World, auto_approve: str, *listed: str) -> None:
    """Choose the project's rule."""
    await world.person().update_project(settings={"auto_approve": auto_approve, "auto_approve_listed": list(listed)})


async def status(who: Who, agent_id: str = "ada", **particulars: Any) -> str:
    """Ask and tell how the request stands."""
    answer = await ask(who, agent_id, **particulars)
    assert ("token" in answer) == (answer["request"]["status"] == "approved")
    return str(answer["request"]["status"])


async def test_without_a_rule_a_person_decides_wherever_the_request_comes_from(world: World) -> None:
    assert await status(neighbour(world)) == "pending"


async def test_the_same_machine_lets_in_at_once_with_token_and_claim(world: World) -> None:
    await rule(world, "same_machine")

    first = await ask(neighbour(world), capabilities=["python"])
    ada = await enter(world, first["token"])

    assert first["request"]["status"] == "approved"
    assert len(first["claim"]) == 52
    assert "position" not in first
    assert (await ada.start_session())["agent"]["role"] == "contributor"
    approved = (await events(world, kind=["access.approved"]))[0]
    assert approved["facts"] == {"agent_id": "ada", "role": "contributor", "rule": "same_machine"}
    kinds = [event["kind"] for event in await events(world)]
    assert kinds[-5:-1] == ["access.requested", "agent.registered", "access.approved", "token.created"]


async def test_the_same_machine_says_nothing_for_a_request_from_elsewhere(world: World) -> None:
    await rule(world, "same_machine")

    assert await status(stranger(world)) == "pending"


async def test_a_lost_first_answer_is_mended_by_the_claim_and_leaves_one_token(world: World) -> None:
    await rule(world, "same_machine")
    first = await ask(neighbour(world))

    again = await ask(neighbour(world), claim=first["claim"])

    await require_shut_out(world, first["token"])
    await enter(world, again["token"])
    assert "token" not in await ask(neighbour(world), claim=first["claim"])


async def test_without_the_claim_nobody_fetches_the_token_of_an_agent_that_a_rule_let_in(world: World) -> None:
    await rule(world, "same_machine")
    await ask(neighbour(world))

    for answer in (await ask(neighbour(world, 2)), await ask(neighbour(world, 2), claim="x" * 52)):
        assert "token" not in answer
        assert "claim" not in answer


async def test_a_secret_of_a_first_answer_is_kept_nowhere(world: World) -> None:
    await rule(world, "same_machine")

    first = await ask(neighbour(world), idempotency_key="k")
    replay = await ask(neighbour(world), idempotency_key="k")

    assert "token" not in replay
    assert "claim" not in replay
    for table in ("access_requests", "tokens", "events", "idempotency", "batches"):
        assert first["claim"] not in str(kept(world, table)), table
        assert first["token"].rpartition("_")[2] not in str(kept(world, table)), table


@pytest.mark.parametrize("role", ["lead", "reviewer"])
async def test_no_rule_lets_a_lead_or_a_reviewer_in(world: World, role: str) -> None:
    await rule(world, "same_machine")
    assert await status(neighbour(world), requested_role=role) == "pending"

    await rule(world, "listed", "bob")
    assert await status(stranger(world), "bob", requested_role=role) == "pending"


async def test_an_observer_is_let_in_as_an_observer(world: World) -> None:
    await rule(world, "same_machine")

    first = await ask(neighbour(world), requested_role="observer")

    assert (await enter(world, first["token"])).caller.role is Role.OBSERVER


async def test_no_rule_gives_away_the_name_of_an_agent_that_is_or_was_there(world: World) -> None:
    ada = await world.agent("ada")
    await rule(world, "same_machine")

    assert await status(neighbour(world)) == "pending"
    await enter(world, ada.token or "")
    await rule(world, "listed", "ada")
    assert await status(stranger(world, 2)) == "pending"


async def test_who_was_put_out_is_not_let_in_again_by_a_rule(world: World) -> None:
    await rule(world, "listed", "ada")
    assert await status(stranger(world)) == "approved"
    await world.person().revoke_access(agent_id="ada", reason="It misbehaved.")

    assert await status(stranger(world)) == "pending"


async def test_an_agent_lets_no_other_in_by_a_rule(world: World) -> None:
    ada = await world.agent("ada", allowed_paths=["src/"])
    local = Who(world, ada.caller._replace(is_local=True))
    await rule(world, "same_machine")
    assert await status(local, "eve") == "pending"

    await rule(world, "listed", "bob", ada.caller.token_id)
    assert await status(local, "bob") == "pending"


async def test_the_list_lets_in_by_the_agents_name_or_by_the_enrolment_token(world: World) -> None:
    await rule(world, "listed", "ada", "tok_enr0000002")

    assert await status(stranger(world, 1), "ada") == "approved"
    assert await status(stranger(world, 1), "bob") == "pending"
    assert await status(stranger(world, 2), "cleo") == "approved"
    assert await status(neighbour(world, 3), "dan") == "pending"


async def test_a_list_of_names_does_not_hold_for_the_rule_of_the_machine(world: World) -> None:
    await rule(world, "same_machine", "ada")

    assert await status(stranger(world), "ada") == "pending"


async def test_the_rule_of_one_project_holds_in_no_other(world: World) -> None:
    other = await world.person().create_project(name="Other", settings={"auto_approve": "same_machine"})

    assert await status(neighbour(world), "ada", project_id=world.project.id) == "pending"
    assert await status(neighbour(world), "ada", project_id=other["id"]) == "approved"


async def test_full_of_agents_a_project_asks_a_person_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_BY_RULE", 2)
    await rule(world, "same_machine")

    told = [await status(neighbour(world), name) for name in ("a", "b", "c")]

    assert told == ["approved", "approved", "pending"]


async def test_only_admins_choose_the_rule(world: World) -> None:
    lead = await world.agent("lea", Role.LEAD)

    for who in (lead, world.person(Role.MEMBER)):
        await refusal(
            "forbidden", who.update_project(project_id=world.project.id, settings={"auto_approve": "same_machine"})
        )
    await refusal("invalid", world.person().update_project(settings={"auto_approve": "everybody"}))


async def test_a_caller_cannot_say_in_a_request_where_it_comes_from(world: World) -> None:
    await rule(world, "same_machine")

    await refusal("invalid", ask(stranger(world), is_local=True))
    assert Caller(TokenKind.ENROLMENT, Role.ENROLMENT, "org_1", "tok_1").is_local is False
