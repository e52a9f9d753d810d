"""Operations on checkpoints: what an agent leaves so that it, or another, can go on from there."""

from datetime import datetime
from typing import Any

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import AGENTS, ALL, LONG_LISTS
from conductor.domain.checkpoints import MOST_SUMMARY
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply
from conductor.operations.words import Detail, Id, Label, Line, Metadatum, Name, RepoPath, Text


class Checkpoint(Reply):
    """A checkpoint as callers see it. locks: what its agent had leased. automatic: made when it was lost."""

    id: str
    agent_id: str
    task_id: str | None = None
    attempt: int | None = None
    summary: str
    next_steps: list[str]
    state: dict[str, Any]
    files: list[str]
    locks: list[str]
    automatic: bool
    made_at: datetime
    expires_at: datetime

    def line(self) -> str:
        of = f" of {self.task_id}" if self.task_id else ""
        said = " ".join(self.summary.split())[:120]
        shown = "".join(character if character.isprintable() else "?" for character in said)
        return f"checkpoint {self.id}{of} by {self.agent_id}, {self.made_at:%Y-%m-%d %H:%MZ}: {shown}"


class SaveCheckpoint(ProjectWrite):
    """Leave behind where you stand, so that you or another can go on from there."""

    summary: Text = Field(min_length=1, max_length=MOST_SUMMARY)
    task_id: Id | None = Field(default=None, description="default: the task you hold")
    next_steps: list[Line] = Field(default=[], max_length=32)
    state: dict[Label, Metadatum] = Field(default={}, max_length=32)
    files: list[RepoPath] = Field(default=[], max_length=200)


class SavedCheckpoint(Reply):
    """What was kept beside your own words: for which attempt, what you had leased, until when."""

    id: str
    task_id: str | None = None
    attempt: int | None = None
    locks: list[str]
    made_at: datetime
    expires_at: datetime

    def line(self) -> str:
        of = f" of {self.task_id}" if self.task_id else ""
        return f"saved checkpoint {self.id}{of}, kept until {self.expires_at:%Y-%m-%d}"


class ResumeCheckpoint(ProjectWrite):
    """Go on from the last checkpoint of a task, from a named one, or from your own last."""

    task_id: Id | None = None
    checkpoint_id: Id | None = None


class ResumedCheckpoint(Reply):
    """The checkpoint. missing: its files and leased patterns that you have not leased now: acquire_lock them."""

    checkpoint: Checkpoint
    missing: list[str]

    def line(self) -> str:
        lease = f" (lease first: {', '.join(self.missing[:8])})" if self.missing else ""
        return self.checkpoint.line() + lease


class ListCheckpoints(ProjectRequest, Listing):
    """List checkpoints, the newest first."""

    task_id: Id | None = None
    agent_id: Name | None = None
    detail: Detail = Detail.SHORT


class CheckpointPage(Reply):
    """A page of checkpoints."""

    items: list[Checkpoint]
    next_cursor: str | None = None

    def line(self) -> str:
        shown = "; ".join(f"{each.id} {each.agent_id} {each.task_id or 'no task'}" for each in self.items[:5])
        return f"{len(self.items)} checkpoint(s){': ' if shown else ''}{shown}"


SAVE_CHECKPOINT = Operation(
    "save_checkpoint",
    SaveCheckpoint,
    SavedCheckpoint,
    Keeper.AGENT,
    AGENTS,
    ("checkpoint", "save"),
    ("summary",),
    writes=True,
    raises=(errors.PathInvalid,),
    while_paused=True,
)
RESUME_CHECKPOINT = Operation(
    "resume_checkpoint",
    ResumeCheckpoint,
    ResumedCheckpoint,
    Keeper.AGENT,
    AGENTS,
    ("checkpoint", "resume"),
    ("task_id",),
    writes=True,
    while_paused=True,
)
LIST_CHECKPOINTS = Operation(
    "list_checkpoints",
    ListCheckpoints,
    CheckpointPage,
    Keeper.STORE,
    ALL,
    ("checkpoint", "list"),
    ("task_id",),
    locate="task_id",
    listed_for=LONG_LISTS,
)

ROWS = (SAVE_CHECKPOINT, RESUME_CHECKPOINT, LIST_CHECKPOINTS)
