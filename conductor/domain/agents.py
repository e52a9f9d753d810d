"""Agents as Conductor sees them: who they are, what they may touch, whether they live.

Liveness is silence measured: an agent that has said nothing for `lost_after_s` is lost and holds nothing any more.
Silence counts only while the daemon runs; the keeper measures it, this module judges it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conductor.domain import errors, globs
from conductor.domain.access import Role

CONTEXT_FULL_PERCENT = 80
"""Clients shorten a context by themselves a little later: what is not written down by then is lost."""


class AgentStatus(StrEnum):
    """What an agent does, by its own word; offline is ours."""

    IDLE = "idle"
    WORKING = "working"
    BLOCKED = "blocked"
    PAUSED = "paused"
    OFFLINE = "offline"


class Health(StrEnum):
    """How long an agent has been silent."""

    HEALTHY = "healthy"
    LATE = "late"
    CRITICAL = "critical"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Seconds of silence after which an agent is late, critical, lost: growing."""

    late_after_s: int = 120
    critical_after_s: int = 300
    lost_after_s: int = 900


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent in one project.

    agent_id: its name, unique in the project; `id` is internal. allowed_paths empty: everything is allowed.
    lost_at: when it was found lost; None while it lives. kind: of its program, such as claude-code.
    tasks_claimed, tasks_completed: how many in all. context_advised: it was told that its context runs full.
    """

    id: str
    project_id: str
    agent_id: str
    name: str
    provider: str | None
    model: str | None
    role: Role
    capabilities: tuple[str, ...]
    allowed_paths: tuple[str, ...]
    denied_paths: tuple[str, ...]
    token_budget: int | None
    instructions_file: str | None
    status: AgentStatus
    created_at: datetime
    updated_at: datetime
    last_seen_at: datetime | None = None
    lost_at: datetime | None = None
    current_task_id: str | None = None
    stage: str | None = None
    note: str | None = None
    context_used: int | None = None
    context_limit: int | None = None
    kind: str | None = None
    tasks_claimed: int = 0
    tasks_completed: int = 0
    context_advised: bool = False


class SessionEnd(StrEnum):
    """Why a session is over."""

    ENDED = "ended"
    SUPERSEDED = "superseded"
    LOST = "lost"
    REPLACED = "replaced"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Session:
    """One run of an agent's client, from its start_session to its end; an agent may have several at once."""

    id: str
    project_id: str
    agent_id: str
    client: str | None
    started_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None


class RequestStatus(StrEnum):
    """Where a request for access stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """An agent that asks to be let in.

    claim_hash: of the secret that the first answer carried; who shows it may fetch the token.
    token_id: the token last handed to the requester, so that the next poll can revoke it.
    """

    id: str
    project_id: str
    agent_id: str
    name: str
    agent_type: str
    provider: str | None
    model: str | None
    capabilities: tuple[str, ...]
    requested_role: Role
    reason: str | None
    status: RequestStatus
    requested_by: str
    claim_hash: str
    requested_at: datetime
    expires_at: datetime
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None
    review_reason: str | None = None
    token_expires_in_days: int | None = None
    deliver_to_requester: bool = True
    token_id: str | None = None


def thresholds(
    usual: Thresholds, *, late_s: int | None = None, critical_s: int | None = None, lost_s: int | None = None
) -> Thresholds:
    """Give a project's thresholds: what it chose, and the installation's where it chose nothing.

    They grow also where the project chose only some, and those lie beyond what is usual for the others: what was
    chosen stays, what was not gives way. Only lost_after_s, which frees what an agent holds, never gives way.
    """
    lost = lost_s or usual.lost_after_s
    critical = critical_s or min(usual.critical_after_s, max(lost // 2, 1))
    if critical_s is None and late_s is not None and late_s >= critical:
        critical = (late_s + lost) // 2
    critical = min(critical, lost)
    late = late_s or min(usual.late_after_s, max(min(lost // 4, critical // 2), 1))
    return Thresholds(min(late, critical), critical, lost)


def context_is_full(used: int | None, limit: int | None) -> bool:
    """Tell whether so little of a context is left that it is time to write down where one stands."""
    return used is not None and limit is not None and limit > 0 and used * 100 >= limit * CONTEXT_FULL_PERCENT


def health(silence_s: float | None, thresholds: Thresholds) -> Health:
    """Judge a silence. None: never heard of, and nothing was promised to it: late until it speaks."""
    if silence_s is None:
        return Health.LATE
    if silence_s >= thresholds.lost_after_s:
        return Health.LOST
    if silence_s >= thresholds.critical_after_s:
        return Health.CRITICAL
    if silence_s >= thresholds.late_after_s:
        return Health.LATE
    return Health.HEALTHY


def require_allowed(agent: Agent, patterns: Sequence[str]) -> None:
    """Refuse patterns that reach outside what the agent may touch.

    Every path that a pattern could match must be allowed, and none of them denied: a glob that merely might
    reach a denied file is refused, because the lease would say it may be edited.
    Raises ZoneDenied naming the pattern and the rule.
    """
    if not agent.allowed_paths and not agent.denied_paths:
        return
    allowed = [globs.parse(text) for text in agent.allowed_paths]
    denied = [(text, globs.parse(text)) for text in agent.denied_paths]
    for text in patterns:
        wanted = globs.parse(text)
        if allowed and not globs.covers(allowed, wanted):
            raise errors.ZoneDenied(
                f"{text} reaches outside the paths that {agent.agent_id} may touch: {_few(agent.allowed_paths)}. "
                "Ask for a narrower path inside them, or have a lead widen allowed_paths with set_path_rules.",
                facts={"path": text, "allowed_paths": agent.allowed_paths},
                next=[errors.NextStep("claim_task", {}, "another task may lie inside your paths")],
            )
        for rule, pattern in denied:
            if globs.overlapping(wanted, pattern):
                raise errors.ZoneDenied(
                    f"{text} overlaps {rule}, which {agent.agent_id} may not touch. "
                    "Leave that part out, or have a lead change denied_paths with set_path_rules.",
                    facts={"path": text, "denied_by": rule},
                    next=[errors.NextStep("claim_task", {}, "another task may lie inside your paths")],
                )


def _few(texts: Sequence[str], most: int = 8) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
