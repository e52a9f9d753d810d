"""Operations on projects."""

from datetime import datetime

from pydantic import Field

from conductor.domain.access import ADMIN_UP, ALL, Role
from conductor.domain.organizations import AutoApprove, ConflictStrategy
from conductor.operations.pausing import PauseSet
from conductor.operations.row import (
    Keeper,
    Listing,
    Operation,
    ProjectRequest,
    ProjectWrite,
    Reply,
    Request,
    Wire,
    Write,
)
from conductor.operations.words import Key, Line, ServerPath, Slug


class BudgetLeft(Wire):
    """What may still be spent: the tightest hard limit that applies; no limit_usd: none is set."""

    limit_usd: str | None = None
    spent_usd: str
    remaining_usd: str | None = None


class Counts(Wire):
    """What a project holds now: tasks by status, agents by status, live locks."""

    tasks: dict[str, int]
    agents: dict[str, int]
    locks: int


class ProjectSettings(Wire):
    """What a project's people may choose; in a change, what is left out stays."""

    fold_case: bool | None = Field(default=None, description="paths that differ only in case are one")
    require_evidence: bool | None = Field(default=None, description="completions must carry evidence")
    leads_approve: bool | None = Field(default=None, description="leads may let agents in")
    late_after_s: int | None = Field(default=None, ge=1, le=86_400, description="silence after which an agent is late")
    critical_after_s: int | None = Field(default=None, ge=1, le=86_400, description="after which it is critical")
    lost_after_s: int | None = Field(default=None, ge=10, le=86_400, description="silence after which an agent is lost")
    require_verification: bool | None = Field(
        default=None, description="completions must carry a commit that the server can check"
    )
    require_review: bool | None = Field(default=None, description="completions wait for somebody else's review")
    complete_parents: bool | None = Field(
        default=None, description="a task with subtasks is not claimed: it completes with the last of them"
    )
    partial_match: bool | None = Field(
        default=None, description="agents may be given tasks although they lack some required capabilities"
    )
    max_held_tasks: int | None = Field(default=None, ge=1, le=500, description="tasks one agent may hold at once")
    auto_approve: AutoApprove | None = Field(
        default=None, description="whose requests for access need no person: none, same_machine, listed"
    )
    auto_approve_listed: list[Key] | None = Field(
        default=None, max_length=200, description="with listed: agents' names or ids of enrolment tokens"
    )
    team_only: bool | None = Field(default=None, description="only people of its teams, and admins, see it")


class Project(Reply):
    """A codebase that agents share."""

    id: str
    organization_id: str
    name: str
    slug: str
    conflict_strategy: ConflictStrategy
    root_path: str | None = None
    git_remote: str | None = None
    settings: ProjectSettings
    my_role: Role | None = None
    archived_at: datetime | None = None
    counts: Counts
    budget: BudgetLeft
    pause: PauseSet | None = None

    def line(self) -> str:
        tasks = ", ".join(f"{count} {status}" for status, count in self.counts.tasks.items()) or "no tasks"
        archived = "; archived" if self.archived_at else f"; {self.pause.line()}" if self.pause else ""
        return (
            f"{self.slug} ({self.id}): {tasks}; {self.counts.locks} lock(s); "
            f"spent {self.budget.spent_usd} USD{archived}"
        )


class CreateProject(Write):
    """Make a project, usually one for each repository."""

    name: Line
    slug: Slug | None = Field(default=None, description="made from the name when left out")
    conflict_strategy: ConflictStrategy = ConflictStrategy.LOCK
    root_path: ServerPath | None = Field(default=None, description="absolute path of the checkout on the server")
    git_remote: Line | None = None
    settings: ProjectSettings | None = None


class UpdateProject(ProjectWrite):
    """Change a project; what is left out stays."""

    name: Line | None = None
    slug: Slug | None = None
    conflict_strategy: ConflictStrategy | None = None
    root_path: ServerPath | None = None
    git_remote: Line | None = None
    settings: ProjectSettings | None = None


class GetProject(ProjectRequest):
    """Look at a project: what it holds and what it may still spend."""


class ArchiveProject(ProjectWrite):
    """Put a project away: it stays readable, nothing in it can be changed, lists leave it out."""


class RestoreProject(ProjectWrite):
    """Take an archived project up again, as it was."""


class ListProjects(Request, Listing):
    """List the projects you can see."""

    archived: bool = Field(default=False, description="with those that were archived")


class ProjectPage(Reply):
    """A page of projects."""

    items: list[Project]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} project(s): " + "; ".join(
            f"{project.slug} ({project.id})" for project in self.items[:8]
        )


CREATE_PROJECT = Operation(
    "create_project",
    CreateProject,
    Project,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("project", "create"),
    ("name",),
    writes=True,
    of_organization=True,
)
UPDATE_PROJECT = Operation(
    "update_project", UpdateProject, Project, Keeper.PROJECT, ADMIN_UP, ("project", "update"), writes=True
)
ARCHIVE_PROJECT = Operation(
    "archive_project",
    ArchiveProject,
    Project,
    Keeper.PROJECT,
    ADMIN_UP,
    ("project", "archive"),
    writes=True,
)
RESTORE_PROJECT = Operation(
    "restore_project",
    RestoreProject,
    Project,
    Keeper.PROJECT,
    ADMIN_UP,
    ("project", "restore"),
    writes=True,
)
GET_PROJECT = Operation("get_project", GetProject, Project, Keeper.STORE, ALL, ("project", "show"))
LIST_PROJECTS = Operation("list_projects", ListProjects, ProjectPage, Keeper.STORE, ALL, ("project", "list"))

ROWS = (CREATE_PROJECT, UPDATE_PROJECT, ARCHIVE_PROJECT, RESTORE_PROJECT, GET_PROJECT, LIST_PROJECTS)
