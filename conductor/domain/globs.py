"""Could two patterns ever mean the same path? Decided exactly, also for files that do not exist yet.

A lease is granted on this answer, so it errs to neither side: a missed overlap lets two agents edit one file, a false
one makes an agent wait for nothing. The meaning is that of OPERATIONS.md, "Locks". A pattern is a row of tokens, each
taking one segment, with `**` as a loop between them; a segment is the same again with characters and `*`. Both levels
are decided by one walk along the first pattern with the set of places reached in the second kept as bits of an int.
Every non-empty text without `/` counts as a possible name of a file, also `.` and `.git`, which no file has.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

MAX_COVER_STEPS = 20_000
"""Characters read and situations compared before covers() answers no: ordinary path rules need a few hundred.

The exact answer can need exponentially many. This many take about 5 ms, 70 ms when the patterns are of the longest.
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """One token of a pattern: a name, a name with wildcards, or DEEP, which takes zero or more segments.

    text: `*` inside any other text than `**` is never doubled. parts: the text between its stars, () when it has none
    or has a `?`.
    """

    text: str
    is_literal: bool = field(compare=False)
    parts: tuple[str, ...] = field(compare=False, default=())


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed canonical path or pattern; equal when the text is.

    segments: with a loop at the end for `a/` (`a`, DEEP) and for `a/**` (`a`, `*`, DEEP: one or more); () for a path,
    whose text is enough. loops: the places of DEEP as bits. folder: the leading segments without wildcards; each path
    of the pattern is this or below. head, tail: how each path of the pattern begins and ends.
    """

    text: str
    is_literal: bool = field(compare=False)
    segments: tuple[Segment, ...] = field(compare=False, repr=False)
    loops: int = field(compare=False, repr=False)
    folder: str = field(compare=False, repr=False)
    head: str = field(compare=False, repr=False)
    tail: str = field(compare=False, repr=False)

    def matches(self, path: str) -> bool:
        """Say whether a path (canonical, never a pattern: `*` in it is a character) is one of this pattern's."""
        if self.is_literal:
            return self.text == path
        if not (path.startswith(self.head) and path.endswith(self.tail)):
            return False
        names, tokens, loops = path.split("/"), self.segments, self.loops
        if loops & (loops - 1):
            return _walk(names, self)
        if not loops:
            return len(names) == len(tokens) and all(map(_meets, names, tokens))
        # With one loop each other token has its name at a fixed place from the front or from the end.
        front = loops.bit_length() - 1
        behind = len(names) - (len(tokens) - front - 1)
        return (
            behind >= front
            and all(map(_meets, names[behind:], tokens[front + 1 :]))
            and all(map(_meets, names[:front], tokens))
        )

    def __reduce__(self) -> tuple[Callable[[str], Pattern], tuple[str]]:
        # DEEP is told by identity, which a copy from another process would not have.
        return parse, (self.text,)


_HEAD = re.compile(r"[^*?]*")

DEEP = Segment(text="**", is_literal=False)


@lru_cache(maxsize=16_384)
def parse(text: str) -> Pattern:
    """Read a canonical text (paths.canonical) as a pattern; remembered, for the same patterns come again and again."""
    if "*" not in text and "?" not in text and not text.endswith("/"):
        return Pattern(text, is_literal=True, segments=(), loops=0, folder=text, head=text, tail=text)
    body = text.removesuffix("/")
    segments = [_segment(given) for given in body.split("/")]
    if segments[-1] is DEEP:
        segments.insert(-1, _segment("*"))
    elif body != text:
        segments.append(DEEP)
    loops = sum(1 << place for place, segment in enumerate(segments) if segment is DEEP)
    fixed = next(place for place, segment in enumerate(segments) if not segment.is_literal)
    return Pattern(
        text,
        is_literal=False,
        segments=tuple(segments),
        loops=loops,
        folder="/".join(segment.text for segment in segments[:fixed]),
        head=_HEAD.match(body)[0],  # type: ignore[index]  # The expression matches every text.
        tail="" if segments[-1] is DEEP else _tail(body),
    )


