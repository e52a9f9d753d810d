"""The gates where somebody works: before a commit, at its message, before a push.

They tell an agent early what the receiving gate would refuse late. An agent that cannot ask is not let through;
a person is, with a word about it: people are kept off leases where their commits arrive.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from conductor import home
from conductor.cli.gate import asker, references, set_up, trailer, wording
from conductor.cli.gate.asking import Questions
from conductor.cli.gate.git import Git, text
from conductor.cli.gate.judging import BATCH, Changes, Standing, batches, leasable
from conductor.cli.quick import identity, offline
from conductor.domain import errors

_UNANSWERED = (errors.Unavailable, errors.Internal)

_ANSWER_S = 1.5
"""A person or an agent waits for the gate: it closes within two seconds."""


@dataclass(frozen=True)
class Place:
    """The repository in which a gate runs. agent: the name that its option gave."""

    git: Git
    environ: Mapping[str, str]
    agent: str | None

    @cached_property
    def settings(self) -> dict[str, str]:
        return self.git.settings()

    @cached_property
    def surroundings(self) -> dict[str, str]:
        said = asker.surroundings(self.environ, self.settings, self.agent)
        if not asker.is_agent(said) and not self.is_said and set_up.is_marked(said):
            return asker.surroundings(self.environ, self.settings, set_up.agent(said, self.git.folder()))
        return said

    @property
    def is_said(self) -> bool:
        """Whether the environment says who works here; a name that is empty says: a person."""
        return "CONDUCTOR_AGENT" in self.environ or bool(self.environ.get("CONDUCTOR_TOKEN", "").strip())

    @property
    def is_agents(self) -> bool:
        return asker.is_agent(self.surroundings)

    @property
    def is_free(self) -> bool:
        """Whether nobody asks what people commit here."""
        return not self.is_agents and self.settings.get("people", "check") == "allow"

    @contextlib.contextmanager
    def questions(self) -> Iterator[Questions]:
        """What can be asked here; what the daemon tells beside its answers is shown."""
        project = None if self.is_agents else set_up.project(self.git.folder(), self.git.common_folder())
        asked = Questions(asker.local(self.surroundings, self.settings, project), _ANSWER_S)
        try:
            yield asked
        finally:
            for notice in asked.notices:
                sys.stderr.write(f"conductor: {wording.clean(notice)}\n")


def pre_commit(place: Place) -> int:
    """Refuse what is staged without the leases for it."""
    staged = place.git.staged() if not place.is_free else ()
    if not staged:
        return 0
    own = _whose(place, staged)
    if own is not place:
        sys.stderr.write(
            f"conductor: this commit counts as {own.agent}'s, who leases part of it in this checkout; if it is yours "
            "say so: CONDUCTOR_AGENT= git commit …\n"
        )
    changes = Changes()
    changes.add(Standing(is_person=not own.is_agents), staged)
    return _judged(own, changes, "commit")


def commit_msg(place: Place, file: str) -> int:
    """Write the leases that cover what is committed into the message, where they travel with the commit."""
    place = _whose(place, place.git.staged())
    if not place.is_agents:
        return 0
    # An amended commit holds also what the former one did, and its new message may have lost the former's trailers.
    touched = sorted({leasable(path) for path in (*place.git.staged(), *place.git.unpublished_head())})
    if not touched:
        return 0
    try:
        with place.questions() as asked:
            replies = [asked.check_paths(paths=list(batch), intent="commit") for batch in batches(touched, BATCH)]
        fences = _fences(replies)
    except errors.ConductorError as error:
        return _unasked(place, error, "commit", touched)
    message = Path(file)
    try:
        former = message.read_bytes()
        changed = trailer.add(text(former), fences, place.git.comment_character()).encode("utf-8", "surrogateescape")
        if changed != former:
            message.write_bytes(changed)
    except OSError as wrong:
        raise errors.Invalid(f"The message {file} cannot be written ({wrong.strerror}).") from None
    return 0


def pre_push(place: Place, remote: str, given: bytes) -> int:
    """Refuse commits whose leases have been passed by, before they leave."""
    heads = [move.new for move in references.pushed(given) if move.new is not None]
    if place.is_free or not heads:
        return 0
    olds = [move.old for move in references.pushed(given) if move.old is not None and place.git.is_there(move.old)]
    commits = place.git.new_commits(heads, held=[place.git.tracking(remote), *olds])
    mail = place.git.committer_mail()
    # What others committed was judged where they pushed it, or is when it arrives.
    own = [commit for commit in commits if mail in {said.lower() for said in commit.people}]
    touched = place.git.touched([commit.id for commit in own])
    changes = Changes()
    for commit in own:
        standing = Standing(commit.fences, is_person=not place.is_agents and not commit.fences)
        changes.add(standing, touched.get(commit.id, ()), commit.id)
    return _judged(place, changes, "push")


def _whose(place: Place, staged: Sequence[str]) -> Place:
    """The place as that of its own agent, where nothing says who commits and that agent leases what is staged.

    Some clients hand no name on to their commands. What such an agent leases it works on here, so the commit of it is
    its own and carries its leases; what it does not lease people go on to commit as their own.
    """
    if place.is_agents or place.is_free or place.is_said or set_up.is_marked(place.environ):
        return place
    touched = sorted({leasable(path) for path in staged})
    for name in set_up.nameless(place.git.folder()):
        agents = replace(place, agent=name)
        try:
            with agents.questions() as asked:
                for batch in batches(touched, BATCH):
                    if _fences([asked.check_paths(paths=list(batch), intent="commit")]):
                        return agents
        except _UNANSWERED:
            return place
        except errors.ConductorError:
            # Its token is gone, or is none of this daemon's: then it leases nothing that could be known here.
            continue
    return place


def _fences(replies: Sequence[Mapping[str, Any]]) -> set[trailer.Fence]:
    try:
        return {
            trailer.Fence(str(lock["id"]), int(lock["token"]))
            for reply in replies
            for lock in reply["locks"]
            if lock.get("mode") != "shared"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise errors.Unavailable("What answers is no Conductor daemon that knows check_paths.") from None


def _judged(place: Place, changes: Changes, what: str) -> int:
    try:
        with place.questions() as asked:
            found = changes.refused(asked.check_paths)
    except errors.ConductorError as error:
        return _unasked(place, error, what, changes.paths())
    if found:
        sys.stderr.write(wording.refused(what, found))
    return errors.LockHeld.exit_code if found else 0


def _unasked(place: Place, error: errors.ConductorError, what: str, touched: Sequence[str]) -> int:
    """Decide when nobody can be asked."""
    if not place.is_agents:
        sys.stderr.write(f"conductor: this {what} was not checked: {error.message}\n")
        return 0
    if isinstance(error, _UNANSWERED) and offline.is_open(place.environ):
        try:
            caller = identity.Identity("", identity.token_of(place.surroundings))
            offline.keep(home.Home.locate(place.environ), caller.key, f"git {what}", touched, error.message)
        except OSError as wrong:
            sys.stderr.write(f"conductor: what passes offline cannot be recorded ({wrong.strerror}): ")
        else:
            return 0
    sys.stderr.write(f"conductor: this {what} is refused, as it cannot be checked: {error.message}\n")
    return error.exit_code
