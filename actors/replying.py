"""How what a command came to leaves a host, and how it is kept for who asks again: never with a secret in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from actors.commands import Command, Outcome
from conductor.domain import errors
from conductor.domain.access import Role
from conductor.operations.faults import fault_of
from conductor.operations.row import Reply, Request

_NOT_ASKED = {"idempotency_key", "wait_s", "ticket"}


def refusal(error: errors.ConductorError) -> Outcome:
    """Give the outcome of a command that was refused."""
    fault = fault_of(error)
    return Outcome(fault.model_dump_json(exclude_none=True).encode(), fault.line(), fault.code)


def gone(command: Command) -> Outcome:
    """Refuse a command whose organisation was deleted: its people are nobody now, the installation's owner is told."""
    if command.caller is not None and command.caller.role is Role.ROOT:
        return refusal(
            errors.NotFound(
                f"No organization {command.organization_id} here: it was deleted.",
                facts={"organization_id": command.organization_id},
            )
        )
    return refusal(errors.Unauthenticated("The organization of this token was deleted: it lets nobody in any more."))


def hash_of(request: Request) -> str:
    """Give the hash of what a request asks for: who waits asks again with another ticket and another wait."""
    return hashlib.sha256(request.model_dump_json(exclude=_NOT_ASKED).encode()).hexdigest()


def to_store(reply: Reply, outcome: Outcome, carries_token: bool) -> str:
    """Give the form in which a reply is stored: never with a token or another secret in it."""
    if carries_token:
        secrets: Iterable[str] = [name for name in ("token", "claim") if name in type(reply).model_fields]
        bare = reply.model_copy(update=dict.fromkeys(secrets))
        outcome = Outcome(bare.model_dump_json(exclude_none=True).encode(), bare.line())
    return orjson.dumps([outcome.body.decode(), outcome.line]).decode()


def stored(text: str) -> Outcome:
    """Read a stored reply."""
    body, line = orjson.loads(text)
    return Outcome(body.encode(), line)
