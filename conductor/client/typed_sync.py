"""The synchronous client's methods, one an operation. Made from the catalogue by `conductor reference`.

Keyword arguments only. None, where it is the default, means left out. A list is any sequence but text; a closed set
is its enum or the word itself.
"""
# fmt: off
# ruff: noqa: E501, I001

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from conductor.client.wire import request_of
from conductor.domain.access import Role, TokenKind
from conductor.domain.agents import AgentStatus, Health, RequestStatus
from conductor.domain.events import EventKind
from conductor.domain.locks import Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.quotas import Scope, Window
from conductor.domain.tasks import Priority, TaskStatus
from conductor.operations import access, admin, agents, audit, costs, locks, onboarding, projects, tasks
from conductor.operations.access import AccessAnswer, AccessRequestPage, ApprovedAccess, Delivery, RejectedAccess
from conductor.operations.admin import Identity, Member, MemberPage, MemberRole, NewToken, Organization, OrganizationPage, RevokedToken, TokenPage
from conductor.operations.agents import AgentPage, AgentRole, HeartbeatReply, HeartbeatStatus, RegisteredAgent, Session
from conductor.operations.audit import EventPage, LoggedAction
from conductor.operations.costs import CostGroup, Costs, Quota, Quotas, RecordedCost
from conductor.operations.locks import LockGrant, LockPage, ReleasedLocks
from conductor.operations.onboarding import OnboardingConfig
from conductor.operations.projects import Project, ProjectPage, ProjectSettings
from conductor.operations.row import Operation, ReplyT, RequestT
from conductor.operations.tasks import ClaimedTask, CompletedTask, Evidence, Task, TaskPage, TaskSeen

AgentRoleWord: TypeAlias = AgentRole | Literal["lead", "contributor", "reviewer", "observer"]
AgentStatusWord: TypeAlias = AgentStatus | Literal["idle", "working", "blocked", "paused", "offline"]
ConflictStrategyWord: TypeAlias = ConflictStrategy | Literal["lock", "zone", "merge", "review"]
CostGroupWord: TypeAlias = CostGroup | Literal["day", "project", "agent", "task", "model", "provider"]
DeliveryWord: TypeAlias = Delivery | Literal["requester", "approver"]
EventKindWord: TypeAlias = EventKind | str
HealthWord: TypeAlias = Health | Literal["healthy", "late", "critical", "lost"]
HeartbeatStatusWord: TypeAlias = HeartbeatStatus | Literal["idle", "working", "blocked"]
MemberRoleWord: TypeAlias = MemberRole | Literal["owner", "admin", "member", "viewer"]
ModeWord: TypeAlias = Mode | Literal["exclusive", "shared"]
PriorityWord: TypeAlias = Priority | Literal["critical", "high", "medium", "low"]
RequestStatusWord: TypeAlias = RequestStatus | Literal["pending", "approved", "rejected", "expired"]
RoleWord: TypeAlias = Role | Literal["root", "owner", "admin", "member", "viewer", "lead", "contributor", "reviewer", "observer", "service", "enrolment"]
ScopeWord: TypeAlias = Scope | Literal["organization", "project", "agent"]
TaskStatusWord: TypeAlias = TaskStatus | Literal["pending", "claimed", "in_progress", "blocked", "completed", "failed", "cancelled"]
TokenKindWord: TypeAlias = TokenKind | Literal["usr", "agt", "enr", "svc"]
WindowWord: TypeAlias = Window | Literal["month", "week", "day", "total"]


