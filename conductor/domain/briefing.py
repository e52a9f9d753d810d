"""Briefing: what an agent is told before it works, within a budget, the most needed first.

Each part has a share of the budget that no other part can take; what parts leave over goes to those that need more,
in their order. What was cut is named, with the way to the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from conductor.domain.agents import Agent
from conductor.domain.checkpoints import Checkpoint
from conductor.domain.organizations import Onboarding
from conductor.domain.tasks import Task

CHARACTERS_A_TOKEN = 4
"""As everywhere in Conductor: an estimate that errs to the short side for English and code."""

BUDGET_TOKENS = 2_000
"""Of the context that a claim carries."""

_ITEM = 8
"""Characters that an entry of a list costs besides its text."""

_FEW = 4
"""What is cut shorter than this is left out."""


@dataclass(frozen=True, slots=True)
class Related:
    """A task that another one waits for. result: maybe cut."""

    task_id: str
    title: str
    status: str
    result: str | None


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """A checkpoint as an agent is told of it. locks: what was leased when it was saved."""

    id: str
    agent_id: str
    task_id: str | None
    summary: str
    next_steps: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instructions:
    """The instructions for an agent's kind: a file, and its text where it could be read, as it is in a commit.

    is_whole: the text is all of the file.
    """

    file: str
    text: str | None = None
    commit: str | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Briefing:
    """All that an agent is told. cut: what does not stand here whole, and where the rest is."""

    focus: str | None = None
    goals: tuple[str, ...] = ()
    instructions: str | None = None
    instructions_file: str | None = None
    instructions_commit: str | None = None
    style_guide: str | None = None
    checkpoint_rules: tuple[str, ...] = ()
    allowed_paths: tuple[str, ...] = ()
    denied_paths: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()
    last_error: str | None = None
    checkpoint: LastCheckpoint | None = None
    welcome: str | None = None
    reminder: str | None = None
    cut: tuple[str, ...] = ()


def instruction_file(agent: Agent, config: Onboarding) -> str | None:
    """Give the file that was chosen for an agent: its own, else that of its kind, else that of its provider."""
    files = config.instruction_files
    return agent.instructions_file or files.get(agent.kind or "") or files.get(agent.provider or "")


def compose(
    agent: Agent,
    config: Onboarding,
    *,
    instructions: Instructions | None = None,
    related: Sequence[Task] = (),
    checkpoint: Checkpoint | None = None,
    last_error: str | None = None,
    budget_tokens: int = BUDGET_TOKENS,
    is_claim: bool = False,
) -> Briefing:
    """Put an agent's briefing together. is_claim: it has just claimed a task, which may be worth a word of its own.

    related: in the order of their ids. budget_tokens: for all texts together, at CHARACTERS_A_TOKEN.
    """
    whole = Briefing(
        focus=config.focus or None,
        goals=config.goals,
        instructions=None if instructions is None else instructions.text or instructions.file,
        instructions_file=None if instructions is None else instructions.file,
        instructions_commit=None if instructions is None else instructions.commit,
        style_guide=config.style_guide or None,
        checkpoint_rules=config.checkpoint_rules,
        allowed_paths=agent.allowed_paths,
        denied_paths=agent.denied_paths,
        related=tuple(Related(task.id, task.title, task.status.value, task.result) for task in related),
        last_error=last_error,
        checkpoint=None if checkpoint is None else _told(checkpoint),
        welcome=(config.welcome or None) if is_claim and agent.tasks_claimed == 1 else None,
        reminder=_reminder(agent, config) if is_claim else None,
    )
    if instructions is not None and not instructions.is_whole:
        whole = replace(whole, cut=(f"instructions: the file is longer, read {instructions.file}",))
    return _fitted(whole, budget_tokens * CHARACTERS_A_TOKEN)


def size(briefing: Briefing) -> int:
    """Count the characters of a briefing that its budget bounds: all texts but the names of what was cut."""
    return sum(part.size for part in _parts(briefing))


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a briefing.

    texts: its entries; one for a single text. share: of the budget, its own. rest: where the whole of it is.
    cuttable: so many of the first entries may be cut in their middle; half a path would be another one.
    """

    name: str
    texts: tuple[str, ...]
    share: float
    rest: str
    cuttable: int = 1_000

    @property
    def size(self) -> int:
        return sum(len(text) + _ITEM for text in self.texts)


def _parts(whole: Briefing) -> list[_Part]:
    """List what there is, the most needed first; the shares together stay below the whole."""
    checkpoint = whole.checkpoint
    found = [
        _Part("last_error", _one(whole.last_error), 0.08, "get_task has it"),
        _Part("denied_paths", whole.denied_paths, 0.06, "list_agents has them", 0),
        _Part("allowed_paths", whole.allowed_paths, 0.06, "list_agents has them", 0),
        _Part("focus", _one(whole.focus), 0.08, "get_onboarding_config has it"),
        _Part(
            "checkpoint",
            _spelt(checkpoint) if checkpoint else (),
            0.12,
            "resume_checkpoint has it",
            1 + len(checkpoint.next_steps) if checkpoint else 0,
        ),
        _Part("goals", whole.goals, 0.08, "get_onboarding_config has them"),
        _Part("checkpoint_rules", whole.checkpoint_rules, 0.06, "get_onboarding_config has them"),
        _Part("reminder", _one(whole.reminder), 0.06, "get_onboarding_config has it"),
        _Part("welcome", _one(whole.welcome), 0.08, "get_onboarding_config has it"),
        _Part("related", tuple(_line(other) for other in whole.related), 0.10, "get_task has each"),
        _Part(
            "instructions",
            _one(whole.instructions),
            0.12,
            f"read {whole.instructions_file}",
            1 if whole.instructions_commit else 0,
        ),
        _Part("style_guide", _one(whole.style_guide), 0.08, "get_onboarding_config has it"),
    ]
    return [part for part in found if part.texts]


