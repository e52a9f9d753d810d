"""How a daemon ends: told to, or killed; in no case is anything left running, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, field

import psutil
import pytest

from storage import open_store
from tests.acceptance.conftest import MakeDaemon
from tests.support.callers import NoAnswer, RestCaller, calling
from tests.support.daemon import DaemonProcess, eventually

STOP_S = 10.0
UNDER_WAY_S = 0.5
"""A call that was sent so long before the signal has reached the daemon by then."""


@dataclass
class Calls:
    """What became of calls that went on while the daemon was told to stop. unanswered: when each of them was sent."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    unanswered: list[float] = field(default_factory=list)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_is_under_way_and_leaves_nothing(
    make_daemon: MakeDaemon, number: signal.Signals
) -> None:
    daemon = make_daemon()
    daemon.start()
    tree = daemon.tree()

    calls, told_at, took_s, code = asyncio.run(_stopped_under_load(daemon, number))

    assert code == 0
    assert took_s < STOP_S
    assert len(calls.acknowledged) > 20
    assert set(calls.refused) <= {503}
    assert [at for at in calls.unanswered if at < told_at - UNDER_WAY_S] == []
    _assert_nothing_is_left(daemon, tree)
    assert set(calls.acknowledged) <= _titles(daemon)


def test_after_kill_9_the_next_start_ends_what_was_left_and_serves_the_same_state(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    task = daemon.call("create_task", title="Kept", files=["src/**"])
    daemon.call("claim_task", ada, task_id=task["id"])
    daemon.call("record_cost", ada, model="m", input_tokens=1, output_tokens=1, cost_usd="0.5", idempotency_key="k")
    before, tree = _state(daemon), daemon.tree()

    daemon.kill()
    daemon.start()

    assert _living(tree) == []
    assert _state(daemon) == before
    assert daemon.call("complete_task", ada, task_id=task["id"], attempt=1, result="done")["released"]


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_daemon_that_lost_a_part_of_ray_says_so_and_ends_with_nothing_lost(
    make_daemon: MakeDaemon, part: str
) -> None:
    daemon = make_daemon()
    daemon.start()
    daemon.call("create_task", title="Kept")
    tree = daemon.tree()
    assert daemon.process is not None

    next(process for process in tree if process.name() == part).kill()
    code = daemon.process.wait(STOP_S)

    assert code == 1
    assert f"Ray has lost {part}" in daemon.output.read_text()
    _assert_nothing_is_left(daemon, tree)
    assert _titles(daemon) == {"Kept"}


async def _stopped_under_load(daemon: DaemonProcess, number: signal.Signals) -> tuple[Calls, float, float, int]:
    calls = Calls()
    async with calling(daemon) as owner:
        workers = [asyncio.create_task(_work(owner, f"worker {index}", calls)) for index in range(30)]
        await asyncio.to_thread(eventually, lambda: len(calls.acknowledged) > 60, "the load runs")
        assert daemon.process is not None
        # Until the host is back every call is under way, for seconds.
        daemon.kill_host()
        await asyncio.sleep(2 * UNDER_WAY_S)
        told_at = time.monotonic()
        daemon.process.send_signal(number)
        code = await asyncio.to_thread(daemon.process.wait, STOP_S * 2)
        took_s = time.monotonic() - told_at
        await asyncio.gather(*workers)
    return calls, told_at, took_s, code


async def _work(owner: RestCaller, name: str, calls: Calls) -> None:
    """Create tasks one after the other until the daemon is gone."""
    number = 0
    while True:
        number += 1
        title, sent_at = f"{name}, {number}", time.monotonic()
        try:
            answer = await owner.ask("create_task", title=title)
        except NoAnswer:
            calls.unanswered.append(sent_at)
            return
        if answer.status == 200:
            calls.acknowledged.append(title)
        else:
            calls.refused.append(answer.status)


def _state(daemon: DaemonProcess) -> dict[str, object]:
    return {
        "tasks": daemon.call("list_tasks")["items"],
        "locks": daemon.call("list_locks")["items"],
        "costs": daemon.call("get_costs", group_by=["agent"]),
        "agents": [(agent["agent_id"], agent["current_task"]) for agent in daemon.call("list_agents")["items"]],
        "events": daemon.call("list_events", limit=200)["items"],
    }


def _titles(daemon: DaemonProcess) -> set[str]:
    """The tasks that the database of a stopped daemon holds."""
    found: set[str] = set()
    with open_store(str(daemon.home / "conductor.db")) as store:
        (organization,) = store.organizations()
        with store.unit(organization.id) as tx:
            (project,) = tx.projects.all()
            cursor = None
            while True:
                page = tx.tasks.page(project.id, limit=200, cursor=cursor)
                found |= {task.title for task in page.items}
                cursor = page.next_cursor
                if cursor is None:
                    return found


def _assert_nothing_is_left(daemon: DaemonProcess, tree: list[psutil.Process]) -> None:
    assert _living(tree) == []
    assert not (daemon.home / "daemon.json").exists()
    assert list((daemon.home / "ray").iterdir()) == []


def _living(tree: list[psutil.Process]) -> list[int]:
    return [process.pid for process in tree if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
