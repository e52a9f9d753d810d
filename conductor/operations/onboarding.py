"""Operations on what a project tells its agents."""

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ADMIN_UP, ALL, Role
from conductor.operations.row import Keeper, Operation, ProjectRequest, ProjectWrite, Reply
from conductor.operations.words import Label, Line, Note, Number, RepoPath, Text


class OnboardingConfig(Reply):
    """What agents are told. instruction_files: by kind of agent, a file in the repository."""

    welcome: str | None = None
    focus: str | None = None
    goals: list[str]
    style_guide: str | None = None
    instruction_files: dict[str, str]
    checkpoint_rules: list[str]
    remind_every_tasks: int
    version: int

    def line(self) -> str:
        return f"onboarding version {self.version}; focus: {self.focus or 'none'}; {len(self.goals)} goal(s)"


class GetOnboardingConfig(ProjectRequest):
    """Read what the project tells its agents: focus, goals, style, rules."""


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

ROWS = (GET_ONBOARDING_CONFIG, UPDATE_ONBOARDING_CONFIG)
