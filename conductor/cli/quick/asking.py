"""Calling operations over REST without any library: what hooks, `conductor prime` and the gates ask with.

An answer is the reply's JSON, or the error that the daemon said, as an exception of its own code. An answer that is
none (a proxy's page, half of one, another program on the port) is Unavailable: who asked knows nothing then.
"""

from __future__ import annotations

import json
from typing import Any

from conductor.cli.quick import identity, wire
from conductor.domain import errors


class Daemon:
    """A daemon as one caller asks it. notices: what was told with the answers, each of them once."""

    def __init__(self, caller: identity.Identity, timeout_s: float) -> None:
        self._connection = wire.Connection(caller.url, caller.token, timeout_s)
        self.notices: list[str] = []

    def call(self, operation: str, /, **arguments: object) -> dict[str, Any]:
        """Call an operation; gives its reply.

        Raises the error that it was refused with, and Unavailable when no answer came.
        """
        body = json.dumps(arguments, separators=(",", ":")).encode()
        answered = self._connection.post(f"/v1/{operation}", body, {"Accept": "application/json"})
        content = answered.read()
        if told := answered.headers.get("conductor-notice"):
            self.notices.append(_unquoted(told))
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            if answered.status == 200:
                return said
            if isinstance(said.get("code"), str) and isinstance(said.get("message"), str):
                raise _error(said)
        raise errors.Unavailable(f"What answers at {self._connection.url} is no daemon (status {answered.status}).")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _error(said: dict[str, Any]) -> errors.ConductorError:
    kind = errors.BY_CODE.get(said["code"], errors.Internal)
    steps = [step for step in said.get("next") or [] if isinstance(step, dict) and isinstance(step.get("tool"), str)]
    facts = said.get("facts")
    return kind(
        identity.explained(said["code"], said["message"]),
        facts=facts if isinstance(facts, dict) else {},
        next=[errors.NextStep(step["tool"], step.get("args") or {}, str(step.get("because") or "")) for step in steps],
        wait_s=said.get("wait_s"),
    )


def _unquoted(header: str) -> str:
    # urllib.parse would be imported for this alone.
    first, *others = header.encode("latin-1").split(b"%")
    parts = [first]
    for part in others:
        try:
            parts += [bytes.fromhex(part[:2].decode()), part[2:]]
        except ValueError:
            parts += [b"%", part]
    return b"".join(parts).decode(errors="replace")
