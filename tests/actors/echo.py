"""A bare host for the tests, and, run as a program, a daemon that holds one: something to kill.

The program answers the lines `ask` and `stop` on its standard input with one JSON object each.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from actors import spawn
from conductor.domain.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Figures:
    """What an Echo knows about itself."""

    pid: int
    running: int
    peak: int
    threads: frozenset[int]
    thread: int
    folder: str
    test_variable: str | None


class Echo:
    """A host that answers what it was asked; `hang` never ends, `raise` raises; an obstacle stops one construction."""

    def __init__(self, greeting: bytes = b"", *, obstacle: Path | None = None) -> None:
        if obstacle is not None and obstacle.exists():
            obstacle.unlink()
            raise RuntimeError("the database is away")
        self._greeting = greeting
        self._running = 0
        self._peak = 0
        self._threads: set[int] = set()

    def many(self, batch: bytes) -> bytes:
        self._running += 1
        self._peak = max(self._peak, self._running)
        self._threads.add(threading.get_ident())
        try:
            if batch == b"hang":
                threading.Event().wait()
            if batch == b"raise":
                raise ValueError("no such command")
            return self._greeting + batch
        finally:
            self._running -= 1

    def stats(self) -> Figures:
        return Figures(
            os.getpid(),
            self._running,
            self._peak,
            frozenset(self._threads),
            threading.get_ident(),
            str(Path.cwd()),
            os.environ.get("CONDUCTOR_TEST_VARIABLE"),
        )


EchoHandle = spawn.HostHandle[bytes, bytes, Figures]


async def running(host: EchoHandle) -> Figures:
    """The host's figures once it is inside a batch."""
    while True:
        figures = await host.stats()
        if figures.running:
            return figures


async def serve_as_daemon(runtime: spawn.Runtime, first: dict[str, Any], interrupts: list[int]) -> None:
    host = runtime.spawn_host("echo", Echo)
    await host.ready(60)
    print(json.dumps(first | {"host": (await host.stats()).pid, "address": runtime.address}), flush=True)
    for command in sys.stdin:
        if command.strip() == "ask":
            answer = (await host.many(b"asked")).decode()
            figures = await host.stats()
            seen = {"answer": answer, "interrupted": len(interrupts), "host": figures.pid}
            print(json.dumps(seen | {"missing": runtime.missing()}), flush=True)
            continue
        call = asyncio.create_task(host.many(b"hang"))
        await running(host)
        began = time.monotonic()
        runtime.stop()
        stop_s = time.monotonic() - began
        runtime.stop()
        outcomes = await asyncio.gather(call, host.many(b"late"), return_exceptions=True)
        in_flight, after = (type(outcome).__name__ for outcome in outcomes)
        print(json.dumps({"stop_s": stop_s, "in_flight": in_flight, "after": after}), flush=True)
        return


def main(home: Path, address: str) -> None:
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    state = home / "state"
    state.mkdir(parents=True, exist_ok=True)
    os.chdir(state)
    said: list[str] = []
    try:
        runtime = spawn.connect(address, said.append) if address else spawn.start_embedded(home / "ray", said.append)
    except Unavailable as error:
        print(json.dumps({"refused": error.code, "message": error.message}), flush=True)
        return
    uvloop.run(serve_as_daemon(runtime, {"progress": said}, interrupts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
