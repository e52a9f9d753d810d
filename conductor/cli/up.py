"""`conductor up`: becomes the daemon.

By exec and not by import, so that the daemon is the process that was started: signals, exit code and the terminal are
its own, and no module of the client lives on in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from conductor.cli import programs


def run(arguments: Sequence[str]) -> int:
    """Become `conductord` with the same arguments; returns only when there is none."""
    daemon = programs.find_daemon()
    if daemon is None:
        print(programs.NO_DAEMON, file=sys.stderr)
        return 1
    os.execv(daemon, [str(daemon), *arguments])  # noqa: S606  # to replace this process is the point
