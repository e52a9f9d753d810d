"""The synchronous client: for scripts and the command line."""

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx

from conductor import home
from conductor.client import wire
from conductor.client.retries import Patience, Tries
from conductor.client.typed_sync import Operations
from conductor.operations.projects import LIST_PROJECTS, ListProjects, Project
from conductor.operations.row import Operation, ReplyT, RequestT


class Client(Operations):
    """A connection to a daemon; not for several threads at once.

    project: id or slug of the project that is meant when a call names none. timeout_s: for one answer; a little more
    than the daemon allows itself. Errors are those of `conductor.domain.errors`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        project: str | None = None,
        timeout_s: float = 35.0,
        patience: Patience | None = None,
    ) -> None:
        to = wire.target(url, token)
        self.url = to.url
        self._project = project
        self._timeout_s = timeout_s
        self._notices: list[str] = []
        self._known: dict[tuple[str | None, str], str] = {}
        self._patience = patience or Patience()
        self._http = httpx.Client(**wire.connecting(to, timeout_s), mounts=wire.direct(to))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, timeout_s: float = 35.0) -> Self:
        """Connect as CONDUCTOR_URL, CONDUCTOR_TOKEN and CONDUCTOR_PROJECT say, else to the home's own daemon."""
        found = home.find_connection(os.environ if environ is None else environ)
        return cls(found.url, found.token, project=found.project, timeout_s=timeout_s)

    def call(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """Call an operation of the catalogue; the typed methods come down to this."""
        return wire.reply_of(operation, self.answer(operation, request), self.url)

    def answer(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> bytes:
        """Call an operation and give the reply's JSON as the daemon sent it."""
        full = wire.complete(operation, request, self._meant(operation, request))
        body = wire.body_of(full)
        tries = Tries(self._patience, self.url, repeatable=wire.is_repeatable(operation, full))
        while True:
            try:
                answered = self._http.post(
                    f"/v1/{operation.name}", content=body, timeout=wire.patience_for(self._timeout_s, full)
                )
            except httpx.HTTPError as failure:
                time.sleep(tries.wait_after_failure(failure))
                continue
            self._hear(wire.notice_of(answered))
            if answered.is_success:
                return answered.content
            error = wire.error_of(answered.status_code, answered.content, self.url)
            time.sleep(tries.wait_after_refusal(error, answered.headers.get("Retry-After")))

    def project_id(self, project: str, organization_id: str | None = None) -> str:
        """The id of a project, given its id or slug. Raises NotFound, which lists what there is."""
        if wire.is_project_id(project):
            return project
        place = (organization_id, project)
        if place not in self._known:
            self._known[place] = wire.choose_project(self.projects(organization_id, archived=True), project)
        return self._known[place]

    def projects(self, organization_id: str | None = None, *, archived: bool = False) -> list[Project]:
        """Every project that the token can see; archived: with those that were put away."""
        seen: list[Project] = []
        cursor = None
        while True:
            asked = ListProjects(limit=200, cursor=cursor, archived=archived, organization_id=organization_id)
            page = self.call(LIST_PROJECTS, asked)
            seen += page.items
            cursor = page.next_cursor
            if cursor is None:
                return seen

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take_notices(self) -> list[str]:
        """What was urgent with the answers so far, each once: an agent's client must show it, nobody tells it again."""
        told, self._notices = self._notices, []
        return told

    def _hear(self, notice: str | None) -> None:
        if notice is not None:
            self._notices = [*self._notices, notice][-wire.NOTICES_AT_MOST :]

    def __repr__(self) -> str:
        return f"Client(url={self.url!r})"

    def _meant(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> str | None:
        if self._project is None or not operation.takes_project or getattr(request, "project_id", None) is not None:
            return None
        return self.project_id(self._project, request.organization_id)
