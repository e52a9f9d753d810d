"""Briefings fit their budget, the most needed first, and name what was cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import briefing
from conductor.domain.access import Role
from conductor.domain.agents import Agent, AgentStatus
from conductor.domain.briefing import Briefing, Instructions
from conductor.domain.checkpoints import Checkpoint
from conductor.domain.organizations import Onboarding
from conductor.domain.tasks import Task, TaskStatus
from tests.support import records

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
AGENT = Agent(
    id="agt_0000000000",
    project_id="prj_0000000000",
    agent_id="ada",
    name="Ada",
    provider="anthropic",
    model=None,
    role=Role.CONTRIBUTOR,
    capabilities=(),
    allowed_paths=(),
    denied_paths=(),
    token_budget=None,
    instructions_file=None,
    status=AgentStatus.IDLE,
    created_at=NOON,
    updated_at=NOON,
    kind="claude-code",
)


def task(number: int, result: str | None = None) -> Task:
    return records.task(
        id=f"tsk_{number:010d}",
        project_id="prj_0000000000",
        title=f"Task {number}",
        status=TaskStatus.COMPLETED,
        result=result,
    )


def checkpoint(**changed: Any) -> Checkpoint:
    made = Checkpoint(
        id="chk_0000000000",
        project_id="prj_0000000000",
        agent_id="ada",
        task_id="tsk_0000000001",
        attempt=1,
        summary="half done",
        next_steps=("the other half",),
        state={},
        files=("src/a.py",),
        locks=("src/",),
        is_automatic=False,
        made_at=NOON,
        expires_at=NOON,
    )
    return replace(made, **changed)


def test_a_small_briefing_is_whole() -> None:
    config = Onboarding(focus="Ship.", goals=("fast", "safe"), style_guide="Small.", checkpoint_rules=("often",))

    told = briefing.compose(
        replace(AGENT, allowed_paths=("src/",), denied_paths=("src/secret/",)),
        config,
        instructions=Instructions("CLAUDE.md", "Be good.", "a" * 40),
        related=[task(1, "It works.")],
        checkpoint=checkpoint(),
        last_error="boom",
    )

    assert told.cut == ()
    assert (told.focus, told.goals, told.style_guide, told.checkpoint_rules) == (
        "Ship.", ("fast", "safe"), "Small.", ("often",)
    )  # fmt: skip
    assert (told.instructions, told.instructions_file, told.instructions_commit) == ("Be good.", "CLAUDE.md", "a" * 40)
    assert (told.allowed_paths, told.denied_paths, told.last_error) == (("src/",), ("src/secret/",), "boom")
    assert [(other.title, other.result) for other in told.related] == [("Task 1", "It works.")]
    assert told.checkpoint is not None
    assert (told.checkpoint.summary, told.checkpoint.next_steps) == ("half done", ("the other half",))
    assert (told.welcome, told.reminder) == (None, None)


@pytest.mark.parametrize(
    ("own", "kind", "provider", "file"),
    [
        ("own.md", "claude-code", "codex", "own.md"),
        (None, "claude-code", "codex", "CLAUDE.md"),
        (None, "unknown", "codex", "AGENTS.md"),
        (None, None, None, None),
        (None, "unknown", "unknown", None),
    ],
)
def test_an_agents_own_file_goes_before_its_kinds_and_that_before_its_providers(
    own: str | None, kind: str | None, provider: str | None, file: str | None
) -> None:
    config = Onboarding(instruction_files={"claude-code": "CLAUDE.md", "codex": "AGENTS.md"})

    assert (
        briefing.instruction_file(replace(AGENT, instructions_file=own, kind=kind, provider=provider), config) == file
    )


@pytest.mark.parametrize(("claimed", "is_claim", "is_welcome"), [(1, True, True), (1, False, False), (2, True, False)])
def test_the_welcome_is_said_at_the_first_claim(claimed: int, is_claim: bool, is_welcome: bool) -> None:
    agent = replace(AGENT, tasks_claimed=claimed)

    told = briefing.compose(agent, Onboarding(welcome="Hello."), is_claim=is_claim)

    assert told.welcome == ("Hello." if is_welcome else None)


def test_the_reminder_comes_with_every_so_manieth_claim() -> None:
    config = Onboarding(remind_every_tasks=3)

    reminded = [
        claimed
        for claimed in range(10)
        if briefing.compose(replace(AGENT, tasks_claimed=claimed), config, is_claim=True).reminder
    ]

    assert reminded == [3, 6, 9]
    assert briefing.compose(replace(AGENT, tasks_claimed=3), config).reminder is None
    assert briefing.compose(replace(AGENT, tasks_claimed=3), Onboarding(), is_claim=True).reminder is None


def test_a_long_style_guide_takes_nothing_from_what_is_needed_more() -> None:
    config = Onboarding(focus="f" * 500, style_guide="s" * 20_000, goals=("g" * 100,) * 3)

    told = briefing.compose(
        AGENT, config, instructions=Instructions("CLAUDE.md", "i" * 20_000, "a" * 40), last_error="e" * 300
    )

    assert (told.focus, told.goals, told.last_error) == ("f" * 500, ("g" * 100,) * 3, "e" * 300)
    assert told.instructions is not None
    assert told.style_guide is not None
    assert len(told.instructions) > len(told.style_guide) > 500
    assert told.instructions.endswith("i…")
    assert [each.split(":")[0] for each in told.cut] == ["instructions", "style_guide"]
    assert "of 20,000 characters, read CLAUDE.md" in told.cut[0]
    assert "get_onboarding_config has it" in told.cut[1]


def test_half_a_path_is_never_told() -> None:
    agent = replace(AGENT, allowed_paths=tuple(f"{'a' * 60}/{number}" for number in range(40)))

    told = briefing.compose(agent, Onboarding(style_guide="s" * 20_000), budget_tokens=200)

    assert 0 < len(told.allowed_paths) < 40
    assert set(told.allowed_paths) <= set(agent.allowed_paths)
    assert "of 40 whole, list_agents has them" in told.cut[0]


def test_results_of_related_tasks_are_cut_before_the_tasks_are_lost() -> None:
    related = [task(number, "r" * 3_000) for number in range(5)]

    told = briefing.compose(AGENT, Onboarding(), related=related, budget_tokens=1_000)

    assert [other.task_id for other in told.related] == [related[0].id, related[1].id]
    assert told.related[0].result == "r" * 3_000
    assert (told.related[1].result or "").endswith("r…")


def test_the_rest_of_a_file_that_was_not_read_whole_is_named() -> None:
    told = briefing.compose(
        AGENT, Onboarding(), instructions=Instructions("CLAUDE.md", "i" * 100, "a" * 40, is_whole=False)
    )

    assert told.cut == ("instructions: the file is longer, read CLAUDE.md",)


texts = st.integers(0, 4_000).map("x".__mul__)
lists = st.lists(st.integers(1, 300).map("y".__mul__), max_size=12).map(tuple)


@given(
    config=st.builds(
        Onboarding, focus=texts, goals=lists, style_guide=texts, checkpoint_rules=lists, welcome=texts
    ),
    agent=st.builds(
        lambda allowed, denied: replace(AGENT, allowed_paths=allowed, denied_paths=denied, tasks_claimed=1),
        lists,
        lists,
    ),
    instructions=st.none() | texts.map(lambda text: Instructions("CLAUDE.md", text, "a" * 40)),
    related=st.lists(texts, max_size=4),
    last=st.none() | st.builds(lambda summary, steps, files: checkpoint(summary=summary, next_steps=steps, files=files),
                               texts, lists, lists),
    error=st.none() | texts,
    budget=st.integers(200, 20_000),
)  # fmt: skip
def test_a_briefing_fits_its_budget_and_names_exactly_what_it_cut(
    config: Onboarding,
    agent: Agent,
    instructions: Instructions | None,
    related: list[str],
    last: Checkpoint | None,
    error: str | None,
    budget: int,
) -> None:
    def told(tokens: int) -> Briefing:
        return briefing.compose(
            agent,
            config,
            instructions=instructions,
            related=[task(number, text) for number, text in enumerate(related)],
            checkpoint=last,
            last_error=error,
            budget_tokens=tokens,
            is_claim=True,
        )

    whole, fitted = told(1_000_000), told(budget)

    assert briefing.size(fitted) <= budget * briefing.CHARACTERS_A_TOKEN
    assert whole.cut == ()
    names = {each.split(":")[0] for each in fitted.cut}
    for name in ("focus", "goals", "style_guide", "checkpoint_rules", "welcome", "instructions", "related",
                 "allowed_paths", "denied_paths", "checkpoint", "last_error", "reminder"):  # fmt: skip
        assert (getattr(whole, name) != getattr(fitted, name)) == (name in names), name
