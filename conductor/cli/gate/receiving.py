"""The gate of the server that receives a push: no option of the pusher passes it by.

Judged is each commit that no reference here holds yet, by the leases its message names, else by the agent that its
author or committer is named for, else as a person's. git has put what arrives into quarantine: it is seen here and
nowhere else until this gate has opened.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from conductor.cli.gate import asker, references, wording
from conductor.cli.gate.asking import Questions
from conductor.cli.gate.git import Commit, Git
from conductor.cli.gate.judging import Changes, Standing
from conductor.domain import errors

_ANY_PATH = "README.md"
"""Something to ask about where only the asker matters."""

_ANSWER_S = 10.0
"""Who pushes waits longer than who types, and a push is dearer to repeat."""


def pre_receive(git: Git, environ: Mapping[str, str], given: bytes) -> int:
    """Refuse a push whole when one of its new commits is refused, and when nobody can be asked."""
    heads = [move.new for move in references.received(given) if move.new is not None]
    commits = git.new_commits(heads, held=["--all"])
    settings = git.settings()
    people_are_free = _policy(settings) == "allow"
    if not commits:
        return 0
    questions = Questions(asker.receiving(environ, settings), _ANSWER_S)
    agents = _Agents(questions)
    standings = {commit.id: _standing(commit, agents) for commit in commits}
    judged = [name for name, standing in standings.items() if not (standing.is_person and people_are_free)]
    changes = Changes()
    for name, touched in git.touched(judged).items():
        changes.add(standings[name], touched, name)
    found = changes.refused(questions.check_paths)
    if found:
        sys.stderr.write(wording.refused("push", found))
    return errors.LockHeld.exit_code if found else 0


class _Agents:
    """Which names are agents': asked once each, by a question for a verdict, as a service may not list agents."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._known: dict[str, bool] = {}

    def among(self, people: frozenset[str]) -> str | None:
        """The agent that an author or committer is named for."""
        return next((name for name in asker.names_in(people) if self._is_agent(name)), None)

    def _is_agent(self, name: str) -> bool:
        if name not in self._known:
            try:
                self._questions.check_paths(paths=[_ANY_PATH], agent_id=name, intent="commit")
                self._known[name] = True
            except errors.NotFound:
                self._known[name] = False
        return self._known[name]


def _standing(commit: Commit, agents: _Agents) -> Standing:
    if commit.fences:
        return Standing(commit.fences)
    agent = agents.among(commit.people)
    return Standing(agent_id=agent, is_person=agent is None)


def _policy(settings: Mapping[str, str]) -> str:
    said = settings.get("people", "check")
    if said not in {"check", "allow"}:
        raise errors.Invalid(f"git config conductor.people is {said!r}: check or allow.")
    return said
