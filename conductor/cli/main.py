"""The start of `conductor`: quick commands are run before anything beyond the standard library is imported.

A command that a hook or a supervisor starts many times a minute must not pay for tables and HTTP it does not use.
A quick command is a module with `run(arguments) -> exit code` that keeps to the standard library; everything else
goes to `conductor.cli.app`.
"""

import importlib
import os
import sys

QUICK = {
    "up": "conductor.cli.up",
    "hook": "conductor.cli.quick.hook",
    "mcp": "conductor.cli.quick.mcp_bridge",
    "prime": "conductor.cli.quick.prime",
    "gate": "conductor.cli.gate.command",
}
"""Quick commands: name to module."""


def main() -> int:
    """Run the command line; gives the exit code."""
    name, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    module, arguments = (QUICK[name], rest) if name in QUICK else ("conductor.cli.app", sys.argv[1:])
    try:
        code = int(importlib.import_module(module).run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read the output went away, as `head` does; without this Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    return code
