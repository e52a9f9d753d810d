"""Operations on what a project tells its agents."""

from datetime import datetime

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ADMIN_UP, AGENTS, ALL, Role
from conductor.domain.briefing import BUDGET_TOKENS
from conductor.operations.row import Keeper, Operation, ProjectRequest, ProjectWrite, Reply
from conductor.operations.tasks import TaskContext
from conductor.operations.words import Id, Label, Line, Note, Number, RepoPath, Text


class OnboardingConfig(Reply):
    """What agents are told. instruction_files: by kind of agent, a file in the repository.

    changed_by, changed_at: who made this version, and when; only of a version that was asked for.
    """

    welcome: str | None = None
    focus: str | None = None
    goals: list[str]
    style_guide: str | None = None
    instruction_files: dict[str, str]
    checkpoint_rules: list[str]
    remind_every_tasks: int
    version: int
    changed_by: str | None = None
    changed_at: datetime | None = None

    def line(self) -> str:
        return f"onboarding version {self.version}; focus: {self.focus or 'none'}; {len(self.goals)} goal(s)"


class GetOnboardingConfig(ProjectRequest):
    """Read what the project tells its agents: focus, goals, style, rules."""

    version: Number | None = Field(default=None, description="an earlier one")


class UpdateOnboardingConfig(ProjectWrite):
    """Change what the project tells its agents; what is left out stays."""

    welcome: Text | None = None
    focus: Note | None = None
    goals: list[Line] | None = Field(default=None, max_length=32)
    style_guide: Text | None = None
    instruction_files: dict[Label, RepoPath] | None = Field(default=None, max_length=32)
    checkpoint_rules: list[Line] | None = Field(default=None, max_length=32)
    remind_every_tasks: int | None = Field(default=None, ge=0, le=1000, description="0: never")
    version: Number = Field(description="the version you read; another means somebody was faster")


class RefreshContext(ProjectWrite):
    """Read anew what to know before you go on: focus, instructions, the task's last checkpoint and error."""

    task_id: Id | None = Field(default=None, description="absent: the task you hold")
    budget_tokens: int = Field(default=BUDGET_TOKENS, ge=200, le=20_000)


class RefreshedContext(Reply):
    """A briefing. task_id: the task it is about."""

    task_id: str | None = None
    context: TaskContext

    def line(self) -> str:
        about = f"of {self.task_id}" if self.task_id else "of the project"
        cut = f"; cut: {', '.join(self.context.cut)}" if self.context.cut else ""
        return f"context {about}; focus: {self.context.focus or 'none'}{cut}"


GET_ONBOARDING_CONFIG = Operation(
    "get_onboarding_config", GetOnboardingConfig, OnboardingConfig, Keeper.STORE, ALL, ("onboarding", "show")
)
UPDATE_ONBOARDING_CONFIG = Operation(
    "update_onboarding_config",
    UpdateOnboardingConfig,
    OnboardingConfig,
    Keeper.PROJECT,
    ADMIN_UP | {Role.LEAD},
    ("onboarding", "update"),
    writes=True,
    raises=(errors.VersionConflict, errors.PathInvalid),
)
REFRESH_CONTEXT = Operation(
    "refresh_context",
    RefreshContext,
    RefreshedContext,
    Keeper.TASKS,
    AGENTS,
    ("context", "refresh"),
    ("task_id",),
    writes=True,
    locate="task_id",
    looks=True,
    while_paused=True,
)

ROWS = (GET_ONBOARDING_CONFIG, UPDATE_ONBOARDING_CONFIG, REFRESH_CONTEXT)
