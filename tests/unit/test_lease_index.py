"""The index against asking every held pattern."""

from __future__ import annotations

import time
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import globs, paths
from conductor.domain.lease_index import LeaseIndex

segments = st.one_of(
    st.sampled_from(["src", "app", "a.py", "b.py", "a.ts"]), st.sampled_from(["**", "*", "*.py", "a*", "?.ts"])
)
patterns = st.builds(
    lambda parts, folder: globs.parse(paths.canonical("/".join(parts) + "/" * folder)),
    st.lists(segments, min_size=1, max_size=4),
    st.booleans(),
)
holdings = st.lists(st.tuples(st.integers(0, 5), patterns), max_size=25)


def held(*holds: tuple[str, str]) -> LeaseIndex[str]:
    index = LeaseIndex[str]()
    for key, text in holds:
        index.add(key, globs.parse(text))
    return index


@given(holdings, st.data(), st.lists(patterns, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_the_index_answers_like_asking_every_held_pattern(
    holds: list[tuple[int, globs.Pattern]], data: st.DataObject, asked: list[globs.Pattern]
) -> None:
    index = LeaseIndex[int]()
    for key, pattern in holds:
        index.add(key, pattern)
    left = set(holds)
    for key, pattern in data.draw(st.lists(st.sampled_from(holds), unique=True) if holds else st.just([])):
        index.remove(key, pattern)
        left.remove((key, pattern))

    for pattern in [*asked, *(pattern for _, pattern in holds[:3])]:
        found = index.overlapping(pattern)

        assert len(found) == len(set(found))
        assert set(found) == {key for key, other in left if globs.overlapping(other, pattern)}


@given(holdings)
@settings(max_examples=50, deadline=None)
def test_an_index_from_which_all_is_removed_is_like_a_new_one(holds: list[tuple[int, globs.Pattern]]) -> None:
    index = LeaseIndex[int]()
    for key, pattern in holds:
        index.add(key, pattern)

    for key, pattern in set(holds):
        index.remove(key, pattern)

    for slot in LeaseIndex.__slots__:
        assert not getattr(index, slot)


@pytest.mark.parametrize(
    "text",
    [
        "**",
        "**/*.py",
        "**/src/**",
        "*/src/",
        "web/**",
        "web/",
        "web/*/a*",
        "web/**/src/*",
        "web/src/a.py/",
        "web/s*/**/*.py",
    ],
)
def test_a_glob_is_found_by_a_path_wherever_the_index_keeps_it(text: str) -> None:
    index = held(("lease", text), ("elsewhere", "docs/**"), ("other", "**/*.md"), ("third", "**/docs/**"))

    assert index.overlapping(globs.parse("web/src/a.py")) == ["lease"]


def test_a_key_with_several_overlapping_patterns_is_given_once() -> None:
    index = held(("lease", "src/"), ("lease", "src/a.py"), ("lease", "**/*.py"), ("other", "docs/"))

    assert index.overlapping(globs.parse("src/a.py")) == ["lease"]
    assert index.overlapping(globs.parse("**")) == ["lease", "other"]


def test_a_pattern_held_by_several_keys_gives_them_all() -> None:
    index = held(("first", "src/a.py"), ("second", "src/a.py"), ("third", "src/*.py"), ("fourth", "src/*.py"))

    index.remove("second", globs.parse("src/a.py"))

    assert set(index.overlapping(globs.parse("src/a.py"))) == {"first", "third", "fourth"}


def test_adding_twice_is_adding_once() -> None:
    index = held(("lease", "src/*"), ("lease", "src/*"))

    index.remove("lease", globs.parse("src/*"))

    assert index.overlapping(globs.parse("src/a.py")) == []


@pytest.mark.parametrize("text", ["src/a.py", "src/*.ts", "docs/**", "src/*.py"])
def test_removing_what_is_not_held_is_an_error_of_the_caller(text: str) -> None:
    index = held(("lease", "src/b.py"), ("other", "src/*.py"))

    with pytest.raises(KeyError):
        index.remove("lease", globs.parse(text))


def test_a_single_file_is_found_among_ten_thousand_held_patterns_within_a_millisecond() -> None:
    index = LeaseIndex[int]()
    files = [f"src/mod_{number % 300}/part_{number % 17}/file_{number}.py" for number in range(9_000)]
    rooted = [f"**/*.ext{number}" for number in range(300)] + [f"**/test_{number}_*" for number in range(200)]
    below = [f"src/mod_{number}/**" for number in range(300)] + [f"packages/*/mod_{number}/" for number in range(200)]
    for key, text in enumerate([*files, *rooted, *below]):
        index.add(key, globs.parse(text))

    took_s = []
    for file in files[:500]:
        pattern = globs.parse(file)
        started = time.perf_counter()
        found = index.overlapping(pattern)
        took_s.append(time.perf_counter() - started)
        assert len(found) == 2

    assert median(took_s) < 0.001