def _fitted(whole: Briefing, budget: int) -> Briefing:
    parts = _parts(whole)
    given = {part.name: min(part.size, int(part.share * budget)) for part in parts}
    left = budget - sum(given.values())
    for part in parts:
        more = min(part.size - given[part.name], left)
        given[part.name] += more
        left -= more
    kept = {part.name: _shortened(part, given[part.name]) for part in parts}
    told = [f"{part.name}: {_how_much(part, kept[part.name])}" for part in parts if kept[part.name] != part.texts]
    if not told:
        return whole
    return Briefing(
        focus=_only(kept.get("focus")),
        goals=kept.get("goals", ()),
        instructions=_only(kept.get("instructions")),
        instructions_file=whole.instructions_file,
        instructions_commit=whole.instructions_commit,
        style_guide=_only(kept.get("style_guide")),
        checkpoint_rules=kept.get("checkpoint_rules", ()),
        allowed_paths=kept.get("allowed_paths", ()),
        denied_paths=kept.get("denied_paths", ()),
        related=_related(whole.related, kept.get("related", ())),
        last_error=_only(kept.get("last_error")),
        checkpoint=_cut_checkpoint(whole.checkpoint, kept.get("checkpoint", ())),
        welcome=_only(kept.get("welcome")),
        reminder=_only(kept.get("reminder")),
        cut=(*told, *whole.cut),
    )


def _shortened(part: _Part, room: int) -> tuple[str, ...]:
    """Keep what fits of the entries; the first that does not is cut in its middle if it may be, the rest left out."""
    kept = []
    for place, text in enumerate(part.texts):
        if len(text) + _ITEM > room:
            if room - _ITEM >= _FEW and place < part.cuttable:
                kept.append(text[: room - _ITEM - 1] + "…")
            break
        kept.append(text)
        room -= len(text) + _ITEM
    return tuple(kept)


def _how_much(part: _Part, kept: tuple[str, ...]) -> str:
    if len(part.texts) > 1:
        whole = sum(mine == theirs for mine, theirs in zip(kept, part.texts, strict=False))
        amount = f"{whole} of {len(part.texts)} whole"
    else:
        amount = f"{sum(map(len, kept)):,} of {sum(map(len, part.texts)):,} characters"
    return f"{amount}, {part.rest}"


def _told(checkpoint: Checkpoint) -> LastCheckpoint:
    return LastCheckpoint(
        checkpoint.id,
        checkpoint.agent_id,
        checkpoint.task_id,
        checkpoint.summary,
        tuple(checkpoint.next_steps),
        tuple(checkpoint.files),
        tuple(checkpoint.locks),
    )


def _spelt(checkpoint: LastCheckpoint) -> tuple[str, ...]:
    return (checkpoint.summary, *checkpoint.next_steps, *checkpoint.files, *checkpoint.locks)


def _cut_checkpoint(whole: LastCheckpoint | None, kept: tuple[str, ...]) -> LastCheckpoint | None:
    if whole is None or not kept:
        return None
    rest = list(kept[1:])
    lists = []
    for entries in (whole.next_steps, whole.files, whole.locks):
        lists.append(tuple(rest[: len(entries)]))
        del rest[: len(entries)]
    return replace(whole, summary=kept[0], next_steps=lists[0], files=lists[1], locks=lists[2])


def _related(whole: tuple[Related, ...], kept: tuple[str, ...]) -> tuple[Related, ...]:
    """Give the related tasks that are left; the last may have lost a part of its result."""
    shown = []
    for other, text in zip(whole, kept, strict=False):
        if text == _line(other):
            shown.append(other)
        elif len(text) > (bare := len(_line(replace(other, result=None)))):
            shown.append(replace(other, result=text[bare:]))
    return tuple(shown)


def _line(other: Related) -> str:
    return f"{other.task_id}{other.status}{other.title}{other.result or ''}"


def _only(kept: tuple[str, ...] | None) -> str | None:
    return kept[0] if kept else None


def _one(text: str | None) -> tuple[str, ...]:
    return () if text is None else (text,)


def _reminder(agent: Agent, config: Onboarding) -> str | None:
    every = config.remind_every_tasks
    if every == 0 or agent.tasks_claimed == 0 or agent.tasks_claimed % every:
        return None
    return (
        f"This is your task number {agent.tasks_claimed} here: read focus, goals, style guide and checkpoint rules "
        "again before you begin, and save a checkpoint when you stop."
    )
