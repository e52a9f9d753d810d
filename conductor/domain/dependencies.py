"""The graph of who waits for whom: never a cycle, whoever races whom to make one.

Edges go from the waiting task to what it waits for. The graph is handed in as a function, because most of it
lies in a keeper's memory and the rest, closed tasks that were given up, in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

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


def cycle_among(edges: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Find a cycle in a graph that is given whole, each waiting one first; edges that lead out of it are no part of it.

    Returns the tasks of the cycle, one of them first and last; None when there is none. Time is linear in the edges.
    """
    try:
        _sorter(edges).prepare()
    except CycleError as error:
        # The library names each before the one that waits for it.
        cycle: list[str] = error.args[1][::-1]
        return cycle
    return None


def cycle_from(task_ids: Iterable[str], edges: Edges) -> list[str] | None:
    """Find a cycle among some tasks and all that they wait for, told as `cycle_among` tells it.

    Each task is visited once: many new edges are looked at together in the time of one.
    """
    graph: dict[str, Sequence[str]] = {}
    pending = list(task_ids)
    while pending:
        current = pending.pop()
        if current not in graph:
            graph[current] = tuple(edges(current))
            pending.extend(graph[current])
    return cycle_among(graph)


def in_order(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the tasks of a whole graph without a cycle, each after all that it waits for."""
    return list(_sorter(edges).static_order())


def _sorter(edges: Mapping[str, Sequence[str]]) -> TopologicalSorter[str]:
    return TopologicalSorter({one: [other for other in others if other in edges] for one, others in edges.items()})


def _way_back(task_id: str, came_from: dict[str, str]) -> list[str]:
    way = [task_id]
    current = came_from[task_id]
    while current != task_id:
        way.append(current)
        current = came_from[current]
    way.append(task_id)
    return way[::-1]
