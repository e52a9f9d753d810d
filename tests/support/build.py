"""The test build of the daemon: the product, with a clock that tests move and places at which it can be killed.

Run as a script in a process of its own; where the clock and the kill orders lie is told by the environment.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from mcp_server import daemon
from tests.support.clocks import FileClock


@dataclass(frozen=True)
class KillAt:
    """Kills this process with -9 at the place that a file names, once: the first time it comes there, or a later."""

    order: Path

    def __call__(self, place: str) -> None:
        try:
            wanted, times = self.order.read_text().split()
        except FileNotFoundError:
            return
        if wanted != place:
            return
        if int(times) > 1:
            self.order.write_text(f"{place} {int(times) - 1}")
            return
        self.order.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder = Path(os.environ["CONDUCTOR_TEST_FOLDER"])
    # What the main of a script defines cannot be unpickled in another process: Ray's workers import it by its package.
    importable = importlib.import_module("tests.support.build")
    sys.exit(daemon.run(sys.argv[1:], daemon.Build(FileClock(folder / "clock"), importable.KillAt(folder / "kill"))))
