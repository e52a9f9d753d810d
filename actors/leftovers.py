"""What a killed daemon leaves behind, and how the next start clears it away.

kill -9 of the daemon orphans Ray's agents for good and a host for seconds, in which it could still write. So each run
notes its processes and its temporary folder in `run.json` of the Ray folder, and the next start ends what still lives.
A process is ended only when it is surely ours: noted with this pid, start time and command line, or one of Ray's own
programs that works in our temporary folder (a host restarted after the last note). Must never import ray, and must
never touch a process that merely mentions the folder, such as somebody's `tail` of a log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from conductor.domain.errors import Unavailable

_NOTE = "run.json"
_SOCKET_TAIL = "/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_SOCKET_LIMIT = 103 if sys.platform == "darwin" else 107
_PROGRAMS = (
    "/gcs_server",
    "/raylet",
    "/workers/setup_worker.py",
    "/workers/default_worker.py",
    "/dashboard/agent.py",
    "/runtime_env/agent/main.py",
)
_TITLE = "ray::"
# The kernel tells starts in ticks since boot; their wall-clock time moves a little when the clock is corrected.
_START_TOLERANCE_S = 2.0
_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """A process as it was seen: a pid alone may by now be somebody else's. started_at: seconds since the epoch."""

    pid: int
    started_at: float
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a daemon. temp: Ray's temporary folder. driver: the daemon itself."""

    temp: Path
    driver: Started
    processes: tuple[Started, ...] = ()


def private_folder(folder: Path) -> Path:
    """Make the folder, or take it, so that only its owner may enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def short_temp(ray_folder: Path) -> Path:
    """A path for Ray's temporary folder, short enough for the unix sockets below it; its parent is private.

    Ray opens the folder that it makes to everybody, so it must lie in one that is closed. A home with a long path
    gets a private folder in the machine's temporary one.
    """
    here = private_folder(ray_folder).resolve() / "t"
    if _fits(here):
        return here
    places = [Path(place).resolve() for place in (tempfile.gettempdir(), "/tmp")]  # noqa: S108 (a private folder in it)
    short = next((place for place in places if _fits(place / "cdr-12345678" / "t")), None)
    if short is None:
        raise Unavailable(
            f"No folder has a path short enough for Ray's sockets ({_SOCKET_LIMIT} bytes in all). "
            "Set TMPDIR to a short path, or choose a home with a short one: conductor up --home DIR."
        )
    return Path(tempfile.mkdtemp(prefix="cdr-", dir=short)) / "t"


def note(ray_folder: Path, temp: Path) -> None:
    """Write down this run and its processes of this moment, readable by the owner alone. Reads the process table."""
    run = Run(temp, _seen(psutil.Process()), tuple(_seen(process) for process in _rays(temp)))
    # A draft of its own, 0600 from the start: a reader never meets half a note, nor two writers each other.
    handle, draft = tempfile.mkstemp(prefix=f"{_NOTE}.", dir=ray_folder)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(run), file, default=str)
    Path(draft).replace(ray_folder / _NOTE)


def sweep(ray_folder: Path) -> tuple[Started, ...]:
    """End what a killed run left behind and remove its temporary folder; answers with what was ended.

    Raises Unavailable while the daemon of that run lives, and when a process does not end.
    """
    run = _noted(ray_folder)
    if run is not None and run.driver.pid != os.getpid() and _live(run.driver):
        raise Unavailable(
            f"A daemon of this home is running (pid {run.driver.pid}). Use it, or end it first: kill {run.driver.pid}."
        )
    return clear(ray_folder, run)


def clear(ray_folder: Path, run: Run | None = None) -> tuple[Started, ...]:
    """End every process of the noted run, whoever its daemon is, and remove what it kept on disk."""
    run = run or _noted(ray_folder)
    temp = ray_folder.resolve() / "t" if run is None else run.temp
    noted = () if run is None else run.processes
    ended: list[Started] = []
    # A raylet may start one more worker while it is being ended: look until nothing is found.
    while found := [*filter(None, map(_live, noted)), *_rays(temp)]:
        ended += [_seen(process) for process in set(found)]
        _end(set(found))
    shutil.rmtree(temp, ignore_errors=True)
    if temp.parent != ray_folder.resolve():
        shutil.rmtree(temp.parent, ignore_errors=True)
    for file in ray_folder.glob(f"{_NOTE}*"):
        file.unlink(missing_ok=True)
    return tuple(ended)


def still_runs(process: psutil.Process) -> bool:
    """Whether it has not ended. A zombie has: in a container whose first process reaps nobody it stays one."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _fits(temp: Path) -> bool:
    return len(os.fsencode(f"{temp}{_SOCKET_TAIL}")) <= _SOCKET_LIMIT


def _noted(ray_folder: Path) -> Run | None:
    try:
        raw = json.loads((ray_folder / _NOTE).read_bytes())
        driver, *processes = (
            Started(int(one["pid"]), float(one["started_at"]), tuple(map(str, one["command"])))
            for one in (raw["driver"], *raw["processes"])
        )
        return Run(_own_temp(ray_folder, Path(raw["temp"])), driver, tuple(processes))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # A torn note is as good as none: the folder at its usual place is searched and removed all the same.
        return None


def _own_temp(ray_folder: Path, temp: Path) -> Path:
    """Only a folder that short_temp could have named may be removed, whatever the note says."""
    if temp.name == "t" and (temp.parent == ray_folder.resolve() or temp.parent.name.startswith("cdr-")):
        return temp
    raise ValueError(temp)


def _seen(process: psutil.Process) -> Started:
    try:
        return Started(process.pid, process.create_time(), tuple(process.cmdline()))
    except psutil.Error:
        return Started(process.pid, 0.0, ())


def _live(noted: Started) -> psutil.Process | None:
    """The noted process, if it still lives and really is that one."""
    try:
        process = psutil.Process(noted.pid)
        command = tuple(process.cmdline())
        same_start = abs(process.create_time() - noted.started_at) <= _START_TOLERANCE_S
        # Ray's workers and agents rename themselves after what they do.
        same_command = command == noted.command or _titled(command)
        return process if same_start and same_command and still_runs(process) else None
    except psutil.Error:
        return None


def _rays(temp: Path) -> list[psutil.Process]:
    """Ray's own programs of this user that work in the folder, by their command line or by an open log."""
    return [process for process in psutil.process_iter() if _works_in(process, temp)]


def _works_in(process: psutil.Process, temp: Path) -> bool:
    inside = f"{temp}{os.sep}"
    try:
        if process.uids().real != os.getuid() or not still_runs(process):
            return False
        command = process.cmdline()
        if _titled(command):
            return any(file.path.startswith(inside) for file in process.open_files())
        is_program = any(word.endswith(_PROGRAMS) for word in command[:4])
        return is_program and any(inside in word or word.endswith(str(temp)) for word in command)
    except psutil.Error:
        return False


def _titled(command: Iterable[str]) -> bool:
    return next(iter(command), "").startswith(_TITLE)


def _end(processes: Iterable[psutil.Process]) -> None:
    """kill -9 at once: a frozen host must not wake up and write."""
    remaining = list(processes)
    for process in remaining:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + _END_TIMEOUT_S
    while remaining := [process for process in remaining if still_runs(process)]:
        if time.monotonic() > deadline:
            pids = " ".join(str(process.pid) for process in remaining)
            raise Unavailable(f"Processes of the last run do not end. End them, then start again: kill -9 {pids}")
        time.sleep(0.02)
