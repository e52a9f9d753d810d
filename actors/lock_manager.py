"""The lock manager: who leases what in one project.

It decides by conductor.domain.locks on the table it keeps in memory, writes through the call's unit, then changes
the table; who must wait has a place in the queue, see lock_waits. Must never await another keeper, nor change the table
before a refusal is out of the question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from actors import lock_waits, views
from actors.call import Call
from actors.lock_waits import LockWaits
from conductor.domain import agents, errors, ids, lock_tickets, paths
from conductor.domain.lock_tickets import Blockers, Ticket
from conductor.domain.locks import SHOWN, Grant, Lease, LeaseEnd, LockTable, Mode, Wanted, not_holder
from conductor.domain.organizations import Project
from conductor.domain.verdicts import REFUSING
from conductor.domain.zones import ZoneMap
from conductor.operations import locks as ops
from storage import touching
from storage.lock_waits import WaitEnd
from storage.unit_of_work import UnitOfWork

MOST_WEIGHT = 512
"""Weight of the patterns of one request, see paths.weight: one pattern of the dearest kind, or many of a milder."""

MOST_HELD_WEIGHT = 2_048
"""Weight of all patterns that one agent leases: what others' requests are compared with."""

MOST_AT_ROOT = 256
"""Globs of an organisation that begin in the root folder, such as `**/*.md`: every path is compared with each."""


