"""How soon `conductor up` serves, and how much memory all its processes take together (sum of RSS as ps shows it).

python benchmarks/start.py [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from serving import daemon

MIB = 1024 * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    ready, memory = [], []
    for _ in range(chosen.rounds):
        with daemon() as ours:
            ready.append(ours.ready_s)
            time.sleep(2)
            main_process = psutil.Process(ours.process.pid)
            tree = [main_process, *main_process.children(recursive=True)]
            memory.append(sum(process.memory_info().rss for process in tree) / MIB)
    figures = {
        "ready_s": round(statistics.median(ready), 2),
        "ready_max_s": round(max(ready), 2),
        "rss_mib": round(statistics.median(memory)),
        "processes": len(tree),
    }
    print(json.dumps(figures) if chosen.json else "  ".join(f"{name}={value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
