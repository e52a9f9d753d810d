"""Mail between agents of a running daemon: who waits is woken, what is urgent is seen, and a stop waits for nobody."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib import parse

from conductor.client import Client
from conductor.operations.messages import READ_MESSAGES, Mail, ReadMessages
from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess

STOP_S = 6.0
"""Well below the time that calls under way get at a stop: who waits is not waited for."""


def test_a_waiting_agent_gets_its_mail_at_once_and_what_is_urgent_with_whatever_it_calls(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon()
    daemon.start()
    ada, bob = (daemon.call("register_agent", agent_id=name, name=name)["token"] for name in ("ada", "bob"))

    with ThreadPoolExecutor(2) as pool:
        reading = [_begin_to_wait(daemon, ada, pool), _begin_to_wait(daemon, bob, pool)]
        began = time.monotonic()
        daemon.call("send_message", to="all", text="The schema changes at noon.")
        mails = [read.result(20) for read in reading]

    assert time.monotonic() - began < 10
    assert [[message.text for message in mail.items] for mail in mails] == [["The schema changes at noon."]] * 2

    daemon.call("send_message", bob, to="ada", text="Stop: main is broken — große Not.", urgent=True)
    over_rest = daemon.ask("list_tasks", ada, {}).headers
    told = parse.unquote(over_rest["conductor-notice"])
    assert told == "Urgent from bob: Stop: main is broken — große Not. (read_messages)"
    assert "conductor-notice" not in daemon.ask("list_tasks", ada, {}).headers

    daemon.call("send_message", ada, to="bob", text="I stop.", urgent=True)
    first, second = asyncio.run(_asked_twice(daemon, bob))
    assert first.content[2].text == first.structured_content["notice"] == "Urgent from ada: I stop. (read_messages)"
    assert (len(second.content), "notice" in second.structured_content) == (2, False)


def test_a_stop_answers_who_waits_with_nothing_and_does_not_wait_itself(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    assert daemon.process is not None

    with ThreadPoolExecutor(1) as pool:
        reading = _begin_to_wait(daemon, ada, pool)
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        mail = reading.result(20)
        code = daemon.process.wait(15)

    assert mail.items == []
    assert code == 0
    assert time.monotonic() - began < STOP_S


def _begin_to_wait(daemon: DaemonProcess, token: str, pool: ThreadPoolExecutor) -> Future[Mail]:
    """Have an agent wait for mail. Whether it has begun cannot be asked; late or not, it gets what is sent."""
    reading = pool.submit(_wait, daemon.url, token)
    time.sleep(0.5)
    return reading


def _wait(url: str, token: str) -> Mail:
    with Client(url, token, timeout_s=10) as client:
        return client.call(READ_MESSAGES, ReadMessages(wait_s=50))


async def _asked_twice(daemon: DaemonProcess, token: str) -> tuple[Any, Any]:
    async with daemon.mcp(token) as client:
        return await client.call_tool("conductor_list_tasks", {}), await client.call_tool("conductor_list_tasks", {})
