"""The pending tasks that wait for no other, so kept that the best one for an agent is found without looking at all.

Tasks that differ for an agent in nothing but their age stand on one shelf, the oldest first; whatever lifts a task by
waiting lifts the older one at least as much, so each shelf is in the right order for everybody at all times, and the
best task is the best of the first ones. All this only narrows: what is answered was confirmed by selection.obstacle.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from conductor.domain import selection
from conductor.domain.deadlines import Deadlines
from conductor.domain.selection import Candidate, Obstacle, Rules, Seeker
from conductor.domain.tasks import Priority, Task


class Shelf(NamedTuple):
    """What the tasks of a shelf have in common besides whom they are kept for."""

    priority: Priority
    requires: frozenset[str]
    has_open_children: bool


Entries = list[tuple[datetime, str]]
"""The tasks of a shelf by age and id."""


class ReadyIndex:
    """Tasks on shelves by whom they are kept for; those that rest after a failure come to a shelf when it is time.

    Not safe for threads: one keeper owns it.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._parents: set[str] = set()
        self._shelves: dict[str | None, dict[Shelf, Entries]] = {}
        self._where: dict[str, tuple[str | None, Shelf]] = {}
        self._resting = Deadlines()
        self._lapsing = Deadlines()

    def __len__(self) -> int:
        return len(self._tasks)

    def put(self, task: Task, *, has_open_children: bool) -> None:
        """Add a pending task that waits for no other, or note how it stands now."""
        self.drop(task.id)
        self._tasks[task.id] = task
        if has_open_children:
            self._parents.add(task.id)
        if task.retry_at is not None:
            self._resting.set(task.id, task.retry_at)
        else:
            self._shelve(task, task.reserved_for)

    def drop(self, task_id: str) -> None:
        """Take a task out; one that is not there is out already."""
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        self._parents.discard(task_id)
        self._resting.drop(task_id)
        self._lapsing.drop(task_id)
        self._unshelve(task)

    def candidates(self, seeker: Seeker, now: datetime, rules: Rules) -> Iterator[Candidate]:
        """Give the tasks that an agent could claim as far as the tasks know, the best first.

        Costs as much as is taken of it. Must not be gone on with after a change.
        """
        self._advance(now)
        streams = [
            self._of(entries, shelf, seeker, now, rules)
            for kept in {None, seeker.agent_id}
            for shelf, entries in self._shelves.get(kept, {}).items()
            if _obstacle(shelf, kept, seeker, rules) is None
        ]
        return heapq.merge(*streams)

    def reasons(self, seeker: Seeker, now: datetime, rules: Rules) -> Counter[Obstacle]:
        """Count what keeps an agent from tasks, as far as the tasks know."""
        self._advance(now)
        counts = Counter({Obstacle.RETRY_LATER: len(self._tasks) - len(self._where)})
        for kept, shelves in self._shelves.items():
            for shelf, entries in shelves.items():
                found = _obstacle(shelf, kept, seeker, rules)
                if found is not None:
                    counts[found] += len(entries)
        return +counts

    def next_change(self, now: datetime) -> datetime | None:
        """Give the next time at which a rest or a reservation ends, so that more can be claimed."""
        self._advance(now)
        return min((at for at in (self._resting.next(), self._lapsing.next()) if at is not None), default=None)

    def _of(self, entries: Entries, shelf: Shelf, seeker: Seeker, now: datetime, rules: Rules) -> Iterator[Candidate]:
        for _, task_id in entries:
            task = self._tasks[task_id]
            # A clock that was set back makes a task rest again that has its place already.
            if selection.obstacle(task, seeker, now, rules, has_open_children=shelf.has_open_children) is None:
                yield selection.place(task, seeker, now, rules), task

    def _advance(self, now: datetime) -> None:
        """Let time pass: rests end, and so do reservations."""
        for task_id in self._resting.due(now):
            self._resting.drop(task_id)
            task = self._tasks[task_id]
            self._shelve(task, task.reserved_for)
        for task_id in self._lapsing.due(now):
            self._lapsing.drop(task_id)
            task = self._tasks[task_id]
            self._unshelve(task)
            self._shelve(task, None)

    def _shelve(self, task: Task, kept: str | None) -> None:
        shelf = Shelf(task.priority, frozenset(task.requires), task.id in self._parents)
        insort(self._shelves.setdefault(kept, {}).setdefault(shelf, []), (task.created_at, task.id))
        self._where[task.id] = kept, shelf
        if kept is not None and task.reserved_until is not None:
            self._lapsing.set(task.id, task.reserved_until)

    def _unshelve(self, task: Task) -> None:
        if task.id not in self._where:
            return
        kept, shelf = self._where.pop(task.id)
        shelves = self._shelves[kept]
        entries = shelves[shelf]
        del entries[bisect_left(entries, (task.created_at, task.id))]
        if not entries:
            del shelves[shelf]
            if not shelves:
                del self._shelves[kept]


def _obstacle(shelf: Shelf, kept: str | None, seeker: Seeker, rules: Rules) -> Obstacle | None:
    """Tell what keeps an agent from all tasks of a shelf, in the order of selection.obstacle."""
    if shelf.has_open_children and rules.complete_parents:
        return Obstacle.SUBTASKS
    if kept not in (None, seeker.agent_id):
        return Obstacle.ASSIGNED_ELSEWHERE
    if not rules.partial_match and not shelf.requires <= seeker.capabilities:
        return Obstacle.MISSING_CAPABILITY
    return None
