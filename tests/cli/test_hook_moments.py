"""Hooks around the tools: signs of life, what an agent is told, the beginning and the end of a session."""

from __future__ import annotations

import pytest

from tests.cli.double import Answered, Double
from tests.cli.workplace import Workplace

SESSION = {"session_id": "c0ffee-1", "source": "startup"}
WITHOUT_REFUSAL = pytest.mark.parametrize("event", ["post-tool", "session-start", "stop", "session-end"])


def test_after_a_tool_the_agent_is_seen_to_work_and_its_leases_live_on(workplace: Workplace) -> None:
    workplace.edit("src/app.py")

    ran = workplace.hook("post-tool", workplace.tool("Edit"))

    assert ran.passed, ran
    [agent] = workplace.call("list_agents")["items"]
    assert agent["status"] == "working"


def test_a_notice_is_told_once(workplace: Workplace) -> None:
    workplace.edit("src/app.py")
    workplace.call("release_lock", all=True, force=True, agent_id="ada")

    first, second = (workplace.hook("post-tool", workplace.tool("Edit")) for _ in range(2))

    assert first.said["hookSpecificOutput"]["hookEventName"] == "PostToolUse"
    assert "src/app.py" in first.context
    assert second.passed


def test_gemini_is_told_in_its_own_words(workplace: Workplace) -> None:
    workplace.edit("src/app.py")
    workplace.call("release_lock", all=True, force=True, agent_id="ada")

    ran = workplace.hook("post-tool", workplace.tool("replace"), "gemini")

    assert ran.said["hookSpecificOutput"]["hookEventName"] == "AfterTool"
    assert "src/app.py" in ran.context


def test_what_came_with_an_edit_that_passed_is_told_after_it(workplace: Workplace) -> None:
    bob = workplace.register("bob")
    workplace.daemon.call("send_message", bob, to="ada", text="stop the deployment", urgent=True)

    before = workplace.edit("src/app.py")
    after, later = (workplace.hook("post-tool", workplace.tool("Edit")) for _ in range(2))

    assert before.passed
    assert "stop the deployment" in after.context
    assert later.passed


def test_what_came_with_a_refusal_is_told_with_it(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")
    workplace.call("send_message", to="ada", text="stop the deployment", urgent=True)

    assert "stop the deployment" in workplace.edit("src/held.py").denial


def test_a_session_begins_with_where_the_agent_stands(workplace: Workplace) -> None:
    workplace.call("create_task", title="Round the total")

    ran = workplace.hook("session-start", SESSION)

    assert ran.said["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    assert "you are ada (contributor)" in ran.context
    assert "Next: conductor_claim_task" in ran.context
    [session] = workplace.call("list_sessions", agent_id="ada")["items"]
    assert session["client"] == "claude c0ffee-1"


def test_a_session_that_begins_again_ends_its_former_one_and_no_other(workplace: Workplace) -> None:
    workplace.hook("session-start", {"session_id": "another"})
    for source in ("startup", "compact"):
        workplace.hook("session-start", {**SESSION, "source": source})

    sessions = workplace.call("list_sessions", agent_id="ada")["items"]

    live = [session["client"] for session in sessions if "ended_at" not in session]
    assert sorted(live) == ["claude another", "claude c0ffee-1"]


def test_the_end_of_a_session_ends_it(workplace: Workplace) -> None:
    workplace.hook("session-start", SESSION)

    ran = workplace.hook("session-end", SESSION)

    assert ran.passed, ran
    [session] = workplace.call("list_sessions", agent_id="ada")["items"]
    assert session["end_reason"] == "ended"


def test_a_session_that_was_taken_over_is_told_so_after_each_tool(workplace: Workplace) -> None:
    workplace.hook("session-start", SESSION)
    workplace.daemon.call("start_session", workplace.token, supersede=True)

    for _ in range(2):
        assert "took over" in workplace.hook("post-tool", {**workplace.tool("Edit"), **SESSION}).context


@pytest.mark.parametrize("event", ["stop", "session-end"])
def test_at_the_end_leases_without_a_task_are_given_back_and_a_tasks_stay(workplace: Workplace, event: str) -> None:
    workplace.call("create_task", title="Round the total", files=["lib/total.py"])
    workplace.daemon.call("claim_task", workplace.token)
    workplace.edit("src/app.py")
    workplace.edit("src/new.py")
    workplace.holds("bob", "docs/")

    ran = workplace.hook(event, SESSION)

    assert ran.passed, ran
    assert workplace.leased_by("ada") == ["lib/total.py"]
    assert workplace.leased_by("bob") == ["docs/"]


@WITHOUT_REFUSAL
def test_without_a_daemon_a_moment_passes_with_one_sentence(workplace: Workplace, event: str) -> None:
    ran = workplace.hook(event, SESSION, CONDUCTOR_URL="http://127.0.0.1:9")

    # Code 2 at the end would keep Claude Code from ending, over and over.
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


@WITHOUT_REFUSAL
@pytest.mark.parametrize("said", [b"", b"nonsense", b"[]", b'{"session_id": {"a": 1}}', b"{}"])
def test_garbage_in_a_moment_never_breaks_it(workplace: Workplace, event: str, said: bytes) -> None:
    ran = workplace.hook(event, said)

    assert ran.code in {0, 1}
    assert "Traceback" not in ran.err


def test_a_session_id_is_never_a_path(workplace: Workplace) -> None:
    for session_id in ("../../owner", "/etc/passwd", "", "a" * 5_000, "..."):
        assert workplace.hook("session-start", {"session_id": session_id}).code == 0
        assert workplace.hook("session-end", {"session_id": session_id}).code == 0

    assert workplace.daemon.owner_token.startswith("cdr_usr_")


def test_an_outage_after_a_tool_is_no_refusal(workplace: Workplace, double: Double) -> None:
    double.script("heartbeat", Answered(500, {"code": "internal", "message": "A defect."}))

    assert workplace.hook("post-tool", workplace.tool("Edit"), CONDUCTOR_URL=double.url).code == 1
