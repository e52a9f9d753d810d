"""The lock manager: who leases what in one project.

It decides by conductor.domain.locks on the table it keeps in memory, writes through the call's unit, then changes
the table. Must never await another keeper, nor change the table before a refusal is out of the question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from actors import views
from actors.call import Call
from conductor.domain import agents, errors, ids, paths
from conductor.domain.locks import Grant, Lease, LeaseEnd, LockTable, Wanted, not_holder
from conductor.domain.organizations import ConflictStrategy, Project
from conductor.operations import locks as ops
from storage.unit_of_work import UnitOfWork

MOST_WEIGHT = 512
"""Weight of the patterns of one request, see paths.weight: one pattern of the dearest kind, or many of a milder."""

MOST_HELD_WEIGHT = 2_048
"""Weight of all patterns that one agent leases: what others' requests are compared with."""

REFUSING = frozenset({ConflictStrategy.LOCK, ConflictStrategy.ZONE})
"""Strategies under which a conflicting lease is refused; the others grant it and report the overlap."""


class LockManager:
    """Keeps the leases of a project.

    project: gives the project as it is now. agent: gives an agent of it. lost_after_s: gives the silence after
    which an agent's leases end. require_held: refuses a task that the agent does not hold.
    """

    def __init__(
        self,
        table: LockTable,
        project: Callable[[], Project],
        agent: Callable[[str], agents.Agent],
        lost_after_s: Callable[[], int],
        require_held: Callable[[str, str, UnitOfWork], None],
    ) -> None:
        self.table = table
        self._project = project
        self._agent = agent
        self._lost_after_s = lost_after_s
        self._require_held = require_held

    def acquire_lock(self, request: ops.AcquireLock, call: Call) -> ops.LockGrant:
        """Grant a lease, or say who holds it."""
        name = call.agent_name
        if request.task_id is not None:
            self._require_held(request.task_id, name, call.tx)
        wanted = Wanted(
            name, self.canonical(request.paths), request.mode, request.ttl_s, request.task_id, request.reason
        )
        lease = self.acquire(wanted, call)
        return ops.LockGrant(lock=views.lock(lease), lost_after_s=self._lost_after_s())

    def acquire(self, wanted: Wanted, call: Call) -> Lease:
        """Decide, write and remember a lease; also for claims.

        Raises LockHeld, ZoneDenied.
        """
        self._require_bearable(wanted)
        self.require_allowed(wanted.agent_id, wanted.paths)
        project = self._project()
        lease, kind = self.table.decide_acquire(
            wanted,
            project.id,
            call.now,
            lambda: call.tx.make_id(ids.Kind.LOCK),
            refuse=self.refuses,
        )
        self._put(lease, kind, call.tx)
        return lease

    @property
    def refuses(self) -> bool:
        """Tell whether a conflicting lease is refused in this project, else granted and reported."""
        return self._project().conflict_strategy in REFUSING

    def require_allowed(self, agent_id: str, patterns: Sequence[str]) -> None:
        """Refuse patterns that reach outside what an agent may touch. Raises ZoneDenied."""
        agents.require_allowed(self._agent(agent_id), patterns)

    def release_lock(self, request: ops.ReleaseLock, call: Call) -> ops.ReleasedLocks:
        """End leases: the caller's own, or with force anybody's."""
        if request.force and not call.may_lead:
            raise errors.Forbidden(
                "force ends other agents' leases: only a lead, or a person from member up, may say it. "
                "Nothing was released.",
                facts={"role": call.caller.role.value},
            )
        chosen = [request.lock_id is not None, bool(request.paths), request.all]
        if sum(chosen) != 1:
            raise errors.Invalid(
                "Say what to release: exactly one of lock_id, paths or all. Nothing was released.",
                facts={"lock_id": request.lock_id, "paths": request.paths, "all": request.all},
            )
        if request.agent_id is not None and not request.force:
            raise errors.Invalid("agent_id goes with force: without it you release your own leases.", facts={})
        why = LeaseEnd.FORCED if request.force else LeaseEnd.RELEASED
        if request.paths:
            return self._release_paths(self.canonical(request.paths), request.force, why, call)
        if request.lock_id is not None:
            chosen_leases = [self._releasable(request.lock_id, request.force, call)]
        else:
            whose = request.agent_id if request.force else call.agent_name
            chosen_leases = self.table.live() if whose is None else self.table.of_agent(whose)
        for lease in chosen_leases:
            self.end(lease, why, call.tx)
            self._tell(lease, why, call)
        return ops.ReleasedLocks(released=[lease.id for lease in chosen_leases], granted_next=[])

    def end(self, lease: Lease, why: LeaseEnd, tx: UnitOfWork) -> None:
        """End one lease."""
        tx.locks.end(lease, why)
        self.table.drop(lease.id)

    def end_of_task(self, task_id: str, agent_id: str, tx: UnitOfWork) -> list[str]:
        """End the leases that an agent bound to a task; returns their ids."""
        ended = self.table.of_task(task_id, agent_id)
        for lease in ended:
            self.end(lease, LeaseEnd.TASK_ENDED, tx)
        return [lease.id for lease in ended]

    def end_of_agent(self, agent_id: str, tx: UnitOfWork, why: LeaseEnd = LeaseEnd.AGENT_LOST) -> list[str]:
        """End all leases of an agent that was lost, or may work here no more; returns their ids."""
        ended = self.table.of_agent(agent_id)
        for lease in ended:
            self.end(lease, why, tx)
        return [lease.id for lease in ended]

    def renew(self, agent_id: str, now: datetime, tx: UnitOfWork) -> list[str]:
        """Give an agent's leases new life after a sign of it; returns the ids of those written."""
        renewed = self.table.renewals(agent_id, now)
        for lease in renewed:
            tx.locks.renew(lease)
            self.table.put(lease)
        return [lease.id for lease in renewed]

    def elapse(self, now: datetime, tx: UnitOfWork) -> None:
        """End the leases whose time is over, and tell their agents."""
        for lease in self.table.expired(now):
            self.end(lease, LeaseEnd.EXPIRED, tx)
            tx.notices.leave(
                lease.project_id,
                lease.agent_id,
                "lock_expired",
                f"Your lock on {', '.join(lease.paths[:4])} expired: acquire it again before you edit there.",
            )

    def canonical(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Bring paths of a request into the one form that is compared."""
        project = self._project()
        roots = [project.root_path] if project.root_path else []
        fold = project.settings.fold_case
        canonical = tuple(sorted({paths.canonical(text, fold_case=fold, roots=roots) for text in texts}))
        heavy = sum(paths.weight(path) for path in canonical)
        if heavy > MOST_WEIGHT:
            raise _too_heavy("This request's patterns", heavy, MOST_WEIGHT)
        return canonical

    def as_compared(self, kept: Sequence[str]) -> tuple[str, ...]:
        """Bring a task's paths into the form that is compared now: a reopened one may be older than the folding."""
        return self.canonical(kept) if self._project().settings.fold_case else tuple(kept)

    def _require_bearable(self, wanted: Wanted) -> None:
        """Refuse an agent that gathers patterns with which every other request would have to be compared at length."""
        asked = sum(paths.weight(path) for path in wanted.paths)
        if asked == 0:
            return
        held = sum(paths.weight(path) for lease in self.table.of_agent(wanted.agent_id) for path in lease.paths)
        if held + asked > MOST_HELD_WEIGHT:
            raise _too_heavy("Your patterns together", held + asked, MOST_HELD_WEIGHT)

    def _put(self, lease: Lease, kind: Grant, tx: UnitOfWork) -> None:
        tx.locks.grant(lease, kind)
        self.table.put(lease)

    def _release_paths(self, wanted: Sequence[str], force: bool, why: LeaseEnd, call: Call) -> ops.ReleasedLocks:
        name = call.caller.agent_name or ""
        ended = []
        for before, after in self.table.decide_release(name, wanted, force=force):
            if after is None:
                self.end(before, why, call.tx)
                self._tell(before, why, call)
                ended.append(before.id)
            else:
                call.tx.locks.narrow(after, sorted(set(before.paths) - set(after.paths)))
                self.table.put(after)
        return ops.ReleasedLocks(released=ended, granted_next=[])

    def _releasable(self, lock_id: str, force: bool, call: Call) -> Lease:
        lease = self.table.get(lock_id)
        if lease is None:
            raise errors.NotFound(
                f"No live lock {lock_id} here: it may have ended. See what is leased with list_locks.",
                facts={"lock_id": lock_id},
                next=[errors.NextStep("list_locks", {}, "see what is leased")],
            )
        if lease.agent_id != call.caller.agent_name and not force:
            raise not_holder(lock_id, [lease])
        return lease

    def _tell(self, lease: Lease, why: LeaseEnd, call: Call) -> None:
        if why is LeaseEnd.FORCED and lease.agent_id != call.caller.agent_name:
            call.tx.notices.leave(
                lease.project_id,
                lease.agent_id,
                "lock_forced",
                f"{call.caller.actor} took your lock on {', '.join(lease.paths[:4])} away: stop editing there.",
            )


def survived(leases: Sequence[Lease], stopped_at: datetime | None, now: datetime, grace_s: float) -> list[Lease]:
    """Say how leases stand after a restart: those that had not ended before the stop keep at least the grace.

    stopped_at: the last sign of life of the former run; None: there was none, or nothing was stopped.
    Each kept lease lasts max(remaining, min(ttl, grace_s)).
    """
    kept = []
    for lease in leases:
        if stopped_at is None or lease.expires_at <= stopped_at:
            kept.append(lease)
            continue
        least = min(float(lease.ttl_s), grace_s)
        remaining = (lease.expires_at - now).total_seconds()
        kept.append(lease if remaining >= least else replace(lease, expires_at=now + timedelta(seconds=least)))
    return kept


def _too_heavy(what: str, weight: int, most: int) -> errors.PathInvalid:
    return errors.PathInvalid(
        f"{what} have too many ** between too many segments ({weight}, at most {most}): lease a folder instead, such "
        "as src/, or name the files.",
        facts={"weight": weight, "most": most},
    )
