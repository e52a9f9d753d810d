"""Operations on agents: who they are, whether they live, what they should do next."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import AGENTS, ALL, LONG_LISTS, MEMBER_UP, Role
from conductor.domain.agents import AgentStatus, Health
from conductor.operations.locks import Lock
from conductor.operations.pausing import PauseSet
from conductor.operations.projects import BudgetLeft, Project
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.tasks import Task
from conductor.operations.words import Id, Label, Line, Name, Note, RepoPath, Tokens


class AgentRole(StrEnum):
    """Roles of agents in a project."""

    LEAD = "lead"
    CONTRIBUTOR = "contributor"
    REVIEWER = "reviewer"
    OBSERVER = "observer"

    @property
    def role(self) -> Role:
        """The role among all roles."""
        return Role(self.value)


class Agent(Wire):
    """An agent as callers see it."""

    id: str
    agent_id: str
    name: str
    kind: str | None = None
    provider: str | None = None
    model: str | None = None
    role: Role
    status: AgentStatus
    pause: PauseSet | None = None
    health: Health
    capabilities: list[str]
    allowed_paths: list[str]
    denied_paths: list[str]
    token_budget: int | None = None
    instructions_file: str | None = None
    last_seen_at: datetime | None = None
    current_task: str | None = None
    stage: str | None = None
    note: str | None = None
    context_used: int | None = None
    context_limit: int | None = None
    tasks_completed: int
    spent_today_usd: str


class RegisterAgent(ProjectWrite):
    """Let an agent in at once, or change one, and get its token; nothing of its history is deleted."""

    agent_id: Name
    name: Line
    agent_type: Label | None = Field(default=None, description="such as codex; its profile fills in what is left out")
    provider: Label | None = None
    model: Label | None = None
    capabilities: list[Label] = Field(default=[], max_length=64)
    role: AgentRole = AgentRole.CONTRIBUTOR
    allowed_paths: list[RepoPath] = Field(default=[], max_length=64, description="empty: all paths")
    denied_paths: list[RepoPath] = Field(default=[], max_length=64)
    token_budget: Tokens | None = Field(default=None, description="tokens it may use in all")
    instructions_file: RepoPath | None = None
    supersede: bool = Field(default=False, description="replace an agent of this name: its former tokens end")


class RegisteredAgent(Reply):
    """The agent, and its token, shown once; absent in a replay: rotate_token gives a new one."""

    agent: Agent
    token: str | None = None

    def line(self) -> str:
        token = "its token is in `token`, shown once" if self.token else "its token was shown once: see rotate_token"
        return f"registered {self.agent.agent_id} ({self.agent.role}); {token}"


class HeartbeatStatus(StrEnum):
    """What an agent may say of itself."""

    IDLE = "idle"
    WORKING = "working"
    BLOCKED = "blocked"


class Heartbeat(ProjectWrite):
    """Say that you live and what you do; renews your locks and claims."""

    status: HeartbeatStatus
    session_id: Id | None = None
    task_id: Id | None = None
    stage: Line | None = None
    context_used: Tokens | None = None
    context_limit: Tokens | None = None
    note: Note | None = None


class Notice(Wire):
    """Something that an agent should know, told once."""

    kind: str
    text: str


class HeartbeatReply(Reply):
    """When to call again, what is new, which locks live longer now."""

    next_heartbeat_s: int
    notices: list[Notice]
    leases_renewed: list[str]

    def line(self) -> str:
        return "; ".join([f"next heartbeat in {self.next_heartbeat_s} s", *(notice.text for notice in self.notices)])


class ListAgents(ProjectRequest, Listing):
    """List the agents of a project with their state."""

    status: list[AgentStatus] = Field(default=[], max_length=5)
    health: list[Health] = Field(default=[], max_length=4)
    capability: Label | None = None


class AgentPage(Reply):
    """A page of agents."""

    items: list[Agent]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} agent(s): " + "; ".join(
            f"{agent.agent_id} {agent.status}/{agent.health}" for agent in self.items[:8]
        )


class NextCall(Wire):
    """A call that would help: tool, arguments, why."""

    tool: str
    args: dict[str, Any]
    because: str


class StartSession(ProjectWrite):
    """Start here: who you are, your project, task, locks, budget, and what to do next."""

    client: Line | None = Field(default=None, description="what runs you, and where")
    supersede: bool = Field(default=False, description="end your other sessions")


class Session(Reply):
    """All that an agent needs to begin or go on. session_id: say it at each heartbeat."""

    session_id: str
    agent: Agent
    project: Project
    task: Task | None = None
    locks: list[Lock]
    budget: BudgetLeft
    notices: list[Notice]
    next: list[NextCall]

    def line(self) -> str:
        work = f"you hold {self.task.id}: {self.task.title}" if self.task else "you hold no task"
        step = f"; next: {self.next[0].tool} ({self.next[0].because})" if self.next else ""
        return f"{self.agent.agent_id} ({self.agent.role}) in {self.project.slug}; {work}{step}"


class EndSession(ProjectWrite):
    """End a session of yours; without session_id all of them. Tasks and locks stay yours."""

    session_id: Id | None = None


class EndedSessions(Reply):
    """The sessions that this ended."""

    ended: list[str]

    def line(self) -> str:
        return f"ended {len(self.ended)} session(s)"


class ListSessions(ProjectRequest, Listing):
    """List the sessions of a project's agents, the newest first."""

    agent_id: Name | None = None


class SessionSeen(Wire):
    """One run of an agent's client. end_reason: ended, superseded, replaced, lost or revoked."""

    id: str
    agent_id: str
    client: str | None = None
    started_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None


class SessionPage(Reply):
    """A page of sessions."""

    items: list[SessionSeen]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} session(s): " + "; ".join(
            f"{session.agent_id} {session.end_reason or 'live'}" for session in self.items[:8]
        )


REGISTER_AGENT = Operation(
    "register_agent",
    RegisterAgent,
    RegisteredAgent,
    Keeper.PROJECT,
    MEMBER_UP | {Role.LEAD},
    ("agent", "register"),
    ("agent_id", "name"),
    writes=True,
    raises=(errors.AgentExists, errors.PathInvalid, errors.ZoneDenied),
    carries_token=True,
)
HEARTBEAT = Operation(
    "heartbeat",
    Heartbeat,
    HeartbeatReply,
    Keeper.AGENT,
    AGENTS,
    ("agent", "heartbeat"),
    ("status",),
    writes=True,
    while_paused=True,
)
LIST_AGENTS = Operation("list_agents", ListAgents, AgentPage, Keeper.STORE, ALL, ("agent", "list"))
START_SESSION = Operation(
    "start_session",
    StartSession,
    Session,
    Keeper.AGENT,
    AGENTS,
    ("session", "start"),
    writes=True,
    while_paused=True,
)
END_SESSION = Operation(
    "end_session",
    EndSession,
    EndedSessions,
    Keeper.AGENT,
    AGENTS,
    ("session", "end"),
    ("session_id",),
    writes=True,
    while_paused=True,
)
LIST_SESSIONS = Operation(
    "list_sessions",
    ListSessions,
    SessionPage,
    Keeper.STORE,
    ALL,
    ("session", "list"),
    listed_for=LONG_LISTS,
)

ROWS = (REGISTER_AGENT, HEARTBEAT, LIST_AGENTS, START_SESSION, END_SESSION, LIST_SESSIONS)
