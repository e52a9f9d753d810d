"""From domain records to replies: how things look from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from conductor.domain import agents, events, locks, money, organizations, tasks
from conductor.domain.access import Caller
from conductor.domain.quotas import Level, Scope, Window
from conductor.operations import access as access_ops
from conductor.operations import admin as admin_ops
from conductor.operations import agents as agent_ops
from conductor.operations import audit as audit_ops
from conductor.operations import costs as cost_ops
from conductor.operations import locks as lock_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import projects as project_ops
from conductor.operations import tasks as task_ops
from storage.unit_of_work import UnitOfWork


def _usd(nano: int | None) -> str | None:
    return None if nano is None else money.format_usd(nano)


def task(record: tasks.Task, waits: Sequence[str]) -> task_ops.Task:
    """Show a task; waits: what it still waits for."""
    return task_ops.Task(**_task_fields(record, waits))


def task_seen(record: tasks.Task, waits: Sequence[str], attempts: Sequence[tasks.Attempt]) -> task_ops.TaskSeen:
    """Show a task with its attempts."""
    seen = [
        task_ops.AttemptSeen(
            number=attempt.number,
            agent_id=attempt.agent_id,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            outcome=attempt.outcome,
            error=attempt.error,
        )
        for attempt in attempts
    ]
    return task_ops.TaskSeen(**_task_fields(record, waits), attempts=seen)


def _task_fields(record: tasks.Task, waits: Sequence[str]) -> dict[str, object]:
    return {
        "id": record.id,
        "project_id": record.project_id,
        "title": record.title,
        "description": record.description,
        "status": record.status,
        "priority": record.priority,
        "assigned_to": record.assigned_to,
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "dependencies": list(record.dependencies),
        "blocked_by": list(waits) if record.status not in tasks.CLOSED else [],
        "files": list(record.files),
        "tags": list(record.tags),
        "requires": list(record.requires),
        "evidence": list(record.evidence_required),
        "parent_id": record.parent_id,
        "estimated_cost_usd": _usd(record.estimated_cost_nano),
        "progress": record.progress,
        "note": record.note,
        "result": record.result,
        "error": record.error,
        "lease_expires_at": record.lease_expires_at,
        "retry_at": record.retry_at,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "due_at": record.due_at,
    }


def lock(lease: locks.Lease) -> lock_ops.Lock:
    """Show a lease."""
    return lock_ops.Lock(
        id=lease.id,
        paths=list(lease.paths),
        mode=lease.mode,
        agent_id=lease.agent_id,
        task_id=lease.task_id,
        reason=lease.reason,
        token=lease.token,
        acquired_at=lease.acquired_at,
        expires_at=lease.expires_at,
    )


def agent(record: agents.Agent, health: agents.Health, spent_today_nano: int) -> agent_ops.Agent:
    """Show an agent."""
    return agent_ops.Agent(
        id=record.id,
        agent_id=record.agent_id,
        name=record.name,
        provider=record.provider,
        model=record.model,
        role=record.role,
        status=record.status,
        health=health,
        capabilities=list(record.capabilities),
        allowed_paths=list(record.allowed_paths),
        denied_paths=list(record.denied_paths),
        token_budget=record.token_budget,
        instructions_file=record.instructions_file,
        last_seen_at=record.last_seen_at,
        current_task=record.current_task_id,
        stage=record.stage,
        note=record.note,
        context_used=record.context_used,
        context_limit=record.context_limit,
        spent_today_usd=money.format_usd(spent_today_nano),
    )


def budget(levels: Sequence[Level], spent_nano: int) -> project_ops.BudgetLeft:
    """Show the tightest hard limit; spent_nano: what to show as spent where none is set."""
    hard = [level for level in levels if level.quota.hard]
    if not hard:
        return project_ops.BudgetLeft(spent_usd=money.format_usd(spent_nano))
    tightest = min(hard, key=lambda level: level.remaining_nano)
    return project_ops.BudgetLeft(
        limit_usd=money.format_usd(tightest.quota.limit_nano),
        spent_usd=money.format_usd(tightest.spent_nano),
        remaining_usd=money.format_usd(tightest.remaining_nano),
    )


def project(record: organizations.Project, tx: UnitOfWork, caller: Caller) -> project_ops.Project:
    """Show a project as the store has it now."""
    levels = tx.quotas.levels(tx.costs, record.id, caller.agent_name)
    if caller.agent_name is None:
        levels = [level for level in levels if level.quota.scope is not Scope.AGENT]
    settings = record.settings
    return project_ops.Project(
        id=record.id,
        organization_id=tx.organization_id,
        name=record.name,
        slug=record.slug,
        conflict_strategy=record.conflict_strategy,
        root_path=record.root_path,
        git_remote=record.git_remote,
        settings=project_ops.ProjectSettings(
            fold_case=settings.fold_case,
            require_evidence=settings.require_evidence,
            leads_approve=settings.leads_approve,
            lost_after_s=settings.lost_after_s,
        ),
        my_role=caller.role,
        counts=project_ops.Counts(
            tasks=tx.tasks.counts(record.id), agents=tx.agents.counts(record.id), locks=tx.locks.count(record.id)
        ),
        budget=budget(levels, tx.costs.spent(Scope.PROJECT, record.id, None, Window.MONTH)),
    )


def quota(level: Level, resets_at: datetime | None) -> cost_ops.Quota:
    """Show a limit and where it stands."""
    limit = level.quota
    return cost_ops.Quota(
        scope=limit.scope,
        project_id=limit.project_id,
        agent_id=limit.agent_id,
        limit_usd=money.format_usd(limit.limit_nano),
        spent_usd=money.format_usd(level.spent_nano),
        reserved_usd=money.format_usd(level.reserved_nano),
        remaining_usd=money.format_usd(level.remaining_nano),
        exceeded=level.exceeded,
        window=limit.window,
        hard=limit.hard,
        resets_at=resets_at,
    )


def access_request(record: agents.AccessRequest, status: agents.RequestStatus) -> access_ops.AccessRequest:
    """Show a request for access; status: as it stands now, expiry counted in."""
    return access_ops.AccessRequest(
        id=record.id,
        project_id=record.project_id,
        agent_id=record.agent_id,
        name=record.name,
        agent_type=record.agent_type,
        provider=record.provider,
        model=record.model,
        requested_role=record.requested_role,
        capabilities=list(record.capabilities),
        status=status,
        requested_at=record.requested_at,
        expires_at=record.expires_at,
        reviewed_at=record.reviewed_at,
        reason=record.review_reason or record.reason,
    )


def onboarding(config: organizations.Onboarding) -> onboarding_ops.OnboardingConfig:
    """Show what a project tells its agents."""
    return onboarding_ops.OnboardingConfig(
        welcome=config.welcome,
        focus=config.focus,
        goals=list(config.goals),
        style_guide=config.style_guide,
        instruction_files=dict(config.instruction_files),
        checkpoint_rules=list(config.checkpoint_rules),
        remind_every_tasks=config.remind_every_tasks,
        version=config.version,
    )


def organization(record: organizations.Organization) -> admin_ops.Organization:
    """Show an organisation."""
    return admin_ops.Organization(id=record.id, name=record.name, slug=record.slug, plan=record.plan)


def member(record: organizations.Member) -> admin_ops.Member:
    """Show a member."""
    return admin_ops.Member(id=record.id, name=record.name, email=record.email, role=record.role)


def token(record: organizations.Token) -> admin_ops.TokenSeen:
    """Show a token without its secret."""
    return admin_ops.TokenSeen(
        id=record.id,
        kind=record.kind,
        role=record.role,
        name=record.name,
        project_id=record.project_id,
        agent_id=record.agent_name,
        member_id=record.member_id,
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


def event(numbered: events.NumberedEvent) -> audit_ops.EventSeen:
    """Show an event."""
    what = numbered.event
    return audit_ops.EventSeen(
        number=numbered.number,
        at=what.at,
        kind=what.kind,
        actor=what.actor,
        project_id=what.project_id,
        subject_id=what.subject_id,
        facts=dict(what.facts),
    )


def cost_keys(group_by: Sequence[str], group: Sequence[object]) -> dict[str, object]:
    """Name the keys of a group of costs; what has no value is left out."""
    return {name: value for name, value in zip(group_by, group, strict=True) if value is not None}
