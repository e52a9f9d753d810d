"""Operations on tasks."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ALL, MEMBER_UP, WORKERS, Role
from conductor.domain.tasks import Priority, TaskStatus
from conductor.operations.locks import Lock
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Amount, Id, Label, Line, Moment, Name, Note, RepoPath, Text, Tokens


class Task(Reply):
    """A task as callers see it. attempt is 0 before the first claim; blocked_by: what it still waits for."""

    id: str
    project_id: str
    title: str
    description: str | None = None
    status: TaskStatus
    priority: Priority
    assigned_to: str | None = None
    attempt: int
    max_attempts: int
    dependencies: list[str]
    blocked_by: list[str]
    files: list[str]
    tags: list[str]
    requires: list[str]
    evidence: list[str]
    parent_id: str | None = None
    estimated_cost_usd: str | None = None
    progress: float | None = None
    note: str | None = None
    result: str | None = None
    error: str | None = None
    lease_expires_at: datetime | None = None
    retry_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None = None

    def line(self) -> str:
        waits = f", waits for {', '.join(self.blocked_by)}" if self.blocked_by else ""
        holder = f" by {self.assigned_to}" if self.assigned_to else ""
        return f"{self.id} {self.status}{holder} ({self.priority}{waits}): {self.title}"


class CreateTask(ProjectWrite):
    """Add a task, with what it waits for and the files it will touch."""

    title: Line
    description: Text | None = None
    priority: Priority = Priority.MEDIUM
    dependencies: list[Id] = Field(default=[], max_length=100, description="task ids that must be completed first")
    parent_id: Id | None = None
    files: list[RepoPath] = Field(default=[], max_length=64, description="paths or globs leased with the claim")
    tags: list[Label] = Field(default=[], max_length=32)
    requires: list[Label] = Field(default=[], max_length=32, description="capabilities an agent must have")
    assigned_to: Name | None = Field(default=None, description="the only agent that may claim it")
    due_at: Moment | None = None
    max_attempts: int = Field(default=3, ge=1, le=100)
    estimated_cost_usd: Amount | None = None
    evidence: list[Label] = Field(
        default=[],
        max_length=16,
        description="what completion must show where the project requires evidence: commit, files, or a check's name",
    )


class ClaimTask(ProjectWrite):
    """Take a task and lease its files; without task_id the best ready task for you."""

    task_id: Id | None = None
    acquire_locks: bool = True
    lease_s: int = Field(default=900, ge=10, le=86_400, description="seconds; heartbeats and writes renew it")


class RelatedTask(Wire):
    """A task that another one was waiting for, with its result."""

    task_id: str
    title: str
    status: TaskStatus
    result: str | None = None


class TaskContext(Wire):
    """What an agent should know before it starts. related: the tasks this one waited for."""

    focus: str | None = None
    goals: list[str]
    instructions: str | None = None
    style_guide: str | None = None
    checkpoint_rules: list[str]
    allowed_paths: list[str]
    denied_paths: list[str]
    related: list[RelatedTask]
    last_error: str | None = None


class ClaimedTask(Reply):
    """A claim: the attempt's number goes into complete_task."""

    task: Task
    attempt: int
    lease_expires_at: datetime
    locks: list[Lock]
    context: TaskContext

    def line(self) -> str:
        leased = f"; leased {', '.join(path for lock in self.locks for path in lock.paths)}" if self.locks else ""
        until = f"{self.lease_expires_at:%H:%M:%SZ}"
        return f"claimed {self.task.id} attempt {self.attempt} until {until}: {self.task.title}{leased}"


class UpdateTask(ProjectWrite):
    """Report progress, change, release, fail or cancel a task; the holder gives its attempt."""

    task_id: Id
    attempt: int | None = Field(default=None, ge=1, le=1_000_000)
    status: TaskStatus | None = Field(
        default=None, description="in_progress, blocked, pending (release; a person: reopen), failed, cancelled"
    )
    note: Note | None = None
    progress: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    blocked_by: list[Id] | None = Field(default=None, max_length=32, description="with blocked: task ids waited for")
    dependencies: list[Id] | None = Field(default=None, max_length=100, description="the whole new list")
    title: Line | None = None
    description: Text | None = None
    priority: Priority | None = None
    files: list[RepoPath] | None = Field(default=None, max_length=64)
    tags: list[Label] | None = Field(default=None, max_length=32)


