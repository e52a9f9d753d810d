"""Housekeeping of a host: it ends what time has ended, writes down who was seen, forgets what is over.

Each room is looked after in a transaction of its own: a project that cannot be looked after keeps no other from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.buckets import bucket_of
from actors.room import Room
from actors.rooms import Key, Rooms
from conductor import telemetry
from conductor.clock import Clock
from conductor.domain import errors
from conductor.setting_groups import Leases
from storage.store import Fence, Fenced, Store
from storage.unit_of_work import UnitOfWork

log = telemetry.logger("housekeeping")

PRUNE_S = 5
"""Seconds between looks for replies that are honoured no longer, and checkpoints whose time is over."""

PRUNE_MOST = 2_000
"""So many rows are forgotten at a look: more than five seconds bring, and no batch waits long behind it."""


class Housekeeping:
    """Looks after the rooms of one host."""

    def __init__(self, store: Store, fence: Fence, rooms: Rooms, clock: Clock, leases: Leases) -> None:
        self._store = store
        self._fence = fence
        self._rooms = rooms
        self._clock = clock
        self._leases = leases
        self._flushed_at = self._pruned_at = clock.monotonic()
        self._stored_for: set[str] = set()
        self.failures = 0

    def wake(self) -> None:
        """Load the rooms of this host in which time can end something."""
        with self._store.cross_tenant() as everything:
            waiting = everything.projects_with_deadlines()
        for organization_id, project_id in waiting:
            if bucket_of(organization_id, project_id) in self._fence.buckets:
                self._look_after((organization_id, project_id), _elapse)

    def sign_of_life(self) -> None:
        """Write that the daemon runs."""
        self._store.sign_of_life(self._fence.of(self._fence.buckets[:1]))

    def elapse(self) -> None:
        """End what is due; every few seconds also write down who was seen and forget what is over."""
        now = self._clock.now()
        for key in list(self._rooms.due(now)):
            self._look_after(key, _elapse)
        at = self._clock.monotonic()
        if at - self._flushed_at >= self._leases.last_seen_flush_s:
            self._flushed_at = at
            for key in self._rooms.with_news():
                self._look_after(key, lambda room, tx: room.roster.flush(tx))
            self._rooms.passivate(now)
        if at - self._pruned_at >= PRUNE_S:
            self._pruned_at = at
            for organization_id in sorted(self._stored_for):
                with self._store.transaction(organization_id, self._fence.of(self._fence.buckets[:1])) as transaction:
                    tx = transaction.unit(organization_id)
                    tx.now = now
                    tx.replies.prune(PRUNE_MOST)
                    tx.checkpoints.prune(PRUNE_MOST)

    def note_stored(self, organizations: Iterable[str]) -> None:
        """Take note of organisations for which replies were stored."""
        self._stored_for.update(organizations)

    def forget(self, organization_id: str) -> None:
        """Look no more after what is kept for an organisation that was deleted."""
        self._stored_for.discard(organization_id)

    def _look_after(self, key: Key, act: Callable[[Room, UnitOfWork], None]) -> None:
        organization_id, project_id = key
        self._rooms.begin()
        try:
            with self._store.transaction(
                organization_id, self._fence.of([bucket_of(organization_id, project_id)])
            ) as transaction:
                tx = transaction.unit(organization_id)
                tx.now, tx.actor = self._clock.now(), "conductor"
                act(self._rooms.enter(organization_id, project_id, tx), tx)
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001  # one project must not keep the host from the others
            self._rooms.roll_back()
            if isinstance(error, errors.NotFound) and error.facts.get("project_id") == project_id:
                # Its organisation was deleted, and the word of it was lost on its way.
                self._rooms.forget(organization_id)
                self.forget(organization_id)
                return
            self.failures += 1
            log.warning("project_not_looked_after", project_id=project_id, error=repr(error))
        else:
            self._rooms.commit()


def _elapse(room: Room, tx: UnitOfWork) -> None:
    room.elapse(tx.now, tx)
