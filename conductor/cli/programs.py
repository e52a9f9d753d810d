"""Where the other programs are: conductord beside this one, git and the agents' command lines on the PATH.

Standard library only: `conductor up` imports this.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find_daemon() -> Path | None:
    """The conductord of this installation, else the first on the PATH.

    sys.executable is not resolved: in a virtual environment it is a link, and conductord lies beside the link.
    """
    beside = Path(sys.executable).with_name("conductord")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("conductord")
    return Path(found) if found else None


NO_DAEMON = "conductord is not installed beside conductor or on the PATH: pip install conductor-server"
