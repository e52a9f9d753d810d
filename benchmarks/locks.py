"""How fast locks are: durable acquire and release pairs through /mcp, beside a bare route and a no-op SDK tool.

All three are measured in turn, round after round, in one run: the ratio holds where the machine's speed drifts.

    python benchmarks/locks.py [--seconds 3] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from serving import BARE, SDK, daemon, load, post, server, tool

CONNECTIONS = (1, 8, 64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="*", default=list(CONNECTIONS))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    results: dict[int, dict[str, list[dict[str, Any]]]] = {}
    with daemon() as ours, server(BARE, ours.port + 1, "/bare") as bare, server(SDK, ours.port + 2, "/mcp") as sdk:
        tokens = [
            ours.call("register_agent", agent_id=f"agent-{number}", name=f"Agent {number}")["token"]
            for number in range(max(chosen.connections))
        ]
        for count in chosen.connections:
            pairs = [
                [
                    post(
                        ours.port,
                        "/mcp",
                        tool("conductor_acquire_lock", {"paths": [f"src/module_{number}/main.py"]}),
                        token,
                    ),
                    post(
                        ours.port,
                        "/mcp",
                        tool("conductor_release_lock", {"paths": [f"src/module_{number}/main.py"]}),
                        token,
                    ),
                ]
                for number, token in enumerate(tokens[:count])
            ]
            plain = [[post(bare, "/bare", {"paths": ["src/main.py"]})]] * count
            noop = [[post(sdk, "/mcp", tool("noop", {"paths": ["src/main.py"]}))]] * count
            found = results.setdefault(count, {"bare": [], "sdk": [], "locks": []})
            load(ours.port, pairs, 0.5)
            for _ in range(chosen.rounds):
                found["bare"].append(load(bare, plain, chosen.seconds))
                found["sdk"].append(load(sdk, noop, chosen.seconds / 2))
                found["locks"].append(load(ours.port, pairs, chosen.seconds))
    report(results, as_json=chosen.json)


def report(results: dict[int, dict[str, list[dict[str, Any]]]], *, as_json: bool) -> None:
    """Print medians and ratios."""
    rows = []
    for count, found in results.items():
        rate = {name: [run["requests"] / run["seconds"] for run in runs] for name, runs in found.items()}
        ratios = [ours / bare for ours, bare in zip(rate["locks"], rate["bare"], strict=True)]
        rows.append(
            {
                "connections": count,
                "bare_per_s": round(statistics.median(rate["bare"])),
                "sdk_noop_per_s": round(statistics.median(rate["sdk"])),
                "lock_calls_per_s": round(statistics.median(rate["locks"])),
                "ratio_to_bare": round(statistics.median(ratios), 3),
                "ratio_min": round(min(ratios), 3),
                "ratio_max": round(max(ratios), 3),
                "p50_ms": round(statistics.median(run["p50_ms"] for run in found["locks"]), 2),
                "p99_ms": round(statistics.median(run["p99_ms"] for run in found["locks"]), 2),
                "errors": sum(run["errors"] for run in found["locks"]),
                "first_error": next((run["first_error"] for run in found["locks"] if run["first_error"]), ""),
            }
        )
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items() if value != ""))


if __name__ == "__main__":
    main()
