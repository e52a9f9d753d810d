"""`conductor mcp`: MCP over the input and output for clients that start a process, carried to the daemon over HTTP.

A client waits for the first answer before it begins, so `initialize` is answered at once whether or not the daemon
is there. Each request goes its own way on a thread and a connection of its own: hanging up is how a wait is given
up, which is what a cancelled request and an ended client become. Nothing is decided here. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from conductor.cli.quick import identity, options, relay, wire
from conductor.domain import errors

MOST_BYTES = 4 * 1024 * 1024
"""Of a message; the daemon takes less."""

MOST_AT_ONCE = 64
ANSWER_WITHIN_S = 90.0
"""Above the longest wait that the daemon grants, 50 s."""

INITIALIZE_WITHIN_S = 0.2
ENDING_S = 1.0
"""What is under way when the client closes the input gets this long to be answered."""

_LOOK_S = 1.0
_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600
_HELP = """conductor mcp [--agent NAME] [--url URL] [--home DIR] [--autostart]

Serves MCP on the input and output, for clients that start a process. The token is that of CONDUCTOR_TOKEN. --agent:
whose token in the home is used instead when that is not set, or is a person's: a person's token is passed over when an
agent is named. --autostart: start the home's daemon when it does not run.
"""


def run(arguments: Sequence[str]) -> int:
    """Serve until the input ends; gives the exit code."""
    if "--help" in arguments:
        print(_HELP, end="")
        return 0
    try:
        words, given = options.parsed(arguments, ("agent", "url", "home"), ("autostart",))
        if words:
            raise errors.Invalid(f"conductor mcp takes only options, not {words[0]!r}.")
    except errors.ConductorError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return error.exit_code
    bridge = Bridge(identity.environment(os.environ, given), sys.stdout.buffer, starts="autostart" in given)
    bridge.serve(sys.stdin.buffer)
    return 0


class _Call:
    """A request under way."""

    def __init__(self, message: relay.Message) -> None:
        self.message = message
        self._connection: wire.Connection | None = None
        self._is_cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled.is_set()

    def goes_over(self, connection: wire.Connection) -> None:
        """Say which connection to cut when it is cancelled."""
        self._connection = connection
        if self.is_cancelled:
            connection.end()

    def cancel(self) -> None:
        """Give it up: nobody waits for its answer."""
        self._is_cancelled.set()
        if self._connection is not None:
            self._connection.end()


class Bridge:
    """Carries messages between a client on a pair of pipes and the daemon. starts: a missing daemon is started."""

    def __init__(self, environ: Mapping[str, str], output: BinaryIO, *, starts: bool) -> None:
        self._environ = environ
        self._output = output
        self._starts = starts
        self._version: str | None = None
        self._writing = threading.Lock()
        self._calls: dict[str, _Call] = {}
        self._change = threading.Condition()

    def serve(self, source: BinaryIO) -> None:
        """Take messages until the input ends."""
        if self._starts:
            # The client is not kept waiting: what needs the daemon waits for the start on its own thread.
            threading.Thread(target=self._start_early, daemon=True).start()
        while line := source.readline(MOST_BYTES + 1):
            if len(line) > MOST_BYTES and not line.endswith(b"\n"):
                while (rest := source.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
                    continue
                self._refuse(None, _INVALID_REQUEST, f"A message has at most {MOST_BYTES // 1024**2} MiB.")
            elif line.strip():
                self._take(line)
        self._end()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._refuse(None, _PARSE_ERROR, "The message is no JSON.")
            return
        if not isinstance(message, dict):
            self._refuse(None, _INVALID_REQUEST, "A message is one JSON object.")
            return
        method, request_id = message.get("method"), message.get("id")
        if method is None:
            # An answer, but the daemon asks clients nothing.
            return
        if not isinstance(method, str) or isinstance(request_id, dict | list | bool):
            self._refuse(None, _INVALID_REQUEST, "A message has a method and an id of text or number.")
        elif request_id is None:
            if method == "notifications/cancelled":
                self._cancel(message.get("params"))
        elif method == "ping":
            self._emit(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {}}).encode())
        else:
            self._begin(message)

    def _begin(self, message: dict[str, Any]) -> None:
        call, key = _Call(message), json.dumps(message["id"])
        with self._change:
            is_full = len(self._calls) >= MOST_AT_ONCE
            is_double = key in self._calls
            if not is_full and not is_double:
                self._calls[key] = call
        if is_full:
            self._emit(relay.failure(message, errors.RateLimited(f"{MOST_AT_ONCE} calls are under way: wait for one.")))
        elif is_double:
            self._refuse(message["id"], _INVALID_REQUEST, "A request with this id is under way.")
        else:
            threading.Thread(target=self._carry, args=(key, call), daemon=True).start()

    def _carry(self, key: str, call: _Call) -> None:
        try:
            if call.message["method"] == "initialize":
                self._initialize(call)
            else:
                self._relay(call, ANSWER_WITHIN_S)
        except errors.ConductorError as error:
            if not call.is_cancelled:
                self._emit(relay.failure(call.message, error))
        finally:
            with self._change:
                self._calls.pop(key, None)
                self._change.notify_all()

    def _relay(self, call: _Call, within_s: float) -> None:
        token = identity.token_of(self._environ)
        if self._starts:
            self._start()
        connection = wire.Connection(identity.url_of(self._environ), token, within_s)
        call.goes_over(connection)
        with contextlib.closing(connection):
            relay.carry(call.message, connection, self._version, lambda line: self._emit_of(call, line))

    def _initialize(self, call: _Call) -> None:
        """Pass on what the daemon says of itself; when it says nothing in time, speak for it."""
        token = identity.token_of(self._environ)
        params = call.message.get("params")
        asked = params.get("protocolVersion") if isinstance(params, dict) else None
        self._version = asked if asked in _VERSIONS else _VERSIONS[0]
        try:
            connection = wire.Connection(identity.url_of(self._environ), token, INITIALIZE_WITHIN_S)
            call.goes_over(connection)
            with contextlib.closing(connection):
                relay.carry(call.message, connection, None, lambda line: self._emit_of(call, line))
        except errors.Unavailable as away:
            self._emit_of(call, self._introduction(call.message, away))
            threading.Thread(target=self._tell_when_there, daemon=True).start()

    def _introduction(self, message: relay.Message, away: errors.Unavailable) -> bytes:
        told = f"Conductor's daemon is not there: {away.message} Its tools come when it is."
        result = {
            "protocolVersion": self._version,
            "capabilities": {"tools": {"listChanged": True}, "resources": {}, "prompts": {}},
            "serverInfo": {"name": "conductor", "version": "bridge"},
            "instructions": "Conductor coordinates the agents of this codebase." if self._starts else told,
        }
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()

    def _tell_when_there(self) -> None:
        """Have the client ask for the tools again once there is somebody who has them."""
        while not self._answers():
            time.sleep(_LOOK_S)
        self._emit(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')

    def _answers(self) -> bool:
        try:
            connection = wire.Connection(identity.url_of(self._environ), "", INITIALIZE_WITHIN_S)
            connection.post("/mcp", b"", {})
        except errors.ConductorError:
            return False
        connection.close()
        return True

    def _start_early(self) -> None:
        try:
            self._start()
        except errors.ConductorError as error:
            print(f"{error.code}: {error.message}", file=sys.stderr, flush=True)

    def _start(self) -> None:
        from conductor.cli.quick import autostart  # noqa: PLC0415 (it loads what starts a process)

        autostart.ensure(self._environ)

    def _cancel(self, params: object) -> None:
        request_id = params.get("requestId") if isinstance(params, dict) else None
        with self._change:
            call = self._calls.get(json.dumps(request_id))
        if call is not None:
            call.cancel()

    def _end(self) -> None:
        with self._change:
            self._change.wait_for(lambda: not self._calls, ENDING_S)
            left = list(self._calls.values())
        for call in left:
            call.cancel()

    def _refuse(self, request_id: object, code: int, text: str) -> None:
        error = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}}
        self._emit(json.dumps(error).encode())

    def _emit_of(self, call: _Call, line: bytes) -> None:
        if not call.is_cancelled:
            self._emit(line)

    def _emit(self, line: bytes) -> None:
        try:
            with self._writing:
                self._output.write(line + b"\n")
                self._output.flush()
        except (BrokenPipeError, ValueError):
            # Nobody listens any more; hanging up tells the daemon so.
            os._exit(0)
