"""From domain records to replies: how things look from outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from conductor.domain import agents, events, lock_tickets, locks, money, organizations, pauses, tasks
from conductor.domain.access import Caller
from conductor.domain.quotas import Level, Scope, Window
from conductor.operations import access as access_ops
from conductor.operations import admin as admin_ops
from conductor.operations import agents as agent_ops
from conductor.operations import audit as audit_ops
from conductor.operations import costs as cost_ops
from conductor.operations import locks as lock_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import pausing as pausing_ops
from conductor.operations import projects as project_ops
from conductor.operations import tasks as task_ops
from conductor.operations import teams as team_ops
from storage.unit_of_work import UnitOfWork

SHORT_CHARACTERS = 200
"""What a brief view shows of a long text: enough to know the task by; get_task has the whole."""


def _usd(nano: int | None) -> str | None:
    return None if nano is None else money.format_usd(nano)


def task(record: tasks.Task, waits: Sequence[str]) -> task_ops.Task:
    """Show a task; waits: what it still waits for."""
    return task_ops.Task(**_task_fields(record, waits))


def brief(record: tasks.Task, waits: Sequence[str]) -> task_ops.Task:
    """Show a task without the length of its texts: in lists, and to who changed it and knows them."""
    texts = {name: _short(getattr(record, name)) for name in ("description", "result", "error", "note")}
    return task_ops.Task(**(_task_fields(record, waits) | texts))


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHORT_CHARACTERS else f"{text[: SHORT_CHARACTERS - 1]}…"


def task_seen(
    record: tasks.Task,
    waits: Sequence[str],
    attempts: Sequence[tasks.Attempt],
    history: Sequence[events.NumberedEvent],
) -> task_ops.TaskSeen:
    """Show a task with its attempts and what happened to it."""
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
    changes = [
        task_ops.TaskEvent(
            number=numbered.number,
            at=numbered.event.at,
            actor=numbered.event.actor,
            kind=numbered.event.kind,
            facts=dict(numbered.event.facts),
        )
        for numbered in history
    ]
    return task_ops.TaskSeen(**_task_fields(record, waits), attempts=seen, history=changes)


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
        "verification": record.verification,
        "problems": list(record.problems),
        "reviewed_by": record.reviewed_by,
        "external_id": record.external_id,
        "reserved_until": record.reserved_until,
        "reassign_to": record.reassign_to,
        "reassign_at": record.reassign_at,
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


def waiting(ticket: lock_tickets.Ticket, position: int) -> lock_ops.Waiting:
    """Show a place in the queue."""
    return lock_ops.Waiting(
        ticket=ticket.id,
        agent_id=ticket.agent_id,
        paths=list(ticket.paths),
        mode=ticket.mode,
        position=position,
        since=ticket.since,
    )


def agent(
    record: agents.Agent, health: agents.Health, spent_today_nano: int, pause: pauses.Pause | None = None
) -> agent_ops.Agent:
    """Show an agent. pause: what bears on it."""
    is_paused = pause is not None and pause.mode is pauses.PauseMode.PAUSED
    return agent_ops.Agent(
        id=record.id,
        agent_id=record.agent_id,
        name=record.name,
        kind=record.kind,
        provider=record.provider,
        model=record.model,
        role=record.role,
        status=agents.AgentStatus.PAUSED if is_paused else record.status,
        pause=None if pause is None else paused(pause),
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
        tasks_completed=record.tasks_completed,
        spent_today_usd=money.format_usd(spent_today_nano),
    )


def paused(pause: pauses.Pause) -> pausing_ops.PauseSet:
    """Show a pause."""
    return pausing_ops.PauseSet(
        scope=pause.scope,
        project_id=pause.project_id or None,
        agent_id=pause.agent_id or None,
        mode=pause.mode,
        reason=pause.reason,
        by=pause.paused_by,
        since=pause.paused_at,
    )


def session(record: agents.Session) -> agent_ops.SessionSeen:
    """Show a session."""
    return agent_ops.SessionSeen(
        id=record.id,
        agent_id=record.agent_id,
        client=record.client,
        started_at=record.started_at,
        last_seen_at=record.last_seen_at,
        ended_at=record.ended_at,
        end_reason=record.end_reason,
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
    pause = pauses.bearing(tx.pauses.of_organization(), record.id, "")
    return project_ops.Project(
        id=record.id,
        organization_id=tx.organization_id,
        name=record.name,
        slug=record.slug,
        conflict_strategy=record.conflict_strategy,
        root_path=record.root_path,
        git_remote=record.git_remote,
        settings=project_ops.ProjectSettings(
            **{
                field.name: list(value) if isinstance(value := getattr(settings, field.name), tuple) else value
                for field in dataclasses.fields(settings)
            }
        ),
        my_role=caller.role,
        archived_at=record.archived_at,
        counts=project_ops.Counts(
            tasks=tx.tasks.counts(record.id), agents=tx.agents.counts(record.id), locks=tx.locks.count(record.id)
        ),
        budget=budget(levels, tx.costs.spent(Scope.PROJECT, record.id, None, Window.MONTH)),
        pause=None if pause is None else paused(pause),
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


def access_request(
    record: agents.AccessRequest, status: agents.RequestStatus, *, replaces_agent: bool = False
) -> access_ops.AccessRequest:
    """Show a request for access; status: as it stands now, expiry counted in. replaces_agent: for who decides."""
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
        replaces_agent=replaces_agent,
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


def team(record: organizations.Team, member_ids: Sequence[str], project_ids: Sequence[str]) -> team_ops.Team:
    """Show a team with who is in it and what it was given."""
    return team_ops.Team(
        id=record.id,
        name=record.name,
        slug=record.slug,
        member_ids=list(member_ids),
        project_ids=list(project_ids),
    )


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