class LockManager:
    """Keeps the leases of a project.

    project: gives the project as it is now. agent: gives an agent of it. lost_after_s: gives the silence after
    which an agent's leases end. require_held: refuses a task that the agent does not hold. waits: makes the queue at
    these leases. zones: gives the project's zones as they are now.
    """

    def __init__(
        self,
        table: LockTable,
        project: Callable[[], Project],
        agent: Callable[[str], agents.Agent],
        lost_after_s: Callable[[], int],
        require_held: Callable[[str, str, UnitOfWork], None],
        waits: Callable[[LockManager], LockWaits],
        zones: Callable[[], ZoneMap],
    ) -> None:
        self.table = table
        self._project = project
        self._agent = agent
        self._lost_after_s = lost_after_s
        self._require_held = require_held
        self.zones = zones
        self.waits = waits(self)

    def acquire_lock(self, request: ops.AcquireLock, call: Call) -> ops.LockGrant:
        """Grant a lease, or say who holds it; who is willing to wait gets a place in the queue."""
        name = call.agent_name
        if request.task_id is not None:
            self._require_held(request.task_id, name, call.tx)
        wanted = Wanted(
            name, self.canonical(request.paths), request.mode, request.ttl_s, request.task_id, request.reason
        )
        if request.ticket is not None:
            return self._ask_again(request.ticket, wanted, request.wait_s, call)
        # Who asks twice for the same waits once: it may have missed the first answer.
        known = self.waits.queue.same_as(wanted, call.now) if request.wait_s > 0 else None
        if known is not None:
            return self._at_place(known, request.wait_s, call)
        asked, blockers = self._asked(wanted, call)
        if not blockers:
            return self._granted(self._grant(wanted, call))
        if request.wait_s == 0:
            raise lock_waits.with_a_wait(lock_tickets.refusal(blockers, wanted, call.now), wanted)
        ticket = self.waits.join(asked, request.wait_s, call.now, call.tx)
        call.is_placed = True
        return self._queued(ticket, request.wait_s, call)

    def acquire(self, wanted: Wanted, call: Call) -> Lease:
        """Decide, write and remember a lease; also for claims.

        Raises LockHeld, ZoneDenied, Deadlock.
        """
        _, blockers = self._asked(wanted, call)
        if blockers:
            raise lock_tickets.refusal(blockers, wanted, call.now)
        return self._grant(wanted, call)

    @property
    def refuses(self) -> bool:
        """Tell whether a conflicting lease is refused in this project, else granted and reported."""
        return self._project().conflict_strategy in REFUSING

    def require_allowed(self, agent_id: str, patterns: Sequence[str], mode: Mode = Mode.EXCLUSIVE) -> None:
        """Refuse patterns outside what an agent may touch, or in a zone that bars it. Raises ZoneDenied."""
        agent = self._agent(agent_id)
        agents.require_allowed(agent, patterns)
        self.zones().require_allowed(agent, patterns, changes=mode is Mode.EXCLUSIVE)

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
        granted = self.waits.hand_over(call.now, call.tx)
        return ops.ReleasedLocks(released=[lease.id for lease in chosen_leases], granted_next=granted)

    def end(self, lease: Lease, why: LeaseEnd, tx: UnitOfWork) -> None:
        """End one lease. Whoever ends some hands over what they free, see LockWaits.hand_over."""
        tx.locks.end(lease, why)
        self.table.drop(lease.id)
        self.waits.lease_ended(lease, tx)

    def end_of_task(self, task_id: str, agent_id: str, tx: UnitOfWork) -> list[str]:
        """End the leases that an agent bound to a task, and its waits for it; returns the leases' ids."""
        self.waits.leave_all(agent_id, tx, task_id=task_id)
        ended = self.table.of_task(task_id, agent_id)
        for lease in ended:
            self.end(lease, LeaseEnd.TASK_ENDED, tx)
        return [lease.id for lease in ended]

    def end_of_agent(self, agent_id: str, tx: UnitOfWork, why: LeaseEnd = LeaseEnd.AGENT_LOST) -> list[str]:
        """End all leases and waits of an agent that was lost, or may work here no more; returns the leases' ids."""
        self.waits.leave_all(agent_id, tx)
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
        """End the leases and waits whose time is over, and tell the leases' agents."""
        for lease in self.table.expired(now):
            self.end(lease, LeaseEnd.EXPIRED, tx)
            tx.notices.leave(
                lease.project_id,
                lease.agent_id,
                "lock_expired",
                f"Your lock on {', '.join(lease.paths[:4])} expired: acquire it again before you edit there.",
            )
        self.waits.overdue(now, tx, lambda lease, why: self.end(lease, why, tx))

    def next_deadline(self) -> datetime | None:
        """Give the time at which the next lease or wait ends."""
        ends = (self.table.next_deadline(), self.waits.queue.next_deadline())
        return min((at for at in ends if at is not None), default=None)

    def leave_queue(self, ticket_id: str, agent_id: str, now: datetime, tx: UnitOfWork) -> None:
        """Give up the place of a caller that has hung up; what was granted to it, or collected unheard, passes on."""
        ticket = self.waits.queue.get(ticket_id)
        if ticket is not None and ticket.agent_id == agent_id:
            self.waits.leave(ticket, WaitEnd.LEFT, tx)
        lock_id = ticket.lock_id if ticket is not None else self.waits.collected.get(ticket_id)
        lease = self.table.get(lock_id) if lock_id is not None else None
        if lease is not None and lease.agent_id == agent_id:
            self.end(lease, LeaseEnd.NOT_COLLECTED, tx)
        self.waits.hand_over(now, tx)

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

    def _require_few_at_root(self, wanted: Wanted, tx: UnitOfWork) -> None:
        """Refuse one more glob that begins in the root folder where there are many: all are tried each time."""
        asked = {path for path in wanted.paths if touching.place_of(path) == touching.AT_ROOT}
        if not asked:
            return
        asked -= {path for lease in self.table.of_agent(wanted.agent_id) for path in lease.paths}
        held = tx.locks.touching.count_at_root() if asked else 0
        if asked and held + len(asked) > MOST_AT_ROOT:
            raise errors.PathInvalid(
                f"{sorted(asked)[0]} begins with a wildcard, and {held} such patterns are leased in your organization "
                f"(at most {MOST_AT_ROOT}): begin with a folder, such as src/, or name the files.",
                facts={"path": sorted(asked)[0], "held": held, "most": MOST_AT_ROOT},
            )

    def _asked(self, wanted: Wanted, call: Call) -> tuple[Ticket, Blockers]:
        """Give the place that a request would have, and what keeps it from being granted.

        Raises PathInvalid, ZoneDenied; Deadlock when its very grant would keep waiting whom the agent waits for.
        """
        self._require_bearable(wanted)
        self.require_allowed(wanted.agent_id, wanted.paths, wanted.mode)
        self._require_few_at_root(wanted, call.tx)
        asked = self.waits.asked(wanted, call.now, lambda: call.tx.make_id(ids.Kind.TICKET))
        if not self.refuses:
            return asked, Blockers((), ())
        blockers = self.waits.blockers(asked, call.now, call.tx)
        if not blockers and self.waits.waits_somewhere(wanted.agent_id, call.now):
            self.waits.require_no_cycle(asked, call.now)
        return asked, blockers

    def _grant(self, wanted: Wanted, call: Call) -> Lease:
        lease, kind = self.table.decide_acquire(
            wanted,
            self._project().id,
            call.now,
            lambda: call.tx.make_id(ids.Kind.LOCK),
            refuse=self.refuses,
            bars=self._bars(wanted, call.now),
        )
        self._put(lease, kind, call.tx)
        if kind is not Grant.NEW:
            self.waits.told_of(lease, call.tx)
        return lease

    def _bars(self, wanted: Wanted, now: datetime) -> Callable[[Wanted], bool] | None:
        return (lambda whole: self.waits.queue.bars(whole, wanted, self.table, now)) if self.refuses else None

    def _ask_again(self, ticket_id: str, wanted: Wanted, wait_s: int, call: Call) -> ops.LockGrant:
        """Answer a caller that comes with its ticket."""
        ticket = self.waits.queue.get(ticket_id)
        if ticket is None or ticket.agent_id != wanted.agent_id:
            return self._granted(self._collected_before(ticket_id, wanted, call))
        if (ticket.paths, ticket.mode) != (wanted.paths, wanted.mode):
            raise errors.Invalid(
                f"Ticket {ticket.id} is a place for {', '.join(ticket.paths[:SHOWN])} ({ticket.mode}), not for this. "
                "Ask with its paths and mode, or without a ticket.",
                facts={"ticket": ticket.id, "paths": list(ticket.paths), "mode": ticket.mode.value},
            )
        return self._at_place(ticket, wait_s, call)

    def _collected_before(self, ticket_id: str, wanted: Wanted, call: Call) -> Lease:
        """Give the lease that a caller without a place holds already: the answer that told of it may have been lost.

        Raises NotFound.
        """
        lease, kind = self.table.decide_acquire(wanted, self._project().id, call.now, lambda: "", refuse=False)
        if kind is Grant.RENEWED:
            self._put(lease, kind, call.tx)
            return lease
        raise errors.NotFound(
            f"No place {ticket_id} of yours in the queue: it was not renewed in time, was given up, or its grant was "
            "not collected. Ask again without ticket for a new place.",
            facts={"ticket": ticket_id},
            next=[
                errors.NextStep(
                    "acquire_lock", {"paths": list(wanted.paths), "mode": wanted.mode.value}, "ask for it anew"
                )
            ],
        )

    def _at_place(self, ticket: Ticket, wait_s: int, call: Call) -> ops.LockGrant:
        """Give what was granted at a place, or say how it stands there."""
        if ticket.lock_id is None:
            ticket = self.waits.renew(ticket, wait_s, call.now, call.tx)
            # Nobody told the queue that an agent may go on which it had passed over.
            self.waits.freed(ticket.paths)
            self.waits.hand_over(call.now, call.tx)
            ticket = self.waits.queue.get(ticket.id) or ticket
        lease = self.table.get(ticket.lock_id) if ticket.lock_id is not None else None
        if lease is None:
            return self._queued(ticket, wait_s, call)
        self.waits.leave(ticket, WaitEnd.COLLECTED, call.tx)
        return self._granted(lease)

    def _granted(self, lease: Lease) -> ops.LockGrant:
        return ops.LockGrant(lock=views.lock(lease), lost_after_s=self._lost_after_s())

    def _queued(self, ticket: Ticket, wait_s: int, call: Call) -> ops.LockGrant:
        # Not kept for who asks again after a failure: it finds its place, and waits on.
        call.waits, call.ticket, call.is_kept = wait_s > 0, ticket.id, False
        blockers = self.waits.blockers(ticket, call.now, call.tx)
        return ops.LockGrant(
            status=ops.GrantStatus.QUEUED,
            ticket=ticket.id,
            position=self.waits.queue.position(ticket, call.now),
            holders=[views.lock(lease) for lease in blockers.leases[:SHOWN]],
            eta_s=lock_waits.eta_s(blockers, call.now),
        )

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
                released = sorted(set(before.paths) - set(after.paths))
                call.tx.locks.narrow(after, released)
                self.table.put(after)
                self.waits.freed(released)
        return ops.ReleasedLocks(released=ended, granted_next=self.waits.hand_over(call.now, call.tx))

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
