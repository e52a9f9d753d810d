"""Operations on many tasks at once, and on whose hands a task is in: reviews and reassigning."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import MEMBER_UP, Role
from conductor.operations.row import Keeper, Operation, ProjectWrite, Reply, Wire
from conductor.operations.tasks import LEADS, Task, TaskFields
from conductor.operations.words import Id, Label, Name, Note

MOST_AT_ONCE = 500


class NamedTask(TaskFields):
    """A new task; name: what others of the same request call it in dependencies and parent_id."""

    name: Label | None = None


class CreateTasks(ProjectWrite):
    """Add many tasks at once, all or none; dependencies and parent_id may be names of others in the list."""

    tasks: list[NamedTask] = Field(min_length=1, max_length=MOST_AT_ONCE)


class CreatedTask(Wire):
    """One of the tasks that were made."""

    name: str | None = None
    task_id: str
    title: str


class CreatedTasks(Reply):
    """The new tasks in the order of the request."""

    created: list[CreatedTask]

    def line(self) -> str:
        shown = "; ".join(f"{made.task_id} {made.title}" for made in self.created[:5])
        return f"created {len(self.created)} task(s): {shown}"


class CloseTasks(ProjectWrite):
    """Cancel open tasks, each with the open tasks below it; unknown ids change nothing."""

    task_ids: list[Id] = Field(min_length=1, max_length=MOST_AT_ONCE)
    reason: Note


class ClosedTasks(Reply):
    """What was cancelled, subtasks included, and what had been closed before."""

    closed: list[str]
    already_closed: list[str]

    def line(self) -> str:
        before = f"; {len(self.already_closed)} were closed already" if self.already_closed else ""
        return f"cancelled {len(self.closed)} task(s){before}"


class Verdict(StrEnum):
    """What a reviewer says of a result."""

    ACCEPT = "accept"
    SEND_BACK = "send_back"


class ReviewTask(ProjectWrite):
    """Accept a result that was handed in, or send it back with a note for the next attempt."""

    task_id: Id
    verdict: Verdict
    note: Note | None = Field(default=None, description="with send_back: what is to be done")


class ReviewedTask(Reply):
    """A reviewed task with what its acceptance set free."""

    task: Task
    unblocked: list[str]

    def line(self) -> str:
        freed = f"; now ready: {', '.join(self.unblocked)}" if self.unblocked else ""
        return f"{self.task.id} is {self.task.status}{freed}"


class ReassignTask(ProjectWrite):
    """Give a task to another agent; its holder has grace_s to finish it. Without agent_id the best other one."""

    task_id: Id
    agent_id: Name | None = None
    grace_s: int = Field(default=60, ge=0, le=3600)
    reason: Note


class ReassignedTask(Reply):
    """Who gets the task. at: when its holder's time ends; absent: it is free to be claimed now."""

    task: Task
    agent_id: str
    at: datetime | None = None

    def line(self) -> str:
        when = f"at {self.at:%H:%M:%SZ}, unless it is finished by then" if self.at else "now"
        return f"{self.task.id} goes to {self.agent_id} {when}"


CREATE_TASKS = Operation(
    "create_tasks",
    CreateTasks,
    CreatedTasks,
    Keeper.TASKS,
    LEADS,
    ("task", "create-many"),
    writes=True,
    raises=(errors.DependencyCycle, errors.UnknownDependency, errors.PathInvalid),
)
CLOSE_TASKS = Operation(
    "close_tasks", CloseTasks, ClosedTasks, Keeper.TASKS, LEADS, ("task", "close"), ("task_ids",), writes=True
)
REVIEW_TASK = Operation(
    "review_task",
    ReviewTask,
    ReviewedTask,
    Keeper.TASKS,
    MEMBER_UP | {Role.LEAD, Role.REVIEWER},
    ("task", "review"),
    ("task_id", "verdict"),
    writes=True,
    raises=(errors.IllegalMove,),
    locate="task_id",
)
REASSIGN_TASK = Operation(
    "reassign_task",
    ReassignTask,
    ReassignedTask,
    Keeper.TASKS,
    LEADS,
    ("task", "reassign"),
    ("task_id",),
    writes=True,
    raises=(errors.IllegalMove, errors.NotReady),
    locate="task_id",
)

ROWS = (CREATE_TASKS, CLOSE_TASKS, REVIEW_TASK, REASSIGN_TASK)
