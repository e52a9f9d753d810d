"""Real coding agents work through a real daemon; only what their models say is scripted.

Every agent lives the same story: it says who it is, takes a task, is refused a file that another holds, and completes.
"""

from __future__ import annotations

import pytest

from conductor.domain.access import Role
from conductor.operations import catalogue
from tests.support.model_servers import Call, ModelServer, Say, Story
from tests.system.coding_agents import CODING_AGENTS, ClaudeCode, CodingAgent, Connection
from tests.system.conftest import Project
from tests.system.programs import Place

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

every_agent = pytest.mark.parametrize("agent", CODING_AGENTS, ids=lambda agent: agent.name)


@every_agent
def test_a_coding_agent_takes_a_task_is_refused_a_held_file_and_completes(
    agent: CodingAgent, project: Project, place: Place
) -> None:
    token = project.register(agent.name, provider=agent.provider)
    task = project.call("create_task", title="Round the total", description="to whole cents", files=["src/app.py"])
    project.daemon.call("acquire_lock", token=project.register("bob"), paths=["src/held.py"])

    with ModelServer(agent.wire, _take_be_refused_complete()) as model:
        ran = agent.work(Connection(place, project.daemon.url, token, model.url))

    assert ran.code == 0, ran
    assert "all done" in ran.output, ran
    session, claimed, refused, completed = model.shown
    assert not any(shown.is_error for shown in (session, claimed, completed)), model.shown
    assert refused.is_error is not False
    assert "to whole cents" in claimed.text, "the model does not see what the task is about"
    for words in ("lock_held", "src/held.py", "bob", "claim_task", "another ready task may touch other files"):
        assert words in refused.text
    assert project.did(f"agent:{agent.name}") == [
        "lock.granted", "lock.released", "session.started", "task.claimed", "task.completed",
    ]  # fmt: skip
    assert project.call("get_task", task_id=task["id"])["result"] == "rounded to cents"
    assert [lock["agent_id"] for lock in project.call("list_locks")["items"]] == ["bob"]
    assert token not in _everything_written(place)


@every_agent
def test_the_model_is_offered_the_tools_of_its_role_and_no_others(
    agent: CodingAgent, project: Project, place: Place
) -> None:
    token = project.register(agent.name, provider=agent.provider, role="reviewer")

    with ModelServer(agent.wire, _say_nothing_but_done()) as model:
        ran = agent.work(Connection(place, project.daemon.url, token, model.url))

    assert ran.code == 0, ran
    ours = {name.removeprefix(agent.prefix) for name in model.offered if name.startswith(agent.prefix)}
    assert ours == {row.tool for row in catalogue.listed(Role.REVIEWER)}


@every_agent
def test_a_revoked_token_leaves_a_coding_agent_without_our_tools(
    agent: CodingAgent, project: Project, place: Place
) -> None:
    token = project.register(agent.name, provider=agent.provider)
    project.daemon.call("revoke_token", token_id=f"tok_{token.split('_')[2]}")

    with ModelServer(agent.wire, _say_nothing_but_done()) as model:
        agent.work(Connection(place, project.daemon.url, token, model.url))

    assert model.offered, "the agent never asked its model"
    assert not [name for name in model.offered if name.startswith(agent.prefix)]


def test_claude_codes_own_search_finds_our_tools_by_what_they_do(project: Project, place: Place) -> None:
    token = project.register("claude-code")
    agent = ClaudeCode(searches_tools=True)

    with ModelServer(agent.wire, _search("lock file before edit", "claim a task", "record cost")) as model:
        ran = agent.work(Connection(place, project.daemon.url, token, model.url))

    assert ran.code == 0, ran
    for shown, tool in zip(model.shown, ("acquire_lock", "claim_task", "record_cost"), strict=True):
        assert f"mcp__conductor__conductor_{tool}" in shown.text


def _take_be_refused_complete() -> Story:
    yield Call("start_session")
    claimed = yield Call("claim_task")
    yield Call("acquire_lock", {"paths": ["src/held.py"]})
    task_id = claimed.first("tsk_[a-z0-9]+")
    yield Call("complete_task", {"task_id": task_id, "attempt": 1, "result": "rounded to cents"})
    yield Say("all done")


def _say_nothing_but_done() -> Story:
    yield Say("all done")


def _search(*queries: str) -> Story:
    for query in queries:
        yield Call("ToolSearch", {"query": query, "max_results": 5}, own=True)
    yield Say("all done")


def _everything_written(place: Place) -> str:
    return "".join(path.read_text(errors="replace") for path in place.folder.rglob("*") if path.is_file())
