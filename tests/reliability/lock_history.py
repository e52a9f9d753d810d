"""What clients saw of locks, and a checker that finds in it every way in which a lock service can fail.

All times are seconds on the clock that clients and daemon share. A client knows for sure only this: it held a lease
from the moment the grant reached it until it sent the release, or until the `expires_at` that it was told. Where such
certain times contradict each other, the daemon was wrong, whatever happened on the way. Knows nothing of the product's
own rules on paths: a pattern is the set of files, of a small given tree, that it stands for.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

CLOCK_S = 0.05
"""Two processes read the clock: so far apart their readings may be."""

STUCK_S = 1.0
"""A lease may outlive its end so long while the daemon runs."""

GRACE_S = 15.0
"""A lease that had not ended when the daemon stopped lives at least so long after the start."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as its holder was told. ttl_s: as asked. files: all that its patterns stand for."""

    sent: float
    answered: float
    agent: str
    lock_id: str
    token: int
    is_exclusive: bool
    files: frozenset[str]
    ttl_s: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Release:
    """A lease given back. was_held: the daemon said that it ended it by this."""

    sent: float
    answered: float
    lock_id: str
    was_held: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """Leases that the daemon said were live: all of them (a list), or those in the way of a refused request."""

    sent: float
    answered: float
    lock_ids: frozenset[str]
    is_all: bool


@dataclass
class History:
    """Everything that was seen.

    contacts: when each call of an agent was sent and answered. starts: when something was killed, and when after it
    the daemon was seen to serve again.
    """

    grants: list[Grant] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    contacts: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    starts: list[tuple[float, float]] = field(default_factory=list)


def violations(history: History) -> list[str]:
    """Name everything that must not have happened."""
    spans = list(_certain(history))
    return [
        *_shared_what_is_exclusive(spans),
        *_tokens_that_repeat_or_fall(history.grants),
        *_lost(history, spans),
        *_short(history.grants),
        *_stuck(history),
    ]


@dataclass(frozen=True, slots=True)
class _Span:
    """A time for which a grant was certainly held."""

    grant: Grant
    begin: float
    end: float


def _certain(history: History) -> Iterator[_Span]:
    released = _first_release(history)
    for grant in history.grants:
        given_back = released.get(grant.lock_id)
        end = grant.expires_at - CLOCK_S if given_back is None else min(grant.expires_at - CLOCK_S, given_back.sent)
        if end > grant.answered:
            yield _Span(grant, grant.answered, end)


def _shared_what_is_exclusive(spans: Sequence[_Span]) -> Iterator[str]:
    live: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        live = [other for other in live if other.end > span.begin]
        for other in live:
            mine, theirs = span.grant, other.grant
            is_apart = mine.agent == theirs.agent or not (mine.is_exclusive or theirs.is_exclusive)
            if not is_apart and (both := mine.files & theirs.files):
                yield (
                    f"exclusion: {theirs.lock_id} of {theirs.agent} and {mine.lock_id} of {mine.agent} were both live "
                    f"at {span.begin:.3f} on {sorted(both)[0]}"
                )
        live.append(span)


def _tokens_that_repeat_or_fall(grants: Sequence[Grant]) -> Iterator[str]:
    owner: dict[int, tuple[str, frozenset[str]]] = {}
    answered: list[tuple[float, int]] = []
    for grant in sorted(grants, key=lambda grant: grant.sent):
        what = (grant.lock_id, grant.files)
        is_new = grant.token not in owner
        if not is_new and owner[grant.token] != what:
            yield f"token: {grant.token} stands for {owner[grant.token][0]} and for {grant.lock_id}, or for other paths"
        owner.setdefault(grant.token, what)
        before = [token for at, token in answered if at < grant.sent]
        if is_new and before and grant.token <= max(before):
            yield f"token: {grant.token} of {grant.lock_id} is not above {max(before)}, which was given before"
        answered.append((grant.answered, grant.token))


def _lost(history: History, spans: Sequence[_Span]) -> Iterator[str]:
    """A lease that its holder had for certain was not there: a grant that was lost, or that ended early."""
    for sighting, span in itertools.product((one for one in history.sightings if one.is_all), spans):
        is_there = span.grant.lock_id in sighting.lock_ids
        if not is_there and span.begin <= sighting.sent and sighting.answered <= span.end:
            yield f"lost: {span.grant.lock_id} of {span.grant.agent} is not listed at {sighting.answered:.3f}"
    until = _told_until(history.grants)
    for release in _first_release(history).values():
        if not release.was_held and release.answered < until.get(release.lock_id, 0.0) - CLOCK_S:
            yield f"lost: {release.lock_id} had ended at {release.answered:.3f}, before its time"


def _short(grants: Sequence[Grant]) -> Iterator[str]:
    """A grant was told an end before the time that it asked for."""
    for grant in grants:
        if grant.expires_at < grant.sent + grant.ttl_s - CLOCK_S:
            told_s = grant.expires_at - grant.sent
            yield f"short: {grant.lock_id} asked for {grant.ttl_s:g} s and was told {told_s:.1f} s"


def _stuck(history: History) -> Iterator[str]:
    """A lease was in force after its end."""
    released = _first_release(history)
    holders = {grant.lock_id: grant.agent for grant in history.grants}
    ttl_s: dict[str, float] = defaultdict(float)
    for grant in history.grants:
        ttl_s[grant.lock_id] = max(ttl_s[grant.lock_id], grant.ttl_s)
    told = _told_until(history.grants)
    for sighting in history.sightings:
        for lock_id in sighting.lock_ids & holders.keys():
            given_back = released.get(lock_id)
            if given_back is not None and given_back.was_held and given_back.answered < sighting.sent:
                yield f"stuck: {lock_id} was released at {given_back.answered:.3f} and in force at {sighting.sent:.3f}"
                continue
            # Whatever an agent calls renews all that it holds; nobody knows which of its calls was written.
            calls = [call for call in history.contacts.get(holders[lock_id], ()) if call[0] <= sighting.answered]
            heard = max((min(answered, sighting.answered) for _, answered in calls), default=0.0)
            alive = max(told[lock_id], heard + ttl_s[lock_id])
            started = [
                min(served, sighting.answered) for killed, served in history.starts if killed < sighting.answered
            ]
            until = max([alive, *(at + GRACE_S for at in started)])
            if sighting.sent > until + STUCK_S:
                yield f"stuck: {lock_id} ended at {until:.3f} at the latest and was in force at {sighting.sent:.3f}"


def _told_until(grants: Sequence[Grant]) -> dict[str, float]:
    """The last `expires_at` that was told of each lease."""
    until: dict[str, float] = {}
    for grant in grants:
        until[grant.lock_id] = max(until.get(grant.lock_id, 0.0), grant.expires_at)
    return until


def _first_release(history: History) -> dict[str, Release]:
    first: dict[str, Release] = {}
    for release in sorted(history.releases, key=lambda release: release.sent):
        first.setdefault(release.lock_id, release)
    return first
