"""`conductor doctor`: every check, one line each, with the command that mends what is wrong."""

import json
import sys
from collections.abc import Mapping

from rich.text import Text

from conductor.cli import checks, show
from conductor.cli.checks import State

_MARKS = {State.GOOD: ("ok  ", "green"), State.HINT: ("hint", "yellow"), State.BAD: ("bad ", "bold red")}


def run(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Check and print; gives the exit code: 1 when something must be mended."""
    found = checks.look(environ)
    bad = [check for check in found if check.state is State.BAD]
    if as_json:
        rows = [
            {"name": check.name, "state": check.state, "sentence": check.sentence, "command": check.command}
            for check in found
        ]
        sys.stdout.write(json.dumps({"is_well": not bad, "checks": rows}) + "\n")
        return 1 if bad else 0
    out = show.console()
    for check in found:
        mark, style = _MARKS[check.state]
        out.print(Text.assemble((mark, style), f"  {check.name:<10}  {check.sentence}"), soft_wrap=True)
        if check.command:
            out.print(Text.assemble(" " * 18, ("mend: ", "dim"), (check.command, "bold")), soft_wrap=True)
    out.print(f"\n{len(bad)} to mend." if bad else "\nAll is well.", style="bold")
    return 1 if bad else 0
