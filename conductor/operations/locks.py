"""Operations on locks."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ALL, MEMBER_UP, WORKERS
from conductor.domain.locks import Mode
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Id, Line, Name, RepoPath


class Lock(Wire):
    """A lease on paths. token: its fencing token, which grows within the project."""

    id: str
    paths: list[str]
    mode: Mode
    agent_id: str
    task_id: str | None = None
    reason: str | None = None
    token: int
    acquired_at: datetime
    expires_at: datetime


class AcquireLock(ProjectWrite):
    """Lease paths before editing them, so that no other agent edits them meanwhile."""

    paths: list[RepoPath] = Field(min_length=1, max_length=64, description="repository-relative paths or globs")
    mode: Mode = Mode.EXCLUSIVE
    ttl_s: int = Field(default=900, ge=10, le=86_400, description="seconds; heartbeats and writes renew it")
    task_id: Id | None = Field(default=None, description="release it with this task of yours")
    reason: Line | None = None


class GrantStatus(StrEnum):
    """How a request for a lock was answered."""

    GRANTED = "granted"


class LockGrant(Reply):
    """A granted lock. lost_after_s: silence after which it ends early."""

    status: GrantStatus = GrantStatus.GRANTED
    lock: Lock
    lost_after_s: int

    def line(self) -> str:
        lock = self.lock
        until = f"{lock.expires_at:%H:%M:%SZ}"
        return f"granted {lock.id} ({lock.mode}, token {lock.token}) until {until}: {', '.join(lock.paths)}"


class ReleaseLock(ProjectWrite):
    """Give leases back: one lock, exactly named leased paths, or all of yours."""

    lock_id: Id | None = None
    paths: list[RepoPath] = Field(default=[], max_length=64)
    all: bool = False
    force: bool = Field(default=False, description="also another agent's (lead, member and above; audited)")
    agent_id: Name | None = Field(default=None, description="with force and all: whose")


class ReleasedLocks(Reply):
    """What ended, and who was given it next."""

    released: list[str]
    granted_next: list[str]

    def line(self) -> str:
        return f"released {', '.join(self.released) or 'nothing that ended a lock'}"


class ListLocks(ProjectRequest, Listing):
    """List live locks, those that would conflict with a path, or an agent's."""

    path: RepoPath | None = None
    agent_id: Name | None = None


class Waiting(Wire):
    """A place in the queue."""

    ticket: str
    agent_id: str
    paths: list[str]
    mode: Mode
    position: int
    since: datetime


class LockPage(Reply):
    """A page of locks, and who waits."""

    items: list[Lock]
    waiting: list[Waiting]
    next_cursor: str | None = None

    def line(self) -> str:
        shown = "; ".join(f"{lock.agent_id}: {', '.join(lock.paths[:4])}" for lock in self.items[:5])
        return f"{len(self.items)} lock(s){': ' if shown else ''}{shown}"


ACQUIRE_LOCK = Operation(
    "acquire_lock",
    AcquireLock,
    LockGrant,
    Keeper.LOCKS,
    WORKERS,
    ("lock", "acquire"),
    ("paths",),
    writes=True,
    raises=(errors.LockHeld, errors.ZoneDenied, errors.PathInvalid),
    locate="task_id",
)
RELEASE_LOCK = Operation(
    "release_lock",
    ReleaseLock,
    ReleasedLocks,
    Keeper.LOCKS,
    WORKERS | MEMBER_UP,
    ("lock", "release"),
    ("lock_id",),
    writes=True,
    while_paused=True,
    raises=(errors.NotHolder, errors.PathInvalid),
    locate="lock_id",
)
LIST_LOCKS = Operation(
    "list_locks", ListLocks, LockPage, Keeper.STORE, ALL, ("lock", "list"), ("path",), raises=(errors.PathInvalid,)
)

ROWS = (ACQUIRE_LOCK, RELEASE_LOCK, LIST_LOCKS)
