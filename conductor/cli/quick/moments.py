"""The moments around the tools: after one, at a session's beginning and at its end.

Nothing is refused here. What cannot be asked is said in one sentence, for the tool has been used and the client must
not be kept from ending.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conductor import home
from conductor.cli.quick import asking, identity, offline, prime
from conductor.cli.quick.adapters import Client, Event
from conductor.cli.quick.memory import Memory
from conductor.domain import errors


def pass_by(
    event: Event, said: Mapping[str, object], client: Client, environ: Mapping[str, str], timeout_s: float
) -> str | None:
    """Do what belongs to a moment; gives what the model is told, if anything."""
    caller = identity.find(environ)
    place = home.Home.locate(environ)
    memory = Memory(place, caller.key)
    daemon = asking.Daemon(caller, timeout_s)
    given = said.get("session_id")
    client_session = given if isinstance(given, str) else ""
    told: list[str] = []
    try:
        match event:
            case Event.POST_TOOL:
                told = _beat(client_session, memory, daemon)
            case Event.SESSION_START:
                told = [_begin(client, client_session, memory, daemon)]
            case _:
                _release(daemon)
                if event is Event.SESSION_END:
                    _end(client_session, memory, daemon)
        offline.replay(place, caller.key, daemon)
    finally:
        if event in {Event.STOP, Event.SESSION_END}:
            memory.keep_notices(daemon.notices)
        daemon.close()
    if event in {Event.STOP, Event.SESSION_END}:
        return None
    return "\n".join(dict.fromkeys([*told, *memory.take_notices(), *daemon.notices])) or None


def _beat(client_session: str, memory: Memory, daemon: asking.Daemon) -> list[str]:
    """Give a sign of life, which renews every lease, and take what the agent has not been told."""
    session_id = memory.session(client_session)
    try:
        reply = daemon.call("heartbeat", status="working", **({"session_id": session_id} if session_id else {}))
    except errors.NotFound:
        memory.forget_session(client_session)
        reply = daemon.call("heartbeat", status="working")
    return [f"Conductor: {notice['text']}" for notice in reply["notices"]]


def _begin(client: Client, client_session: str, memory: Memory, daemon: asking.Daemon) -> str:
    """Begin a session for one of the client, which begins anew when it is resumed or compacted."""
    session: dict[str, Any] = daemon.call("start_session", client=f"{client} {client_session[:64]}".strip())
    _end(client_session, memory, daemon)
    memory.keep_session(client_session, session["session_id"])
    return prime.text(session, prime.unread(daemon))


def _end(client_session: str, memory: Memory, daemon: asking.Daemon) -> None:
    session_id = memory.session(client_session)
    if session_id is None:
        return
    memory.forget_session(client_session)
    try:
        daemon.call("end_session", session_id=session_id)
    except errors.NotFound:
        return


def _release(daemon: asking.Daemon) -> None:
    """Give back the leases that are bound to no task; those of a task end with it."""
    name = daemon.call("whoami").get("agent_id")
    if name is None:
        return
    cursor: dict[str, object] = {}
    held: list[dict[str, Any]] = []
    while True:
        page = daemon.call("list_locks", agent_id=name, limit=200, **cursor)
        held += page["items"]
        if not page.get("next_cursor"):
            break
        cursor = {"cursor": page["next_cursor"]}
    for lock in held:
        if lock.get("task_id") is None:
            try:
                daemon.call("release_lock", lock_id=lock["id"])
            except (errors.NotFound, errors.NotHolder):
                # It has ended in the meantime.
                continue
