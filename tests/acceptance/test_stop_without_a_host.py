"""A host that does not answer holds up no stop: whoever waits is answered, and the daemon ends in time."""

from __future__ import annotations

import asyncio
import signal

from tests.acceptance.conftest import MakeDaemon
from tests.support.callers import calling
from tests.support.daemon import DaemonProcess

UNAVAILABLE = 503


def test_a_stop_ends_in_time_also_when_a_host_does_not_answer(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.host().suspend()
    assert daemon.process is not None

    statuses = asyncio.run(_ask_and_stop(daemon))
    # Ten seconds from the signal are promised; the answers come after seven.
    code = daemon.process.wait(10)

    assert statuses == {UNAVAILABLE}
    assert code == 0


async def _ask_and_stop(daemon: DaemonProcess) -> set[int]:
    assert daemon.process is not None
    async with calling(daemon) as owner:
        asked = [asyncio.create_task(owner.ask("create_task", title="under way")) for _ in range(3)]
        await asyncio.sleep(0.5)
        daemon.process.send_signal(signal.SIGTERM)
        return {(await answer).status for answer in asked}
