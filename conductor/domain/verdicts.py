"""May this agent change these files now? Lock, fencing token, zone, path rule, pause and budget in one answer.

Hooks ask before an edit, git gates before a commit is let through. A lease lets an agent edit while it is live. A
commit carries the tokens of the leases it was made under: it passes when no later grant to another agent overlaps
what it touches, whether its own lease is still live or was released in order. A commit without a token is judged as
an edit. Pure: whoever asks brings what is committed. Must never let pass what a grant, a claim or a pause forbids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from conductor.domain import agents, errors, globs, zones
from conductor.domain.access import WORKERS
from conductor.domain.agents import Agent
from conductor.domain.lease_index import LeaseIndex
from conductor.domain.locks import Lease, Mode
from conductor.domain.organizations import ConflictStrategy
from conductor.domain.zones import ZoneMap

REFUSING = frozenset({ConflictStrategy.LOCK, ConflictStrategy.ZONE})
"""Strategies under which what another leases is left alone; the others report the overlap."""

_BECAUSE = 400
"""Characters of a reason; what refuses may name many owners and rules."""


class Intent(StrEnum):
    """What is asked for: to change files, or to let a commit through that has changed them."""

    EDIT = "edit"
    COMMIT = "commit"


class Verdict(StrEnum):
    """What is said of one path."""

    OK = "ok"
    NOT_LOCKED = "not_locked"
    LOCKED_BY_OTHER = "locked_by_other"
    STALE_TOKEN = "stale_token"
    ZONE_DENIED = "zone_denied"
    PATH_DENIED = "path_denied"
    PAUSED = "paused"
    BUDGET_EXCEEDED = "budget_exceeded"


@dataclass(frozen=True, slots=True)
class Fence:
    """The highest grant that an agent was ever given on a pattern."""

    path: str
    agent_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Given:
    """A grant of the past that a commit names by its lock and its token."""

    lock_id: str
    token: int
    paths: tuple[str, ...]
    is_exclusive: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """The verdict on one path. holder: whose lease or grant stands against it. lock_id, token: of the lease meant."""

    path: str
    verdict: Verdict
    because: str
    holder: str | None = None
    lock_id: str | None = None
    token: int | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when an agent asks.

    leases: live ones by the path that they touch, the first to end first. given: the grants that the commit names.
    fences: grants to others, at least those later than the oldest of `given`, by path. standstill: the refusal of all
    that the agent does, if it is paused or the project archived. spent: the refusal of a budget that is used up.
    unknown: tokens that were named and that the agent was never given.
    """

    agent: Agent
    strategy: ConflictStrategy
    intent: Intent
    zones: ZoneMap
    leases: Mapping[str, Sequence[Lease]]
    given: Sequence[Given] = ()
    fences: Mapping[str, Sequence[Fence]] | None = None
    standstill: errors.Paused | None = None
    spent: errors.BudgetExceeded | None = None
    unknown: Sequence[str] = ()


def judge(paths: Sequence[str], known: Situation) -> list[Reason]:
    """Give the verdict on each of some canonical paths or patterns, in their order.

    What was done while a budget lasted may still be committed; a pause holds up both.
    """
    given = LeaseIndex[Given]()
    for grant in known.given:
        for text in grant.paths if grant.is_exclusive else ():
            given.add(grant, globs.parse(text))
    return [_judged(path, known, given) for path in paths]


def judge_person(
    paths: Sequence[str],
    strategy: ConflictStrategy,
    leases: Mapping[str, Sequence[Lease]],
    standstill: errors.Paused | None = None,
) -> list[Reason]:
    """Give the verdict on what a person changed, who needs no lease and only keeps off those of agents."""
    return [_judged_person(path, strategy, leases.get(path, ()), standstill) for path in paths]


def covering(paths: Sequence[str], known: Situation) -> list[Lease]:
    """List the agent's own live leases that cover one of the paths, or a part of a pattern."""
    own = {
        lease.id: lease
        for path in paths
        for lease in known.leases.get(path, ())
        if lease.agent_id == known.agent.agent_id
    }
    return [own[key] for key in sorted(own)]


def _judged(path: str, known: Situation, given: LeaseIndex[Given]) -> Reason:
    if known.standstill is not None:
        return _refused(path, Verdict.PAUSED, known.standstill.message)
    if known.spent is not None and known.intent is Intent.EDIT:
        return _refused(path, Verdict.BUDGET_EXCEEDED, known.spent.message)
    agent = known.agent
    if agent.role not in WORKERS:
        return _refused(
            path, Verdict.PATH_DENIED, f"{agent.agent_id} is {agent.role}: only leads and contributors change files"
        )
    try:
        agents.require_allowed(agent, [path])
    except errors.ZoneDenied as denial:
        return _refused(path, Verdict.PATH_DENIED, denial.message)
    zone = known.zones.barring(agent, path, changes=True)
    if zone is not None:
        return _refused(path, Verdict.ZONE_DENIED, zones.denied(zone, path, agent.agent_id).message)
    if known.strategy not in REFUSING:
        return _reported(path, known)
    return _by_tokens(path, known, given) or _by_leases(path, known)


