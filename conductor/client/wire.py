"""Requests into bytes, answers into replies or errors: what both clients share, without any I/O.

Arguments are checked here as strictly as on the server, so that a mistake costs no round trip and never becomes
something else on the way. Answers are read leniently: a newer server may add fields.
"""

import re
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from conductor.domain import errors, ids
from conductor.operations.faults import Fault
from conductor.operations.projects import Project
from conductor.operations.row import Operation, ReplyT, Request, RequestT

_TOKEN = re.compile(r"[!-~]+")
_CONNECT_S = 5.0
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send and as whom. The token is not part of what is printed."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Target(url={self.url!r})"


class Connecting(TypedDict):
    """The arguments with which both kinds of httpx client are made."""

    base_url: str
    headers: Mapping[str, str]
    timeout: httpx.Timeout
    follow_redirects: bool
    verify: ssl.SSLContext | bool


def target(url: str, token: str) -> Target:
    """Check where to send and as whom.

    Raises Invalid for an address that is none, Unauthenticated for text that cannot be a token; the text is not shown.
    """
    plain = url.strip().rstrip("/")
    try:
        parts = urlsplit(plain)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.username or parts.password or parts.query or parts.fragment:
        raise errors.Invalid(
            "The address of a daemon is http:// or https:// with host and port, such as http://127.0.0.1:8787."
        )
    if not _TOKEN.fullmatch(token):
        # A header with a line break would be quoted, token and all, in the error of the HTTP library.
        raise errors.Unauthenticated("The token is empty or has characters that no token has: copy it again.")
    return Target(
        plain, {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    )


def connecting(to: Target, timeout_s: float) -> Connecting:
    """Arguments for httpx: certificates are verified and redirects, which would carry the token away, not followed."""
    # Loading the authorities takes 20 ms, which plain HTTP need not wait for; the empty context trusts nobody.
    verify = True if to.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return Connecting(
        base_url=to.url,
        headers=to.headers,
        timeout=patience_for(timeout_s, None),
        follow_redirects=False,
        verify=verify,
    )


def patience_for(timeout_s: float, request: Request | None) -> httpx.Timeout:
    """How long an answer is waited for: a request that says how long the daemon may wait gets that on top."""
    return httpx.Timeout(timeout_s + getattr(request, "wait_s", 0), connect=min(timeout_s, _CONNECT_S))


NOTICES_AT_MOST = 20
"""So many notices are kept for a caller that does not take them; the oldest go."""


def notice_of(answered: httpx.Response) -> str | None:
    """Something urgent that the calling agent is told with this answer, and with no other."""
    told = answered.headers.get("Conductor-Notice")
    return unquote(told) if told else None


def direct(to: Target) -> dict[str, None]:
    """Mounts for httpx: a daemon on this machine is never asked through a proxy."""
    host = urlsplit(to.url).hostname or ""
    return {f"all://{host}": None} if host == "localhost" or host.startswith("127.") or host == "::1" else {}


def request_of(row: Operation[RequestT, ReplyT], given: Mapping[str, object]) -> RequestT:
    """Make a request from arguments; None means left out. Raises Invalid, with the reason for each field."""
    try:
        body = _json({name: value for name, value in given.items() if value is not None})
        return row.request.model_validate_json(body, strict=True)
    except PydanticSerializationError as wrong:
        raise errors.Invalid(f"{row.name}: an argument is no JSON value, or text that is no valid Unicode.") from wrong
    except ValidationError as wrong:
        reasons = {
            _place(error): error["msg"].removeprefix("Value error, ")
            for error in wrong.errors(include_input=False, include_url=False)
        }
        told = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:_SHOWN])
        # The cause is cut off: it carries the values, secrets among them.
        raise errors.Invalid(f"{row.name}: {told}", facts={"fields": reasons}) from None


def complete(row: Operation[RequestT, ReplyT], request: RequestT, project_id: str | None) -> RequestT:
    """Add what the client knows: its project, and for a write the key that makes sending it again harmless."""
    known: dict[str, str] = {}
    if row.writes and getattr(request, "idempotency_key", "") is None:
        known["idempotency_key"] = uuid.uuid4().hex
    if project_id is not None and row.takes_project and getattr(request, "project_id", "") is None:
        known["project_id"] = project_id
    return request.model_copy(update=known) if known else request


def is_repeatable(row: Operation[RequestT, ReplyT], request: Request) -> bool:
    """Tell whether sending the request twice does no more than once."""
    return not row.writes or bool(getattr(request, "idempotency_key", None))


def body_of(request: Request) -> bytes:
    """The request's JSON. Raises Invalid for text that is not valid Unicode."""
    try:
        return _json(request.model_dump(exclude_unset=True))
    except PydanticSerializationError as wrong:
        raise errors.Invalid("An argument is text that is no valid Unicode.") from wrong


def reply_of(row: Operation[RequestT, ReplyT], content: bytes, url: str) -> ReplyT:
    """Read a reply; what a newer server adds is passed over."""
    try:
        return row.reply.model_validate_json(content, strict=True, extra="ignore")
    except ValidationError as wrong:
        first = wrong.errors(include_input=False, include_url=False)[0]
        raise errors.Internal(
            f"The answer of {url} to {row.name} is not one that this client knows ({_place(first)}: {first['msg']}): "
            "is it a Conductor daemon of another release?"
        ) from None


def error_of(status: int, content: bytes, url: str) -> errors.ConductorError:
    """Turn an answer that is not a success into the domain's error."""
    try:
        fault = Fault.model_validate_json(content, extra="ignore")
    except ValidationError:
        return _foreign(status, url)
    kind = errors.BY_CODE.get(fault.code)
    if kind is None:
        return errors.Internal(f"{fault.code}: {fault.message}", facts=fault.facts)
    steps = [errors.NextStep(step.tool, step.args, step.because) for step in fault.next]
    return kind(fault.message, facts=fault.facts, next=steps, wait_s=fault.wait_s)


def choose_project(projects: list[Project], wanted: str) -> str:
    """The id of the project with that slug. Raises NotFound, which lists what there is."""
    for project in projects:
        if wanted in {project.slug, project.id}:
            return project.id
    there = ", ".join(sorted(project.slug for project in projects)[:20]) or "none"
    raise errors.NotFound(
        f"There is no project {wanted!r} here; there is: {there}. Name one with --project or CONDUCTOR_PROJECT.",
        facts={"project": wanted, "projects": [project.slug for project in projects[:20]]},
    )


def is_project_id(name: str) -> bool:
    """Tell a project's id from a slug, which has no underscore."""
    return ids.is_id(name, ids.Kind.PROJECT)


def _json(values: Mapping[str, object]) -> bytes:
    # An amount is written plainly: 1E-9 is no amount on the wire.
    return to_json({name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in values.items()})


def _foreign(status: int, url: str) -> errors.ConductorError:
    if status in {502, 503, 504}:
        return errors.Unavailable(f"What answers at {url} cannot reach the daemon (HTTP {status}): try again.")
    if 300 <= status < 400:
        return errors.Internal(
            f"{url} redirects elsewhere (HTTP {status}), where the token is not sent: give the final address."
        )
    return errors.Internal(f"{url} answers HTTP {status} without an error of Conductor: is it the daemon's address?")


def _place(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"]) or error["type"]
