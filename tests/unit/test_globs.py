"""Patterns against two judges that share nothing with them: every path of a small world, and greenery's automata."""

from __future__ import annotations

import fnmatch
import itertools
import pickle
from functools import cache

import greenery
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import globs, paths


def canonical(segments: list[str], folder: bool) -> str:
    return paths.canonical("/".join(segments) + ("/" if folder else ""))


def patterns(names: st.SearchStrategy[str], max_segments: int) -> st.SearchStrategy[str]:
    segment = st.one_of(names, names, st.just("**"))
    return st.builds(canonical, st.lists(segment, min_size=1, max_size=max_segments), st.booleans())


small_patterns = patterns(st.text("ab*?", min_size=1, max_size=2), max_segments=2)
larger_patterns = patterns(st.text("ab*?", min_size=1, max_size=3), max_segments=3)


def every_path(characters: str, longest: int, deepest: int) -> list[str]:
    names = ["".join(name) for size in range(1, longest + 1) for name in itertools.product(characters, repeat=size)]
    return ["/".join(path) for depth in range(1, deepest + 1) for path in itertools.product(names, repeat=depth)]


# Two segments of at most two characters each: whatever two small patterns share, they share one of these.
SMALL_WORLD = every_path("ab", longest=2, deepest=4)
# For covers a third character stands for all that the patterns do not name.
COVER_WORLD = every_path("abz", longest=2, deepest=2) + every_path("abz", longest=1, deepest=5)


def says_the_book(pattern: str, path: str) -> bool:
    """OPERATIONS.md word by word, as slowly as it likes."""
    names = path.split("/")
    if pattern.endswith("/"):
        folder = pattern[:-1].split("/")
        return any(_takes(folder, names[:depth]) for depth in range(1, len(names) + 1))
    return _takes(pattern.split("/"), names)


def _takes(segments: list[str], names: list[str]) -> bool:
    if not segments:
        return not names
    first, rest = segments[0], segments[1:]
    if first == "**":
        return len(names) >= 1 if not rest else any(_takes(rest, names[skip:]) for skip in range(len(names) + 1))
    return bool(names) and _name_takes(first, names[0]) and _takes(rest, names[1:])


@cache
def _name_takes(segment: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, segment)


@cache
def automaton(pattern: str) -> greenery.Fsm:
    """The pattern as a regular expression, for a library that knows nothing of globs."""
    *front, last = pattern.removesuffix("/").split("/")
    expression = "".join("([^/]+/)*" if segment == "**" else _expression(segment) + "/" for segment in front)
    expression += "[^/]+(/[^/]+)*" if last == "**" else _expression(last)
    return greenery.parse(expression + "(/[^/]+)*" * pattern.endswith("/")).to_fsm()


def _expression(segment: str) -> str:
    return "[^/]+" if segment == "*" else segment.replace("?", "[^/]").replace("*", "[^/]*")


@cache
def chosen(pattern: str, world: str) -> frozenset[str]:
    return frozenset(
        path for path in {"small": SMALL_WORLD, "cover": COVER_WORLD}[world] if says_the_book(pattern, path)
    )


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("src/*.py", "src/app.py", True),
        ("src/*.py", "src/.py", True),
        ("src/*.py", "src/x/app.py", False),
        ("src/*", "src/.env", True),
        ("?env", ".env", True),
        ("?", "ab", False),
        ("a?c", "a/c", False),
        ("a*", "a", True),
        ("*", "a", True),
        ("*", "a/b", False),
        ("**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**", "a/x", True),
        ("a/**", "a/x/y", True),
        ("a/", "a", True),
        ("a/", "a/x", True),
        ("a/", "ab", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/yb", False),
        ("**/b", "b", True),
        ("**/*.py", "a.py", True),
        ("a/*/", "a/x/y", True),
        ("a/*/", "a", False),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", False),
        ("app/[id]/*.tsx", "app/[id]/page.tsx", True),
        ("a\\*", "a\\b", True),
        ("a\\*", "a*", False),
        ("{a,b}*", "a", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*ab*ba", "aba", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a*?b*", "ab", False),
        ("a*?b*", "axxb", True),
        ("*a/*/**/c?", "ba/x/y/z/cc", True),
    ],
)
def test_a_pattern_means_what_the_catalogue_says(pattern: str, path: str, expected: bool) -> None:
    assert globs.parse(paths.canonical(pattern)).matches(path) is expected


def test_a_pattern_copied_to_another_process_means_the_same() -> None:
    pattern = globs.parse("a/**/b/**")

    copied = pickle.loads(pickle.dumps(pattern))  # noqa: S301  # Our own bytes.

    assert copied == pattern
    assert copied.matches("a/x/b/y")
    assert globs.overlapping(copied, globs.parse("a/b/**"))


