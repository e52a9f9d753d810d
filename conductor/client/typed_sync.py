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
from conductor.domain.pauses import PauseScope
from conductor.domain.quotas import Scope, Window
from conductor.domain.tasks import Priority, TaskStatus
from conductor.domain.verdicts import Intent
from conductor.operations import access as access_ops, admin as admin_ops, agents as agents_ops, audit as audit_ops, beads as beads_ops, checkpoints as checkpoints_ops, checks as checks_ops, costs as costs_ops, explaining as explaining_ops, gates as gates_ops, locks as locks_ops, messages as messages_ops, onboarding as onboarding_ops, pausing as pausing_ops, projects as projects_ops, tasks as tasks_ops, teams as teams_ops, tenancy as tenancy_ops, work as work_ops, zones as zones_ops
from conductor.operations.access import AccessAnswer, AccessRequestPage, ApprovedAccess, Delivery, RejectedAccess, RevokedAccess
from conductor.operations.admin import Identity, InvitedMember, Member, MemberPage, MemberRole, NewToken, Organization, OrganizationPage, RevokedToken, TokenPage
from conductor.operations.agents import AgentPage, AgentRole, EndedSessions, HeartbeatReply, HeartbeatStatus, RegisteredAgent, Session, SessionPage
from conductor.operations.audit import EventPage, LoggedAction
from conductor.operations.beads import Bead, Convoy, ExportedBeads, ImportedBeads
from conductor.operations.checkpoints import CheckpointPage, ResumedCheckpoint, SavedCheckpoint
from conductor.operations.checks import ReportedCheck
from conductor.operations.costs import CostGroup, Costs, Quota, Quotas, RecordedCost
from conductor.operations.explaining import TaskExplained
from conductor.operations.gates import Conflicts, LockToken, PathsChecked
from conductor.operations.locks import LockGrant, LockPage, ReleasedLocks
from conductor.operations.messages import Mail, MessagePage, SentMessage
from conductor.operations.onboarding import OnboardingConfig, RefreshedContext
from conductor.operations.pausing import PauseLifted, PauseSet
from conductor.operations.projects import Project, ProjectPage, ProjectSettings
from conductor.operations.row import Operation, ReplyT, RequestT
from conductor.operations.tasks import ClaimedTask, CompletedTask, Evidence, Task, TaskPage, TaskSeen
from conductor.operations.teams import Team, TeamPage
from conductor.operations.tenancy import DeletedOrganization, ExportedRows
from conductor.operations.words import Detail
from conductor.operations.work import ClosedTasks, CreatedTasks, NamedTask, ReassignedTask, ReviewedTask, Verdict
from conductor.operations.zones import PathRules, Zone, Zones

AgentRoleWord: TypeAlias = AgentRole | Literal["lead", "contributor", "reviewer", "observer"]
AgentStatusWord: TypeAlias = AgentStatus | Literal["idle", "working", "blocked", "paused", "offline"]
ConflictStrategyWord: TypeAlias = ConflictStrategy | Literal["lock", "zone", "merge", "review"]
CostGroupWord: TypeAlias = CostGroup | Literal["day", "project", "agent", "task", "model", "provider"]
DeliveryWord: TypeAlias = Delivery | Literal["requester", "approver"]
DetailWord: TypeAlias = Detail | Literal["short", "full"]
EventKindWord: TypeAlias = EventKind | str
HealthWord: TypeAlias = Health | Literal["healthy", "late", "critical", "lost"]
HeartbeatStatusWord: TypeAlias = HeartbeatStatus | Literal["idle", "working", "blocked"]
IntentWord: TypeAlias = Intent | Literal["edit", "commit"]
MemberRoleWord: TypeAlias = MemberRole | Literal["owner", "admin", "member", "viewer"]
ModeWord: TypeAlias = Mode | Literal["exclusive", "shared"]
PauseScopeWord: TypeAlias = PauseScope | Literal["agent", "project", "organization"]
PriorityWord: TypeAlias = Priority | Literal["critical", "high", "medium", "low"]
RequestStatusWord: TypeAlias = RequestStatus | Literal["pending", "approved", "rejected", "expired"]
RoleWord: TypeAlias = Role | Literal["root", "owner", "admin", "member", "viewer", "lead", "contributor", "reviewer", "observer", "service", "enrolment"]
ScopeWord: TypeAlias = Scope | Literal["organization", "project", "agent"]
TaskStatusWord: TypeAlias = TaskStatus | Literal["pending", "claimed", "in_progress", "blocked", "in_review", "completed", "failed", "cancelled"]
TokenKindWord: TypeAlias = TokenKind | Literal["usr", "agt", "enr", "svc"]
VerdictWord: TypeAlias = Verdict | Literal["accept", "send_back"]
WindowWord: TypeAlias = Window | Literal["month", "week", "day", "total"]


