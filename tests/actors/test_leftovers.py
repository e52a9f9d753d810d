"""What may be ended at a start: all that a killed run left, and nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from actors import leftovers
from conductor.domain.errors import Unavailable

WAIT = "import signal; print('up', flush=True); signal.pause()"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., psutil.Process]]:
    """Starts a program that waits: python code in a file of the given name, with the given arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str) -> psutil.Process:
        file = tmp_path / "programs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(WAIT)
        process = subprocess.Popen([sys.executable, str(file), *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return psutil.Process(process.pid)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return leftovers.private_folder(tmp_path / "ray")


def noted(folder: Path, temp: Path, driver: psutil.Process, *processes: psutil.Process, earlier_s: float = 0.0) -> None:
    """The note that a daemon `driver` would have written."""

    def seen(process: psutil.Process) -> dict[str, object]:
        return {"pid": process.pid, "started_at": process.create_time() - earlier_s, "command": process.cmdline()}

    note = {"temp": str(temp), "driver": seen(driver), "processes": [seen(process) for process in processes]}
    (folder / "run.json").write_text(json.dumps(note))


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(5)


def test_a_noted_process_is_ended(folder: Path, program: Callable[..., psutil.Process]) -> None:
    driver, agent = program("daemon.py"), program("agent.py")
    noted(folder, folder / "t", driver, agent)
    kill(driver)

    ended = leftovers.sweep(folder)

    assert [process.pid for process in ended] == [agent.pid]
    assert not leftovers.still_runs(agent)


def test_a_process_that_only_got_the_noted_pid_is_spared(folder: Path, program: Callable[..., psutil.Process]) -> None:
    driver, stranger = program("daemon.py"), program("stranger.py")
    noted(folder, folder / "t", driver, stranger, earlier_s=60)
    kill(driver)

    ended = leftovers.sweep(folder)

    assert ended == ()
    assert leftovers.still_runs(stranger)


def test_a_worker_that_was_started_after_the_note_is_ended(
    folder: Path, program: Callable[..., psutil.Process]
) -> None:
    driver = program("daemon.py")
    noted(folder, folder / "t", driver)
    worker = program("workers/default_worker.py", f"--temp-dir={folder.resolve() / 't'}")
    kill(driver)

    ended = leftovers.sweep(folder)

    assert [process.pid for process in ended] == [worker.pid]


def test_a_program_that_only_mentions_the_folder_is_spared(
    folder: Path, program: Callable[..., psutil.Process]
) -> None:
    reader = program("reader.py", str(folder.resolve() / "t" / "session_latest" / "logs" / "raylet.out"))

    ended = leftovers.sweep(folder)

    assert ended == ()
    assert leftovers.still_runs(reader)


def test_the_ray_of_another_home_is_spared(
    tmp_path: Path, folder: Path, program: Callable[..., psutil.Process]
) -> None:
    other = program("workers/default_worker.py", f"--temp-dir={tmp_path / 'other' / 'ray' / 't'}")

    ended = leftovers.sweep(folder)

    assert ended == ()
    assert leftovers.still_runs(other)


def test_nothing_is_ended_while_the_daemon_lives(folder: Path, program: Callable[..., psutil.Process]) -> None:
    driver, agent = program("daemon.py"), program("agent.py")
    noted(folder, folder / "t", driver, agent)

    with pytest.raises(Unavailable, match=f"kill {driver.pid}"):
        leftovers.sweep(folder)

    assert leftovers.still_runs(agent)


def test_a_torn_note_stops_no_start(folder: Path) -> None:
    (folder / "run.json").write_text('{"temp": "/ho')
    (folder / "t").mkdir()

    leftovers.sweep(folder)

    assert list(folder.iterdir()) == []


def test_a_note_cannot_make_us_remove_a_folder_of_somebody_else(
    tmp_path: Path, folder: Path, program: Callable[..., psutil.Process]
) -> None:
    precious = tmp_path / "work" / "t"
    precious.mkdir(parents=True)
    driver = program("daemon.py")
    noted(folder, precious, driver)
    kill(driver)

    leftovers.sweep(folder)

    assert precious.is_dir()


def test_a_home_with_a_long_path_gets_a_short_private_folder_that_goes_with_the_run(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / "ray"

    temp = leftovers.short_temp(folder)
    leftovers.note(folder, temp)
    made = temp.parent
    mode = made.stat().st_mode & 0o777
    leftovers.clear(folder)

    assert len(os.fsencode(temp)) < 43
    assert mode == 0o700
    assert not made.exists()