def _judged_person(
    path: str, strategy: ConflictStrategy, leases: Sequence[Lease], standstill: errors.Paused | None
) -> Reason:
    if standstill is not None:
        return _refused(path, Verdict.PAUSED, standstill.message)
    if not leases or strategy not in REFUSING:
        return Reason(path, Verdict.OK, "no agent leases it" if not leases else f"{strategy} refuses no overlap")
    return _against(path, leases[0])


def _against(path: str, lease: Lease) -> Reason:
    wanted = globs.parse(path)
    touching = [text for text in lease.paths if globs.overlapping(globs.parse(text), wanted)]
    because = f"{lease.agent_id} leases {_few(touching)} ({lease.mode}) until {lease.expires_at:%H:%M:%SZ}"
    return Reason(path, Verdict.LOCKED_BY_OTHER, because, lease.agent_id, lease.id, lease.token)


def _by_tokens(path: str, known: Situation, given: LeaseIndex[Given]) -> Reason | None:
    """Judge by the tokens that the commit names; None: they say nothing of this path, or do not suffice."""
    own = _best(path, given)
    if own is None:
        return None
    later = max(
        (fence for fence in (known.fences or {}).get(path, ()) if fence.token > own.token),
        key=lambda fence: fence.token,
        default=None,
    )
    if later is not None:
        because = (
            f"{later.path} was granted to {later.agent_id} (token {later.token}) after your token {own.token}: what "
            "you did there may undo its work. Acquire it again, look at what changed, and make the change anew."
        )
        return Reason(path, Verdict.STALE_TOKEN, because, later.agent_id, own.lock_id, own.token)
    if known.intent is Intent.EDIT:
        return None
    because = f"nobody was granted it after your token {own.token}"
    return Reason(path, Verdict.OK, because, None, own.lock_id, own.token)


def _by_leases(path: str, known: Situation) -> Reason:
    """Judge by what is leased now."""
    own, others = _parted(path, known)
    mine = _bearing(path, own)
    # Under another strategy both may have been granted: the later grant stands.
    against = [lease for lease in others if mine is None or lease.token > mine.token]
    if against:
        return _against(path, against[0])
    if mine is not None:
        until = f"you lease it until {mine.expires_at:%H:%M:%SZ}"
        return Reason(path, Verdict.OK, until, None, mine.id, mine.token)
    if known.strategy is ConflictStrategy.ZONE:
        return Reason(path, Verdict.OK, "no zone keeps you out, and nobody else leases it")
    return _refused(path, Verdict.NOT_LOCKED, _unlocked(own, known))


def _reported(path: str, known: Situation) -> Reason:
    """Let pass under a strategy that refuses no overlap, and tell of it."""
    own, others = _parted(path, known)
    mine = _bearing(path, own)
    lock_id, token = (mine.id, mine.token) if mine is not None else (None, None)
    if not others:
        return Reason(path, Verdict.OK, "nobody else leases it", None, lock_id, token)
    names = ", ".join(sorted({lease.agent_id for lease in others})[:4])
    because = f"{names} may be changing it too, which the strategy {known.strategy} allows: merge early"
    return Reason(path, Verdict.OK, because, others[0].agent_id, lock_id, token)


def _parted(path: str, known: Situation) -> tuple[list[Lease], list[Lease]]:
    found = known.leases.get(path, ())
    name = known.agent.agent_id
    return [lease for lease in found if lease.agent_id == name], [lease for lease in found if lease.agent_id != name]


def _bearing(path: str, own: Sequence[Lease]) -> Lease | None:
    """Choose the agent's exclusive lease that covers a path; of several that do so only together, the oldest grant."""
    exclusive = [lease for lease in own if lease.mode is Mode.EXCLUSIVE]
    wanted = globs.parse(path)
    alone = [lease for lease in exclusive if _covers([lease.paths], wanted)]
    if alone:
        return max(alone, key=lambda lease: lease.token)
    if len(exclusive) > 1 and _covers([lease.paths for lease in exclusive], wanted):
        return min(exclusive, key=lambda lease: lease.token)
    return None


def _best(path: str, given: LeaseIndex[Given]) -> Given | None:
    """Choose the latest grant that covers a path; of several that do so only together, the earliest."""
    wanted = globs.parse(path)
    near = given.overlapping(wanted)
    alone = [grant for grant in near if _covers([grant.paths], wanted)]
    if alone:
        return max(alone, key=lambda grant: grant.token)
    if len(near) > 1 and _covers([grant.paths for grant in near], wanted):
        return min(near, key=lambda grant: grant.token)
    return None


def _covers(lists: Sequence[Sequence[str]], wanted: globs.Pattern) -> bool:
    return globs.covers([globs.parse(text) for texts in lists for text in texts], wanted)


def _unlocked(own: Sequence[Lease], known: Situation) -> str:
    if any(lease.mode is Mode.SHARED for lease in own):
        return "you lease it shared, which lets you read: ask for an exclusive lease with acquire_lock"
    if own:
        return "you lease only a part of what this means: acquire the rest with acquire_lock"
    if known.unknown:
        return f"{_few(known.unknown)} was never granted to {known.agent.agent_id}: acquire it with acquire_lock"
    return "you do not lease it: acquire it with acquire_lock before you change it"


def _refused(path: str, verdict: Verdict, because: str) -> Reason:
    return Reason(path, verdict, because if len(because) <= _BECAUSE else f"{because[: _BECAUSE - 1]}…")


def _few(texts: Sequence[str], most: int = 4) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
