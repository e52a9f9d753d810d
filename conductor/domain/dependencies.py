"""The graph of who waits for whom: never a cycle, whoever races whom to make one.

Edges go from the waiting task to what it waits for. The graph is handed in as a function, because most of it
lies in a keeper's memory and the rest, closed tasks that were given up, in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Edges = Callable[[str], Iterable[str]]
"""What a task waits for: dependencies, declared waits and, where locks are waited for, their holders' tasks."""


def cycle_through(task_id: str, waits_for: Sequence[str], edges: Edges) -> list[str] | None:
    """Find the cycle that new edges from a task would close.

    Returns the tasks of the cycle, the given one first and last; None when the graph stays acyclic.
    Each task is visited once: time is linear in the edges reachable from `waits_for`.
    """
    came_from: dict[str, str] = {}
    pending: list[str] = []
    for target in waits_for:
        if target not in came_from:
            came_from[target] = task_id
            pending.append(target)
    while pending:
        current = pending.pop()
        if current == task_id:
            return _way_back(task_id, came_from)
        for target in edges(current):
            if target not in came_from:
                came_from[target] = current
                pending.append(target)
    return None


def _way_back(task_id: str, came_from: dict[str, str]) -> list[str]:
    way = [task_id]
    current = came_from[task_id]
    while current != task_id:
        way.append(current)
        current = came_from[current]
    way.append(task_id)
    return way[::-1]
