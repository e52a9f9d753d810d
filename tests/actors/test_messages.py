"""Messages: who gets them, in which order and how often, who sees them, and what is urgent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from conductor.domain import messages
from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE
from tests.actors.conftest import MakeWorld
from tests.actors.looking import Probe, events, last_event, refusal, restart
from tests.support.world import Who, World

pytestmark = pytest.mark.anyio


async def texts(who: Who, **arguments: Any) -> list[str]:
    """Read an agent's mail and give the texts."""
    return [message["text"] for message in (await who.read_messages(**arguments))["items"]]


async def notice(who: Who, operation: str = "whoami", **arguments: Any) -> str:
    """Call an operation and give what urgent was told with its answer."""
    return (await who.world.answer(operation, who.caller, arguments)).notice


async def test_a_message_reaches_the_agent_it_names_and_nobody_else(world: World) -> None:
    ada, bob, lea = await world.agent("ada"), await world.agent("bob"), await world.agent("lea", Role.LEAD)
    before = await last_event(world)

    sent = await lea.send_message(to="ada", text="The parser\nis yours.", subject="Parser", attachments=["src/p.py"])

    message = sent["message"]
    assert (sent["recipients"], sent["skipped"]) == (["ada"], [])
    assert (message["sender"], message["to"], message["thread_id"]) == ("agent:lea", "agent:ada", message["id"])
    assert await bob.read_messages() == {"items": [], "more": False}
    assert (await ada.read_messages())["items"] == [message]
    written = await events(world, since=before)
    assert [(event["kind"], event["actor"]) for event in written] == [
        ("message.sent", "agent:lea"),
        ("message.delivered", "agent:ada"),
    ]
    assert "parser" not in json.dumps(written).lower(), "the log says that a message was sent, not what it says"


