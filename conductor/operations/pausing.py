"""Operations that let agents stand still, or finish and take nothing new, and go on again."""

from datetime import datetime

from pydantic import Field

from conductor.domain.access import MEMBER_UP, Role
from conductor.domain.pauses import PauseMode, PauseScope
from conductor.operations.row import Keeper, Operation, ProjectWrite, Reply
from conductor.operations.words import Line, Name


class Scoped(ProjectWrite):
    """Who is meant."""

    scope: PauseScope | None = Field(default=None, description="default: the agent, if one is named, else the project")
    agent_id: Name | None = Field(default=None, description="with scope agent")

    @property
    def meant(self) -> PauseScope:
        """The scope that is meant."""
        return self.scope or (PauseScope.PROJECT if self.agent_id is None else PauseScope.AGENT)


class Pause(Scoped):
    """Hold up an agent, a project's agents or all; they keep what they hold, and reads and heartbeats go on."""

    reason: Line


class Drain(Scoped):
    """Let an agent, a project's agents or all finish what they hold and take nothing new."""

    reason: Line


class Resume(Scoped):
    """Lift the pause or drain that was set for exactly this scope."""


class PauseSet(Reply):
    """The pause as it stands now. project_id and agent_id: of whom, where it is no wider."""

    scope: PauseScope
    project_id: str | None = None
    agent_id: str | None = None
    mode: PauseMode
    reason: str
    by: str
    since: datetime

    def line(self) -> str:
        return f"{_whom(self.scope, self.agent_id)} {self.mode}: {self.reason}"


class PauseLifted(Reply):
    """Whether there was a pause to lift. remaining: wider or narrower ones of the same agents that still stand."""

    scope: PauseScope
    project_id: str | None = None
    agent_id: str | None = None
    lifted: bool
    remaining: list[PauseSet]

    def line(self) -> str:
        whom = _whom(self.scope, self.agent_id)
        told = f"{whom} resumed" if self.lifted else f"{whom} had no pause of its own"
        return "; ".join([told, *(f"still: {pause.line()}" for pause in self.remaining[:4])])


def _whom(scope: PauseScope, agent_id: str | None) -> str:
    return f"agent {agent_id}" if agent_id else str(scope)


_LEADING = MEMBER_UP | {Role.LEAD}

PAUSE = Operation(
    "pause",
    Pause,
    PauseSet,
    Keeper.DIRECTORY,
    _LEADING,
    ("work", "pause"),
    ("scope",),
    writes=True,
    wide=MEMBER_UP,
)
DRAIN = Operation(
    "drain",
    Drain,
    PauseSet,
    Keeper.DIRECTORY,
    _LEADING,
    ("work", "drain"),
    ("scope",),
    writes=True,
    wide=MEMBER_UP,
)
RESUME = Operation(
    "resume",
    Resume,
    PauseLifted,
    Keeper.DIRECTORY,
    _LEADING,
    ("work", "resume"),
    ("scope",),
    writes=True,
    wide=MEMBER_UP,
    while_paused=True,
)

ROWS = (PAUSE, DRAIN, RESUME)