def overlapping(a: Pattern, b: Pattern) -> bool:
    """Say whether some path matches both: exact, and quadratic at worst in the number of segments."""
    if a.is_literal:
        return b.matches(a.text)
    if b.is_literal:
        return a.matches(b.text)
    if not (a.head.startswith(b.head) or b.head.startswith(a.head)):
        return False
    if not (a.tail.endswith(b.tail) or b.tail.endswith(a.tail)):
        return False
    return _walk(a.segments, b)


def _walk(steps: Sequence[str] | Sequence[Segment], pattern: Pattern) -> bool:
    """Take the steps (a path's names or a pattern's tokens) one by one; keep the places reached in the pattern."""
    tokens, loops, end = pattern.segments, pattern.loops, 1 << len(pattern.segments)
    reached = 1 | (loops & 1) << 1
    for step in steps:
        if step is DEEP:
            # Any number of any segments: each place from the first reached one on can be reached.
            reached = (end << 1) - (reached & -reached)
            continue
        staying = reached & loops
        waiting, reached = reached & ~loops & ~end, staying
        while waiting:
            place = waiting & -waiting
            waiting ^= place
            if _meets(step, tokens[place.bit_length() - 1]):
                reached |= place << 1
        if not reached:
            return False
        reached |= (reached & loops) << 1
    return reached & end != 0


def _meets(step: str | Segment, token: Segment) -> bool:
    """Say whether a name, or some name of a token, is one of another token's; neither is DEEP."""
    if isinstance(step, Segment):
        if step.text == token.text:
            return True
        if not step.is_literal:
            return _is_name(token.text, step) if token.is_literal else _share_a_name(step, token)
        step = step.text
    return step == token.text if token.is_literal else _is_name(step, token)


def _is_name(name: str, token: Segment) -> bool:
    """Say whether a name is one of a token with wildcards."""
    if not token.parts:
        return _passes(name, token.text, wild=False)
    first, last = token.parts[0], token.parts[-1]
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in token.parts[1:-1]:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


@lru_cache(maxsize=4096)
def _share_a_name(a: Segment, b: Segment) -> bool:
    return _passes(a.text, b.text, wild=True)


def _passes(text: str, token: str, *, wild: bool) -> bool:
    """Walk along the characters of a text, `*` and `?` in it being wildcards or not, through a token's places."""
    takes, anything, stars = _places(token)
    end = 1 << len(token)
    reached = 1 | (stars & 1) << 1
    for character in text:
        if wild and character == "*":
            reached = (end << 1) - (reached & -reached)
            continue
        if wild and character == "?":
            reached = (reached & ~end) << 1 | reached & stars
        else:
            reached = (reached & takes.get(character, anything)) << 1 | reached & stars
        if not reached:
            return False
        reached |= (reached & stars) << 1
    return reached & end != 0


@lru_cache(maxsize=1024)
def _places(token: str) -> tuple[Mapping[str, int], int, int]:
    """Give the places of a token as bits: per character those that pass on it (itself or `?`), the `?`, the `*`.

    A place is one character of the token, and the place after the last one is the end.
    """
    anything = sum(1 << place for place, character in enumerate(token) if character == "?")
    stars = sum(1 << place for place, character in enumerate(token) if character == "*")
    takes: dict[str, int] = {}
    for place, character in enumerate(token):
        if character not in "*?":
            takes[character] = takes.get(character, anything) | 1 << place
    return takes, anything, stars


@lru_cache(maxsize=4096)
def _segment(text: str) -> Segment:
    if text == DEEP.text:
        return DEEP
    is_literal = "*" not in text and "?" not in text
    return Segment(text, is_literal, parts=() if is_literal or "?" in text else tuple(text.split("*")))


def _tail(body: str) -> str:
    last = max(body.rfind("*"), body.rfind("?"))
    tail = body[last + 1 :]
    # `**` may take no segment at all, and then no `/` comes before what follows.
    return tail.removeprefix("/") if body[: last + 1].endswith("**") else tail


