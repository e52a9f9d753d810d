"""Messages and checkpoints: whom an address means, what a notice says, what is known of an agent that was lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import checkpoints, messages
from conductor.domain.access import Role
from conductor.domain.agents import Agent, AgentStatus
from conductor.domain.checkpoints import Checkpoint
from conductor.domain.tasks import Priority, Task, TaskStatus

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HERE = [("ada", Role.CONTRIBUTOR), ("lea", Role.LEAD), ("rex", Role.REVIEWER), ("zoe", Role.CONTRIBUTOR)]


@pytest.mark.parametrize(
    ("to", "audience"),
    [("ada", "agent:ada"), ("agent:ada", "agent:ada"), ("role:lead", "role:lead"), ("all", "all")],
)
def test_an_address_is_kept_in_one_form(to: str, audience: str) -> None:
    assert messages.audience_of(to) == audience
    assert messages.audience_of(audience) == audience


@pytest.mark.parametrize(
    ("audience", "sender", "meant"),
    [
        ("agent:ada", None, ["ada"]),
        ("agent:ada", "ada", ["ada"]),
        ("agent:nobody", None, []),
        ("agent:Ada", None, []),
        ("role:contributor", None, ["ada", "zoe"]),
        ("role:contributor", "ada", ["zoe"]),
        ("role:observer", None, []),
        ("all", None, ["ada", "lea", "rex", "zoe"]),
        ("all", "rex", ["ada", "lea", "zoe"]),
    ],
)
def test_an_address_means_whom_it_names_and_a_sender_gets_no_copy(
    audience: str, sender: str | None, meant: list[str]
) -> None:
    assert messages.recipients(audience, HERE, sender) == meant


@given(sender=st.text(max_size=80), text=st.text(max_size=500))
def test_an_urgent_notice_is_one_short_line_that_says_how_to_read_on(sender: str, text: str) -> None:
    notice = messages.urgent_notice(sender, text)

    assert len(notice) <= messages.MOST_IN_NOTICE
    assert notice.endswith(" (read_messages)")
    assert not set(notice) & set("\n\r\t")


def test_an_urgent_notice_carries_a_short_text_whole() -> None:
    assert messages.urgent_notice("lea", "Stop:\n main is broken.") == (
        "Urgent from lea: Stop: main is broken. (read_messages)"
    )


AGENT = Agent(
    id="agn_0000000000", project_id="prj_0000000000", agent_id="ada", name="Ada", provider=None, model=None,
    role=Role.CONTRIBUTOR, capabilities=(), allowed_paths=(), denied_paths=(), token_budget=None,
    instructions_file=None, status=AgentStatus.WORKING, created_at=NOW, updated_at=NOW, stage="testing",
    note="The lexer is done.",
)  # fmt: skip

TASK = Task(
    id="tsk_0000000000", project_id="prj_0000000000", title="Parser", description=None, status=TaskStatus.IN_PROGRESS,
    priority=Priority.MEDIUM, dependencies=(), files=("src/parser.py",), tags=(), requires=(), max_attempts=3,
    created_at=NOW, updated_at=NOW, created_by="member:mbr_0000000000", holder="ada", attempt=2, progress=0.5,
)  # fmt: skip

SAVED = Checkpoint(
    id="chk_0000000001", project_id="prj_0000000000", agent_id="ada", task_id=TASK.id, attempt=2,
    summary="Numbers are read.", next_steps=("Read names.",), state={"branch": "parser"}, files=("src/lexer.py",),
    locks=("src/lexer.py",), is_automatic=False, made_at=NOW - timedelta(hours=1), expires_at=NOW + timedelta(days=1),
)  # fmt: skip


def automatic(task: Task = TASK, agent: Agent = AGENT, last: Checkpoint | None = None) -> Checkpoint:
    """Make the checkpoint of a lost agent."""
    until = NOW + timedelta(days=30)
    return checkpoints.automatic("chk_0000000002", task, agent, 900.4, ["src/"], last, NOW, until)


def test_an_automatic_checkpoint_says_all_that_was_known_of_the_lost_agent() -> None:
    made = automatic()

    assert made.summary.splitlines() == [
        "ada was lost after 900 s of silence, in attempt 2.",
        "Stage: testing.",
        "Progress: 50%.",
        "Its last note: The lexer is done.",
    ]
    assert (made.files, made.locks, made.attempt, made.is_automatic) == (("src/parser.py",), ("src/",), 2, True)


def test_an_automatic_checkpoint_goes_on_from_what_the_agent_saved_itself() -> None:
    made = automatic(last=SAVED)

    assert "The last checkpoint, by ada, 2026-11-01 11:00:00Z: Numbers are read." in made.summary
    assert (made.next_steps, dict(made.state)) == (("Read names.",), {"branch": "parser"})
    assert made.files == ("src/parser.py", "src/lexer.py")


def test_an_automatic_checkpoint_of_an_agent_that_told_nothing_says_at_least_that() -> None:
    made = automatic(replace(TASK, progress=None), replace(AGENT, stage=None, note=None))

    assert made.summary == "ada was lost after 900 s of silence, in attempt 2."


@given(note=st.text(max_size=9_000))
def test_a_summary_has_a_bound_whatever_was_said(note: str) -> None:
    assert len(automatic(agent=replace(AGENT, note=note), last=SAVED).summary) <= checkpoints.MOST_SUMMARY
