"""A client that starts `conductor mcp` and talks to it over pipes."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cli import workplace as workplaces

ANSWER_S = 20.0


class Client:
    """A client on the bridge's pipes."""

    def __init__(self, environ: Mapping[str, str], *words: str) -> None:
        self.process = subprocess.Popen(
            [*workplaces.COMMAND, "mcp", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._count = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def send(self, message: object) -> None:
        """Send a message; bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method: str, **params: Any) -> int:
        """Send a request; gives its id."""
        self._count += 1
        self.send({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        return self._count

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and give its answer."""
        wanted = self.request(method, **params)
        while (said := self.next()).get("id") != wanted:
            continue
        return said

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool."""
        result: dict[str, Any] = self.ask("tools/call", name=f"conductor_{operation}", arguments=arguments)["result"]
        return result

    def initialize(self) -> dict[str, Any]:
        """Shake hands."""
        said = self.ask(
            "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "test", "version": "1"}
        )
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return said

    def next(self) -> dict[str, Any]:
        """The next message; each is one line of JSON."""
        said: dict[str, Any] = json.loads(self._lines.get(timeout=ANSWER_S))
        return said

    @property
    def is_silent(self) -> bool:
        """Whether there is no message that nobody took."""
        return self._lines.empty()

    def end(self) -> int:
        """Close the input; gives the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)

    def close(self) -> None:
        """End the process if it still runs, and its pipes."""
        self.process.kill()
        self.process.wait()
        self._reading.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


@contextlib.contextmanager
def connected(environ: Mapping[str, str], *words: str) -> Iterator[Client]:
    client = Client(environ, *words)
    try:
        yield client
    finally:
        client.close()
