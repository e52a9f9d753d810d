"""What is urgent reaches an agent also by the client and the command line; and waiting calls are waited for."""

import asyncio
import json

from conductor.client import AsyncClient, Client, wire
from conductor.domain import errors
from conductor.operations.admin import WHOAMI, WhoAmI
from conductor.operations.faults import fault_of
from conductor.operations.messages import ReadMessages
from tests.cli import samples
from tests.cli.conftest import TOKEN, Run
from tests.cli.double import Answered, Double

TOLD = {"Conductor-Notice": "Urgent from lea: gr%C3%BCn%0A (read_messages)"}


def replies(double: Double, count: int = 1) -> None:
    """Answer the next calls with a reply that something urgent comes with."""
    double.script("whoami", *[Answered(200, samples.reply(WHOAMI.reply), TOLD)] * count)


def test_both_clients_keep_what_is_urgent_until_it_is_taken(double: Double) -> None:
    replies(double, 2)

    async def ask() -> list[list[str]]:
        async with AsyncClient(double.url, TOKEN) as client:
            await client.call(WHOAMI, WhoAmI())
            return [client.take_notices(), client.take_notices()]

    with Client(double.url, TOKEN) as client:
        client.call(WHOAMI, WhoAmI())
        told = [client.take_notices(), client.take_notices()]

    assert told == [["Urgent from lea: grün\n (read_messages)"], []]
    assert asyncio.run(ask()) == told


def test_a_client_whose_notices_nobody_takes_keeps_only_the_last(double: Double) -> None:
    replies(double, wire.NOTICES_AT_MOST + 5)

    with Client(double.url, TOKEN) as client:
        for _ in range(wire.NOTICES_AT_MOST + 5):
            client.call(WHOAMI, WhoAmI())
        told = client.take_notices()

    assert len(told) == wire.NOTICES_AT_MOST


def test_the_command_line_tells_what_is_urgent_beside_the_answer(double: Double, run: Run) -> None:
    replies(double)

    ran = run("token", "whoami", "--json")

    assert ran.code == 0
    assert json.loads(ran.out)
    assert ran.err.splitlines() == ["Urgent from lea: grün", " (read_messages)"]


def test_the_command_line_tells_it_with_a_refusal_too(double: Double, run: Run) -> None:
    refused = fault_of(errors.Forbidden("No."))
    double.script("whoami", Answered(403, json.loads(refused.model_dump_json(exclude_none=True)), TOLD))

    ran = run("token", "whoami")

    assert ran.code == 3
    assert "Urgent from lea: grün" in ran.err


def test_an_answer_that_may_be_waited_for_gets_its_time_on_top() -> None:
    waits = [wire.patience_for(35.0, request).read for request in (ReadMessages(wait_s=50), ReadMessages(), WhoAmI())]

    assert waits == [85.0, 35.0, 35.0]
