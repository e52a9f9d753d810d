"""Starting the home's daemon when nobody has: for `conductor mcp --autostart`.

The daemon outlives who started it. Of several that would start it at once one does, and the others wait for it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from conductor import home
from conductor.cli import programs
from conductor.cli.quick import identity
from conductor.domain import errors

START_S = 60.0
_LOOK_S = 0.05


def ensure(environ: Mapping[str, str]) -> None:
    """Start the home's daemon and wait until it serves; at once when it does already, or is said to be elsewhere.

    Raises Unavailable when it does not start, Invalid when the home cannot be used.
    """
    place = home.Home.locate(environ)
    if environ.get("CONDUCTOR_URL", "").strip() or _serves(place):
        return
    program = programs.find_daemon()
    if program is None:
        raise errors.Unavailable(programs.NO_DAEMON)
    place.prepare()
    until = time.monotonic() + START_S
    turn = os.open(place.path / "autostart.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _is_ours(turn):
            if _serves(place):
                return
            _wait(until, place)
        # Who had the turn before may have started it.
        if not _serves(place):
            _start(program, place, environ, until)
    finally:
        os.close(turn)


def _start(program: Path, place: home.Home, environ: Mapping[str, str], until: float) -> None:
    log = _log(place)
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as output:
        started = subprocess.Popen(
            [program, "--home", str(place.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Signals to the client's terminal are not meant for it.
            start_new_session=True,
            cwd="/",
            env=dict(environ),
        )
    while not _serves(place):
        if started.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise errors.Unavailable(
                f"The daemon did not start: {lines[-1] if lines else 'it said nothing'} (see {log})"
            )
        _wait(until, place)


def _wait(until: float, place: home.Home) -> None:
    if time.monotonic() > until:
        raise errors.Unavailable(f"The daemon did not start within {START_S:g} s: see {_log(place)}.")
    time.sleep(_LOOK_S)


def _is_ours(turn: int) -> bool:
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serves(place: home.Home) -> bool:
    running = place.daemon()
    return running is not None and identity.is_alive(running.pid)


def _log(place: home.Home) -> Path:
    return place.logs / "autostart.log"
