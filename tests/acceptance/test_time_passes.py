"""Time ends things in a running daemon: silent agents, leases, tokens; and a stop does not count as silence."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.daemon import DaemonProcess


def _until(true: Callable[[], bool], what: str) -> None:
    """Wait for what the daemon does by itself, a second after its time at most; ten are given to a busy machine."""
    for _ in range(100):
        if true():
            return
        time.sleep(0.1)
    pytest.fail(f"never: {what}")


def test_a_silent_agent_is_lost_and_everything_it_held_is_free_in_one_commit(daemon: DaemonProcess) -> None:
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    bob = daemon.call("register_agent", agent_id="bob", name="Bob")["token"]
    task = daemon.call("create_task", title="long", files=["src/app.py"])
    daemon.call("claim_task", ada, lease_s=86_400)
    daemon.call("acquire_lock", ada, paths=["docs/"], ttl_s=86_400)

    daemon.clock.move(600)
    daemon.call("heartbeat", bob, status="idle")
    daemon.clock.move(301)
    _until(lambda: daemon.call("get_task", bob, task_id=task["id"])["status"] == "pending", "the task is requeued")

    assert daemon.call("list_locks", bob)["items"] == []
    agents = {agent["agent_id"]: agent["health"] for agent in daemon.call("list_agents", bob)["items"]}
    assert agents["ada"] == "lost"
    assert agents["bob"] != "lost"
    lost = daemon.call("list_events", kind=["agent.lost"])["items"][0]
    assert lost["facts"]["tasks"] == [task["id"]]
    stale = daemon.ask("complete_task", ada, {"task_id": task["id"], "attempt": 1, "result": "late"})
    assert stale.json()["code"] == "stale_attempt"
    told = daemon.call("heartbeat", ada, status="idle")["notices"]
    assert told[0]["kind"] == "agent_lost"


def test_a_lease_ends_at_its_time_and_a_revoked_token_within_a_second(daemon: DaemonProcess) -> None:
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    daemon.call("acquire_lock", ada, paths=["a"], ttl_s=30)

    daemon.clock.move(29)
    assert len(daemon.call("list_locks")["items"]) == 1
    daemon.clock.move(2)
    _until(lambda: daemon.call("list_events", kind=["lock.expired"])["items"] != [], "the lease is ended")
    assert daemon.call("list_locks")["items"] == []
    daemon.call("revoke_token", token_id=f"tok_{ada.split('_')[2]}")

    assert daemon.ask("whoami", ada, {}).status_code == httpx.codes.UNAUTHORIZED


def test_a_kill_and_a_long_pause_take_no_lease_that_had_not_ended(daemon: DaemonProcess) -> None:
    ada = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]
    lock = daemon.call("acquire_lock", ada, paths=["a"], ttl_s=900)["lock"]

    daemon.kill()
    daemon.clock.move(3600)
    daemon.start()

    assert [held["id"] for held in daemon.call("list_locks")["items"]] == [lock["id"]]
    assert daemon.call("acquire_lock", ada, paths=["a"])["lock"]["token"] == lock["token"]
    assert daemon.call("list_events", kind=["agent.lost"])["items"] == []
