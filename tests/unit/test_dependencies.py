"""The cycle finder against a plain depth-first search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import dependencies

MANY = settings(max_examples=250, deadline=None)

names = st.integers(0, 8).map(lambda number: f"t{number}")
graphs = st.dictionaries(names, st.lists(names, max_size=3), max_size=9)


def reaches(graph: Mapping[str, Sequence[str]], start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
    """Search depth first, the slow and obvious way."""
    if start == goal:
        return True
    return any(
        reaches(graph, target, goal, seen | {start}) for target in graph.get(start, ()) if target not in seen | {start}
    )


@given(graphs, names, st.lists(names, max_size=3))
@MANY
def test_a_cycle_is_found_exactly_when_depth_first_search_finds_one(
    graph: dict[str, list[str]], task: str, waits_for: list[str]
) -> None:
    after = {**graph, task: waits_for}

    cycle = dependencies.cycle_through(task, waits_for, lambda other: graph.get(other, []))

    assert (cycle is not None) == any(reaches(after, target, task) for target in waits_for)


@given(graphs, names, st.lists(names, max_size=3))
@MANY
def test_the_cycle_named_is_one_of_the_given_edges_from_the_task_to_itself(
    graph: dict[str, list[str]], task: str, waits_for: list[str]
) -> None:
    after = {**graph, task: waits_for}

    cycle = dependencies.cycle_through(task, waits_for, lambda other: graph.get(other, []))

    if cycle is not None:
        assert cycle[0] == cycle[-1] == task
        assert all(target in after[source] for source, target in pairwise(cycle))
        assert len(set(cycle)) == len(cycle) - 1


@given(st.lists(st.tuples(names, names), max_size=30))
@MANY
def test_a_graph_grown_by_asking_first_never_has_a_cycle(edges: list[tuple[str, str]]) -> None:
    graph: dict[str, list[str]] = {}

    for source, target in edges:
        wanted = [*graph.get(source, []), target]
        if dependencies.cycle_through(source, wanted, lambda other: graph.get(other, [])) is None:
            graph[source] = wanted

    assert not any(reaches(graph, target, source) for source, targets in graph.items() for target in targets)


def test_a_task_that_would_wait_for_itself_is_a_cycle_of_one() -> None:
    assert dependencies.cycle_through("a", ["b", "a"], lambda other: []) == ["a", "a"]


def test_the_old_edges_of_the_task_count_no_more() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": []}

    assert dependencies.cycle_through("b", ["a"], graph.__getitem__) == ["b", "a", "b"]
    assert dependencies.cycle_through("a", ["c"], {**graph, "c": ["b"], "b": []}.__getitem__) is None


def test_each_task_is_looked_at_once_however_many_ways_lead_to_it() -> None:
    layers = [[f"t{layer}.{place}" for place in range(10)] for layer in range(30)]
    graph = {name: below for layer, below in pairwise(layers) for name in layer} | {name: [] for name in layers[-1]}
    asked: list[str] = []

    def edges(name: str) -> list[str]:
        asked.append(name)
        return graph[name]

    assert dependencies.cycle_through("new", layers[0], edges) is None
    assert len(asked) == len(set(asked)) == 300


@given(graphs)
@MANY
def test_a_whole_graph_has_a_cycle_exactly_when_a_task_in_it_reaches_itself(graph: dict[str, list[str]]) -> None:
    has_cycle = any(reaches(graph, target, task) for task, targets in graph.items() for target in targets)

    cycle = dependencies.cycle_among(graph)

    assert (cycle is not None) == has_cycle
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert all(target in graph[source] for source, target in pairwise(cycle))
        return
    order = dependencies.in_order(graph)
    assert sorted(order) == sorted(graph)
    for task, targets in graph.items():
        assert all(order.index(target) < order.index(task) for target in targets if target in graph)


@given(graphs, st.lists(names, max_size=3))
@MANY
def test_a_cycle_is_found_from_some_tasks_exactly_when_one_of_those_ways_leads_back(
    graph: dict[str, list[str]], starts: list[str]
) -> None:
    reached = {name for start in starts for name in (start, *graph) if reaches(graph, start, name)}
    has_cycle = any(reaches(graph, target, one) for one in reached for target in graph.get(one, ()))
    asked: list[str] = []

    def edges(name: str) -> list[str]:
        asked.append(name)
        return graph.get(name, [])

    cycle = dependencies.cycle_from(starts, edges)

    assert (cycle is not None) == has_cycle
    assert len(asked) == len(set(asked))
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert set(cycle) <= reached
