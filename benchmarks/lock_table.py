"""How fast the lock table and its queue decide, without a daemon: 10,000 held locks, 1,000 of them globs.

Every look-up is compared with asking each held lock: the figures count only when the answers are the same.

    python benchmarks/lock_table.py [--locks 10000] [--globs 1000] [--asked 2000] [--waiting 1000] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conductor.domain import globs
from conductor.domain.lock_queue import DEFAULT_RANK, LockQueue
from conductor.domain.locks import Lease, LockTable, Mode, Wanted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AGENTS = 500
MOST_S = 0.001
"""What a single file's look-up may take in the median."""


@dataclass
class Figures:
    """What one kind of question took, and whether the oracle said the same."""

    took_s: list[float] = field(default_factory=list)
    disagreements: int = 0

    def row(self, name: str) -> dict[str, str | float]:
        """Give the figures for a person or a program."""
        ordered = sorted(self.took_s)
        return {
            "what": name,
            "asked": len(ordered),
            "median_ms": round(statistics.median(ordered) * 1000, 4),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 4),
            "max_ms": round(ordered[-1] * 1000, 4),
            "disagreements": self.disagreements,
        }


def main() -> None:
    """Measure and print; ends with 1 when an answer is wrong or a single file takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locks", type=int, default=10_000)
    parser.add_argument("--globs", type=int, default=1_000, help="of the locks")
    parser.add_argument("--asked", type=int, default=2_000, help="questions of each kind")
    parser.add_argument("--waiting", type=int, default=1_000, help="tickets in the queue")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    dice = random.Random(chosen.seed)
    texts = held_patterns(chosen.locks, chosen.globs, dice)
    table = LockTable(lease(number, text) for number, text in enumerate(texts))
    names = [text for text in texts if globs.parse(text).is_literal]
    files = [dice.choice(names) if dice.random() < 0.5 else new_file(dice) for _ in range(chosen.asked)]
    wide = [dice.choice(texts[: chosen.globs]) for _ in range(chosen.asked // 20)]
    found = {
        "a single file": ask(table, files, texts),
        "a glob": ask(table, wide, texts),
        "a request of 64 files": sets(table, files, texts, chosen.asked // 20),
        **changes(table, files),
        **queue(table, texts, chosen.waiting, dice),
    }
    rows = [figures.row(name) for name, figures in found.items()]
    print(json.dumps(rows) if chosen.json else "\n".join("  ".join(f"{k}={v}" for k, v in row.items()) for row in rows))
    is_fast = statistics.median(found["a single file"].took_s) < MOST_S
    sys.exit(0 if is_fast and not any(figures.disagreements for figures in found.values()) else 1)


def held_patterns(count: int, globbed: int, dice: random.Random) -> list[str]:
    """Make what a large repository's agents lease: the globs first, a tenth of them from the root down."""
    made: dict[str, None] = {}
    shapes: list[Callable[[int], str]] = [
        lambda n: f"**/*.ext{n}",
        lambda n: f"packages/pkg{n % 97}/**/test_{n}_*.py",
        lambda n: f"packages/pkg{n % 97}/mod{n}/",
        lambda n: f"packages/pkg{n % 97}/mod{n}/*.py",
        lambda n: f"packages/*/generated{n}/**",
        lambda n: f"docs/chapter{n}/**",
        lambda n: f"src/area{n % 31}/part{n}?/*.ts",
        lambda n: f"src/**/feature{n}/*",
        lambda n: f"assets/{n}-*/**/*.svg",
        lambda n: f"src/area{n % 31}/sub{n}/**",
    ]
    number = 0
    while len(made) < globbed:
        made[shapes[number % len(shapes)](number)] = None
        number += 1
    while len(made) < count:
        made[new_file(dice)] = None
    return list(made)


def new_file(dice: random.Random) -> str:
    """Make the name of a file somewhere in the repository."""
    number = dice.randrange(1_000)
    folder = dice.choice(
        [
            f"packages/pkg{number % 97}/mod{number}",
            f"packages/pkg{number % 97}/lib/deep/er",
            f"src/area{number % 31}/part{number}1",
            f"src/area{number % 31}/sub{number}/x",
            f"docs/chapter{number}",
        ]
    )
    return f"{folder}/{dice.choice(['file', 'test', 'view'])}_{dice.randrange(50)}.{dice.choice(['py', 'ts', 'md'])}"


