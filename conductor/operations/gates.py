"""Operations that hooks and git gates ask: may these files be changed, and who is in whose way."""

from typing import Annotated

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ALL, LONG_LISTS, Role
from conductor.domain.conflicts import Answer, ConflictKind
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.verdicts import Intent, Verdict
from conductor.operations.agents import NextCall
from conductor.operations.locks import Lock
from conductor.operations.row import Keeper, Operation, ProjectRequest, Reply, Wire
from conductor.operations.words import Id, Name, RepoPath

MOST_TOKENS = 1_000
"""Tokens of one commit: one with many files may have been made under as many leases."""


class LockToken(Wire):
    """A lock that a commit was made under."""

    lock_id: Id
    token: Annotated[int, Field(ge=0, le=2**53 - 1)]


class CheckPaths(ProjectRequest):
    """Ask whether paths may be changed now: lock, token, zone, path rule, pause and budget in one verdict."""

    paths: list[RepoPath] = Field(min_length=1, max_length=64)
    tokens: list[LockToken] = Field(default=[], max_length=MOST_TOKENS, description="the commit's")
    intent: Intent = Intent.EDIT
    agent_id: Name | None = Field(default=None, description="whose; for people")


class PathVerdict(Wire):
    """The verdict on one path, as it was given. holder: whose lease or grant is in the way."""

    path: str
    verdict: Verdict
    holder: str | None = None
    lock_id: str | None = None
    token: int | None = None
    because: str


class PathsChecked(Reply):
    """One verdict. agent_id: on whom; absent: a person. locks: the agent's own that cover something of it."""

    allowed: bool
    agent_id: str | None = None
    reasons: list[PathVerdict]
    locks: list[Lock]
    next: list[NextCall]

    def line(self) -> str:
        against = [reason for reason in self.reasons if reason.verdict is not Verdict.OK]
        if not against:
            return f"allowed: {len(self.reasons)} path(s)"
        first = against[0]
        more = f"; and {len(against) - 1} more" if len(against) > 1 else ""
        shown = first.path if first.path.isprintable() else ascii(first.path)
        return f"not allowed: {shown[:200]}: {first.verdict}: {first.because[:300]}{more}"


class DetectConflicts(ProjectRequest):
    """Find who is in whose way among held tasks and live locks, and what the project's strategy does about it."""

    limit: int = Field(default=50, ge=1, le=200)


class ConflictSeen(Wire):
    """One conflict. subjects: ids of the tasks and locks in it."""

    kind: ConflictKind
    agents: list[str]
    subjects: list[str]
    paths: list[str]
    message: str
    answer: Answer
    because: str


class Conflicts(Reply):
    """Who is in whose way. found: how many in all, up to some thousands."""

    strategy: ConflictStrategy
    conflicts: list[ConflictSeen]
    found: int

    def line(self) -> str:
        if not self.conflicts:
            return f"no conflicts (strategy {self.strategy})"
        first = self.conflicts[0]
        return f"{self.found} conflict(s); first: {first.message[:300]}: {first.answer}"


CHECK_PATHS = Operation(
    "check_paths",
    CheckPaths,
    PathsChecked,
    Keeper.STORE,
    ALL | {Role.SERVICE},
    ("lock", "check"),
    ("paths",),
    raises=(errors.PathInvalid,),
)
DETECT_CONFLICTS = Operation(
    "detect_conflicts",
    DetectConflicts,
    Conflicts,
    Keeper.STORE,
    ALL,
    ("lock", "conflicts"),
    listed_for=LONG_LISTS,
)

ROWS = (CHECK_PATHS, DETECT_CONFLICTS)
