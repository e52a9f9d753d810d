"""Evidence of a completion, judged: what the server itself could see, and what it has only been told.

A result is `verified` when the commit exists, holds what was claimed, was made in this attempt, touched only what its
agent had leased by then and nobody else has been given since, and the checks that were named are reported as passed
by somebody else than the agent. Everything that is not so is a problem, worded for the agent that can mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from conductor.domain import errors, globs, paths
from conductor.domain.errors import NextStep
from conductor.domain.locks import TOKEN_STEP, Lease
from conductor.domain.tasks import Evidence, Task

MOST_FILES = 1_000
"""Files of a commit that are looked at: what evidence may name; more is no piece of work that anybody can check."""

SKEW = timedelta(seconds=60)
"""By so much the clocks of who commits and of the server may differ. git keeps whole seconds."""

MOST_EFFORT = 50_000
"""Comparisons of a pattern with a path that one completion may cost, dear patterns counted as more: about 50 ms.

What is not compared any more counts as not covered. Honest work needs a few thousand.
"""

SHOWN = 5
"""Names told of each kind of problem; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as the server sees it. files: what it touches, against its first parent; is_whole: all of them."""

    id: str
    files: tuple[str, ...]
    is_whole: bool
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """What the daemon saw of the commit that a completion names.

    commit: None when there is none of this name. why: the reason why it could not look.
    """

    commit: Commit | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A check's result on a commit, as a service or a person reported it."""

    name: str
    passed: bool
    details: str | None
    reported_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease that was granted, as it is held or as the log of events tells it. paths: canonical patterns."""

    agent_id: str
    paths: tuple[str, ...]
    is_exclusive: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What a completion is judged by.

    sight: None when the server knows no repository. began_at: of the attempt. held: live leases of the agent. log:
    gives the grants in the project since the attempt began, in order, everybody's; asked only when `held` is not
    enough. checks: reports on the commit, by name.
    """

    agent_id: str
    sight: Sight | None
    began_at: datetime
    held: Sequence[Granted]
    log: Callable[[], Sequence[Granted]]
    checks: Mapping[str, Check]
    fold_case: bool = False


def problems(task: Task, evidence: Evidence | None, known: Known) -> tuple[str, ...]:
    """Say all that keeps a completion from being verified; nothing: it is."""
    if evidence is None or evidence.commit is None:
        return ("No commit is named: commit your work and give its id as evidence.commit.",)
    if known.sight is None:
        return ("The server knows no repository of this project: a person must set root_path with update_project.",)
    commit = known.sight.commit
    if known.sight.why is not None:
        return (f"The commit could not be looked at: {known.sight.why}.",)
    if commit is None:
        return (
            f"{evidence.commit} is no commit of the project's repository: commit (and push) there, and give the "
            "commit's id.",
        )
    wrong = _wrong_commit(commit, known.began_at)
    if wrong is not None:
        # Whatever else is missing is so because it is the wrong one.
        return (wrong,)
    touched = [spelt(path, fold_case=known.fold_case) for path in commit.files]
    effort = _Effort()
    told = [
        *_of_the_leases(touched, commit, known, effort),
        *_of_the_files(evidence, touched, effort),
        *_of_the_checks(task, evidence, known.checks),
    ]
    return tuple(told)


def spelt(path: str, *, fold_case: bool) -> str:
    """Spell a path as git has it the way leases are spelt; one that nobody could lease stays as it is."""
    try:
        return paths.canonical(path, fold_case=fold_case)
    except errors.PathInvalid:
        return path


def uncovered(touched: Sequence[str], commit: Commit, known: Known, effort: _Effort | None = None) -> list[str]:
    """List the touched paths that the agent had not leased when it committed, or that another was given since.

    A path is covered by an exclusive lease that is live now and was granted before the commit; or by one granted
    within the attempt and before the commit, also when it was released since, as long as nobody else has been granted
    a lease on the path after it.
    """
    effort = effort or _Effort()
    latest = commit.committed_at + SKEW
    in_time = [path for lease in known.held if lease.is_exclusive and lease.at <= latest for path in lease.paths]
    left = set(touched) - _taken(in_time, set(touched), effort)
    if not left:
        return []
    open_still = set(left)
    # From the newest grant backwards: for each path only the last grant on it counts.
    for grant in reversed(known.log()):
        is_own = grant.agent_id == known.agent_id
        if is_own and not (grant.is_exclusive and grant.at <= latest):
            continue
        if effort.is_spent or not open_still:
            break
        reached = _taken(grant.paths, open_still, effort)
        open_still -= reached
        # What was not compared to the end must not pass for the agent's.
        if is_own and not effort.is_spent:
            left -= reached
    return [path for path in touched if path in left]


