"""Every way Conductor says no.

One root, one class a code. An error is a sentence a person or an agent can act on: what happened, with which
facts, what to do next. It is raised where the rule is and put into each face's form once, at the edge.
Must never carry a secret: facts and messages are shown to callers and written to logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

Fact = str | int | float | bool | None | Sequence["Fact"] | Mapping[str, "Fact"]
"""A JSON value."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """A call that would help, with arguments that validate; faces show it only to callers that may make it.

    tool: the operation's name, such as `claim_task`; alike on every face (as an MCP tool it begins with `conductor_`).
    """

    tool: str
    args: Mapping[str, Fact] = field(default_factory=dict)
    because: str = ""


class ConductorError(Exception):
    """The root: a stable code, a sentence, facts for machines, the next step.

    http: status on the REST face. exit_code: of the command line. retryable: the same call may succeed later.
    wait_s: seconds after which trying again makes sense.
    """

    code: ClassVar[str] = "internal"
    http: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        facts: Mapping[str, Fact] | None = None,
        next: Sequence[NextStep] = (),
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.facts: Mapping[str, Fact] = dict(facts or {})
        self.next: tuple[NextStep, ...] = tuple(next)
        self.wait_s = wait_s


class Invalid(ConductorError):
    """An argument is missing, unknown, of the wrong type or out of bounds; the message names it."""

    code, http, exit_code = "invalid", 400, 2


class PathInvalid(ConductorError):
    """A path or pattern is not one that can be leased; the message says which rule it breaks."""

    code, http, exit_code = "path_invalid", 400, 2


class UnknownDependency(ConductorError):
    """A dependency names no task of this project."""

    code, http, exit_code = "unknown_dependency", 400, 2


class EvidenceMissing(ConductorError):
    """The project requires evidence and the completion does not carry it."""

    code, http, exit_code = "evidence_missing", 400, 2


class TooLarge(ConductorError):
    """The body is above the limit; send less or split the call."""

    code, http, exit_code = "too_large", 413, 2


class IdempotencyMismatch(ConductorError):
    """The idempotency key was used before with another request; take a new key for a new request."""

    code, http, exit_code = "idempotency_mismatch", 422, 2


class Unauthenticated(ConductorError):
    """No valid token: missing, unknown, expired or revoked. All four look alike on purpose."""

    code, http, exit_code = "unauthenticated", 401, 3


class Forbidden(ConductorError):
    """The caller's role does not allow this operation, or not on this object."""

    code, http, exit_code = "forbidden", 403, 3


class ZoneDenied(ConductorError):
    """The path lies outside what this agent may touch; ask a lead or work elsewhere."""

    code, http, exit_code = "zone_denied", 403, 3


class NotFound(ConductorError):
    """No such object for this caller. Another tenant's object answers exactly so."""

    code, http, exit_code = "not_found", 404, 4


class AlreadyClaimed(ConductorError):
    """The task is held by another agent."""

    code, http, exit_code, retryable = "already_claimed", 409, 5, True


class LockHeld(ConductorError):
    """Another agent holds a conflicting lease; wait for its end or work elsewhere."""

    code, http, exit_code, retryable = "lock_held", 409, 5, True


class NotReady(ConductorError):
    """The task may not be claimed yet; the facts name what blocks it."""

    code, http, exit_code, retryable = "not_ready", 409, 5, True


class NothingReady(ConductorError):
    """No task can be claimed by this agent now; the facts say why and when to ask again."""

    code, http, exit_code, retryable = "nothing_ready", 409, 5, True


class IllegalMove(ConductorError):
    """The task's state does not allow this move; the facts name the state and the moves it allows."""

    code, http, exit_code = "illegal_move", 409, 5


class StaleAttempt(ConductorError):
    """The attempt has ended and another may have begun; stop working on it."""

    code, http, exit_code = "stale_attempt", 409, 5


class VersionConflict(ConductorError):
    """Somebody changed the object since it was read; read it again and apply the change to that."""

    code, http, exit_code = "version_conflict", 409, 5


class DependencyCycle(ConductorError):
    """The edge would close a cycle; the facts name it."""

    code, http, exit_code = "dependency_cycle", 409, 5


class NotHolder(ConductorError):
    """The lease belongs to another agent or has ended."""

    code, http, exit_code = "not_holder", 409, 5


class NotPending(ConductorError):
    """The access request has been decided or has expired."""

    code, http, exit_code = "not_pending", 409, 5


class AgentExists(ConductorError):
    """An agent of this name is registered with other particulars; say supersede to replace them."""

    code, http, exit_code = "agent_exists", 409, 5


class Deadlock(ConductorError):
    """Waiting here would close a cycle of waits; the facts name it."""

    code, http, exit_code = "deadlock", 409, 5


class BudgetExceeded(ConductorError):
    """A hard budget does not allow it; the facts give limit, spent and reserved."""

    code, http, exit_code = "budget_exceeded", 402, 6


class Paused(ConductorError):
    """The agent, project or organisation is paused; the reason is in the facts."""

    code, http, exit_code, retryable = "paused", 423, 7, True


class RateLimited(ConductorError):
    """Too many calls with this token; wait_s says when to go on."""

    code, http, exit_code, retryable = "rate_limited", 429, 8, True


class Unavailable(ConductorError):
    """The server cannot serve this now; nothing was changed; try again after wait_s."""

    code, http, exit_code, retryable = "unavailable", 503, 8, True


class Internal(ConductorError):
    """A defect of Conductor; the message carries a reference to the log, nothing else."""


def _all(root: type[ConductorError]) -> list[type[ConductorError]]:
    return [kind for child in root.__subclasses__() for kind in (child, *_all(child))]


BY_CODE: Mapping[str, type[ConductorError]] = {kind.code: kind for kind in _all(ConductorError)}
"""Every error class by its code."""
