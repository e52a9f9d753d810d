"""What tasks cost in their keeper: 10,000 open ones with 20,000 edges, without and with 100,000 completed ones beside.

A host runs in this process over a real SQLite file: each figure is one command from its bytes to its answer, with the
commit. Half of the open tasks are ready and differ in priority, capabilities and files; the others wait for four each.
Both stores are asked in turn, call after call, so that the machine's drift cancels in the ratio. Processor time is
told beside: on a machine that others use too, the rest of a figure is waiting for them.

    python benchmarks/tasks.py [--open 10000] [--edges 20000] [--completed 100000] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from growth import fill
from sqlalchemy import create_engine, insert

from actors.commands import Command
from actors.host import Host, HostSetup
from actors.reading.read import Read
from actors.reading.table import READERS
from conductor import settings
from conductor.clock import SystemClock
from conductor.domain.access import Caller, Role, TokenKind
from conductor.operations.catalogue import CATALOGUE
from storage import migrate, tables
from storage.store import Store

SKILLS = ("python", "rust", "sql", "go", "web")
BULK = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--edges", type=int, default=20_000)
    parser.add_argument("--completed", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=100, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        boards = {
            completed: stack.enter_context(prepared(chosen.open, chosen.edges, completed))
            for completed in (0, chosen.completed)
        }
        for _ in range(chosen.rounds):
            for _ in range(chosen.claims):
                for board in boards.values():
                    board.step()
            for board in boards.values():
                board.end_round()
        report = [{"completed": completed, "open": chosen.open, "edges": chosen.edges, **board.figures()}
                  for completed, board in boards.items()]  # fmt: skip
        plain, grown = boards.values()
        for name in ("claim_best", "claim_best_cpu"):
            ratios = [a / b for a, b in zip(grown.medians[name], plain.medians[name], strict=True)]
            report[1][f"{name}_ratio"] = round(statistics.median(ratios), 2)
    print(
        json.dumps(report)
        if chosen.json
        else "\n".join("  ".join(f"{name}={value}" for name, value in row.items()) for row in report)
    )


class Board:
    """A host over a store with tasks, and those who call it.

    medians: of each round, in seconds. woken_s: what the first command took, which loads the board.
    """

    def __init__(self, host: Host, store: Store, owner: Caller, agent: Caller, project_id: str) -> None:
        self._host = host
        self._store = store
        self._owner = owner
        self._agent = agent
        self._project_id = project_id
        self._numbers = itertools.count(1)
        self._settings = settings.load({}, {}, home=Path("/nonexistent")).settings
        self._round: dict[str, list[float]] = {}
        self._times: dict[str, list[float]] = {}
        self.medians: dict[str, list[float]] = {}
        self.woken_s = 0.0

    def step(self) -> None:
        """Claim the best task, complete it, and list a page."""
        claimed = self._timed("claim_best", "claim_task", self._agent)
        done = {"task_id": claimed["task"]["id"], "attempt": claimed["attempt"], "result": "ok"}
        self._timed("complete", "complete_task", self._agent, **done)
        self._read("list_tasks", {})

    def end_round(self) -> None:
        """Close a hundred tasks, explain, and reckon the medians of the round."""
        self._close()
        self._read("explain_task", {"agent_id": "probe"})
        for name, found in self._round.items():
            self._times.setdefault(name, []).extend(found)
            self.medians.setdefault(name, []).append(statistics.median(found))
        self._round = {}

    def figures(self) -> dict[str, float]:
        """Give the median of each operation in milliseconds, of claims also the 95th percentile."""
        figures = {f"{name}_p50_ms": round(statistics.median(found) * 1000, 2) for name, found in self._times.items()}
        p95 = statistics.quantiles(self._times["claim_best"], n=20)[-1]
        return {"wake_ms": round(self.woken_s * 1000), "claim_best_p95_ms": round(p95 * 1000, 2), **figures}

    def call(self, operation: str, caller: Caller, **arguments: Any) -> dict[str, Any]:
        """Let the host carry out a command. Raises RuntimeError when it refuses."""
        body = json.dumps(arguments).encode()
        command = Command(operation, caller.organization_id, self._project_id, caller, body)
        outcome = self._host.many((f"batch-{next(self._numbers)}", False, [command]))[0]
        if outcome.code is not None:
            raise RuntimeError(outcome.line)
        reply: dict[str, Any] = json.loads(outcome.body)
        return reply

    def _timed(self, name: str, operation: str, caller: Caller, **arguments: Any) -> dict[str, Any]:
        began, worked = time.perf_counter(), time.process_time()
        reply = self.call(operation, caller, **arguments)
        self._round.setdefault(name, []).append(time.perf_counter() - began)
        self._round.setdefault(f"{name}_cpu", []).append(time.process_time() - worked)
        return reply

    def _close(self) -> None:
        """Close the newest hundred pending tasks: those wait, so that claims find as much as before."""
        with self._store.reading(self._owner.organization_id) as tx:
            pending = [task for task in tx.tasks.open_of(self._project_id) if task.dependencies]
        newest = sorted(pending, key=lambda task: task.created_at)[-BULK:]
        ids = [task.id for task in newest]
        self._timed(f"close_tasks_{BULK}", "close_tasks", self._owner, task_ids=ids, reason="measured")

    def _read(self, operation: str, arguments: dict[str, Any]) -> None:
        began = time.perf_counter()
        request = CATALOGUE[operation].request.model_validate(arguments)
        with self._store.reading(self._owner.organization_id) as tx:
            read = Read(
                self._owner,
                self._project_id,
                tx,
                self._store,
                leases=self._settings.leases,
                tasks=self._settings.tasks,
                running_since=tx.now,
            )
            READERS[operation](request, read).model_dump_json(exclude_none=True)
        self._round.setdefault(operation, []).append(time.perf_counter() - began)


@contextlib.contextmanager
def prepared(count: int, edges: int, completed: int) -> Iterator[Board]:
    """Fill a store and wake a host over it."""
    with tempfile.TemporaryDirectory(prefix="cdr") as folder:
        path = Path(folder) / "conductor.db"
        url = f"sqlite:///{path}"
        migrate.migrate(url)
        clock = SystemClock()
        store = Store(url, clock=clock)
        organization_id = "org_measvred00"
        with store.transaction(organization_id) as transaction:
            tx = transaction.unit(organization_id)
            tx.organizations.create("Measured", slug="measured")
            member = tx.organizations.add_member("Olga", role=Role.OWNER)
            project_id = tx.projects.create("Default", slug="default").id
        if completed:
            fill(path, completed)
        fill_open(path, organization_id, project_id, count, edges)
        chosen = settings.load({}, {}, home=Path("/nonexistent")).settings
        host = Host(HostSetup(0, 1, url, chosen, b"p" * 32, clock))
        owner = Caller(TokenKind.USER, Role.OWNER, organization_id, "tok_owner00000", member_id=member.id)
        agent = Caller(TokenKind.AGENT, Role.CONTRIBUTOR, organization_id, "tok_agent00000", project_id, "probe")
        board = Board(host, store, owner, agent, project_id)
        began = time.perf_counter()
        board.call("register_agent", owner, agent_id="probe", name="Probe", capabilities=list(SKILLS[:3]))
        board.woken_s = time.perf_counter() - began
        yield board
        store.close()


def fill_open(database: Path, organization_id: str, project_id: str, count: int, edges: int) -> None:
    """Write pending tasks: the first half ready, each of the others waiting for some of the first half."""
    chance = random.Random(7)
    engine = create_engine(f"sqlite:///{database}")
    begun = datetime.now(UTC) - timedelta(hours=2)
    ids = [f"tsk_{number:010d}".replace("tsk_0", "tsk_z") for number in range(count)]
    half = count // 2
    waits = {
        task_id: chance.sample(ids[:half], edges // (count - half) + (place < edges % (count - half)))
        for place, task_id in enumerate(ids[half:])
    }
    common = {"organization_id": organization_id, "project_id": project_id}
    with engine.begin() as connection:
        connection.execute(
            insert(tables.tasks),
            [
                {
                    **common,
                    "id": task_id,
                    "title": f"open {number}",
                    "status": "pending",
                    "priority": chance.choice(["critical", "high", "medium", "low"]),
                    "dependencies": waits.get(task_id, []),
                    "files": [f"src/module_{number % 500}/part_{number}.py"],
                    "tags": [],
                    "requires": sorted(chance.sample(SKILLS, chance.choice([0, 0, 1, 2]))),
                    "max_attempts": 3,
                    "created_by": "benchmark",
                    "created_at": begun + timedelta(seconds=number / 2),
                    "updated_at": begun,
                    "attempt": 0,
                    "failures": 0,
                    "blocked_on": [],
                    "evidence_required": [],
                }
                for number, task_id in enumerate(ids)
            ],
        )
        connection.execute(
            insert(tables.task_dependencies),
            [
                {**common, "task_id": task_id, "depends_on": other}
                for task_id, others in waits.items()
                for other in others
            ],
        )
    engine.dispose()


if __name__ == "__main__":
    main()