def granted_at(lease: Lease) -> datetime:
    """Tell since when a lease has been as it is: whenever paths are added its token is new, and tells the time."""
    return max(lease.acquired_at, datetime.fromtimestamp(lease.token // TOKEN_STEP, UTC))


def checks_named(task: Task, evidence: Evidence) -> list[str]:
    """List the checks that must have passed: those that the agent names and those that the task asks for."""
    return list(dict.fromkeys((*evidence.checks, *(set(task.evidence_required) - {"commit", "files"}))))


def require_none(task: Task, found: Sequence[str]) -> None:
    """Refuse a completion with problems, for projects that require verification.

    Raises EvidenceMissing naming every problem and what to do.
    """
    if found:
        raise errors.EvidenceMissing(
            f"This project takes only results that the server could verify; {task.id} is still yours. "
            f"{' '.join(found)} Then complete it again.",
            facts={"task_id": task.id, "problems": list(found)},
            next=[NextStep("list_locks", {}, "see what you have leased")],
        )


class _Effort:
    """What a completion may still cost: it is judged while others wait for the same host."""

    def __init__(self) -> None:
        self._left = MOST_EFFORT

    @property
    def is_spent(self) -> bool:
        return self._left < 0

    def spend(self, cost: int) -> bool:
        """Take a part of it; False: nothing is left."""
        self._left -= cost
        return self._left >= 0


def _taken(patterns: Iterable[str], wanted: Set[str], effort: _Effort) -> set[str]:
    """Give those of the paths that the patterns take: names by lookup, the rest one by one as long as it lasts."""
    found: set[str] = set()
    for text in dict.fromkeys(patterns):
        if not paths.is_pattern(text):
            if text in wanted:
                found.add(text)
            continue
        pattern, cost = globs.parse(text), 1 + paths.weight(text)
        for path in wanted:
            if not effort.spend(cost):
                return found
            if pattern.matches(path):
                found.add(path)
    return found


def _wrong_commit(commit: Commit, began_at: datetime) -> str | None:
    """Tell why a commit can by itself not be the attempt's work; None: it can."""
    if commit.committed_at + SKEW < began_at:
        return (
            f"Commit {commit.id[:12]} was made at {commit.committed_at:%Y-%m-%d %H:%M:%SZ}, before this attempt began: "
            "name the commit of this attempt's work."
        )
    if not commit.files:
        return f"Commit {commit.id[:12]} touches no file: name the commit that holds the work."
    if not commit.is_whole:
        return f"Commit {commit.id[:12]} touches more files than can be checked ({MOST_FILES:,}): split it."
    return None


def _of_the_files(evidence: Evidence, touched: Sequence[str], effort: _Effort) -> list[str]:
    names = set(touched)
    absent = [claimed for claimed in evidence.files if not _taken([claimed], names, effort)]
    if not absent:
        return []
    return [f"The commit does not touch {_few(absent)}: commit that too, or leave it out of evidence.files."]


def _of_the_leases(touched: Sequence[str], commit: Commit, known: Known, effort: _Effort) -> list[str]:
    missing = uncovered(touched, commit, known, effort)
    if not missing:
        return []
    return [
        f"The commit touches {_few(missing)}, which you had not leased when you committed: lease it with acquire_lock, "
        "see that nobody changed it, and commit anew (git commit --amend)."
    ]


def _of_the_checks(task: Task, evidence: Evidence, reported: Mapping[str, Check]) -> list[str]:
    named = checks_named(task, evidence)
    failed = [name for name in named if name in reported and not reported[name].passed]
    silent = [name for name in named if name not in reported]
    told = []
    if failed:
        told.append(f"Reported as failed for this commit: {_few(failed)}: mend it and name the new commit.")
    if silent:
        told.append(
            f"Nobody has reported for this commit: {_few(silent)}: wait until CI or a person has (report_check)."
        )
    return told


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(paths.shown(name) for name in names[:SHOWN]) + more