def test_a_star_in_the_name_of_a_file_is_a_character() -> None:
    assert not globs.parse("ab").matches("a*")
    assert not globs.parse("a?c").matches("a*")
    assert globs.parse("a?").matches("a*")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("src/app.py", "src/app.py", True),
        ("src/app.py", "src/App.py", False),
        ("a", "a/b", False),
        ("a/**", "a", False),
        ("a/**", "a/", True),
        ("a/", "a/b/c", True),
        ("a/", "a/b/", True),
        ("a/", "ab/", False),
        ("src/**/*.py", "src/app/**", True),
        ("**/*.py", "**/test_*", True),
        ("**/*.py", "**/*.ts", False),
        ("**/*.p?", "**/*.?s", True),
        ("*a", "b*", True),
        ("a*b", "ab", True),
        ("a?b", "ab", False),
        ("*/*", "**/*/*/*", False),
        ("app/[id]/**", "app/*/page.tsx", True),
        ("app/[id]/**", "app/i/**", False),
    ],
)
def test_two_patterns_conflict_when_some_path_could_match_both(a: str, b: str, expected: bool) -> None:
    assert globs.overlapping(globs.parse(a), globs.parse(b)) is expected
    assert globs.overlapping(globs.parse(b), globs.parse(a)) is expected


@given(small_patterns)
@settings(max_examples=60, deadline=None)
def test_a_pattern_matches_exactly_the_paths_that_the_book_gives_it(pattern: str) -> None:
    parsed = globs.parse(pattern)

    assert {path for path in SMALL_WORLD if parsed.matches(path)} == chosen(pattern, "small")


@given(small_patterns, small_patterns)
@settings(max_examples=150, deadline=None)
def test_overlapping_agrees_with_every_path_of_a_small_world(a: str, b: str) -> None:
    overlap = globs.overlapping(globs.parse(a), globs.parse(b))

    assert overlap == bool(chosen(a, "small") & chosen(b, "small"))


@given(larger_patterns, larger_patterns)
@settings(max_examples=80, deadline=None)
def test_overlapping_agrees_with_an_independent_library(a: str, b: str) -> None:
    overlap = globs.overlapping(globs.parse(a), globs.parse(b))

    assert overlap == (not (automaton(a) & automaton(b)).empty())
    assert overlap == globs.overlapping(globs.parse(b), globs.parse(a))


@given(st.lists(small_patterns, min_size=1, max_size=3), small_patterns)
@settings(max_examples=100, deadline=None)
def test_a_covered_pattern_has_no_path_outside_in_a_small_world(outer: list[str], inner: str) -> None:
    covered = globs.covers([globs.parse(pattern) for pattern in outer], globs.parse(inner))

    within = frozenset().union(*(chosen(pattern, "cover") for pattern in outer))
    assert not covered or chosen(inner, "cover") <= within


@given(st.lists(larger_patterns, min_size=1, max_size=3), larger_patterns, st.sampled_from(["a", "b", "?", "**/"]))
@settings(max_examples=80, deadline=None)
def test_covers_agrees_with_an_independent_library(outer: list[str], inner: str, widened: str) -> None:
    # Two random patterns seldom cover each other: one of the rules is the asked pattern, made a little wider.
    outer = [*outer, paths.canonical(inner.replace(widened, "*"))]

    covered = globs.covers([globs.parse(pattern) for pattern in outer], globs.parse(inner))

    left = automaton(inner)
    for pattern in outer:
        left -= automaton(pattern)
    assert covered == left.empty()


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (["src/"], "src/app.py", True),
        (["src/**"], "src/", False),
        (["src", "src/**"], "src/", True),
        (["src/*", "src/*/**"], "src/**", True),
        (["src/*", "src/*/*", "src/*/*/**"], "src/**", True),
        (["src/*", "src/*/*/**"], "src/**", False),
        (["src/*", "src/*/?/**"], "src/**", False),
        (["a*", "b*"], "?x", False),
        (["?", "??*"], "*", True),
        (["**/*.py"], "src/**/test_*.py", True),
        (["src/**/*.py"], "**/*.py", False),
        (["**"], "docs/", True),
        ([], "a", False),
        ([], "**", False),
    ],
)
def test_rules_cover_a_pattern_also_together(outer: list[str], inner: str, expected: bool) -> None:
    assert globs.covers([globs.parse(pattern) for pattern in outer], globs.parse(inner)) is expected


def test_a_question_too_large_to_settle_is_answered_no() -> None:
    # One rule alone settles it; among many that remember where each letter was, it takes more steps than are allowed.
    settling = globs.parse("*b" + "?" * 20 + "*")
    others = [globs.parse(f"*{letter}" + "?" * 20 + "*") for letter in "acdefghijklmnopqrstuvwxyz"]
    inner = globs.parse("*ab*" + "?" * 20)

    assert globs.covers([settling], inner)
    assert not globs.covers([settling, *others], inner)
