"""`conductor prime`: where an agent stands, in at most 400 tokens, for the beginning of its context.

Who it is, its task, its locks, its unread mail, its budget and the next command. Beginning a session tells most of
it; counting the mail does not read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from conductor.cli.quick import asking, identity, options
from conductor.domain import errors

MOST_CHARACTERS = 1600
"""400 tokens of 4 characters, as everywhere."""

_TIMEOUT_S = 5.0
_COUNTED = 50
_HELP = "conductor prime [--agent NAME] [--url URL] [--home DIR]: where you stand, in at most 400 tokens"


def run(arguments: Sequence[str]) -> int:
    """Print it; gives the exit code."""
    if "--help" in arguments:
        print(_HELP)
        return 0
    try:
        _, given = options.parsed(arguments, ("agent", "url", "home"))
        caller = identity.find(identity.environment(os.environ, given))
        daemon = asking.Daemon(caller, _TIMEOUT_S)
        print(text(daemon.call("start_session", client="conductor prime"), unread(daemon)))
    except errors.ConductorError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return error.exit_code
    for notice in daemon.notices:
        print(notice, file=sys.stderr)
    return 0


def unread(daemon: asking.Daemon) -> list[dict[str, Any]]:
    """The messages that the caller was not given yet, the newest first; at most 50 are looked through."""
    name = daemon.call("whoami").get("agent_id")
    waiting = daemon.call("list_messages", agent_id=name, unacknowledged=True, limit=_COUNTED)["items"]
    given = daemon.call("read_messages", unacknowledged=True, limit=200)["items"]
    known = {message["id"] for message in given}
    return [message for message in waiting if message["id"] not in known]


def text(session: Mapping[str, Any], mail: Sequence[Mapping[str, Any]]) -> str:
    """Word a session's beginning.

    session: what start_session replied. mail: unread messages. What is long gives way: the notices first, never the
    next command.
    """
    agent, project = session["agent"], session["project"]
    first = (
        f"Conductor: you are {agent['agent_id']} ({agent['role']}) in project {_short(project['slug'], 40)}. Your "
        "edits lease their files; what another agent leases is refused."
    )
    middle = [_task(session.get("task")), _locks(session["locks"]), _mail(mail), _budget(session["budget"])]
    notices = [f"Notice: {_short(notice['text'], 200)}" for notice in session["notices"]]
    last = _next(session["next"])
    room = MOST_CHARACTERS - len(first) - len(last) - 2
    kept: list[str] = []
    for line in [*middle, *notices]:
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join([first, *kept, last])


def _task(task: Mapping[str, Any] | None) -> str:
    if task is None:
        return "Task: none."
    files = f"; files {_listed(task['files'], 3, 60)}" if task.get("files") else ""
    return f"Task: {task['id']} {_short(task['title'], 120)} ({task['status']}, attempt {task['attempt']}){files}."


def _locks(locks: Sequence[Mapping[str, Any]]) -> str:
    paths = [path for lock in locks for path in lock["paths"]]
    return f"Locks: {_listed(paths, 6, 60)}." if paths else "Locks: none."


def _mail(mail: Sequence[Mapping[str, Any]]) -> str:
    if not mail:
        return "Messages: none unread."
    shown = "; ".join(
        f"{message['sender'].removeprefix('agent:')}: {_short(message.get('subject') or message['text'], 60)}"
        for message in mail[:3]
    )
    many = f"{_COUNTED} or more" if len(mail) >= _COUNTED else str(len(mail))
    return f"Messages: {many} unread ({shown}): conductor_read_messages."


def _budget(budget: Mapping[str, Any]) -> str:
    if budget.get("limit_usd") is None:
        return f"Budget: no limit, ${budget['spent_usd']} spent."
    return f"Budget: ${budget['remaining_usd']} left of ${budget['limit_usd']}."


def _next(steps: Sequence[Mapping[str, Any]]) -> str:
    if not steps:
        return "Next: conductor_heartbeat."
    step = steps[0]
    arguments = ", ".join(f"{name}={value}" for name, value in step["args"].items())
    return f"Next: conductor_{step['tool']}({_short(arguments, 120)}): {_short(step['because'], 120)}."


def _listed(names: Sequence[str], most: int, long: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_short(name, long) for name in names[:most]) + more


def _short(words: str, most: int) -> str:
    """One line of printable text."""
    line = "".join(character if character.isprintable() else " " for character in " ".join(str(words).split()))
    return line if len(line) <= most else line[: most - 1] + "…"
