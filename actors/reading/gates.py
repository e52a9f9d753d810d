"""Reads that hooks, git gates and people ask: may these be changed, whose is what, who is in whose way.

check_paths stands before every edit and every commit: a handful of look-ups, whatever is leased elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors import views, zoning
from actors.places import no_project
from actors.reading.read import Read
from conductor.domain import conflicts, errors, paths, pauses, quotas, verdicts
from conductor.domain.access import Role
from conductor.domain.agents import Agent
from conductor.domain.errors import NextStep
from conductor.domain.organizations import Project
from conductor.domain.pauses import PauseMode
from conductor.domain.verdicts import Intent, Reason, Situation, Verdict
from conductor.operations import gates as ops
from conductor.operations import zones as zone_ops
from conductor.operations.agents import NextCall
from conductor.operations.catalogue import CATALOGUE

MOST_WEIGHT = 512
"""Weight of the paths of one question, see paths.weight: as that of one request for a lease."""

MOST_PAIRS = 10_000
"""Pairs of each kind that one search for conflicts looks at: where all meet all nobody reads on."""


def check_paths(request: ops.CheckPaths, read: Read) -> ops.PathsChecked:
    """Say whether an agent may change some paths now, and for each one why."""
    project, agent = _project(read), _agent(request, read)
    asked = _canonical(request.paths, project)
    if agent is None:
        return _person(request, asked, project, read)
    known = _situation(request, list(dict.fromkeys(asked)), project, agent, read)
    reasons = verdicts.judge(asked, known)
    return ops.PathsChecked(
        allowed=all(reason.verdict is Verdict.OK for reason in reasons),
        agent_id=agent.agent_id,
        reasons=[_shown(text, reason) for text, reason in zip(request.paths, reasons, strict=True)],
        locks=[views.lock(lease) for lease in verdicts.covering(asked, known)],
        next=_next(reasons, read.caller.role),
    )


def get_zones(request: zone_ops.GetZones, read: Read) -> zone_ops.Zones:
    """Read a project's zones."""
    return zoning.shown(read.tx.zones.of_project(_project(read).id))


def detect_conflicts(request: ops.DetectConflicts, read: Read) -> ops.Conflicts:
    """Find who is in whose way in a project."""
    project = _project(read)
    found = conflicts.detect_conflicts(
        read.tx.tasks.open_of(project.id),
        [lease for lease in read.tx.locks.of_project(project.id) if lease.is_live(read.now)],
        zones=read.tx.zones.map_of_project(project.id),
        agents=read.tx.agents.of_project(project.id),
        most=MOST_PAIRS,
    )
    handled = conflicts.handle_conflicts(found[: request.limit], project.conflict_strategy)
    return ops.Conflicts(
        strategy=project.conflict_strategy,
        conflicts=[
            ops.ConflictSeen(
                kind=each.conflict.kind,
                agents=list(each.conflict.agents),
                subjects=list(each.conflict.subjects),
                paths=list(each.conflict.paths),
                message=each.conflict.message,
                answer=each.answer,
                because=each.because,
            )
            for each in handled
        ],
        found=len(found),
    )


def _person(request: ops.CheckPaths, asked: Sequence[str], project: Project, read: Read) -> ops.PathsChecked:
    unique = list(dict.fromkeys(asked))
    leases = read.tx.locks.touching.leases(project.id, unique)
    standstill = pauses.archived(project.id, project.archived_at) if project.archived_at is not None else None
    reasons = verdicts.judge_person(asked, project.conflict_strategy, leases, standstill)
    return ops.PathsChecked(
        allowed=all(reason.verdict is Verdict.OK for reason in reasons),
        reasons=[_shown(text, reason) for text, reason in zip(request.paths, reasons, strict=True)],
        locks=[],
        next=_next(reasons, read.caller.role),
    )


def _situation(request: ops.CheckPaths, asked: Sequence[str], project: Project, agent: Agent, read: Read) -> Situation:
    tx, name = read.tx, agent.agent_id
    named = {(token.lock_id, token.token) for token in request.tokens}
    given = tx.locks.touching.given(project.id, name, named) if named else []
    true = {(grant.lock_id, grant.token) for grant in given}
    oldest = min((grant.token for grant in given), default=None)
    return Situation(
        agent,
        project.conflict_strategy,
        request.intent,
        tx.zones.map_of_project(project.id),
        tx.locks.touching.leases(project.id, asked),
        given,
        None if oldest is None else tx.locks.touching.fences(project.id, asked, but=name, above=oldest),
        _standstill(project, name, read),
        _spent(agent, read) if request.intent is Intent.EDIT else None,
        [f"{lock_id}#{token}" for lock_id, token in sorted(named - true)],
    )


