"""What every face stands on: who answers, who calls, what comes in and what goes out.

A face reads a request, passes bytes and wraps the answer. Whether the arguments are right and the caller may is
decided once, behind `Dispatcher`, so that no face can decide it differently. Nothing here knows an operation.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from conductor.domain import errors
from conductor.domain.access import Caller, Role, TokenKind
from conductor.operations.row import Operation

JSON = b"application/json"

Headers = dict[bytes, bytes]
"""A request's headers by lower-case name; a name that came twice holds the last value."""

HeaderList = Sequence[tuple[bytes, bytes]]


class Answer(Protocol):
    """What an operation answered.

    body: JSON of the reply, or of `operations.faults.Fault`. line: the same in one line of valid Unicode. code: None
    when it was done, else the error's code. notice: something urgent that the calling agent is told once, with whatever
    it called; '' is nothing.
    """

    @property
    def body(self) -> bytes: ...

    @property
    def line(self) -> str: ...

    @property
    def code(self) -> str | None: ...

    @property
    def notice(self) -> str: ...


Progress = Callable[[float, float, str], Awaitable[None]]
"""Is told how many seconds a call has waited, how many it is willing to, and where it stands."""


class Dispatcher(Protocol):
    """The one way to every operation: validates strictly, asks for permission, acts, meters."""

    async def call(
        self,
        row: Operation[Any, Any],
        arguments: bytes,
        caller: Caller,
        *,
        tells: bool = True,
        progress: Progress | None = None,
    ) -> Answer:
        """Answer a call; arguments: JSON as it came. Never raises for what a caller did.

        tells: the caller gets to see the answer's notice; without it nothing urgent is taken along. progress: is told
        every few seconds how a call waits.
        """
        ...


class TokenRow(Protocol):
    """A token as the store keeps it, with the organisation that it belongs to."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> TokenKind: ...

    @property
    def role(self) -> Role: ...

    @property
    def secret_hash(self) -> str: ...

    @property
    def organization_id(self) -> str: ...

    @property
    def project_id(self) -> str | None: ...

    @property
    def agent_name(self) -> str | None: ...

    @property
    def member_id(self) -> str | None: ...

    @property
    def expires_at(self) -> datetime | None: ...

    @property
    def used_at(self) -> datetime | None: ...

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the token lets its bearer in at that time."""
        ...


class ClientGone(Exception):
    """The caller hung up before its request was complete: there is nobody to answer."""


@dataclass(slots=True)
class Request:
    """A request that passed the guards. scope, receive, send: the ASGI call itself, for who must stream."""

    scope: Scope
    receive: Receive
    send: Send
    method: str
    path: str
    headers: Headers
    known: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who calls; only routes that need no token have nobody."""
        if self.known is None:
            raise errors.Unauthenticated("This needs a token.")
        return self.known

    def require_json(self) -> None:
        """Refuse a body that is said to be something else than JSON. Raises Invalid."""
        content_type = self.headers.get(b"content-type")
        if content_type != JSON and not _is_json(content_type):
            raise errors.Invalid("The body must be JSON: send the header `Content-Type: application/json`.")


@dataclass(slots=True)
class Response:
    """A whole response."""

    status: int
    body: bytes
    headers: HeaderList = ()
    content_type: bytes = JSON

    async def send(self, send: Send) -> None:
        """Send it."""
        length = str(len(self.body)).encode()
        headers = [(b"content-type", self.content_type), (b"content-length", length), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Endpoint(Protocol):
    """What answers the requests of a route."""

    async def answer(self, request: Request) -> Response | int:
        """Give the response, or the status of one that was sent already. Raises ConductorError to refuse."""
        ...


@functools.lru_cache(maxsize=64)
def _is_json(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == JSON