async def test_a_long_text_is_given_whole_to_its_reader_and_cut_for_its_sender(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")

    sent = await ada.send_message(to="bob", text="x" * 4000)

    assert len(sent["message"]["text"]) == 200
    assert await texts(bob) == ["x" * 4000]


async def test_a_role_and_all_mean_those_who_are_there_when_it_is_sent_and_not_the_sender(world: World) -> None:
    ada, lea = await world.agent("ada"), await world.agent("lea", Role.LEAD)
    rex = await world.agent("rex", Role.REVIEWER)

    to_all = await lea.send_message(to="all", text="for all")
    to_role = await lea.send_message(to="role:reviewer", text="for reviewers")
    by_person = await world.person().send_message(to="all", text="from a person", project_id=world.project.id)
    late = await world.agent("zoe")

    assert to_all["recipients"] == ["ada", "rex"]
    assert to_role["recipients"] == ["rex"]
    assert by_person["recipients"] == ["ada", "lea", "rex"]
    assert by_person["message"]["sender"].startswith("member:")
    assert await texts(ada) == ["for all", "from a person"]
    assert await texts(rex) == ["for all", "for reviewers", "from a person"]
    assert await texts(lea) == ["from a person"]
    assert await texts(late) == []


@pytest.mark.parametrize("to", ["nobody", "role:observer", "ADA"])
async def test_a_message_for_nobody_is_refused_and_says_how_to_find_somebody(world: World, to: str) -> None:
    ada = await world.agent("ada")
    before = await last_event(world)

    refused = await refusal("not_found", ada.send_message(to=to, text="hello"))

    assert "list_agents" in refused.fault["message"]
    assert await last_event(world) == before


@pytest.mark.parametrize("to", ["", "role:owner", "role:", "a b", "all ", "*", "agent:"])
async def test_an_address_that_could_mean_anything_is_refused(world: World, to: str) -> None:
    ada = await world.agent("ada")

    await refusal("invalid", ada.send_message(to=to, text="hello"))


async def test_messages_are_read_once_and_in_order_however_many_read_at_once(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await asyncio.gather(*(ada.send_message(to="bob", text=f"{number:02}") for number in range(40)))
    sent = await world.person().list_messages(limit=50, detail="full", project_id=world.project.id)
    assert len(sent["items"]) == 40

    read = await asyncio.gather(*(texts(bob, limit=7) for _ in range(8)))

    assert sorted(text for page in read for text in page) == [f"{number:02}" for number in range(40)]
    assert await texts(bob) == []
    events_of_bob = await events(world, kind=["message.delivered"])
    assert sum(len(event["facts"]["messages"]) for event in events_of_bob) == 40


async def test_messages_come_in_the_order_in_which_they_were_sent_page_by_page(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    for number in range(5):
        await ada.send_message(to="bob", text=str(number))

    first = await bob.read_messages(limit=2)

    assert ([message["text"] for message in first["items"]], first["more"]) == (["0", "1"], True)
    assert await texts(bob, limit=2) == ["2", "3"]
    last = await bob.read_messages(limit=2)
    assert ([message["text"] for message in last["items"]], last["more"]) == (["4"], False)


async def test_what_was_read_and_not_acknowledged_is_found_again_until_it_is(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    first, second, third = [
        (await ada.send_message(to="bob", text=text))["message"]["id"] for text in ("one", "two", "three")
    ]
    await bob.read_messages(limit=2)
    assert await texts(bob, unacknowledged=True) == ["one", "two"], "three was not given yet"

    read = await bob.read_messages(acknowledge=[first])

    assert [message["id"] for message in read["items"]] == [third]
    assert await texts(bob, unacknowledged=True) == ["two", "three"]
    assert await texts(bob, acknowledge=[second, third, first], unacknowledged=True) == []
    seen = (await world.person().list_messages(project_id=world.project.id))["items"]
    assert {(message["recipients"], message["delivered"], message["acknowledged"]) for message in seen} == {(1, 1, 1)}
    acknowledged = await events(world, kind=["message.acknowledged"])
    assert [event["facts"]["messages"] for event in acknowledged] == [[first], [second, third]]


async def test_only_a_message_that_was_given_can_be_acknowledged(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    unread = (await ada.send_message(to="bob", text="unread"))["message"]["id"]
    before = await last_event(world)

    for wrong in (unread, "msg_0000000000", "nonsense"):
        refused = await refusal("not_found", bob.read_messages(acknowledge=[wrong]))
        assert refused.facts["acknowledge"] == [wrong]

    assert await last_event(world) == before
    assert await texts(bob) == ["unread"], "a refused reading has read nothing"


async def test_an_answer_stays_in_its_thread_and_only_what_one_has_seen_can_be_answered(world: World) -> None:
    ada, bob, zoe = await world.agent("ada"), await world.agent("bob"), await world.agent("zoe")
    first = (await ada.send_message(to="bob", text="Who has the parser?"))["message"]["id"]
    answer = (await bob.send_message(to="ada", text="I have.", reply_to=first))["message"]
    again = (await ada.send_message(to="bob", text="Thanks.", reply_to=answer["id"]))["message"]
    apart = (await ada.send_message(to="bob", text="Something else."))["message"]

    for wrong in (first, "msg_0000000000", "nonsense"):
        await refusal("not_found", zoe.send_message(to="ada", text="Me too.", reply_to=wrong))

    assert answer["thread_id"] == again["thread_id"] == first
    assert apart["thread_id"] == apart["id"]
    thread = (await bob.list_messages(thread_id=first))["items"]
    assert [message["text"] for message in thread] == ["Thanks.", "I have.", "Who has the parser?"]


async def test_people_and_leads_find_every_message_other_agents_their_own(world: World) -> None:
    ada, bob, lea = await world.agent("ada"), await world.agent("bob"), await world.agent("lea", Role.LEAD)
    zoe = await world.agent("zoe")
    await ada.send_message(to="bob", text="for bob")
    await bob.send_message(to="zoe", text="for zoe")

    seen = {
        name: [message["text"] for message in (await who.list_messages(**here))["items"]]
        for name, who, here in (
            ("ada", ada, {}),
            ("bob", bob, {}),
            ("lea", lea, {}),
            ("owner", world.person(), {"project_id": world.project.id}),
        )
    }

    assert seen["ada"] == ["for bob"]
    assert seen["bob"] == seen["lea"] == seen["owner"] == ["for zoe", "for bob"]
    assert (await zoe.list_messages(agent_id="ada"))["items"] == []
    assert len((await lea.list_messages(agent_id="ada"))["items"]) == 1


async def test_a_list_is_narrowed_by_words_time_and_what_is_not_acknowledged(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    old = (await ada.send_message(to="bob", text="The LEXER is done", subject="News"))["message"]["id"]
    await bob.read_messages()
    await bob.read_messages(acknowledge=[old])
    world.clock.move(60)
    since = world.clock.now().isoformat()
    new = (await ada.send_message(to="bob", text="x" * 1000, subject="Lexer"))["message"]["id"]

    async def found(**narrowed: Any) -> list[str]:
        return [message["id"] for message in (await ada.list_messages(**narrowed))["items"]]

    assert await found(text="lexer") == [new, old]
    assert await found(text="news") == [old]
    assert await found(since=since) == [new]
    assert await found(unacknowledged=True) == [new]
    assert await found(unacknowledged=True, agent_id="ada") == [], "what ada has not acknowledged herself"
    cut, whole = await ada.list_messages(limit=1), await ada.list_messages(limit=1, detail="full")
    assert len(cut["items"][0]["text"]) == 200
    assert cut["items"][0]["text"].endswith("…")
    assert len(whole["items"][0]["text"]) == 1000
    page = await ada.list_messages(limit=1, cursor=cut["next_cursor"])
    assert [message["id"] for message in page["items"]] == [old]
    assert "next_cursor" not in page


async def test_a_full_mailbox_takes_nothing_more_and_holds_up_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_UNREAD", 3)
    ada, bob, zoe = await world.agent("ada"), await world.agent("bob"), await world.agent("zoe")
    for number in range(3):
        await ada.send_message(to="bob", text=str(number))

    refused = await refusal("rate_limited", ada.send_message(to="bob", text="too many"))
    to_all = await ada.send_message(to="all", text="for all")

    assert refused.fault["wait_s"] > 0
    assert (to_all["recipients"], to_all["skipped"]) == (["zoe"], ["bob"])
    await restart(world)
    await refusal("rate_limited", ada.send_message(to="bob", text="still too many"))
    assert await texts(bob, limit=1) == ["0"]
    assert (await ada.send_message(to="bob", text="there is room again"))["recipients"] == ["bob"]
    assert await texts(zoe) == ["for all"]


async def test_what_was_sent_outlives_a_restart_and_is_still_given_once(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.send_message(to="bob", text="one")
    assert await texts(bob) == ["one"]
    await ada.send_message(to="bob", text="two", urgent=True)

    await restart(world)

    assert await notice(bob) == "Urgent from ada: two (read_messages)"
    assert await texts(bob) == ["two"]
    assert await notice(bob) == ""


async def test_a_lost_answer_is_found_again_by_its_key(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.send_message(to="bob", text="one")

    first = await bob.read_messages(idempotency_key="k")

    assert await bob.read_messages(idempotency_key="k") == first
    assert await texts(bob) == []
    assert await texts(bob, unacknowledged=True) == ["one"]


async def test_an_urgent_message_is_told_once_with_the_next_answer_to_anything(world: World) -> None:
    ada, bob, lea = await world.agent("ada"), await world.agent("bob"), await world.agent("lea", Role.LEAD)
    assert await notice(ada) == ""
    await lea.send_message(to="all", text="Stop: main is broken.", urgent=True)

    told = [await notice(ada, "list_tasks"), await notice(ada, "list_tasks"), await notice(ada, "heartbeat")]
    refused = await notice(bob, "get_task", task_id="nonsense")

    assert told == ["Urgent from lea: Stop: main is broken. (read_messages)", "", ""]
    assert refused == told[0], "a refusal tells it too"
    assert await texts(ada) == ["Stop: main is broken."], "the message itself is still to be read"
    assert await notice(lea) == ""
    assert await notice(world.person()) == ""


async def test_several_urgent_messages_are_told_one_with_each_answer_in_order(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    for number in range(3):
        await bob.send_message(to="ada", text=str(number), urgent=True)

    told = [await notice(ada) for _ in range(4)]

    assert told == [*(f"Urgent from bob: {number} (read_messages)" for number in range(3)), ""]


async def test_a_heartbeat_and_a_session_tell_what_is_urgent_themselves_and_then_it_is_told(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await bob.send_message(to="ada", text="Stop.", urgent=True)
    beat = await world.answer("heartbeat", ada.caller, {"status": "idle"})
    await bob.send_message(to="ada", text="Go.", urgent=True)
    session = await world.answer("start_session", ada.caller, {})

    told = [json.loads(answer.body)["notices"] for answer in (beat, session)]

    assert told == [
        [{"kind": "urgent", "text": "Urgent from bob: Stop. (read_messages)"}],
        [{"kind": "urgent", "text": "Urgent from bob: Go. (read_messages)"}],
    ]
    assert (beat.notice, session.notice) == ("", "")
    assert await notice(ada) == ""


async def test_what_only_looks_into_the_store_for_a_face_takes_no_urgent_notice_along(world: World) -> None:
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await bob.send_message(to="ada", text="Stop.", urgent=True)
    aside = await world.dispatcher.call(CATALOGUE["list_tasks"], b"{}", ada.caller, tells=False)

    assert aside.notice == ""
    assert await notice(ada) == "Urgent from bob: Stop. (read_messages)"


async def test_agents_of_one_name_in_two_projects_have_two_mailboxes(world: World) -> None:
    other = await world.person().create_project(name="Other", slug="other")
    place = next(project for project in _projects(world) if project.id == other["id"])
    here, there = await world.agent("ada"), await world.agent("ada", project=place)
    bob = await world.agent("bob")

    await bob.send_message(to="ada", text="here", urgent=True)

    assert await texts(there) == []
    assert await notice(there) == ""
    assert await texts(here) == ["here"]


async def test_a_message_that_could_not_be_kept_is_not_counted_and_not_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_UNREAD", 2)
    probe = Probe()
    world = make_world(probe=probe)
    ada, bob = await world.agent("ada"), await world.agent("bob")
    await ada.send_message(to="bob", text="one")
    probe.plan("before_commit", *[RuntimeError("planned")] * 2)

    await refusal("internal", ada.send_message(to="bob", text="lost", urgent=True))

    assert await notice(bob) == ""
    await ada.send_message(to="bob", text="two")
    await refusal("rate_limited", ada.send_message(to="bob", text="three"))
    assert await texts(bob) == ["one", "two"]


def _projects(world: World) -> list[Any]:
    with world.store.reading(world.organization.id) as tx:
        return tx.projects.page(limit=20).items


async def test_an_agent_answers_people_who_find_it_in_the_list(world: World) -> None:
    owner, ada = world.person(), await world.agent("ada")
    asked = await owner.send_message(to="ada", text="How far are you?")

    sent = await ada.send_message(to="people", text="Half way.", reply_to=asked["message"]["id"])

    assert sent["recipients"] == []
    found = (await owner.list_messages(thread_id=asked["message"]["thread_id"]))["items"]
    assert [message["text"] for message in found] == ["Half way.", "How far are you?"]
