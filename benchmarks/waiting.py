"""What waiting costs: 100 agents take turns at 10 files through a daemon, each holding its lock for a moment.

A hand-over is timed from when its holder sends the release to when the next in line has its answer; the order is judged
by the daemon's own events: on each file the locks must be granted in the order in which places were taken.

    python benchmarks/waiting.py [--agents 100] [--paths 10] [--turns 10] [--hold-ms 20] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from serving import Daemon, daemon


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--paths", type=int, default=10)
    parser.add_argument("--turns", type=int, default=10, help="of each agent")
    parser.add_argument("--hold-ms", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with daemon() as ours:
        tokens = [
            ours.call("register_agent", agent_id=f"a{number}", name=f"a{number}")["token"]
            for number in range(chosen.agents)
        ]
        found = asyncio.run(taken_turns(ours, tokens, chosen.paths, chosen.turns, chosen.hold_ms / 1000))
        passed = passed_over(events(ours))
    times = sorted(found.handed_over_s)
    report = {
        "agents": chosen.agents,
        "paths": chosen.paths,
        "hand_overs": len(times),
        "p50_ms": round(statistics.median(times) * 1000, 2),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 2),
        "max_ms": round(times[-1] * 1000, 2),
        "seconds": round(found.seconds, 2),
        "queued_answers": found.queued_answers,
        "passed_over": passed,
        "order_is_fair": passed == 0,
    }
    print(json.dumps(report) if chosen.json else "  ".join(f"{name}={value}" for name, value in report.items()))


@dataclass
class Found:
    """What was measured. released_at: when the last holder of each file sent its release."""

    handed_over_s: list[float] = field(default_factory=list)
    released_at: dict[str, float] = field(default_factory=dict)
    queued_answers: int = 0
    seconds: float = 0.0


async def taken_turns(ours: Daemon, tokens: list[str], paths: int, turns: int, hold_s: float) -> Found:
    """Let all agents take turns, each at a file of its own tenth."""
    found = Found()
    # Agents have spoken before they wait: their tokens are known, their connections are there.
    ready = asyncio.Barrier(len(tokens))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, token in enumerate(tokens):
            path = f"src/{number % paths}.py"
            group.create_task(_take_turns(ours.port, token, path, turns, hold_s, found, ready))
    found.seconds = time.perf_counter() - began
    return found


async def _take_turns(
    port: int, token: str, path: str, turns: int, hold_s: float, found: Found, ready: asyncio.Barrier
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _post(reader, writer, token, "heartbeat", {"status": "idle"})
    await ready.wait()
    for _ in range(turns):
        asked: dict[str, Any] = {"paths": [path], "wait_s": 50}
        asked_at = time.perf_counter()
        answer = await _post(reader, writer, token, "acquire_lock", asked)
        while answer["status"] == "queued":
            found.queued_answers += 1
            answer = await _post(reader, writer, token, "acquire_lock", {**asked, "ticket": answer["ticket"]})
        released_at = found.released_at.pop(path, None)
        # Who asked after the release was never handed anything.
        if released_at is not None and released_at > asked_at:
            found.handed_over_s.append(time.perf_counter() - released_at)
        await asyncio.sleep(hold_s)
        found.released_at[path] = time.perf_counter()
        await _post(reader, writer, token, "release_lock", {"lock_id": answer["lock"]["id"]})
    writer.close()


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, operation: str, arguments: dict[str, Any]
) -> dict[str, Any]:
    body = json.dumps(arguments).encode()
    writer.write(
        f"POST /v1/{operation} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    answer: dict[str, Any] = json.loads(await reader.readexactly(length))
    if "code" in answer:
        raise RuntimeError(answer)
    return answer


def events(ours: Daemon) -> list[dict[str, Any]]:
    """Read all events of places and grants, in order."""
    found: list[dict[str, Any]] = []
    since = 0
    while page := ours.call("list_events", since=since, kind=["lock.queued", "lock.granted"], limit=200)["items"]:
        found += page
        since = page[-1]["number"]
    return found


def passed_over(found: list[dict[str, Any]]) -> int:
    """Count the grants that were given while somebody had waited longer for the same file."""
    line: dict[str, list[str]] = defaultdict(list)
    passed = 0
    for event in found:
        path, agent = event["facts"]["paths"][0], event["facts"]["agent_id"]
        if event["kind"] == "lock.queued":
            line[path].append(agent)
        elif line[path]:
            if line[path][0] != agent:
                passed += 1
            if agent in line[path]:
                line[path].remove(agent)
    return passed


if __name__ == "__main__":
    main()
