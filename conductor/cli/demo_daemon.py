"""A daemon for the length of the demo: its own home in a temporary folder, any free port, gone afterwards."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conductor.cli import probe, programs
from conductor.domain import errors
from conductor.home import Connection, Home

_START_S = 90.0
_STOP_S = 15.0
_LOOK_EVERY_S = 0.1
_SHOWN_LINES = 15


@contextmanager
def running() -> Iterator[Connection]:
    """Start a daemon, give its address and owner's token once it serves, stop it and remove its folder."""
    program = programs.find_daemon()
    if program is None:
        raise errors.Unavailable(programs.NO_DAEMON)
    # Short, because Ray keeps unix sockets below it, whose paths may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="cdr-"))
    home = Home(folder / "home")
    log = folder / "daemon.log"
    # The installation's own settings, its database before all, must not reach this daemon.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
    try:
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                [str(program), "--home", str(home.path), "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
            )
        try:
            yield _wait(daemon, home, log)
        finally:
            _stop(daemon)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(daemon: "subprocess.Popen[bytes]", home: Home, log: Path) -> Connection:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            raise errors.Unavailable(
                f"The demo's daemon stopped at once (exit code {daemon.returncode}):\n{_tail(log)}"
            )
        said = home.daemon()
        if said is not None and probe.look(said.url).is_ready:
            return Connection(said.url, home.owner_token() or "", None)
        time.sleep(_LOOK_EVERY_S)
    raise errors.Unavailable(f"The demo's daemon was not ready within {_START_S:.0f} s:\n{_tail(log)}")


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
