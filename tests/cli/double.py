"""A stand-in for the daemon: a local HTTP server that speaks the REST shape and says what it was asked.

Answers are scripted for each operation; without a script an operation answers with the smallest reply that its model
allows. It knows no rule of Conductor: those are tested where they are.
"""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conductor.domain import errors
from conductor.operations.catalogue import CATALOGUE
from tests.cli import samples

HANG_UP = object()
"""As a scripted answer: close the connection without one."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    operation: str
    body: dict[str, Any]
    authorization: str | None


@dataclass(frozen=True)
class Answered:
    """One answer. body: JSON, or text that is sent as it is."""

    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)


class Double:
    """The server; use it as a context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.scripts: dict[str, deque[Any]] = defaultdict(deque)
        self.always: dict[str, Callable[[Asked], Any]] = {}
        self.ready: Answered = Answered(200, {"status": "ready"})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, operation: str, *answers: Any) -> None:
        """Answer the next calls so: an Answered, an error of the domain, HANG_UP, or a reply's JSON."""
        self.scripts[operation].extend(answers)

    def bodies(self, operation: str) -> list[dict[str, Any]]:
        """What was asked of an operation, without the keys that the client makes itself."""
        kept = [asked.body for asked in self.asked if asked.operation == operation]
        return [{name: value for name, value in body.items() if name != "idempotency_key"} for body in kept]

    def answer(self, asked: Asked) -> Any:
        operation = asked.operation
        if self.scripts[operation]:
            said = self.scripts[operation].popleft()
        elif operation in self.always:
            try:
                said = self.always[operation](asked)
            except errors.ConductorError as refused:
                said = refused
        else:
            said = samples.reply(CATALOGUE[operation].reply)
        if isinstance(said, errors.ConductorError):
            return refusal(said)
        return said if isinstance(said, Answered) or said is HANG_UP else Answered(200, said)

    def __enter__(self) -> "Double":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def refusal(error: errors.ConductorError) -> Answered:
    """An error as the daemon sends it, with the header that goes with a wait."""
    steps = [{"tool": step.tool, "args": dict(step.args), "because": step.because} for step in error.next]
    shape: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
        "facts": dict(error.facts),
        "next": steps,
    }
    headers = {}
    if error.wait_s is not None:
        shape["wait_s"] = error.wait_s
        headers["Retry-After"] = str(int(error.wait_s))
    return Answered(error.http, shape, headers)


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(double.ready if self.path == "/readyz" else Answered(404, {}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = Asked(self.path.removeprefix("/v1/"), body, self.headers.get("Authorization"))
            double.asked.append(asked)
            said = double.answer(asked)
            if said is HANG_UP:
                self.close_connection = True
                return
            self._send(said)

        def _send(self, said: Answered) -> None:
            content = said.body if isinstance(said.body, str) else json.dumps(said.body)
            self.send_response_only(said.status)
            for name, value in {"Content-Length": str(len(content.encode())), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