class Evidence(Wire):
    """What shows that the work is done."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")] | None = None
    files: list[RepoPath] = Field(default=[], max_length=1000)
    checks: list[Label] = Field(default=[], max_length=64, description="names of checks that passed")


class CompleteTask(ProjectWrite):
    """Finish your attempt: frees its locks and the tasks that waited for it."""

    task_id: Id
    attempt: int = Field(ge=1, le=1_000_000)
    result: Text
    evidence: Evidence | None = None
    tokens: Tokens | None = Field(default=None, description="tokens used, for the log")


class CompletedTask(Reply):
    """A completion with what it set free."""

    task: Task
    unblocked: list[str]
    released: list[str]

    def line(self) -> str:
        freed = f"; now ready: {', '.join(self.unblocked)}" if self.unblocked else ""
        return f"completed {self.task.id}; released {len(self.released)} lock(s){freed}"


class GetTask(ProjectRequest):
    """Look at one task."""

    task_id: Id


class AttemptSeen(Wire):
    """One claim of a task."""

    number: int
    agent_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error: str | None = None


class TaskSeen(Task):
    """A task with the history of its attempts."""

    attempts: list[AttemptSeen]


class ListTasks(ProjectRequest, Listing):
    """List tasks, the newest first."""

    status: list[TaskStatus] = Field(default=[], max_length=7)
    priority: list[Priority] = Field(default=[], max_length=4)
    assigned_to: Name | None = None
    tags: list[Label] = Field(default=[], max_length=32, description="all of them")
    ready: bool | None = Field(default=None, description="true: could be claimed now; false: could not")
    text: Line | None = Field(default=None, description="part of title or description")


class TaskPage(Reply):
    """A page of tasks."""

    items: list[Task]
    next_cursor: str | None = None

    def line(self) -> str:
        more = ", more with next_cursor" if self.next_cursor else ""
        return f"{len(self.items)} task(s){more}: " + "; ".join(
            f"{task.id} {task.status} {task.title}" for task in self.items[:5]
        )


LEADS = MEMBER_UP | {Role.LEAD}

CREATE_TASK = Operation(
    "create_task",
    CreateTask,
    Task,
    Keeper.TASKS,
    LEADS,
    ("task", "create"),
    ("title",),
    writes=True,
    raises=(errors.DependencyCycle, errors.UnknownDependency, errors.PathInvalid),
)
CLAIM_TASK = Operation(
    "claim_task",
    ClaimTask,
    ClaimedTask,
    Keeper.TASKS,
    WORKERS,
    ("task", "claim"),
    ("task_id",),
    writes=True,
    raises=(
        errors.NotReady,
        errors.AlreadyClaimed,
        errors.LockHeld,
        errors.ZoneDenied,
        errors.PathInvalid,
        errors.BudgetExceeded,
        errors.NothingReady,
    ),
    locate="task_id",
    asks_budget=True,
)
UPDATE_TASK = Operation(
    "update_task",
    UpdateTask,
    Task,
    Keeper.TASKS,
    WORKERS | MEMBER_UP,
    ("task", "update"),
    ("task_id",),
    writes=True,
    raises=(
        errors.IllegalMove,
        errors.StaleAttempt,
        errors.DependencyCycle,
        errors.UnknownDependency,
        errors.PathInvalid,
    ),
    locate="task_id",
)
COMPLETE_TASK = Operation(
    "complete_task",
    CompleteTask,
    CompletedTask,
    Keeper.TASKS,
    WORKERS,
    ("task", "complete"),
    ("task_id", "attempt", "result"),
    writes=True,
    raises=(errors.StaleAttempt, errors.EvidenceMissing),
    locate="task_id",
)
LIST_TASKS = Operation("list_tasks", ListTasks, TaskPage, Keeper.STORE, ALL, ("task", "list"))
GET_TASK = Operation("get_task", GetTask, TaskSeen, Keeper.STORE, ALL, ("task", "show"), ("task_id",), locate="task_id")

ROWS = (CREATE_TASK, CLAIM_TASK, UPDATE_TASK, COMPLETE_TASK, LIST_TASKS, GET_TASK)
