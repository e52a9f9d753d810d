"""What history costs: claim_task and record_cost with 0, 10,000 and 300,000 rows of it behind them.

History is written straight into the store of a stopped daemon (completed tasks with attempts, cost events, audit
events); then the daemon serves, and both operations are timed one at a time over REST. The ratios are to the empty
store, interleaved in rounds so that the machine's drift cancels.

    python benchmarks/growth.py [--rows 10000 300000] [--calls 200] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from serving import Daemon, daemon
from sqlalchemy import create_engine, insert, text

from storage import tables

BLOCK = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 300_000])
    parser.add_argument("--calls", type=int, default=200, help="of each operation a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sizes = [0, *chosen.rows]
    times: dict[int, dict[str, list[float]]] = {rows: {"claim_task": [], "record_cost": []} for rows in sizes}
    with contextlib.ExitStack() as stack:
        probes = {rows: stack.enter_context(prepared(rows)) for rows in sizes}
        for number in range(chosen.rounds):
            for rows, probe in probes.items():
                for operation, seconds in probe.round(number, chosen.calls).items():
                    times[rows][operation].append(seconds)
    report = [
        {
            "rows": rows,
            **{
                f"{operation}_ms": round(statistics.median(found) * 1000, 2) for operation, found in times[rows].items()
            },
            **{
                f"{operation}_ratio": round(
                    statistics.median(a / b for a, b in zip(found, times[0][operation], strict=True)), 2
                )
                for operation, found in times[rows].items()
            },
        }
        for rows in sizes
    ]
    print(
        json.dumps(report)
        if chosen.json
        else "\n".join("  ".join(f"{k}={v}" for k, v in row.items()) for row in report)
    )


class Probe:
    """A daemon over a store with history, and one agent that calls it."""

    def __init__(self, ours: Daemon) -> None:
        self._daemon = ours
        self._token = ours.call("register_agent", agent_id="probe", name="Probe", supersede=True)["token"]
        self._connection = http.client.HTTPConnection("127.0.0.1", ours.port)

    def round(self, number: int, calls: int) -> dict[str, float]:
        """Time each operation; gives the median seconds of a call."""
        claims, costs = [], []
        for call in range(calls):
            self._daemon_call("create_task", self._daemon.owner_token, {"title": f"probe {number} {call}"})
            began = time.perf_counter()
            claimed = self._daemon_call("claim_task", self._token, {})
            claims.append(time.perf_counter() - began)
            done = {"task_id": claimed["task"]["id"], "attempt": claimed["attempt"], "result": "ok"}
            self._daemon_call("complete_task", self._token, done)
            cost = {"model": "gpt-5", "input_tokens": 100, "output_tokens": 10, "idempotency_key": f"{number}-{call}"}
            began = time.perf_counter()
            self._daemon_call("record_cost", self._token, cost)
            costs.append(time.perf_counter() - began)
        return {"claim_task": statistics.median(claims), "record_cost": statistics.median(costs)}

    def _daemon_call(self, operation: str, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._connection.request(
            "POST",
            f"/v1/{operation}",
            json.dumps(arguments),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        answer = self._connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise RuntimeError(body)
        return body


@contextlib.contextmanager
def prepared(rows: int) -> Iterator[Probe]:
    """Start a daemon over a store with so many rows of each kind of history."""
    with tempfile.TemporaryDirectory(prefix="cdr") as folder:
        home = Path(folder) / "home"
        with daemon(home) as ours:
            ours.call("register_agent", agent_id="probe", name="Probe")
        if rows:
            fill(home / "conductor.db", rows)
        with daemon(home) as ours:
            yield Probe(ours)


def fill(database: Path, rows: int) -> None:
    """Write history: completed tasks of the probe with their attempts, its costs, and audit events."""
    engine = create_engine(f"sqlite:///{database}")
    begun = datetime.now(UTC) - timedelta(days=90)
    with engine.begin() as connection:
        organization, project = connection.execute(text("SELECT organization_id, id FROM projects")).one()
        last = connection.execute(text("SELECT max(last) FROM counters WHERE name = 'events'")).scalar_one()
        for first in range(0, rows, BLOCK):
            block = range(first, min(first + BLOCK, rows))
            common = {"organization_id": organization}
            ids = {number: f"tsk_{number:010d}" for number in block}
            at = {number: begun + timedelta(seconds=number * 20) for number in block}
            connection.execute(
                insert(tables.tasks),
                [
                    {
                        **common,
                        "id": ids[number],
                        "project_id": project,
                        "title": f"old {number}",
                        "status": "completed",
                        "priority": "medium",
                        "dependencies": [],
                        "files": [],
                        "tags": [],
                        "requires": [],
                        "max_attempts": 3,
                        "created_by": "history",
                        "created_at": at[number],
                        "updated_at": at[number],
                        "holder": "probe",
                        "attempt": 1,
                        "failures": 0,
                        "blocked_on": [],
                        "evidence_required": [],
                        "result": "ok",
                        "closed_at": at[number],
                    }
                    for number in block
                ],
            )
            connection.execute(
                insert(tables.attempts),
                [
                    {
                        **common,
                        "task_id": ids[number],
                        "number": 1,
                        "agent_id": "probe",
                        "started_at": at[number],
                        "ended_at": at[number],
                        "outcome": "completed",
                    }
                    for number in block
                ],
            )
            connection.execute(
                insert(tables.costs),
                [
                    {
                        **common,
                        "number": number + 1,
                        "source": "history",
                        "key": str(number),
                        "body_hash": "",
                        "reply": "{}",
                        "project_id": project,
                        "agent_id": "probe",
                        "model": "gpt-5",
                        "input_tokens": 100,
                        "output_tokens": 10,
                        "cache_read_tokens": 0,
                        "cache_write_tokens": 0,
                        "reasoning_tokens": 0,
                        "cost_nano": 1000,
                        "occurred_at": at[number],
                        "recorded_at": at[number],
                    }
                    for number in block
                ],
            )
            connection.execute(
                insert(tables.events),
                [
                    {
                        **common,
                        "number": last + number + 1,
                        "at": at[number],
                        "kind": "task.completed",
                        "actor": "agent:probe",
                        "project_id": project,
                        "subject_id": ids[number],
                        "facts": {},
                    }
                    for number in block
                ],
            )
        counts = {"organization": organization, "events": last + rows, "costs": rows}
        update = "UPDATE counters SET last = :{0} WHERE organization_id = :organization AND name = '{0}'"
        connection.execute(text(update.format("events")), counts)
        connection.execute(
            text("INSERT INTO counters (organization_id, name, last) VALUES (:organization, 'costs', :costs)"), counts
        )
    engine.dispose()


if __name__ == "__main__":
    main()
