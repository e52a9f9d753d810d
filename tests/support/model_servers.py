"""Model providers as local servers: a real client talks to one, and a script decides what the model says.

A story is a generator: it yields what the model does next and is sent what the client then showed the model of it.
How it is said differs by provider: that is a wire (`tests/system/model_wires.py`). Nothing here judges a client: the
story and the test do.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Call:
    """The model calls an operation's tool, or a tool of the client's own by its name."""

    operation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True, slots=True)
class Say:
    """The model says something and ends its turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the client showed the model as the result of a call. is_error: None where the wire has no word for it."""

    text: str
    is_error: bool | None = None

    def first(self, pattern: str) -> str:
        """The first place that matches, as a model would read it out. Raises AssertionError when there is none."""
        found = re.search(pattern, self.text)
        assert found, f"no {pattern} in what the model was shown: {self.text}"
        return found[0]


Story = Generator[Call | Say, Shown, None]


class Wire(Protocol):
    """How a provider's API says things."""

    path: str
    """What the path of a turn contains."""

    def offered(self, request: Mapping[str, Any]) -> list[str]:
        """The names of the tools the model may call."""

    def result(self, request: Mapping[str, Any], call_id: str) -> Shown | None:
        """The result of a call, when the request carries it."""

    def call(self, call_id: str, call: Call) -> bytes:
        """A streamed answer in which the model calls a tool."""

    def say(self, say: Say) -> bytes:
        """A streamed answer in which the model ends its turn."""


class ModelServer:
    """Serves a story on a port of its own until the context ends; what broke the story is raised there.

    offered: the tools of the last turn. shown: the results of the calls, in order. told: the last turn as it was sent.
    """

    def __init__(self, wire: Wire, story: Story) -> None:
        self._wire = wire
        self._story = story
        self._lock = threading.Lock()
        self._step: Call | Say | None = None
        self.offered: list[str] = []
        self.shown: list[Shown] = []
        self.told = ""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        if kind is None and self._server.broken is not None:
            raise self._server.broken

    def answer(self, path: str, body: bytes) -> bytes | None:
        """Answer a turn; None: this is no turn of the story, or the story broke and the client shall give up."""
        if self._wire.path not in path:
            return None
        request = json.loads(body)
        offered = self._wire.offered(request)
        with self._lock:
            # Clients also ask for titles and summaries: those offer no tools.
            if not offered or self._server.broken is not None:
                return None
            self.offered = offered
            self.told = body.decode()
            return self._next(request)

    def _next(self, request: Mapping[str, Any]) -> bytes:
        if self._step is None:
            self._step = next(self._story)
        elif isinstance(self._step, Call):
            # A client that asks again without the result did not get the answer: it gets the same once more.
            result = self._wire.result(request, self._call_id())
            if result is not None:
                self.shown.append(result)
                self._step = self._story.send(result)
        match self._step:
            case Call() as call:
                return self._wire.call(self._call_id(), call)
            case Say() as say:
                return self._wire.say(say)

    def _call_id(self) -> str:
        return f"call_{len(self.shown) + 1}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    broken: BaseException | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what broke a story, for whoever wrote it; a client that hung up broke none."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.broken = error


def _handler(model: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = model.answer(self.path, self._body())
            if answer is None:
                self._reply(400, "application/json", b'{"error": {"message": "not in the story"}}')
            else:
                self._reply(200, "text/event-stream", answer)

        def do_GET(self) -> None:
            self._reply(404, "application/json", b"{}")

        def do_HEAD(self) -> None:
            self._reply(200, "application/json", b"")

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what a test needs."""

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