class Operations(ABC):
    """Every operation as a method."""

    @abstractmethod
    def call(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """Call an operation of the catalogue."""

    def create_task(self, *, title: str, description: str | None = None, priority: PriorityWord = Priority.MEDIUM, dependencies: Sequence[str] = (), parent_id: str | None = None, files: Sequence[str] = (), tags: Sequence[str] = (), requires: Sequence[str] = (), assigned_to: str | None = None, due_at: datetime | str | None = None, max_attempts: int = 3, estimated_cost_usd: Decimal | float | str | None = None, evidence: Sequence[str] = (), project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Task:
        """Add a task, with what it waits for and the files it will touch. Raises DependencyCycle, UnknownDependency, PathInvalid."""
        return self.call(tasks_ops.CREATE_TASK, request_of(tasks_ops.CREATE_TASK, {"title": title, "description": description, "priority": priority, "dependencies": dependencies, "parent_id": parent_id, "files": files, "tags": tags, "requires": requires, "assigned_to": assigned_to, "due_at": due_at, "max_attempts": max_attempts, "estimated_cost_usd": estimated_cost_usd, "evidence": evidence, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def claim_task(self, *, task_id: str | None = None, acquire_locks: bool = True, lease_s: int = 900, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ClaimedTask:
        """Take a task and lease its files; without task_id the best ready task for you. Raises NotReady, AlreadyClaimed, LockHeld, ZoneDenied, PathInvalid, BudgetExceeded, NothingReady, Deadlock."""
        return self.call(tasks_ops.CLAIM_TASK, request_of(tasks_ops.CLAIM_TASK, {"task_id": task_id, "acquire_locks": acquire_locks, "lease_s": lease_s, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_task(self, *, task_id: str, attempt: int | None = None, status: TaskStatusWord | None = None, note: str | None = None, progress: float | None = None, blocked_by: Sequence[str] | None = None, dependencies: Sequence[str] | None = None, title: str | None = None, description: str | None = None, priority: PriorityWord | None = None, files: Sequence[str] | None = None, tags: Sequence[str] | None = None, due_at: datetime | str | None = None, assigned_to: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Task:
        """Report progress, change, release, fail or cancel a task; the holder gives its attempt. Raises IllegalMove, StaleAttempt, DependencyCycle, UnknownDependency, PathInvalid."""
        return self.call(tasks_ops.UPDATE_TASK, request_of(tasks_ops.UPDATE_TASK, {"task_id": task_id, "attempt": attempt, "status": status, "note": note, "progress": progress, "blocked_by": blocked_by, "dependencies": dependencies, "title": title, "description": description, "priority": priority, "files": files, "tags": tags, "due_at": due_at, "assigned_to": assigned_to, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def complete_task(self, *, task_id: str, attempt: int, result: str, evidence: Evidence | None = None, tokens: int | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> CompletedTask:
        """Finish your attempt: frees its locks and the tasks that waited for it; a project may have it reviewed first. Raises StaleAttempt, EvidenceMissing."""
        return self.call(tasks_ops.COMPLETE_TASK, request_of(tasks_ops.COMPLETE_TASK, {"task_id": task_id, "attempt": attempt, "result": result, "evidence": evidence, "tokens": tokens, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_tasks(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[TaskStatusWord] = (), priority: Sequence[PriorityWord] = (), assigned_to: str | None = None, tags: Sequence[str] = (), ready: bool | None = None, text: str | None = None, parent_id: str | None = None, due_before: datetime | str | None = None, detail: DetailWord = Detail.SHORT, project_id: str | None = None, organization_id: str | None = None) -> TaskPage:
        """List tasks, the newest first."""
        return self.call(tasks_ops.LIST_TASKS, request_of(tasks_ops.LIST_TASKS, {"limit": limit, "cursor": cursor, "status": status, "priority": priority, "assigned_to": assigned_to, "tags": tags, "ready": ready, "text": text, "parent_id": parent_id, "due_before": due_before, "detail": detail, "project_id": project_id, "organization_id": organization_id}))

    def acquire_lock(self, *, paths: Sequence[str], mode: ModeWord = Mode.EXCLUSIVE, ttl_s: int = 900, task_id: str | None = None, reason: str | None = None, wait_s: int = 0, ticket: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> LockGrant:
        """Lease paths before editing them, so that no other agent edits them meanwhile. wait_s waits in line for them. Raises LockHeld, ZoneDenied, PathInvalid, Deadlock, RateLimited."""
        return self.call(locks_ops.ACQUIRE_LOCK, request_of(locks_ops.ACQUIRE_LOCK, {"paths": paths, "mode": mode, "ttl_s": ttl_s, "task_id": task_id, "reason": reason, "wait_s": wait_s, "ticket": ticket, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def release_lock(self, *, lock_id: str | None = None, paths: Sequence[str] = (), all: bool = False, force: bool = False, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ReleasedLocks:
        """Give leases back: one lock, exactly named leased paths, or all of yours. Raises NotHolder, PathInvalid."""
        return self.call(locks_ops.RELEASE_LOCK, request_of(locks_ops.RELEASE_LOCK, {"lock_id": lock_id, "paths": paths, "all": all, "force": force, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_locks(self, *, path: str | None = None, limit: int = 20, cursor: str | None = None, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> LockPage:
        """List live locks, those that would conflict with a path, or an agent's. Raises PathInvalid."""
        return self.call(locks_ops.LIST_LOCKS, request_of(locks_ops.LIST_LOCKS, {"path": path, "limit": limit, "cursor": cursor, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def register_agent(self, *, agent_id: str, name: str, agent_type: str | None = None, provider: str | None = None, model: str | None = None, capabilities: Sequence[str] = (), role: AgentRoleWord = AgentRole.CONTRIBUTOR, allowed_paths: Sequence[str] = (), denied_paths: Sequence[str] = (), token_budget: int | None = None, instructions_file: str | None = None, supersede: bool = False, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RegisteredAgent:
        """Let an agent in at once, or change one, and get its token; nothing of its history is deleted. Raises AgentExists, PathInvalid, ZoneDenied."""
        return self.call(agents_ops.REGISTER_AGENT, request_of(agents_ops.REGISTER_AGENT, {"agent_id": agent_id, "name": name, "agent_type": agent_type, "provider": provider, "model": model, "capabilities": capabilities, "role": role, "allowed_paths": allowed_paths, "denied_paths": denied_paths, "token_budget": token_budget, "instructions_file": instructions_file, "supersede": supersede, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def request_access(self, *, agent_id: str, name: str, agent_type: str, provider: str | None = None, model: str | None = None, capabilities: Sequence[str] = (), requested_role: AgentRoleWord = AgentRole.CONTRIBUTOR, reason: str | None = None, claim: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> AccessAnswer:
        """Ask to be let in; repeat it with the claim from the first answer until it carries your token. Raises RateLimited."""
        return self.call(access_ops.REQUEST_ACCESS, request_of(access_ops.REQUEST_ACCESS, {"agent_id": agent_id, "name": name, "agent_type": agent_type, "provider": provider, "model": model, "capabilities": capabilities, "requested_role": requested_role, "reason": reason, "claim": claim, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def heartbeat(self, *, status: HeartbeatStatusWord, session_id: str | None = None, task_id: str | None = None, stage: str | None = None, context_used: int | None = None, context_limit: int | None = None, note: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> HeartbeatReply:
        """Say that you live and what you do; renews your locks and claims."""
        return self.call(agents_ops.HEARTBEAT, request_of(agents_ops.HEARTBEAT, {"status": status, "session_id": session_id, "task_id": task_id, "stage": stage, "context_used": context_used, "context_limit": context_limit, "note": note, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_agents(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[AgentStatusWord] = (), health: Sequence[HealthWord] = (), capability: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> AgentPage:
        """List the agents of a project with their state."""
        return self.call(agents_ops.LIST_AGENTS, request_of(agents_ops.LIST_AGENTS, {"limit": limit, "cursor": cursor, "status": status, "health": health, "capability": capability, "project_id": project_id, "organization_id": organization_id}))

    def get_project(self, *, project_id: str | None = None, organization_id: str | None = None) -> Project:
        """Look at a project: what it holds and what it may still spend."""
        return self.call(projects_ops.GET_PROJECT, request_of(projects_ops.GET_PROJECT, {"project_id": project_id, "organization_id": organization_id}))

    def list_projects(self, *, limit: int = 20, cursor: str | None = None, archived: bool = False, organization_id: str | None = None) -> ProjectPage:
        """List the projects you can see."""
        return self.call(projects_ops.LIST_PROJECTS, request_of(projects_ops.LIST_PROJECTS, {"limit": limit, "cursor": cursor, "archived": archived, "organization_id": organization_id}))

    def record_cost(self, *, model: str, provider: str | None = None, input_tokens: int, output_tokens: int, cache_read_tokens: int = 0, cache_write_tokens: int = 0, reasoning_tokens: int = 0, cost_usd: Decimal | float | str | None = None, task_id: str | None = None, agent_id: str | None = None, occurred_at: datetime | str | None = None, source: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str) -> RecordedCost:
        """Put what a model call used on the ledger; a repeated key counts once, for ever. Raises IdempotencyMismatch."""
        return self.call(costs_ops.RECORD_COST, request_of(costs_ops.RECORD_COST, {"model": model, "provider": provider, "input_tokens": input_tokens, "output_tokens": output_tokens, "cache_read_tokens": cache_read_tokens, "cache_write_tokens": cache_write_tokens, "reasoning_tokens": reasoning_tokens, "cost_usd": cost_usd, "task_id": task_id, "agent_id": agent_id, "occurred_at": occurred_at, "source": source, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_costs(self, *, group_by: Sequence[CostGroupWord] = (), since: datetime | str | date | None = None, until: datetime | str | date | None = None, agent_id: str | None = None, task_id: str | None = None, model: str | None = None, provider: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> Costs:
        """See what was spent, grouped as you like."""
        return self.call(costs_ops.GET_COSTS, request_of(costs_ops.GET_COSTS, {"group_by": group_by, "since": since, "until": until, "agent_id": agent_id, "task_id": task_id, "model": model, "provider": provider, "project_id": project_id, "organization_id": organization_id}))

    def approve_access(self, *, request_id: str, role: AgentRoleWord | None = None, expires_in_days: int | None = None, allowed_paths: Sequence[str] | None = None, deliver: DeliveryWord = Delivery.REQUESTER, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ApprovedAccess:
        """Let an agent in that asked. Raises NotPending, PathInvalid, ZoneDenied."""
        return self.call(access_ops.APPROVE_ACCESS, request_of(access_ops.APPROVE_ACCESS, {"request_id": request_id, "role": role, "expires_in_days": expires_in_days, "allowed_paths": allowed_paths, "deliver": deliver, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def reject_access(self, *, request_id: str, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RejectedAccess:
        """Turn an agent away that asked. Raises NotPending."""
        return self.call(access_ops.REJECT_ACCESS, request_of(access_ops.REJECT_ACCESS, {"request_id": request_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_access_requests(self, *, limit: int = 20, cursor: str | None = None, status: Sequence[RequestStatusWord] = (), project_id: str | None = None, organization_id: str | None = None) -> AccessRequestPage:
        """List who asks to be let in, the oldest first."""
        return self.call(access_ops.LIST_ACCESS_REQUESTS, request_of(access_ops.LIST_ACCESS_REQUESTS, {"limit": limit, "cursor": cursor, "status": status, "project_id": project_id, "organization_id": organization_id}))

    def get_onboarding_config(self, *, version: int | None = None, project_id: str | None = None, organization_id: str | None = None) -> OnboardingConfig:
        """Read what the project tells its agents: focus, goals, style, rules."""
        return self.call(onboarding_ops.GET_ONBOARDING_CONFIG, request_of(onboarding_ops.GET_ONBOARDING_CONFIG, {"version": version, "project_id": project_id, "organization_id": organization_id}))

    def update_onboarding_config(self, *, welcome: str | None = None, focus: str | None = None, goals: Sequence[str] | None = None, style_guide: str | None = None, instruction_files: dict[str, str] | None = None, checkpoint_rules: Sequence[str] | None = None, remind_every_tasks: int | None = None, version: int, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> OnboardingConfig:
        """Change what the project tells its agents; what is left out stays. Raises VersionConflict, PathInvalid."""
        return self.call(onboarding_ops.UPDATE_ONBOARDING_CONFIG, request_of(onboarding_ops.UPDATE_ONBOARDING_CONFIG, {"welcome": welcome, "focus": focus, "goals": goals, "style_guide": style_guide, "instruction_files": instruction_files, "checkpoint_rules": checkpoint_rules, "remind_every_tasks": remind_every_tasks, "version": version, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_task(self, *, task_id: str, project_id: str | None = None, organization_id: str | None = None) -> TaskSeen:
        """Look at one task."""
        return self.call(tasks_ops.GET_TASK, request_of(tasks_ops.GET_TASK, {"task_id": task_id, "project_id": project_id, "organization_id": organization_id}))

    def create_tasks(self, *, tasks: Sequence[NamedTask], project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> CreatedTasks:
        """Add many tasks at once, all or none; dependencies and parent_id may be names of others in the list. Raises DependencyCycle, UnknownDependency, PathInvalid."""
        return self.call(work_ops.CREATE_TASKS, request_of(work_ops.CREATE_TASKS, {"tasks": tasks, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def close_tasks(self, *, task_ids: Sequence[str], reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ClosedTasks:
        """Cancel open tasks, each with the open tasks below it; unknown ids change nothing."""
        return self.call(work_ops.CLOSE_TASKS, request_of(work_ops.CLOSE_TASKS, {"task_ids": task_ids, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def review_task(self, *, task_id: str, verdict: VerdictWord, note: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ReviewedTask:
        """Accept a result that was handed in, or send it back with a note for the next attempt. Raises IllegalMove."""
        return self.call(work_ops.REVIEW_TASK, request_of(work_ops.REVIEW_TASK, {"task_id": task_id, "verdict": verdict, "note": note, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def reassign_task(self, *, task_id: str, agent_id: str | None = None, grace_s: int = 60, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ReassignedTask:
        """Give a task to another agent; its holder has grace_s to finish it. Without agent_id the best other one. Raises IllegalMove, NotReady."""
        return self.call(work_ops.REASSIGN_TASK, request_of(work_ops.REASSIGN_TASK, {"task_id": task_id, "agent_id": agent_id, "grace_s": grace_s, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def import_beads(self, *, beads: Sequence[Bead] = (), convoys: Sequence[Convoy] = (), project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ImportedBeads:
        """Bring beads and convoys in as tasks, in any order and as often as you like; a closed bead is a completed task. Raises DependencyCycle."""
        return self.call(beads_ops.IMPORT_BEADS, request_of(beads_ops.IMPORT_BEADS, {"beads": beads, "convoys": convoys, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def export_beads(self, *, limit: int = 100, cursor: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> ExportedBeads:
        """Read the project's tasks as beads and convoys, the oldest first."""
        return self.call(beads_ops.EXPORT_BEADS, request_of(beads_ops.EXPORT_BEADS, {"limit": limit, "cursor": cursor, "project_id": project_id, "organization_id": organization_id}))

    def explain_task(self, *, task_id: str | None = None, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> TaskExplained:
        """Explain which task claim_task gives an agent now, and why not another."""
        return self.call(explaining_ops.EXPLAIN_TASK, request_of(explaining_ops.EXPLAIN_TASK, {"task_id": task_id, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def check_paths(self, *, paths: Sequence[str], tokens: Sequence[LockToken] = (), intent: IntentWord = Intent.EDIT, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> PathsChecked:
        """Ask whether paths may be changed now: lock, token, zone, path rule, pause and budget in one verdict. Raises PathInvalid."""
        return self.call(gates_ops.CHECK_PATHS, request_of(gates_ops.CHECK_PATHS, {"paths": paths, "tokens": tokens, "intent": intent, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def detect_conflicts(self, *, limit: int = 50, project_id: str | None = None, organization_id: str | None = None) -> Conflicts:
        """Find who is in whose way among held tasks and live locks, and what the project's strategy does about it."""
        return self.call(gates_ops.DETECT_CONFLICTS, request_of(gates_ops.DETECT_CONFLICTS, {"limit": limit, "project_id": project_id, "organization_id": organization_id}))

    def set_zones(self, *, zones: Sequence[Zone], version: int, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Zones:
        """Say whose which part of the repository is; the first zone of the list that a path lies in decides about it. Raises VersionConflict, PathInvalid."""
        return self.call(zones_ops.SET_ZONES, request_of(zones_ops.SET_ZONES, {"zones": zones, "version": version, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_zones(self, *, project_id: str | None = None, organization_id: str | None = None) -> Zones:
        """Read whose which part of the repository is; outside of all zones everybody may work."""
        return self.call(zones_ops.GET_ZONES, request_of(zones_ops.GET_ZONES, {"project_id": project_id, "organization_id": organization_id}))

    def set_path_rules(self, *, agent_id: str, allowed_paths: Sequence[str] | None = None, denied_paths: Sequence[str] | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> PathRules:
        """Say which paths an agent may touch and which never; what is left out stays. Raises ZoneDenied, PathInvalid."""
        return self.call(zones_ops.SET_PATH_RULES, request_of(zones_ops.SET_PATH_RULES, {"agent_id": agent_id, "allowed_paths": allowed_paths, "denied_paths": denied_paths, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def start_session(self, *, client: str | None = None, supersede: bool = False, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Session:
        """Start here: who you are, your project, task, locks, budget, and what to do next."""
        return self.call(agents_ops.START_SESSION, request_of(agents_ops.START_SESSION, {"client": client, "supersede": supersede, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def end_session(self, *, session_id: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> EndedSessions:
        """End a session of yours; without session_id all of them. Tasks and locks stay yours."""
        return self.call(agents_ops.END_SESSION, request_of(agents_ops.END_SESSION, {"session_id": session_id, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_sessions(self, *, limit: int = 20, cursor: str | None = None, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> SessionPage:
        """List the sessions of a project's agents, the newest first."""
        return self.call(agents_ops.LIST_SESSIONS, request_of(agents_ops.LIST_SESSIONS, {"limit": limit, "cursor": cursor, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def pause(self, *, scope: PauseScopeWord | None = None, agent_id: str | None = None, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> PauseSet:
        """Hold up an agent, a project's agents or all; they keep what they hold, and reads and heartbeats go on."""
        return self.call(pausing_ops.PAUSE, request_of(pausing_ops.PAUSE, {"scope": scope, "agent_id": agent_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def drain(self, *, scope: PauseScopeWord | None = None, agent_id: str | None = None, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> PauseSet:
        """Let an agent, a project's agents or all finish what they hold and take nothing new."""
        return self.call(pausing_ops.DRAIN, request_of(pausing_ops.DRAIN, {"scope": scope, "agent_id": agent_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def resume(self, *, scope: PauseScopeWord | None = None, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> PauseLifted:
        """Lift the pause or drain that was set for exactly this scope."""
        return self.call(pausing_ops.RESUME, request_of(pausing_ops.RESUME, {"scope": scope, "agent_id": agent_id, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def send_message(self, *, to: str, text: str, subject: str | None = None, reply_to: str | None = None, urgent: bool = False, attachments: Sequence[str] = (), project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> SentMessage:
        """Send a message to an agent, a role or all agents of the project. Raises RateLimited."""
        return self.call(messages_ops.SEND_MESSAGE, request_of(messages_ops.SEND_MESSAGE, {"to": to, "text": text, "subject": subject, "reply_to": reply_to, "urgent": urgent, "attachments": attachments, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def read_messages(self, *, wait_s: int = 0, acknowledge: Sequence[str] = (), unacknowledged: bool = False, limit: int = 20, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Mail:
        """Read your new messages, each once and in order; wait_s waits for one."""
        return self.call(messages_ops.READ_MESSAGES, request_of(messages_ops.READ_MESSAGES, {"wait_s": wait_s, "acknowledge": acknowledge, "unacknowledged": unacknowledged, "limit": limit, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_messages(self, *, limit: int = 20, cursor: str | None = None, thread_id: str | None = None, agent_id: str | None = None, text: str | None = None, unacknowledged: bool = False, since: datetime | str | None = None, detail: DetailWord = Detail.SHORT, project_id: str | None = None, organization_id: str | None = None) -> MessagePage:
        """Find messages, the newest first; an agent finds what it sent or got."""
        return self.call(messages_ops.LIST_MESSAGES, request_of(messages_ops.LIST_MESSAGES, {"limit": limit, "cursor": cursor, "thread_id": thread_id, "agent_id": agent_id, "text": text, "unacknowledged": unacknowledged, "since": since, "detail": detail, "project_id": project_id, "organization_id": organization_id}))

    def save_checkpoint(self, *, summary: str, task_id: str | None = None, next_steps: Sequence[str] = (), state: dict[str, str | int | float | bool | None] | None = None, files: Sequence[str] = (), project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> SavedCheckpoint:
        """Leave behind where you stand, so that you or another can go on from there. Raises PathInvalid."""
        return self.call(checkpoints_ops.SAVE_CHECKPOINT, request_of(checkpoints_ops.SAVE_CHECKPOINT, {"summary": summary, "task_id": task_id, "next_steps": next_steps, "state": state, "files": files, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def resume_checkpoint(self, *, task_id: str | None = None, checkpoint_id: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ResumedCheckpoint:
        """Go on from the last checkpoint of a task, from a named one, or from your own last."""
        return self.call(checkpoints_ops.RESUME_CHECKPOINT, request_of(checkpoints_ops.RESUME_CHECKPOINT, {"task_id": task_id, "checkpoint_id": checkpoint_id, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_checkpoints(self, *, task_id: str | None = None, limit: int = 20, cursor: str | None = None, agent_id: str | None = None, detail: DetailWord = Detail.SHORT, project_id: str | None = None, organization_id: str | None = None) -> CheckpointPage:
        """List checkpoints, the newest first."""
        return self.call(checkpoints_ops.LIST_CHECKPOINTS, request_of(checkpoints_ops.LIST_CHECKPOINTS, {"task_id": task_id, "limit": limit, "cursor": cursor, "agent_id": agent_id, "detail": detail, "project_id": project_id, "organization_id": organization_id}))

    def report_check(self, *, commit: str, name: str, passed: bool, details: str | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ReportedCheck:
        """Report a check's result on a commit; completions that name both are verified by it."""
        return self.call(checks_ops.REPORT_CHECK, request_of(checks_ops.REPORT_CHECK, {"commit": commit, "name": name, "passed": passed, "details": details, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_project(self, *, name: str, slug: str | None = None, conflict_strategy: ConflictStrategyWord = ConflictStrategy.LOCK, root_path: str | None = None, git_remote: str | None = None, settings: ProjectSettings | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Make a project, usually one for each repository."""
        return self.call(projects_ops.CREATE_PROJECT, request_of(projects_ops.CREATE_PROJECT, {"name": name, "slug": slug, "conflict_strategy": conflict_strategy, "root_path": root_path, "git_remote": git_remote, "settings": settings, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_project(self, *, name: str | None = None, slug: str | None = None, conflict_strategy: ConflictStrategyWord | None = None, root_path: str | None = None, git_remote: str | None = None, settings: ProjectSettings | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Change a project; what is left out stays."""
        return self.call(projects_ops.UPDATE_PROJECT, request_of(projects_ops.UPDATE_PROJECT, {"name": name, "slug": slug, "conflict_strategy": conflict_strategy, "root_path": root_path, "git_remote": git_remote, "settings": settings, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def archive_project(self, *, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Put a project away: it stays readable, nothing in it can be changed, lists leave it out."""
        return self.call(projects_ops.ARCHIVE_PROJECT, request_of(projects_ops.ARCHIVE_PROJECT, {"project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def restore_project(self, *, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Project:
        """Take an archived project up again, as it was."""
        return self.call(projects_ops.RESTORE_PROJECT, request_of(projects_ops.RESTORE_PROJECT, {"project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def set_quota(self, *, scope: ScopeWord, limit_usd: Decimal | float | str, agent_id: str | None = None, window: WindowWord = Window.MONTH, hard: bool = True, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Quota:
        """Limit what an organisation, a project or an agent may spend; a hard limit refuses claims."""
        return self.call(costs_ops.SET_QUOTA, request_of(costs_ops.SET_QUOTA, {"scope": scope, "limit_usd": limit_usd, "agent_id": agent_id, "window": window, "hard": hard, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def get_quota(self, *, agent_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> Quotas:
        """See the limits that apply and what is left of them."""
        return self.call(costs_ops.GET_QUOTA, request_of(costs_ops.GET_QUOTA, {"agent_id": agent_id, "project_id": project_id, "organization_id": organization_id}))

    def revoke_access(self, *, agent_id: str, reason: str, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RevokedAccess:
        """Put an agent out: its tokens end, its tasks wait for others, its locks are free."""
        return self.call(access_ops.REVOKE_ACCESS, request_of(access_ops.REVOKE_ACCESS, {"agent_id": agent_id, "reason": reason, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def refresh_context(self, *, task_id: str | None = None, budget_tokens: int = 2000, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> RefreshedContext:
        """Read anew what to know before you go on: focus, instructions, the task's last checkpoint and error."""
        return self.call(onboarding_ops.REFRESH_CONTEXT, request_of(onboarding_ops.REFRESH_CONTEXT, {"task_id": task_id, "budget_tokens": budget_tokens, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_events(self, *, limit: int = 20, cursor: str | None = None, since: int | datetime | str | None = None, kind: Sequence[EventKindWord] = (), subject_id: str | None = None, project_id: str | None = None, organization_id: str | None = None) -> EventPage:
        """Read what happened, in order; without since the newest first."""
        return self.call(audit_ops.LIST_EVENTS, request_of(audit_ops.LIST_EVENTS, {"limit": limit, "cursor": cursor, "since": since, "kind": kind, "subject_id": subject_id, "project_id": project_id, "organization_id": organization_id}))

    def log_action(self, *, action: str, resource_id: str | None = None, metadata: dict[str, str | int | float | bool | None] | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> LoggedAction:
        """Write an entry of your own into the audit log."""
        return self.call(audit_ops.LOG_ACTION, request_of(audit_ops.LOG_ACTION, {"action": action, "resource_id": resource_id, "metadata": metadata, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_organization(self, *, name: str, slug: str | None = None, plan: str = 'free', organization_id: str | None = None, idempotency_key: str | None = None) -> Organization:
        """Make an organisation: a tenant that sees nothing of the others."""
        return self.call(admin_ops.CREATE_ORGANIZATION, request_of(admin_ops.CREATE_ORGANIZATION, {"name": name, "slug": slug, "plan": plan, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_organizations(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> OrganizationPage:
        """List the organisations you can see."""
        return self.call(admin_ops.LIST_ORGANIZATIONS, request_of(admin_ops.LIST_ORGANIZATIONS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def add_member(self, *, name: str, email: str | None = None, role: MemberRoleWord = MemberRole.MEMBER, organization_id: str | None = None, idempotency_key: str | None = None) -> Member:
        """Add a person; create_token with member_id then makes a token for them."""
        return self.call(admin_ops.ADD_MEMBER, request_of(admin_ops.ADD_MEMBER, {"name": name, "email": email, "role": role, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_members(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> MemberPage:
        """List the people of the organisation."""
        return self.call(admin_ops.LIST_MEMBERS, request_of(admin_ops.LIST_MEMBERS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def invite_member(self, *, name: str, email: str | None = None, role: MemberRoleWord = MemberRole.MEMBER, expires_in_days: int = 7, organization_id: str | None = None, idempotency_key: str | None = None) -> InvitedMember:
        """Add a person and make their first token; it is shown once."""
        return self.call(admin_ops.INVITE_MEMBER, request_of(admin_ops.INVITE_MEMBER, {"name": name, "email": email, "role": role, "expires_in_days": expires_in_days, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_member(self, *, member_id: str, role: MemberRoleWord | None = None, name: str | None = None, email: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Member:
        """Change a person; a new role holds for their tokens at once. The last owner stays one."""
        return self.call(admin_ops.UPDATE_MEMBER, request_of(admin_ops.UPDATE_MEMBER, {"member_id": member_id, "role": role, "name": name, "email": email, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def remove_member(self, *, member_id: str, organization_id: str | None = None, idempotency_key: str | None = None) -> Member:
        """Remove a person and end their tokens; the last owner stays."""
        return self.call(admin_ops.REMOVE_MEMBER, request_of(admin_ops.REMOVE_MEMBER, {"member_id": member_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def create_token(self, *, kind: TokenKindWord, role: RoleWord | None = None, agent_id: str | None = None, member_id: str | None = None, name: str | None = None, expires_in_days: int | None = None, project_id: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> NewToken:
        """Make a token; it is shown once."""
        return self.call(admin_ops.CREATE_TOKEN, request_of(admin_ops.CREATE_TOKEN, {"kind": kind, "role": role, "agent_id": agent_id, "member_id": member_id, "name": name, "expires_in_days": expires_in_days, "project_id": project_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_tokens(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> TokenPage:
        """List tokens, never their secrets."""
        return self.call(admin_ops.LIST_TOKENS, request_of(admin_ops.LIST_TOKENS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def rotate_token(self, *, token_id: str | None = None, overlap_s: int = 86400, organization_id: str | None = None, idempotency_key: str | None = None) -> NewToken:
        """Replace a token; the former works on for the overlap. Repeated, it replaces a new one that was never used."""
        return self.call(admin_ops.ROTATE_TOKEN, request_of(admin_ops.ROTATE_TOKEN, {"token_id": token_id, "overlap_s": overlap_s, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def revoke_token(self, *, token_id: str, organization_id: str | None = None, idempotency_key: str | None = None) -> RevokedToken:
        """End a token at once."""
        return self.call(admin_ops.REVOKE_TOKEN, request_of(admin_ops.REVOKE_TOKEN, {"token_id": token_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def whoami(self, *, organization_id: str | None = None) -> Identity:
        """Learn who the server takes you for."""
        return self.call(admin_ops.WHOAMI, request_of(admin_ops.WHOAMI, {"organization_id": organization_id}))

    def create_team(self, *, name: str, slug: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> Team:
        """Make a team; update_team gives it people and projects."""
        return self.call(teams_ops.CREATE_TEAM, request_of(teams_ops.CREATE_TEAM, {"name": name, "slug": slug, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def update_team(self, *, team_id: str, name: str | None = None, add_members: Sequence[str] = (), remove_members: Sequence[str] = (), add_projects: Sequence[str] = (), remove_projects: Sequence[str] = (), organization_id: str | None = None, idempotency_key: str | None = None) -> Team:
        """Change a team: its name, its people, its projects. A project with settings.team_only is seen by its teams."""
        return self.call(teams_ops.UPDATE_TEAM, request_of(teams_ops.UPDATE_TEAM, {"team_id": team_id, "name": name, "add_members": add_members, "remove_members": remove_members, "add_projects": add_projects, "remove_projects": remove_projects, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def delete_team(self, *, team_id: str, organization_id: str | None = None, idempotency_key: str | None = None) -> Team:
        """Delete a team; its people and projects stay."""
        return self.call(teams_ops.DELETE_TEAM, request_of(teams_ops.DELETE_TEAM, {"team_id": team_id, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def list_teams(self, *, limit: int = 20, cursor: str | None = None, organization_id: str | None = None) -> TeamPage:
        """List the teams with their people and the projects that you can see."""
        return self.call(teams_ops.LIST_TEAMS, request_of(teams_ops.LIST_TEAMS, {"limit": limit, "cursor": cursor, "organization_id": organization_id}))

    def export_organization(self, *, cursor: str | None = None, organization_id: str | None = None, idempotency_key: str | None = None) -> ExportedRows:
        """Read all that the organisation has, table by table and without secrets; repeat it with next_cursor."""
        return self.call(tenancy_ops.EXPORT_ORGANIZATION, request_of(tenancy_ops.EXPORT_ORGANIZATION, {"cursor": cursor, "organization_id": organization_id, "idempotency_key": idempotency_key}))

    def delete_organization(self, *, confirm: str, organization_id: str | None = None, idempotency_key: str | None = None) -> DeletedOrganization:
        """Delete the organisation with all it has, for good; export it first."""
        return self.call(tenancy_ops.DELETE_ORGANIZATION, request_of(tenancy_ops.DELETE_ORGANIZATION, {"confirm": confirm, "organization_id": organization_id, "idempotency_key": idempotency_key}))
