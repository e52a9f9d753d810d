"""Operations by which agents are let in."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ADMIN_UP, AGENTS, Role
from conductor.domain.agents import RequestStatus
from conductor.operations.agents import Agent, AgentRole
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply
from conductor.operations.words import Id, Key, Label, Line, Name, Note, RepoPath


class AccessRequest(Reply):
    """An agent that asks to be let in. replaces_agent: somebody else is let in under that name already."""

    id: str
    project_id: str
    agent_id: str
    name: str
    agent_type: str
    provider: str | None = None
    model: str | None = None
    requested_role: Role
    capabilities: list[str]
    status: RequestStatus
    requested_at: datetime
    expires_at: datetime
    reviewed_at: datetime | None = None
    reason: str | None = None
    replaces_agent: bool = False

    def line(self) -> str:
        over = f"; approved, it takes the place of the agent {self.agent_id}" if self.replaces_agent else ""
        return f"{self.id}: {self.agent_id} asks to be {self.requested_role} ({self.status}){over}"


class RequestAccess(ProjectWrite):
    """Ask to be let in; repeat it with the claim from the first answer until it carries your token."""

    agent_id: Name
    name: Line
    agent_type: Label = Field(description="such as claude-code, codex, gemini-cli")
    provider: Label | None = None
    model: Label | None = None
    capabilities: list[Label] = Field(default=[], max_length=64)
    requested_role: AgentRole = AgentRole.CONTRIBUTOR
    reason: Note | None = None
    claim: Key | None = Field(default=None, description="the secret from the first answer")


class AccessAnswer(Reply):
    """Where the request stands. claim: in the first answer only. token: once approved, for who shows the claim."""

    request: AccessRequest
    claim: str | None = None
    position: int | None = None
    token: str | None = None

    def line(self) -> str:
        if self.token:
            return f"approved: your token is in `token`; use it from now on as {self.request.agent_id}"
        if self.claim:
            return f"{self.request.id} is pending (place {self.position}); repeat request_access with `claim`"
        told = f"{self.request.id} is {self.request.status}"
        if self.request.status not in {RequestStatus.PENDING, RequestStatus.APPROVED}:
            return told
        return (
            f"{told}; the token goes to who repeats request_access with the claim of its first answer. If that is lost "
            "have it approved with deliver approver"
        )


class Delivery(StrEnum):
    """Who is handed the token of an approved request."""

    REQUESTER = "requester"
    APPROVER = "approver"


class ApproveAccess(ProjectWrite):
    """Let an agent in that asked."""

    request_id: Id
    role: AgentRole | None = Field(default=None, description="another role than it asked for")
    expires_in_days: int | None = Field(default=None, ge=1, le=3650)
    allowed_paths: list[RepoPath] | None = Field(
        default=None, max_length=64, description="empty: all paths; left out: as it was, for a new agent all"
    )
    deliver: Delivery = Delivery.REQUESTER


class ApprovedAccess(Reply):
    """The agent that was let in; with deliver approver also its token."""

    request: AccessRequest
    agent: Agent
    token: str | None = None

    def line(self) -> str:
        token = "; its token is in `token`, shown once" if self.token else "; it fetches its token itself"
        return f"approved {self.agent.agent_id} as {self.agent.role}{token}"


class RejectAccess(ProjectWrite):
    """Turn an agent away that asked."""

    request_id: Id
    reason: Note = Field(min_length=1)


class RejectedAccess(Reply):
    """The request that was turned away."""

    request: AccessRequest

    def line(self) -> str:
        return f"rejected {self.request.agent_id}: {self.request.reason}"


class RevokeAccess(ProjectWrite):
    """Put an agent out: its tokens end, its tasks wait for others, its locks are free."""

    agent_id: Name
    reason: Note = Field(min_length=1)


class RevokedAccess(Reply):
    """The agent that was put out, how many tokens ended, and what it held."""

    agent: Agent
    tokens_ended: int
    tasks: list[str]
    released: list[str]

    def line(self) -> str:
        return (
            f"{self.agent.agent_id} is out: {self.tokens_ended} token(s) ended, {len(self.tasks)} task(s) wait for "
            f"others, {len(self.released)} lock(s) are free"
        )


class ListAccessRequests(ProjectRequest, Listing):
    """List who asks to be let in, the oldest first."""

    status: list[RequestStatus] = Field(default=[], max_length=4)


class AccessRequestPage(Reply):
    """A page of requests."""

    items: list[AccessRequest]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} request(s): " + "; ".join(request.line() for request in self.items[:5])


REVIEWERS = ADMIN_UP | {Role.LEAD}
"""A lead only where the project lets leads approve; the keeper looks."""

REQUEST_ACCESS = Operation(
    "request_access",
    RequestAccess,
    AccessAnswer,
    Keeper.PROJECT,
    AGENTS | {Role.ENROLMENT},
    ("access", "request"),
    ("agent_id", "name"),
    writes=True,
    while_paused=True,
    raises=(errors.RateLimited,),
    carries_token=True,
)
APPROVE_ACCESS = Operation(
    "approve_access",
    ApproveAccess,
    ApprovedAccess,
    Keeper.PROJECT,
    REVIEWERS,
    ("access", "approve"),
    ("request_id",),
    writes=True,
    raises=(errors.NotPending, errors.PathInvalid, errors.ZoneDenied),
    locate="request_id",
    carries_token=True,
)
REJECT_ACCESS = Operation(
    "reject_access",
    RejectAccess,
    RejectedAccess,
    Keeper.PROJECT,
    REVIEWERS,
    ("access", "reject"),
    ("request_id", "reason"),
    writes=True,
    raises=(errors.NotPending,),
    locate="request_id",
)
REVOKE_ACCESS = Operation(
    "revoke_access",
    RevokeAccess,
    RevokedAccess,
    Keeper.PROJECT,
    REVIEWERS,
    ("access", "revoke"),
    ("agent_id", "reason"),
    writes=True,
)
LIST_ACCESS_REQUESTS = Operation(
    "list_access_requests", ListAccessRequests, AccessRequestPage, Keeper.STORE, REVIEWERS, ("access", "list")
)

ROWS = (REQUEST_ACCESS, APPROVE_ACCESS, REJECT_ACCESS, REVOKE_ACCESS, LIST_ACCESS_REQUESTS)
