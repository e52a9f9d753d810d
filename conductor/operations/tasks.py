"""Operations on tasks."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ALL, MEMBER_UP, WORKERS, Role
from conductor.domain.events import EventKind
from conductor.domain.tasks import Priority, TaskStatus, Verification
from conductor.operations.locks import Lock
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Amount, Detail, Id, Label, Line, Moment, Name, Note, RepoPath, Text, Tokens


class Task(Reply):
    """A task as callers see it. attempt is 0 before the first claim; blocked_by: what it still waits for.

    verification: what its result is worth; problems: why it is only reported. reassign_to: gets it at reassign_at.
    external_id: what another tracker calls it.
    """

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
    verification: Verification | None = None
    problems: list[str] = Field(default=[])
    reviewed_by: str | None = None
    external_id: str | None = None
    reserved_until: datetime | None = None
    reassign_to: str | None = None
    reassign_at: datetime | None = None

    def line(self) -> str:
        waits = f", waits for {', '.join(self.blocked_by)}" if self.blocked_by else ""
        holder = f" by {self.assigned_to}" if self.assigned_to else ""
        return f"{self.id} {self.status}{holder} ({self.priority}{waits}): {self.title}"


class TaskFields(Wire):
    """What a new task is made of."""

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


class CreateTask(ProjectWrite, TaskFields):
    """Add a task, with what it waits for and the files it will touch."""


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


class ContextCheckpoint(Wire):
    """The last checkpoint of a task, or of the agent. locks: what was leased when it was saved."""

    id: str
    agent_id: str
    task_id: str | None = None
    summary: str
    next_steps: list[str]
    files: list[str]
    locks: list[str]


class TaskContext(Wire):
    """What an agent should know before it starts. related: the tasks this one waited for, and its parent.

    instructions: the text of instructions_file as it is in instructions_commit; without that the file's path.
    cut: what did not fit, and where the rest of it is.
    """

    focus: str | None = None
    goals: list[str]
    instructions: str | None = None
    instructions_file: str | None = None
    instructions_commit: str | None = None
    style_guide: str | None = None
    checkpoint_rules: list[str]
    allowed_paths: list[str]
    denied_paths: list[str]
    related: list[RelatedTask]
    last_error: str | None = None
    checkpoint: ContextCheckpoint | None = None
    welcome: str | None = None
    reminder: str | None = None
    cut: list[str] = Field(default=[])


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
    due_at: Moment | None = None
    assigned_to: Name | None = None


class Evidence(Wire):
    """What shows that the work is done."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")] | None = None
    files: list[RepoPath] = Field(default=[], max_length=1000)
    checks: list[Label] = Field(default=[], max_length=64, description="names of checks that passed")


class CompleteTask(ProjectWrite):
    """Finish your attempt: frees its locks and the tasks that waited for it; a project may have it reviewed first."""

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
        ended = "handed in for review:" if self.task.status is TaskStatus.IN_REVIEW else "completed"
        return f"{ended} {self.task.id}; released {len(self.released)} lock(s){freed}"


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


class TaskEvent(Wire):
    """One change of a task: who did what, when."""

    number: int
    at: datetime
    actor: str
    kind: EventKind
    facts: dict[str, Any]


class TaskSeen(Task):
    """A task with its attempts and their errors, and what happened to it, the newest first."""

    attempts: list[AttemptSeen]
    history: list[TaskEvent]


class ListTasks(ProjectRequest, Listing):
    """List tasks, the newest first."""

    status: list[TaskStatus] = Field(default=[], max_length=8)
    priority: list[Priority] = Field(default=[], max_length=4)
    assigned_to: Name | None = None
    tags: list[Label] = Field(default=[], max_length=32, description="all of them")
    ready: bool | None = Field(default=None, description="true: could be claimed now; false: could not")
    text: Line | None = Field(default=None, description="part of title or description")
    parent_id: Id | None = None
    due_before: Moment | None = None
    detail: Detail = Detail.SHORT


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
        errors.Deadlock,
    ),
    locate="task_id",
    asks_budget=True,
    looks=True,
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
    looks=True,
)
LIST_TASKS = Operation("list_tasks", ListTasks, TaskPage, Keeper.STORE, ALL, ("task", "list"))
GET_TASK = Operation("get_task", GetTask, TaskSeen, Keeper.STORE, ALL, ("task", "show"), ("task_id",), locate="task_id")

ROWS = (CREATE_TASK, CLAIM_TASK, UPDATE_TASK, COMPLETE_TASK, LIST_TASKS, GET_TASK)
