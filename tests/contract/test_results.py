"""What a worker's call costs its context: the default reply of every tool in its list is short.

Where a reply is made of parts that each are a thing of their own (the items of a list, the attempts of a task, what a
session begins with), each part is; context bundles have their own budget, which briefings keep.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE
from tests.support.furnished import Furnished

pytestmark = pytest.mark.anyio

MOST_TOKENS = 200
MOST_TOKENS_OF_A_NOTICE = 40

WORKERS_TOOLS = [
    name
    for name, row in CATALOGUE.items()
    if any(row.is_listed_for(role) for role in (Role.CONTRIBUTOR, Role.REVIEWER))
]

PARTED = {
    # Each is a list, or an object of things: its parts are measured, and the rest of the reply with them left out.
    "get_task": ("attempts", "history"),
    "start_session": ("agent", "project", "task", "locks", "notices", "next"),
    "claim_task": ("context", "locks"),
    "refresh_context": ("context",),
    "read_messages": ("messages", "items"),
    "list_locks": ("items", "waiting"),
    "check_paths": ("reasons", "locks"),
    "get_costs": ("rows", "total"),
}
BUDGETED = {"context"}
"""Parts with a budget of their own."""

PROSE = " ".join(["Say what is to be done, at length and with every detail."] * 30)


def tokens(value: Any) -> float:
    """Estimate what JSON costs its reader: a token for four characters."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False)) / 4


def pieces(name: str, reply: dict[str, Any]) -> dict[str, Any]:
    """Give the parts of a reply that are measured each for itself."""
    parted = [part for part in PARTED.get(name, ("items", "rows")) if part in reply]
    found: dict[str, Any] = {name: {key: value for key, value in reply.items() if key not in parted}}
    for part in parted:
        if part in BUDGETED:
            continue
        inside = reply[part] if isinstance(reply[part], list) else [reply[part]]
        found |= {f"{name}.{part}[{place}]": each for place, each in enumerate(inside)}
    return found


def require_short(name: str, reply: dict[str, Any]) -> None:
    """See that no part of a reply is long."""
    costs = {place: tokens(piece) for place, piece in pieces(name, reply).items()}
    assert {place: cost for place, cost in costs.items() if cost >= MOST_TOKENS} == {}


def worker(here: Furnished, name: str) -> Any:
    """Give a worker that has the tool."""
    role = next(role for role in (Role.CONTRIBUTOR, Role.REVIEWER) if CATALOGUE[name].is_listed_for(role))
    return here.callers[role]


async def test_the_default_reply_of_each_tool_of_a_worker_is_short(here: Furnished) -> None:
    for name in WORKERS_TOOLS:
        who = worker(here, name) if name != "request_access" else here.natural(name)
        answer = await here.world.answer(name, who.caller, here.request(name))

        assert answer.code is None, answer.line
        require_short(name, json.loads(answer.body))
        assert len(answer.line) / 4 < MOST_TOKENS, name


async def test_long_texts_do_not_make_long_results(here: Furnished) -> None:
    owner, ada = here.callers[Role.OWNER], here.callers[Role.CONTRIBUTOR]
    made = await owner.create_task(project_id=here.ids["project"], title="At length", description=PROSE)
    task = {"task_id": made["id"]}
    await ada.claim_task(**task)

    require_short("update_task", await ada.update_task(**task, attempt=1, status="in_progress", note="Begun."))
    require_short("list_tasks", await ada.list_tasks(text="At length"))
    require_short("complete_task", await ada.complete_task(**task, attempt=1, result="Done."))

    assert (await ada.get_task(**task))["description"] == PROSE
    assert (await ada.list_tasks(text="At length", detail="full"))["items"][0]["description"] == PROSE


async def test_what_a_worker_starts_a_task_from_is_never_cut(here: Furnished) -> None:
    owner, ada = here.callers[Role.OWNER], here.callers[Role.CONTRIBUTOR]
    made = await owner.create_task(project_id=here.ids["project"], title="At length", description=PROSE)

    assert (await ada.claim_task(task_id=made["id"]))["task"]["description"] == PROSE


async def test_a_notice_is_short_and_told_once(here: Furnished) -> None:
    owner, ada = here.callers[Role.OWNER], here.callers[Role.CONTRIBUTOR]
    await owner.reassign_task(task_id=here.ids["working"], agent_id="lea", grace_s=60, reason=PROSE[:1500])
    await owner.update_task(task_id=here.ids["held"], status="cancelled", note=PROSE[:1500])
    await owner.pause(project_id=here.ids["project"], scope="agent", agent_id="ada", reason=PROSE[:290])

    notices = (await ada.heartbeat(status="working"))["notices"]

    assert len(notices) >= 2
    assert [notice for notice in notices if len(notice["text"]) / 4 > MOST_TOKENS_OF_A_NOTICE] == []
    assert (await ada.heartbeat(status="working"))["notices"] == []
