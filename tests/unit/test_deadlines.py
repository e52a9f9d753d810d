"""Deadlines against looking at all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from conductor.domain.deadlines import Deadlines

START = datetime(2026, 11, 24, 12, tzinfo=UTC)

keys = st.sampled_from("abcdef")
moments = st.integers(0, 12).map(lambda seconds: START + timedelta(seconds=seconds))


class AgainstAList(RuleBasedStateMachine):
    """Whatever is set, moved and dropped, the answers are those of a list that is sorted anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines = Deadlines()
        self.kept: dict[str, datetime] = {}

    @rule(key=keys, at=moments)
    def set(self, key: str, at: datetime) -> None:
        self.deadlines.set(key, at)
        self.kept[key] = at

    @rule(key=keys)
    def drop(self, key: str) -> None:
        self.deadlines.drop(key)
        self.kept.pop(key, None)

    @rule(key=keys, times=st.integers(20, 90))
    def move_often(self, key: str, times: int) -> None:
        for number in range(times):
            self.set(key, START + timedelta(seconds=number % 13))

    @rule(now=moments)
    def what_is_due_is_told_the_earliest_first(self, now: datetime) -> None:
        expected = [key for at, key in sorted((at, key) for key, at in self.kept.items()) if at <= now]

        assert self.deadlines.due(now) == expected

    @invariant()
    def the_nearest_is_the_nearest(self) -> None:
        assert self.deadlines.next() == min(self.kept.values(), default=None)


AgainstAList.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAgainstAList = AgainstAList.TestCase


def test_moving_a_deadline_for_ever_takes_no_more_room() -> None:
    deadlines = Deadlines()

    for number in range(10_000):
        deadlines.set(f"key {number % 3}", START + timedelta(seconds=number))

    assert len(deadlines._heap) <= 64 + 4 * 3
    assert deadlines.next() == START + timedelta(seconds=9_997)


def test_what_is_due_stays_until_it_is_dropped_or_moved() -> None:
    deadlines = Deadlines()
    deadlines.set("a", START)
    deadlines.set("b", START)

    assert deadlines.due(START) == deadlines.due(START) == ["a", "b"]

    deadlines.drop("a")
    deadlines.set("b", START + timedelta(seconds=1))
    assert deadlines.due(START) == []
