"""Ends a test PostgreSQL when its test run is over, however the run ended.

A run that is killed cannot clean up after itself, so each cluster gets this program as a companion in a session of
its own. It reads what to watch from a pipe that only the run holds open. The pipe closes when the run closes it and
when the run dies: then the processes are killed and the folders removed. Must import nothing of the project: it runs
as a plain script.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

PATIENCE_S = 30.0
"""How long a killed process or a folder may take to vanish before we give up, loudly."""


def kill_tree(root: psutil.Process) -> None:
    """Kill a process and all that it started, and return when none of them holds memory any more.

    PostgreSQL refuses to start again on a folder while a child of the killed server still has its shared memory.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        # A frozen parent starts no further children, so the list is whole.
        root.suspend()
        tree = [root, *root.children(recursive=True)]
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + PATIENCE_S
        while not all(map(is_over, tree)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {[process.pid for process in tree]} did not end within {PATIENCE_S} s")
            time.sleep(0.005)


def is_over(process: psutil.Process) -> bool:
    """Whether a process holds nothing any more: a zombie does not, and in a container nobody may ever collect it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def remove(folder: Path) -> None:
    """Remove a cluster's folder, and the shared memory that a killed server left behind."""
    _release_shared_memory(folder / "data" / "postmaster.pid")
    deadline = time.monotonic() + PATIENCE_S
    # A last process may still write while we remove: once more until nothing is left.
    while folder.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{folder} could not be removed within {PATIENCE_S} s")
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Read `process PID` and `folder PATH` lines until the pipe closes, then end them all."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes: list[psutil.Process] = []
    folders: list[Path] = []
    for line in sys.stdin:
        kind, _, value = line.rstrip("\n").partition(" ")
        if kind == "folder":
            folders.append(Path(value))
        else:
            # psutil notes the start time too: a pid that was given to another program later is left alone.
            with contextlib.suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(int(value)))
    for process in processes:
        if process.is_running():
            kill_tree(process)
    for folder in folders:
        remove(folder)


def _release_shared_memory(pid_file: Path) -> None:
    # Only a server that was killed leaves this file; its seventh line is the key and the id of a System V segment.
    with contextlib.suppress(OSError, IndexError, ValueError):
        segment = int(pid_file.read_text().splitlines()[6].split()[1])
        ourselves = os.geteuid()
        # Only its owner may remove it: root in a container may not.
        os.seteuid(pid_file.stat().st_uid)
        ipc_rmid = 0
        ctypes.CDLL(None).shmctl(segment, ipc_rmid, None)
        os.seteuid(ourselves)


if __name__ == "__main__":
    main()