def lease(number: int, text: str) -> Lease:
    """Make a lease of one pattern."""
    until = NOW + timedelta(seconds=900 + number % 600)
    return Lease(f"lck_{number}", "prj", f"agent-{number % AGENTS}", (text,), Mode.EXCLUSIVE, number, 900, NOW, until)


def oracle(paths: Iterable[str], texts: list[str]) -> set[str]:
    """Ask each held lock whether it meets one of these patterns."""
    asked = [globs.parse(path) for path in paths]
    return {
        f"lck_{number}"
        for number, text in enumerate(texts)
        if any(globs.overlapping(globs.parse(text), pattern) for pattern in asked)
    }


def ask(table: LockTable, patterns: list[str], texts: list[str]) -> Figures:
    """Look up each pattern for somebody who holds nothing."""
    figures = Figures()
    for place, pattern in enumerate(patterns):
        one_look_up(table, (pattern,), texts if place < 200 else None, figures)
    return figures


def sets(table: LockTable, files: list[str], texts: list[str], count: int) -> Figures:
    """Look up requests of as many files as a call may have."""
    figures = Figures()
    for place in range(count):
        chosen = sorted({files[(place * 64 + step) % len(files)] for step in range(64)})
        one_look_up(table, tuple(chosen), texts if place < 5 else None, figures)
    return figures


def one_look_up(table: LockTable, paths: tuple[str, ...], texts: list[str] | None, figures: Figures) -> None:
    """Time one question; texts: what is held, to ask the oracle too."""
    wanted = Wanted("nobody", paths, Mode.EXCLUSIVE, 900)
    started = time.perf_counter()
    conflicts = table.conflicts(wanted, NOW)
    figures.took_s.append(time.perf_counter() - started)
    if texts is not None and {held.id for held in conflicts} != oracle(paths, texts):
        figures.disagreements += 1


def changes(table: LockTable, files: list[str]) -> dict[str, Figures]:
    """Grant what is free, and take it out again."""
    grants, ends = Figures(), Figures()
    for number, file in enumerate(files):
        wanted = Wanted("nobody", (f"free/{number}/{file}",), Mode.EXCLUSIVE, 900)
        started = time.perf_counter()
        granted, _ = table.decide_acquire(wanted, "prj", NOW, lambda number=number: f"new_{number}")  # type: ignore[misc]  # The default binds the loop's number.
        table.put(granted)
        grants.took_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        table.drop(granted.id)
        ends.took_s.append(time.perf_counter() - started)
    return {"a grant": grants, "an end": ends}


def queue(table: LockTable, texts: list[str], count: int, dice: random.Random) -> dict[str, Figures]:
    """Fill the queue with agents that wait for what is held, then end leases and hand them over."""
    line = LockQueue(aging_s=600)
    joins, hand_overs = Figures(), Figures()
    # A tenth of the leases is fought for, so that lines form.
    fought = dice.sample(texts, max(1, count // 10))
    number_of = {text: number for number, text in enumerate(texts)}
    for number in range(count):
        wanted = Wanted(f"waiter-{number}", (dice.choice(fought),), Mode.EXCLUSIVE, 900)
        started = time.perf_counter()
        ticket = line.place(wanted, DEFAULT_RANK, "prj", table, NOW, lambda number=number: f"tkt_{number}")  # type: ignore[misc]  # As above.
        blockers = line.blockers(ticket, table, NOW)
        cycle = line.closing_cycle(ticket, table, NOW)
        line.put(ticket)
        joins.took_s.append(time.perf_counter() - started)
        joins.disagreements += not blockers or cycle is not None
    for text in fought:
        table.drop(f"lck_{number_of[text]}")
        started = time.perf_counter()
        chosen = line.next_grants(table, NOW, freed=(text,))
        hand_overs.took_s.append(time.perf_counter() - started)
        if chosen != line.next_grants(table, NOW):
            hand_overs.disagreements += 1
        for ticket in chosen:
            granted, _ = table.decide_acquire(
                ticket.wanted,
                "prj",
                NOW,
                lambda ticket=ticket: f"new_{ticket.id}",  # type: ignore[misc]  # As above.
                beside=True,
            )
            table.put(granted)
            line.put(ticket.granted(granted.id, NOW))
    return {"joining the line": joins, "a hand-over": hand_overs}


if __name__ == "__main__":
    main()
