"""How long an edit waits for its hook: `conductor hook pre-tool` as a process, end to end, and the daemon's part of it.

Beside it a bare start of Python, which no hook can beat, and the first answer of `conductor mcp`.

    python benchmarks/hook.py [--rounds 30] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from serving import Daemon, daemon

from conductor.cli.quick import asking, identity

CONDUCTOR = str(Path(sys.executable).with_name("conductor"))
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with daemon() as ours, tempfile.TemporaryDirectory(prefix="cdr") as folder:
        figures = measure(ours, Path(folder), chosen.rounds)
    print(json.dumps(figures) if chosen.json else "  ".join(f"{name}={value}" for name, value in figures.items()))


def measure(ours: Daemon, folder: Path, rounds: int) -> dict[str, float]:
    """Time each in turn, round after round, so that all see the same machine."""
    ada, bob = (ours.call("register_agent", agent_id=name, name=name)["token"] for name in ("ada", "bob"))
    ours.call("acquire_lock", bob, paths=["src/held.py"])
    subprocess.run(["git", "init", "-q", folder], check=True)
    environ = {**os.environ, "CONDUCTOR_HOME": str(ours.home), "CONDUCTOR_TOKEN": ada}
    asked = asking.Daemon(identity.Identity(f"http://127.0.0.1:{ours.port}", ada), 5.0)

    def hook(event: str, tool: str, **given: str) -> None:
        said = {"tool_name": tool, "tool_input": given, "cwd": str(folder), "session_id": "s"}
        run([CONDUCTOR, "hook", event, "--client", "claude"], json.dumps(said), environ)

    timed: dict[str, Callable[[], object]] = {
        "python": lambda: run([sys.executable, "-c", "pass"], "", environ),
        "pre_tool": lambda: hook("pre-tool", "Edit", file_path=str(folder / "src/app.py")),
        "pre_tool_denied": lambda: hook("pre-tool", "Edit", file_path=str(folder / "src/held.py")),
        "pre_tool_shell": lambda: hook("pre-tool", "Bash", command="sed -i s/a/b/ src/app.py"),
        "post_tool": lambda: hook("post-tool", "Edit", file_path=str(folder / "src/app.py")),
        "bridge_first_answer": lambda: run([CONDUCTOR, "mcp"], json.dumps(HELLO), environ),
        "daemon_acquire": lambda: asked.call("acquire_lock", paths=["src/app.py"], ttl_s=900),
        "daemon_check": lambda: asked.call("check_paths", paths=["src/app.py"], intent="edit"),
    }
    took: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 1):
        for name, once in timed.items():
            began = time.perf_counter()
            once()
            if number:
                took[name].append((time.perf_counter() - began) * 1000)
    figures = {}
    for name, times in took.items():
        figures[f"{name}_ms"] = round(statistics.median(times), 1)
        figures[f"{name}_p95_ms"] = round(sorted(times)[int(len(times) * 0.95)], 1)
    return figures


def run(command: Sequence[str], said: str, environ: dict[str, str]) -> None:
    """Run a command to its end. Raises when it refuses to be run."""
    subprocess.run(command, input=said, capture_output=True, text=True, env=environ, check=True)


if __name__ == "__main__":
    main()
