"""What time ends, and what it must not end: silent agents, leases, tokens, across a restart. The clock is set ahead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, eventually, running

LOST_AFTER_S = 900
GRACE_S = 15
DAY_S = 86_400
TURN_S = 2.5
"""The daemon looks every second for what time has ended; on a busy machine a little later."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running(tmp_path_factory.mktemp("time")) as process:
        yield process


def test_a_silent_agent_loses_its_tasks_and_locks_in_one_commit_and_one_that_is_heard_keeps_them(
    daemon: DaemonProcess,
) -> None:
    project = _project(daemon, "Lost")
    ada, bob = _agent(daemon, project, "ada"), _agent(daemon, project, "bob")
    task = daemon.call("create_task", project_id=project, title="Long work", files=["src/**"])
    claimed = daemon.call("claim_task", ada, task_id=task["id"])
    own = daemon.call("acquire_lock", ada, paths=["notes.md"], ttl_s=DAY_S)["lock"]
    kept = daemon.call("acquire_lock", bob, paths=["docs/**"])["lock"]
    last = daemon.call("list_events", limit=1)["items"][0]["number"]

    for _ in range(3):
        daemon.clock.move(LOST_AFTER_S / 3 + 1)
        daemon.call("heartbeat", bob, status="working")
    took_s = eventually(lambda: _agent_of(daemon, project, "ada")["status"] == "offline", "ada is lost")

    assert took_s < TURN_S
    after = daemon.call("get_task", task_id=task["id"])
    assert (after["status"], after["attempts"][0]["outcome"]) == ("pending", "agent_lost")
    assert "retry_at" in after
    held = daemon.call("list_locks", bob)["items"]
    assert [lock["id"] for lock in held] == [kept["id"]]
    assert _at(held[0]["expires_at"]) > daemon.clock.now()
    # When agents were seen is written down every few seconds.
    eventually(lambda: _agent_of(daemon, project, "bob")["health"] == "healthy", "bob is shown as heard")
    events = daemon.call("list_events", project_id=project, since=last, kind=_ENDS)["items"]
    assert [(event["kind"], event["subject_id"]) for event in events] == [
        ("lock.released", claimed["locks"][0]["id"]),
        ("task.requeued", task["id"]),
        ("lock.released", own["id"]),
        ("agent.lost", _agent_of(daemon, project, "ada")["id"]),
    ]
    # One commit: nothing else came between, and all of it happened at one time.
    numbers = [event["number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({event["at"] for event in events}) == 1


def test_a_lost_agent_that_comes_back_is_told_and_its_stale_attempt_is_refused(daemon: DaemonProcess) -> None:
    project = _project(daemon, "Back")
    ada = _agent(daemon, project, "ada")
    task = daemon.call("create_task", project_id=project, title="Work")
    daemon.call("claim_task", ada, task_id=task["id"])
    daemon.clock.move(LOST_AFTER_S + 1)
    eventually(lambda: _agent_of(daemon, project, "ada")["status"] == "offline", "ada is lost")

    late = daemon.ask("complete_task", ada, {"task_id": task["id"], "attempt": 1, "result": "done"})
    told = daemon.call("heartbeat", ada, status="idle")["notices"]

    assert (late.status_code, late.json()["code"]) == (409, "stale_attempt")
    assert "agent_lost" in {notice["kind"] for notice in told}
    assert _agent_of(daemon, project, "ada")["status"] == "idle"


def test_a_lease_holds_until_its_end_and_not_longer(daemon: DaemonProcess) -> None:
    project = _project(daemon, "Leases")
    ada, bob = _agent(daemon, project, "ada"), _agent(daemon, project, "bob")
    first = daemon.call("acquire_lock", ada, paths=["src/"], ttl_s=60)["lock"]
    left_s = (_at(first["expires_at"]) - daemon.clock.now()).total_seconds()

    daemon.clock.move(left_s - 1)
    before = daemon.ask("acquire_lock", bob, {"paths": ["src/app.py"]})
    daemon.clock.move(1)
    after = daemon.call("acquire_lock", bob, paths=["src/app.py"])["lock"]

    assert (before.status_code, before.json()["code"]) == (409, "lock_held")
    assert before.json()["facts"]["holders"][0]["lock_id"] == first["id"]
    assert after["token"] > first["token"]
    assert [lock["id"] for lock in daemon.call("list_locks", bob)["items"]] == [after["id"]]


def test_a_token_ends_at_its_time(daemon: DaemonProcess) -> None:
    made = daemon.call("create_token", kind="usr", role="member", name="Guest", expires_in_days=1)
    left_s = (_at(made["expires_at"]) - daemon.clock.now()).total_seconds()

    daemon.clock.move(left_s - 2)
    before = daemon.ask("whoami", made["token"], {})
    daemon.clock.move(2)
    after = daemon.ask("whoami", made["token"], {})

    assert before.status_code == 200
    assert after.status_code == 401
    assert after.json()["code"] == "unauthenticated"


def test_a_revoked_token_lets_nobody_in_a_second_later(daemon: DaemonProcess) -> None:
    made = daemon.call("create_token", kind="usr", role="member", name="Guest")
    assert daemon.ask("whoami", made["token"], {}).status_code == 200

    daemon.call("revoke_token", token_id=made["id"])
    daemon.clock.move(1)

    assert daemon.ask("whoami", made["token"], {}).status_code == 401


def test_after_a_kill_and_an_hour_what_was_held_is_kept_for_the_grace_and_ends_then(daemon: DaemonProcess) -> None:
    project = _project(daemon, "Restart")
    ada, bob = _agent(daemon, project, "ada"), _agent(daemon, project, "bob")
    task = daemon.call("create_task", project_id=project, title="Work", files=["src/**"])
    other = daemon.call("create_task", project_id=project, title="Other work")
    daemon.call("claim_task", ada, task_id=task["id"], lease_s=60)
    daemon.call("claim_task", bob, task_id=other["id"], lease_s=60)
    lock = daemon.call("acquire_lock", bob, paths=["docs/"], ttl_s=60)["lock"]

    daemon.kill()
    daemon.clock.move(3600)
    daemon.start()
    kept = {held["id"]: held for held in daemon.call("list_locks", project_id=project)["items"]}
    refused = daemon.ask("acquire_lock", ada, {"paths": ["docs/a.md"]})
    done = daemon.call("complete_task", ada, task_id=task["id"], attempt=1, result="done")
    daemon.clock.move(GRACE_S + 1)
    granted = daemon.call("acquire_lock", ada, paths=["docs/a.md"])["lock"]
    eventually(lambda: daemon.call("get_task", task_id=other["id"])["status"] == "pending", "the other claim has ended")

    left_s = (_at(kept[lock["id"]]["expires_at"]) - daemon.clock.now()).total_seconds() + GRACE_S + 1
    assert 0 < left_s <= GRACE_S + 1
    assert refused.json()["code"] == "lock_held"
    assert done["task"]["status"] == "completed"
    assert granted["token"] > lock["token"]
    assert "offline" not in {agent["status"] for agent in daemon.call("list_agents", project_id=project)["items"]}


_ENDS = ["task.requeued", "lock.released", "lock.expired", "agent.lost"]


def _project(daemon: DaemonProcess, name: str) -> str:
    made: str = daemon.call("create_project", name=name)["id"]
    return made


def _agent(daemon: DaemonProcess, project: str, name: str) -> str:
    token: str = daemon.call("register_agent", project_id=project, agent_id=name, name=name.title())["token"]
    return token


def _agent_of(daemon: DaemonProcess, project: str, name: str) -> dict[str, Any]:
    agents = daemon.call("list_agents", project_id=project)["items"]
    return next(agent for agent in agents if agent["agent_id"] == name)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
