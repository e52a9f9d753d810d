"""`conductor gate …`: the hooks of git that let through only what was changed under a lease.

A local gate can be passed by `--no-verify`; the receiving one cannot. Whatever a gate cannot ask it does not let
through: an agent's commit, and every push that is received. Standard library only, as git waits for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from conductor.cli.gate import local, receiving
from conductor.cli.gate.git import Git
from conductor.domain import errors

_HELP = """\
conductor gate: the gates of git. Each is what a hook of that name runs; exit code 0 lets through.

  conductor gate pre-commit          what is staged must be under leases of the agent that commits
  conductor gate commit-msg FILE     writes those leases into the message: Conductor-Lock: <lock>#<token>
  conductor gate pre-push [REMOTE]   judges what is pushed, before it leaves
  conductor gate pre-receive         on the server that receives: cannot be passed by --no-verify

Who commits: CONDUCTOR_TOKEN, or an agent's name by --agent NAME, CONDUCTOR_AGENT, git config conductor.agent; else the
agent that `conductor init` set up for the client that runs git. CONDUCTOR_AGENT= (empty) says: a person.
CONDUCTOR_OFFLINE=1 opens the three local gates while the daemon is away.
In the repository that receives: hooks/pre-receive is `exec conductor gate pre-receive`, and
  git config conductor.url URL             the daemon (else CONDUCTOR_URL, else the one of this machine)
  git config conductor.token-file FILE     a service's or member's token, mode 600 (else CONDUCTOR_TOKEN)
  git config conductor.project ID          where the token is not bound to one
  git config conductor.people check|allow  commits by people: kept off what an agent has leased (check), or free
"""


def run(arguments: Sequence[str]) -> int:
    """Run one gate; gives the exit code. What is refused or cannot be judged is said on standard error."""
    words = list(arguments)
    if not words or words[0] in {"--help", "-h", "help"}:
        sys.stdout.write(_HELP)
        return 0 if words else errors.Invalid.exit_code
    try:
        agent = _taken(words, "--agent")
        gate = _GATES.get(words[0])
        if gate is None:
            raise errors.Invalid(f"There is no gate {words[0]!r}: {', '.join(_GATES)}.")
        return gate(words[1:], agent)
    except errors.ConductorError as error:
        sys.stderr.write(f"conductor: {error.message}\n")
        return error.exit_code


def _taken(words: list[str], option: str) -> str | None:
    """Take an option with its value out of the words."""
    for at, word in enumerate(words):
        if word == option:
            if at + 1 == len(words):
                raise errors.Invalid(f"{option} needs a value.")
            value = words[at + 1]
            del words[at : at + 2]
            return value
        if word.startswith(f"{option}="):
            del words[at]
            return word.partition("=")[2]
    return None


def _pre_commit(rest: list[str], agent: str | None) -> int:
    return local.pre_commit(_place(agent))


def _commit_msg(rest: list[str], agent: str | None) -> int:
    if len(rest) != 1:
        raise errors.Invalid('commit-msg needs the file of the message, which git gives its hook: commit-msg "$1".')
    return local.commit_msg(_place(agent), rest[0])


def _pre_push(rest: list[str], agent: str | None) -> int:
    return local.pre_push(_place(agent), rest[0] if rest else "", sys.stdin.buffer.read())


def _pre_receive(rest: list[str], agent: str | None) -> int:
    return receiving.pre_receive(Git(os.environ), os.environ, sys.stdin.buffer.read())


def _place(agent: str | None) -> local.Place:
    return local.Place(Git(os.environ), os.environ, agent)


_GATES: dict[str, Callable[[list[str], str | None], int]] = {
    "pre-commit": _pre_commit,
    "commit-msg": _commit_msg,
    "pre-push": _pre_push,
    "pre-receive": _pre_receive,
}
