"""Operations on checks: what CI, or a person, found out about a commit."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from conductor.domain.access import MEMBER_UP, Role
from conductor.operations.row import Keeper, Operation, ProjectWrite, Reply
from conductor.operations.words import Label, Note

CommitId = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")]
"""A commit's whole id: a part of it could come to mean another."""


class ReportCheck(ProjectWrite):
    """Report a check's result on a commit; completions that name both are verified by it."""

    commit: CommitId = Field(description="whole id")
    name: Label
    passed: bool
    details: Note | None = None


class ReportedCheck(Reply):
    """A check as it is kept: the last report of its name on its commit."""

    commit: str
    name: str
    passed: bool
    details: str | None = None
    reported_by: str
    at: datetime

    def line(self) -> str:
        return f"{self.name} {'passed' if self.passed else 'failed'} on {self.commit[:12]}"


REPORT_CHECK = Operation(
    "report_check",
    ReportCheck,
    ReportedCheck,
    Keeper.PROJECT,
    MEMBER_UP | {Role.SERVICE},
    ("check", "report"),
    ("commit", "name"),
    writes=True,
)

ROWS = (REPORT_CHECK,)