def _standstill(project: Project, agent_id: str, read: Read) -> errors.Paused | None:
    if project.archived_at is not None:
        return pauses.archived(project.id, project.archived_at)
    pause = pauses.bearing(read.tx.pauses.of_organization(), project.id, agent_id)
    # Who drains ends what it holds, and for that it must edit.
    return pauses.paused(pause) if pause is not None and pause.mode is PauseMode.PAUSED else None


def _spent(agent: Agent, read: Read) -> errors.BudgetExceeded | None:
    tx = read.tx
    try:
        quotas.admit(tx.quotas.levels(tx.costs, agent.project_id, agent.agent_id), 0, read.now)
        if agent.token_budget is not None:
            used = tx.costs.tokens_used(agent.project_id, agent.agent_id)
            quotas.admit_tokens(quotas.TokenBudget(agent.token_budget, used), agent.agent_id)
    except errors.BudgetExceeded as refusal:
        return refusal
    return None


def _canonical(texts: Sequence[str], project: Project) -> list[str]:
    roots = [project.root_path] if project.root_path else []
    asked = [paths.canonical(text, fold_case=project.settings.fold_case, roots=roots) for text in texts]
    heavy = sum(paths.weight(path) for path in set(asked))
    if heavy > MOST_WEIGHT:
        raise errors.PathInvalid(
            f"These patterns have too many ** between too many segments ({heavy}, at most {MOST_WEIGHT}): name the "
            "files that you mean.",
            facts={"weight": heavy, "most": MOST_WEIGHT},
        )
    return asked


def _project(read: Read) -> Project:
    project = read.tx.projects.get(read.project_id)
    if project is None:
        raise no_project(read.project_id)
    return project


def _agent(request: ops.CheckPaths, read: Read) -> Agent | None:
    """Say on whom the verdict is: the agent named, whose tokens a commit names, the caller; None: on a person."""
    name = request.agent_id or _given_to(request, read) or read.caller.agent_name
    step = NextStep("list_agents", {}, "see who is here")
    if name is None:
        return None
    agent = read.tx.agents.get(read.project_id, name)
    if agent is None:
        raise errors.NotFound(
            f"No agent {name} in this project. See who is here with list_agents.",
            facts={"agent_id": name},
            next=[step],
        )
    return agent


def _given_to(request: ops.CheckPaths, read: Read) -> str | None:
    """Find whose tokens a commit names: agents push also what others committed."""
    is_own = read.caller.agent_name is not None and request.intent is Intent.EDIT
    if not request.tokens or is_own:
        return None
    lock_ids = {token.lock_id for token in request.tokens}
    holders = read.tx.locks.touching.holders(read.project_id, lock_ids)
    if len(holders) != 1:
        if read.caller.agent_name is not None:
            return None
        whose = f"of several agents ({', '.join(sorted(holders))})" if holders else "that nobody was ever granted"
        raise errors.Invalid(
            f"The tokens name locks {whose}: say with agent_id whose commit it is.", facts={"argument": "agent_id"}
        )
    return holders.pop()


def _shown(text: str, reason: Reason) -> ops.PathVerdict:
    return ops.PathVerdict(
        path=text,
        verdict=reason.verdict,
        holder=reason.holder,
        lock_id=reason.lock_id,
        token=reason.token,
        because=reason.because,
    )


def _next(reasons: Sequence[Reason], role: Role) -> list[NextCall]:
    """Say what to do about the first path of each kind of trouble."""
    first: dict[Verdict, Reason] = {}
    for reason in reasons:
        first.setdefault(reason.verdict, reason)
    steps: list[NextCall] = []
    if Verdict.PAUSED in first:
        because = "stay alive and hear when it goes on"
        steps.append(NextCall(tool="heartbeat", args={"status": "blocked"}, because=because))
    if Verdict.BUDGET_EXCEEDED in first:
        steps.append(NextCall(tool="get_quota", args={}, because="see which budget is spent and when it resets"))
    free = [reason.path for reason in reasons if reason.verdict in {Verdict.NOT_LOCKED, Verdict.STALE_TOKEN}]
    if free:
        wanted = list(dict.fromkeys(free))
        steps.append(NextCall(tool="acquire_lock", args={"paths": wanted}, because="lease it before you change it"))
    if Verdict.LOCKED_BY_OTHER in first:
        path = first[Verdict.LOCKED_BY_OTHER].path
        steps.append(NextCall(tool="list_locks", args={"path": path}, because="see who holds it and until when"))
    if not first.keys().isdisjoint({Verdict.LOCKED_BY_OTHER, Verdict.ZONE_DENIED, Verdict.PATH_DENIED}):
        steps.append(NextCall(tool="claim_task", args={}, because="another ready task may touch other files"))
    return [step for step in steps if CATALOGUE[step.tool].is_listed_for(role)]
