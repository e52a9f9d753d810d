"""The rooms of a host: which projects are in memory, since when, and when time will next end something in each.

A room that a failed transaction touched is dropped whole; the next call loads it anew from the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from actors.issuing import Issuer
from actors.room import Room, Start, activate
from conductor.domain.deadlines import Deadlines
from conductor.settings import Settings
from storage.unit_of_work import UnitOfWork

IDLE_S = 300
"""A project that nobody called for five minutes and that time has nothing to end in leaves the memory."""

Key = tuple[str, str]
"""Organisation and project."""


class Rooms:
    """Rooms by organisation and project."""

    def __init__(self, settings: Settings, issuer: Issuer, start: Start) -> None:
        self._settings = settings
        self._issuer = issuer
        self._start = start
        self._rooms: dict[Key, Room] = {}
        self._opened: set[Key] = set()
        self._touched: set[Key] = set()
        self._due = Deadlines()
        self._rung: list[str] = []

    def __len__(self) -> int:
        return len(self._rooms)

    def items(self) -> Iterable[tuple[Key, Room]]:
        """List the rooms in memory."""
        return self._rooms.items()

    def begin(self) -> None:
        """Begin a transaction: nothing has been touched in it."""
        self._touched.clear()

    def enter(self, organization_id: str, project_id: str, tx: UnitOfWork) -> Room:
        """Give a project's room, loaded if need be; at the first touch what time has ended is taken out.

        Raises NotFound.
        """
        key = (organization_id, project_id)
        room = self._rooms.get(key)
        if room is None:
            is_first = key not in self._opened
            room = activate(
                project_id, tx, self._settings, self._issuer, self._start, self._rung.append, is_first=is_first
            )
            self._rooms[key] = room
        if key not in self._touched:
            self._touched.add(key)
            room.used_at = tx.now
            deadline = room.next_deadline()
            if deadline is not None and deadline <= tx.now:
                actor, tx.actor = tx.actor, "conductor"
                room.elapse(tx.now, tx)
                tx.actor = actor
        return room

    def present(self, organization_id: str, project_id: str) -> Room:
        """Give a room that was entered."""
        return self._rooms[organization_id, project_id]

    def commit(self) -> None:
        """Take note that what was touched is in the store now."""
        self._opened.update(self._touched)
        for key in self._touched:
            room = self._rooms.get(key)
            deadline = room.next_deadline() if room is not None else None
            if deadline is None:
                self._due.drop("/".join(key))
            else:
                self._due.set("/".join(key), deadline)

    def roll_back(self) -> None:
        """Drop what was touched: it may say what the store does not."""
        for key in self._touched:
            self._rooms.pop(key, None)
        self._touched.clear()

    def take_rung(self) -> tuple[str, ...]:
        """Give the bells that were rung since this was last asked; one for what was rolled back harms nobody."""
        rung = tuple(dict.fromkeys(self._rung))
        self._rung.clear()
        return rung

    def due(self, now: datetime) -> Iterable[Key]:
        """List the rooms in which time has ended something."""
        for name in self._due.due(now):
            organization_id, _, project_id = name.partition("/")
            yield organization_id, project_id

    def with_news(self) -> list[Key]:
        """List the rooms in which agents were heard of since the last flush."""
        return [key for key, room in self._rooms.items() if room.roster.has_news]

    def forget(self, organization_id: str) -> None:
        """Drop all that is remembered of an organisation that was deleted."""
        for key in [key for key in (*self._rooms, *self._opened) if key[0] == organization_id]:
            self._rooms.pop(key, None)
            self._opened.discard(key)
            self._touched.discard(key)
            self._due.drop("/".join(key))
            self._start.heard.pop(key, None)

    def passivate(self, now: datetime) -> None:
        """Let idle rooms go."""
        idle = [
            key for key, room in self._rooms.items() if room.is_idle and (now - room.used_at).total_seconds() > IDLE_S
        ]
        self.put_away(idle)

    def put_away(self, keys: Iterable[Key] | None = None) -> None:
        """Take rooms, or all, out of the memory; the next call loads them again."""
        for key in list(self._rooms if keys is None else keys):
            del self._rooms[key]
