"""What happened, in the words of the audit log.

Every change writes one event in the transaction of the change itself; liveness writes none. The same rows are
audit log, live feed and source of webhooks, so kinds are stable and facts are JSON values without secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from conductor.domain.errors import Fact


class EventKind(StrEnum):
    """What kind of change it was: the object, a dot, what it did."""

    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_EXPORTED = "organization.exported"
    MEMBER_ADDED = "member.added"
    MEMBER_UPDATED = "member.updated"
    MEMBER_REMOVED = "member.removed"
    TEAM_CREATED = "team.created"
    TEAM_UPDATED = "team.updated"
    TEAM_DELETED = "team.deleted"
    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_ARCHIVED = "project.archived"
    PROJECT_RESTORED = "project.restored"
    TOKEN_CREATED = "token.created"
    TOKEN_ROTATED = "token.rotated"
    TOKEN_REVOKED = "token.revoked"
    AGENT_REGISTERED = "agent.registered"
    AGENT_UPDATED = "agent.updated"
    AGENT_LOST = "agent.lost"
    AGENT_RETURNED = "agent.returned"
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    PAUSED = "pause.set"
    RESUMED = "pause.lifted"
    ACCESS_REQUESTED = "access.requested"
    ACCESS_APPROVED = "access.approved"
    ACCESS_REJECTED = "access.rejected"
    ACCESS_EXPIRED = "access.expired"
    ACCESS_REVOKED = "access.revoked"
    ONBOARDING_UPDATED = "onboarding.updated"
    TASK_CREATED = "task.created"
    TASK_UPDATED = "task.updated"
    TASK_CLAIMED = "task.claimed"
    TASK_COMPLETED = "task.completed"
    TASK_RELEASED = "task.released"
    TASK_REQUEUED = "task.requeued"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    TASK_REOPENED = "task.reopened"
    TASK_SUBMITTED = "task.submitted"
    TASK_SENT_BACK = "task.sent_back"
    TASK_REASSIGNED = "task.reassigned"
    CHECK_REPORTED = "check.reported"
    BEADS_IMPORTED = "beads.imported"
    CHECKPOINT_SAVED = "checkpoint.saved"
    CHECKPOINT_RESUMED = "checkpoint.resumed"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_ACKNOWLEDGED = "message.acknowledged"
    LOCK_GRANTED = "lock.granted"
    LOCK_RENEWED = "lock.renewed"
    LOCK_RELEASED = "lock.released"
    LOCK_EXPIRED = "lock.expired"
    LOCK_QUEUED = "lock.queued"
    LOCK_WAIT_ENDED = "lock.wait_ended"
    ZONES_SET = "zones.set"
    COST_RECORDED = "cost.recorded"
    QUOTA_SET = "quota.set"
    ACTION_LOGGED = "action.logged"


@dataclass(frozen=True, slots=True)
class Event:
    """One change, before it has its number.

    actor: who did it, such as `agent:ada`, `member:mbr_…`, `service:tok_…`, `conductor` for what time does.
    facts: what a reader needs to understand the change without the object; no secrets, no long texts.
    """

    kind: EventKind
    at: datetime
    actor: str
    project_id: str | None = None
    subject_id: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with its place: numbers of an organisation start at 1 and have no gaps."""

    number: int
    event: Event