class Operations(ABC):
    """Every operation as a method."""

    @abstractmethod
    def call(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """Call an operation of the catalogue."""

    def create_task(self, *, title: str, description: str | None = None, priority: PriorityWord = Priority.MEDIUM, dependencies: Sequence[str] = (), parent_id: str | None = None, files: Sequence[str] = (), tags: Sequence[str] = (), requires: Sequence[str] = (), assigned_to: str | None = None, due_at: datetime | str | None = None, max_attempts: int = 3, estimated_cost_usd: Decimal | float | str | None = None, evidence: Sequence[str] = (), project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Task:
        """Add a task, with what it waits for and the files it will touch. Raises DependencyCycle, UnknownDependency, PathInvalid."""
        return self.call(tasks.CREATE_TASK, request_of(tasks.CREATE_TASK, {"title": title, "description": description, "priority": priority, "dependencies": dependencies, "parent_id": parent_id, "files": files, "tags": tags, "requires": requires, "assigned_to": assigned_to, "due_at": due_at, "max_attempts": max_attempts, "estimated_cost_usd": estimated_cost_usd, "evidence": evidence, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def claim_task(self, *, task_id: str | None = None, acquire_locks: bool = True, lease_s: int = 900, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ClaimedTask:
        """Take a task and lease its files; without task_id the best ready task for you. Raises NotReady, AlreadyClaimed, LockHeld, ZoneDenied, PathInvalid, BudgetExceeded, NothingReady."""
        return self.call(tasks.CLAIM_TASK, request_of(tasks.CLAIM_TASK, {"task_id": task_id, "acquire_locks": acquire_locks, "lease_s": lease_s, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_task(self, *, task_id: str, attempt: int | None = None, status: TaskStatusWord | None = None, note: str | None = None, progress: float | None = None, blocked_by: Sequence[str] | None = None, dependencies: Sequence[str] | None = None, title: str | None = None, description: str | None = None, priority: PriorityWord | None = None, files: Sequence[str] | None = None, tags: Sequence[str] | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Task:
        """Report progress, change, release, fail or cancel a task; the holder gives its attempt. Raises IllegalMove, StaleAttempt, DependencyCycle, UnknownDependency, PathInvalid."""
        return self.call(tasks.UPDATE_TASK, request_of(tasks.UPDATE_TASK, {"task_id": task_id, "attempt": attempt, "status": status, "note": note, "progress": progress, "blocked_by": blocked_by, "dependencies": dependencies, "title": title, "description": description, "priority": priority, "files": files, "tags": tags, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def complete_task(self, *, task_id: str, attempt: int, result: str, evidence: Evidence | None = None, tokens: int | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> CompletedTask:
        """Finish your attempt: frees its locks and the tasks that waited for it. Raises StaleAttempt, EvidenceMissing."""
        return self.call(tasks.COMPLETE_TASK, request_of(tasks.COMPLETE_TASK, {"task_id": task_id, "attempt": attempt, "result": result, "evidence": evidence, "tokens": tokens, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_tasks(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[TaskStatusWord] = (), priority: Sequence[PriorityWord] = (), assigned_to: str | None = None, tags: Sequence[str] = (), ready: bool | None = None, text: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> TaskPage:
        """List tasks, the newest first."""
        return self.call(tasks.LIST_TASKS, request_of(tasks.LIST_TASKS, {"limit": limit, "cursor": cursor, "status": status, "priority": priority, "assigned_to": assigned_to, "tags": tags, "ready": ready, "text": text, "project_id": project_id, "organization_id": organization_id}))

    def acquire_lock(self, *, paths: Sequence[str], mode: ModeWord = Mode.EXCLUSIVE, ttl_s: int = 900, task_id: str | None = None, reason: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> LockGrant:
        """Lease paths before editing them, so that no other agent edits them meanwhile. Raises LockHeld, ZoneDenied, PathInvalid."""
        return self.call(locks.ACQUIRE_LOCK, request_of(locks.ACQUIRE_LOCK, {"paths": paths, "mode": mode, "ttl_s": ttl_s, "task_id": task_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def release_lock(self, *, lock_id: str | None = None, paths: Sequence[str] = (), all: bool = False, force: bool = False, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ReleasedLocks:
        """Give leases back: one lock, exactly named leased paths, or all of yours. Raises NotHolder, PathInvalid."""
        return self.call(locks.RELEASE_LOCK, request_of(locks.RELEASE_LOCK, {"lock_id": lock_id, "paths": paths, "all": all, "force": force, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_locks(self, *, path: str | None = None, limit: int = 20, cursor: str | None = None, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> LockPage:
        """List live locks, those that would conflict with a path, or an agent's. Raises PathInvalid."""
        return self.call(locks.LIST_LOCKS, request_of(locks.LIST_LOCKS, {"path": path, "limit": limit, "cursor": cursor, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def register_agent(self, *, agent_id: str, name: str, provider: str | None = None, model: str | None = None, capabilities: Sequence[str] = (), role: AgentRoleWord = AgentRole.CONTRIBUTOR, allowed_paths: Sequence[str] = (), denied_paths: Sequence[str] = (), token_budget: int | None = None, instructions_file: str | None = None, supersede: bool = False, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RegisteredAgent:
        """Let an agent in at once, or change one, and get its token; nothing of its history is deleted. Raises AgentExists, PathInvalid, ZoneDenied."""
        return self.call(agents.REGISTER_AGENT, request_of(agents.REGISTER_AGENT, {"agent_id": agent_id, "name": name, "provider": provider, "model": model, "capabilities": capabilities, "role": role, "allowed_paths": allowed_paths, "denied_paths": denied_paths, "token_budget": token_budget, "instructions_file": instructions_file, "supersede": supersede, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def request_access(self, *, agent_id: str, name: str, agent_type: str, provider: str | None = None, model: str | None = None, capabilities: Sequence[str] = (), requested_role: AgentRoleWord = AgentRole.CONTRIBUTOR, reason: str | None = None, claim: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> AccessAnswer:
        """Ask to be let in; repeat it with the claim from the first answer until it carries your token. Raises RateLimited."""
        return self.call(access.REQUEST_ACCESS, request_of(access.REQUEST_ACCESS, {"agent_id": agent_id, "name": name, "agent_type": agent_type, "provider": provider, "model": model, "capabilities": capabilities, "requested_role": requested_role, "reason": reason, "claim": claim, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def heartbeat(self, *, status: HeartbeatStatusWord, task_id: str | None = None, stage: str | None = None, context_used: int | None = None, context_limit: int | None = None, note: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> HeartbeatReply:
        """Say that you live and what you do; renews your locks and claims."""
        return self.call(agents.HEARTBEAT, request_of(agents.HEARTBEAT, {"status": status, "task_id": task_id, "stage": stage, "context_used": context_used, "context_limit": context_limit, "note": note, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_agents(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[AgentStatusWord] = (), health: Sequence[HealthWord] = (), capability: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> AgentPage:
        """List the agents of a project with their state."""
        return self.call(agents.LIST_AGENTS, request_of(agents.LIST_AGENTS, {"limit": limit, "cursor": cursor, "status": status, "health": health, "capability": capability, "project_id": project_id, "organization_id": organization_id}))

    def get_project(self, *, project_id: str | None = None, organization_id: str | None = None) -> Project:
        """Look at a project: what it holds and what it may still spend."""
        return self.call(projects.GET_PROJECT, request_of(projects.GET_PROJECT, {"project_id": project_id, "organization_id": organization_id}))

    def list_projects(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> ProjectPage:
        """List the projects you can see."""
        return self.call(projects.LIST_PROJECTS, request_of(projects.LIST_PROJECTS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def record_cost(self, *, model: str, provider: str | None = None, input_tokens: int, output_tokens: int, cache_read_tokens: int = 0, cache_write_tokens: int = 0, reasoning_tokens: int = 0, cost_usd: Decimal | float | str | None = None, task_id: str | None = None, agent_id: str | None = None, occurred_at: datetime | str | None = None, source: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str) -> RecordedCost:
        """Put what a model call used on the ledger; a repeated key counts once, for ever. Raises IdempotencyMismatch."""
        return self.call(costs.RECORD_COST, request_of(costs.RECORD_COST, {"model": model, "provider": provider, "input_tokens": input_tokens, "output_tokens": output_tokens, "cache_read_tokens": cache_read_tokens, "cache_write_tokens": cache_write_tokens, "reasoning_tokens": reasoning_tokens, "cost_usd": cost_usd, "task_id": task_id, "agent_id": agent_id, "occurred_at": occurred_at, "source": source, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_costs(self, *, group_by: Sequence[CostGroupWord] = (), since: datetime | str | date | None = None, until: datetime | str | date | None = None, agent_id: str | None = None, task_id: str | None = None, model: str | None = None, provider: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> Costs:
        """See what was spent, grouped as you like."""
        return self.call(costs.GET_COSTS, request_of(costs.GET_COSTS, {"group_by": group_by, "since": since, "until": until, "agent_id": agent_id, "task_id": task_id, "model": model, "provider": provider, "project_id": project_id, "organization_id": organization_id}))

    def approve_access(self, *, request_id: str, role: AgentRoleWord | None = None, expires_in_days: int | None = None, allowed_paths: Sequence[str] | None = None, deliver: DeliveryWord = Delivery.REQUESTER, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ApprovedAccess:
        """Let an agent in that asked. Raises NotPending, PathInvalid, ZoneDenied."""
        return self.call(access.APPROVE_ACCESS, request_of(access.APPROVE_ACCESS, {"request_id": request_id, "role": role, "expires_in_days": expires_in_days, "allowed_paths": allowed_paths, "deliver": deliver, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def reject_access(self, *, request_id: str, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RejectedAccess:
        """Turn an agent away that asked. Raises NotPending."""
        return self.call(access.REJECT_ACCESS, request_of(access.REJECT_ACCESS, {"request_id": request_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_access_requests(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[RequestStatusWord] = (), project_id: str | None = None, organization_id: str | None = None) -> AccessRequestPage:
        """List who asks to be let in, the oldest first."""
        return self.call(access.LIST_ACCESS_REQUESTS, request_of(access.LIST_ACCESS_REQUESTS, {"limit": limit, "cursor": cursor, "status": status, "project_id": project_id, "organization_id": organization_id}))

    def get_onboarding_config(self, *, project_id: str | None = None, organization_id: str | None = None) -> OnboardingConfig:
        """Read what the project tells its agents: focus, goals, style, rules."""
        return self.call(onboarding.GET_ONBOARDING_CONFIG, request_of(onboarding.GET_ONBOARDING_CONFIG, {"project_id": project_id, "organization_id": organization_id}))

    def update_onboarding_config(self, *, welcome: str | None = None, focus: str | None = None, goals: Sequence[str] | None = None, style_guide: str | None = None, instruction_files: dict[str, str] | None = None, checkpoint_rules: Sequence[str] | None = None, remind_every_tasks: int | None = None, version: int, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> OnboardingConfig:
        """Change what the project tells its agents; what is left out stays. Raises VersionConflict, PathInvalid."""
        return self.call(onboarding.UPDATE_ONBOARDING_CONFIG, request_of(onboarding.UPDATE_ONBOARDING_CONFIG, {"welcome": welcome, "focus": focus, "goals": goals, "style_guide": style_guide, "instruction_files": instruction_files, "checkpoint_rules": checkpoint_rules, "remind_every_tasks": remind_every_tasks, "version": version, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_task(self, *, task_id: str, project_id: str | None = None, organization_id: str | None = None) -> TaskSeen:
        """Look at one task."""
        return self.call(tasks.GET_TASK, request_of(tasks.GET_TASK, {"task_id": task_id, "project_id": project_id, "organization_id": organization_id}))

    def start_session(self, *, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Session:
        """Start here: who you are, your project, task, locks, budget, and what to do next."""
        return self.call(agents.START_SESSION, request_of(agents.START_SESSION, {"project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_project(self, *, name: str, slug: str | None = None, conflict_strategy: ConflictStrategyWord = ConflictStrategy.LOCK, root_path: str | None = None, git_remote: str | None = None, settings: ProjectSettings | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Make a project, usually one for each repository."""
        return self.call(projects.CREATE_PROJECT, request_of(projects.CREATE_PROJECT, {"name": name, "slug": slug, "conflict_strategy": conflict_strategy, "root_path": root_path, "git_remote": git_remote, "settings": settings, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_project(self, *, name: str | None = None, slug: str | None = None, conflict_strategy: ConflictStrategyWord | None = None, root_path: str | None = None, git_remote: str | None = None, settings: ProjectSettings | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Change a project; what is left out stays."""
        return self.call(projects.UPDATE_PROJECT, request_of(projects.UPDATE_PROJECT, {"name": name, "slug": slug, "conflict_strategy": conflict_strategy, "root_path": root_path, "git_remote": git_remote, "settings": settings, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def set_quota(self, *, scope: ScopeWord, limit_usd: Decimal | float | str, agent_id: str | None = None, window: WindowWord = Window.MONTH, hard: bool = True, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Quota:
        """Limit what an organisation, a project or an agent may spend; a hard limit refuses claims."""
        return self.call(costs.SET_QUOTA, request_of(costs.SET_QUOTA, {"scope": scope, "limit_usd": limit_usd, "agent_id": agent_id, "window": window, "hard": hard, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_quota(self, *, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> Quotas:
        """See the limits that apply and what is left of them."""
        return self.call(costs.GET_QUOTA, request_of(costs.GET_QUOTA, {"agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def list_events(self, *, limit: int = 20, cursor: str | None = None, since: int | datetime | str | None = None, kind: Sequence[EventKindWord] = (), subject_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> EventPage:
        """Read what happened, in order; without since the newest first."""
        return self.call(audit.LIST_EVENTS, request_of(audit.LIST_EVENTS, {"limit": limit, "cursor": cursor, "since": since, "kind": kind, "subject_id": subject_id, "project_id": project_id, "organization_id": organization_id}))

    def log_action(self, *, action: str, resource_id: str | None = None, metadata: dict[str, str | int | float | bool | None] | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> LoggedAction:
        """Write an entry of your own into the audit log."""
        return self.call(audit.LOG_ACTION, request_of(audit.LOG_ACTION, {"action": action, "resource_id": resource_id, "metadata": metadata, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_organization(self, *, name: str, slug: str | None = None, plan: str = 'free', organization_id: str | None = None, idempotency_key: str | None = None) -> Organization:
        """Make an organisation: a tenant that sees nothing of the others."""
        return self.call(admin.CREATE_ORGANIZATION, request_of(admin.CREATE_ORGANIZATION, {"name": name, "slug": slug, "plan": plan, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_organizations(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> OrganizationPage:
        """List the organisations you can see."""
        return self.call(admin.LIST_ORGANIZATIONS, request_of(admin.LIST_ORGANIZATIONS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def add_member(self, *, name: str, email: str | None = None, role: MemberRoleWord = MemberRole.MEMBER, organization_id: str | None = None, idempotency_key: str | None = None) -> Member:
        """Add a person; create_token with member_id then makes a token for them."""
        return self.call(admin.ADD_MEMBER, request_of(admin.ADD_MEMBER, {"name": name, "email": email, "role": role, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_members(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> MemberPage:
        """List the people of the organisation."""
        return self.call(admin.LIST_MEMBERS, request_of(admin.LIST_MEMBERS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def remove_member(self, *, member_id: str, organization_id: str | None = None, idempotency_key: str | None = None) -> Member:
        """Remove a person and end their tokens; the last owner stays."""
        return self.call(admin.REMOVE_MEMBER, request_of(admin.REMOVE_MEMBER, {"member_id": member_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_token(self, *, kind: TokenKindWord, role: RoleWord | None = None, agent_id: str | None = None, member_id: str | None = None, name: str | None = None, expires_in_days: int | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> NewToken:
        """Make a token; it is shown once."""
        return self.call(admin.CREATE_TOKEN, request_of(admin.CREATE_TOKEN, {"kind": kind, "role": role, "agent_id": agent_id, "member_id": member_id, "name": name, "expires_in_days": expires_in_days, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_tokens(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> TokenPage:
        """List tokens, never their secrets."""
        return self.call(admin.LIST_TOKENS, request_of(admin.LIST_TOKENS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def rotate_token(self, *, token_id: str | None = None, overlap_s: int = 86400, organization_id: str | None = None, idempotency_key: str | None = None) -> NewToken:
        """Replace a token; the former works on for the overlap. Repeated, it replaces a new one that was never used."""
        return self.call(admin.ROTATE_TOKEN, request_of(admin.ROTATE_TOKEN, {"token_id": token_id, "overlap_s": overlap_s, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def revoke_token(self, *, token_id: str, organization_id: str | None = None, idempotency_key: str | None = None) -> RevokedToken:
        """End a token at once."""
        return self.call(admin.REVOKE_TOKEN, request_of(admin.REVOKE_TOKEN, {"token_id": token_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def whoami(self, *, organization_id: str | None = None) -> Identity:
        """Learn who the server takes you for."""
        return self.call(admin.WHOAMI, request_of(admin.WHOAMI, {"organization_id": organization_id}))