def covers(outer: Sequence[Pattern], inner: Pattern) -> bool:
    """Say whether every path of inner matches one of outer, also when only several of them do so together.

    For rules such as "this agent may touch only ...". Exact, except that beyond MAX_COVER_STEPS the answer is no: a
    permission is then refused that an endless search might have given, never the other way.
    """
    if inner.is_literal:
        return any(pattern.matches(inner.text) for pattern in outer)
    near = [pattern for pattern in outer if overlapping(pattern, inner)]
    if any(pattern.text in {inner.text, DEEP.text} for pattern in near):
        return True
    return bool(near) and _Automaton([inner, *near]).first_covers()


class _Automaton:
    """Several patterns as one machine that reads a path character by character, all its states the bits of one int.

    A state goes to the next one on its character (takes; "" stands for all that no pattern names), or on any but `/`
    (anything); stays on any but `/` (loops); goes back one on `/` (back); is left without reading to the next (skip1)
    or the one after it (skip2).
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.takes: dict[str, int] = {"": 0, "/": 0}
        self.anything = self.loops = self.back = self.skip1 = self.skip2 = 0
        self.states = 0
        starts, ends = [], []
        for pattern in patterns:
            starts.append(1 << self.states)
            ends.append(self._add(pattern))
        self.start = self._rested(sum(starts))
        self.first = starts[1] - 1
        self.first_end, self.other_ends = ends[0], sum(ends[1:])

    def first_covers(self) -> bool:
        """Say whether every path of the first pattern is one of the others'.

        A situation is one state of the first pattern with the set of states that the others can be in after the same
        characters. A path is uncovered when the first is at its end and no other is, or when no other is left, for each
        state leads to an end. A situation in which the others have all the states of one seen before shows nothing new.
        """
        seen: dict[int, list[int]] = {}
        waiting = deque(self._situations(self.start))
        steps = 0
        while waiting:
            own, others = waiting.popleft()
            known = seen.setdefault(own, [])
            steps += len(known)
            if any(less & others == less for less in known):
                continue
            if not others or (own & self.first_end and not others & self.other_ends) or steps > MAX_COVER_STEPS:
                return False
            known.append(others)
            # "" comes first: a character that no pattern names leaves the fewest states, which settle most others.
            for character, taking in self.takes.items():
                if taking & (own | others) or character in {"", "/"}:
                    steps += 1
                    waiting.extend(self._situations(self._read(own | others, character)))
        return True

    def _situations(self, state: int) -> Iterator[tuple[int, int]]:
        own, others = state & self.first, state & ~self.first
        while own:
            one = own & -own
            own ^= one
            yield one, others

    def _read(self, state: int, character: str) -> int:
        if character == "/":
            return self._rested((state & self.takes["/"]) << 1 | (state & self.back) >> 1)
        return self._rested((state & (self.takes[character] | self.anything)) << 1 | state & self.loops)

    def _rested(self, state: int) -> int:
        state |= (state & self.skip2) << 2
        return state | (state & self.skip1) << 1

    def _add(self, pattern: Pattern) -> int:
        """Append a pattern's states; return its ends."""
        *front, last = pattern.segments or map(_segment, pattern.text.split("/"))
        for segment in front:
            if segment is DEEP:
                # Any number of times a name and `/`, or at once what follows.
                self.skip2 |= 1 << self.states
                self.back |= self._any_name()
            else:
                self._name(segment)
                self.takes["/"] |= self._new()
        if last is not DEEP:
            self._name(last)
            return self._new()
        # The `/` just made may also be the end: the folder itself, then any number of times `/` and a name.
        folder = 1 << self.states - 1
        name = self._any_name()
        self.back |= name
        return folder | name

    def _name(self, segment: Segment) -> None:
        if segment.text == "*":
            self.skip1 |= self._any_name()
            return
        for character in segment.text:
            state = self._new()
            if character == "*":
                self.loops |= state
                self.skip1 |= state
            elif character == "?":
                self.anything |= state
            else:
                self.takes[character] = self.takes.get(character, 0) | state

    def _any_name(self) -> int:
        """Append the two states of a name, which is never empty; return the one after its first character."""
        self.anything |= self._new()
        name = self._new()
        self.loops |= name
        return name

    def _new(self) -> int:
        self.states += 1
        return 1 << self.states - 1
