"""The operation that explains why an agent gets one task and not another."""

from pydantic import Field

from conductor.domain.access import ALL, LONG_LISTS
from conductor.domain.selection import Obstacle
from conductor.operations.row import Keeper, Operation, ProjectRequest, Reply, Wire
from conductor.operations.words import Id, Name


class ExplainTask(ProjectRequest):
    """Explain which task claim_task gives an agent now, and why not another."""

    task_id: Id | None = Field(default=None, description="why not this one")
    agent_id: Name | None = Field(default=None, description="left out by agents: they themselves")


class ChosenTask(Wire):
    """The task that claim_task gives."""

    task_id: str
    title: str
    reasons: list[str]


class OtherTask(Wire):
    """A task that it does not give. place: among those ready for the agent, 1 is looked at first."""

    task_id: str
    title: str
    place: int | None = None
    obstacle: Obstacle | None = None
    sentence: str


class TaskExplained(Reply):
    """Why this task, and why not the others. standstill: why the agent is given none, whatever is ready."""

    agent_id: str
    standstill: str | None = None
    chosen: ChosenTask | None = None
    others: list[OtherTask]

    def line(self) -> str:
        if self.standstill is not None:
            return f"{self.agent_id} is given no task: {self.standstill}"
        first = self.others[:1] if self.chosen is None or len(self.others) == 1 else []
        other = "".join(f"; {task.task_id} {task.sentence}" for task in first)
        if self.chosen is None:
            return f"nothing is ready for {self.agent_id}{other}"
        return f"{self.agent_id} gets {self.chosen.task_id}: {', '.join(self.chosen.reasons)}{other}"


EXPLAIN_TASK = Operation(
    "explain_task",
    ExplainTask,
    TaskExplained,
    Keeper.STORE,
    ALL,
    ("task", "explain"),
    ("task_id",),
    locate="task_id",
    is_slow=True,
    listed_for=LONG_LISTS,
)

ROWS = (EXPLAIN_TASK,)
