"""The runtime with a real Ray: what a host's caller, its machine and the next start may rely on.

One runtime serves the module, in this process; daemons that end or are killed are in test_runtime_process.py.
"""

import asyncio
import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from actors import spawn
from actors.host_lost import HostFailed, HostLost
from tests.actors.echo import Echo, EchoHandle, Figures, running

REPOSITORY = Path(__file__).parents[2]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Started:
    """The module's runtime and what was seen while it started. others: processes of this run that were there before."""

    runtime: spawn.Runtime
    folder: Path
    state: Path
    seconds: float
    progress: tuple[str, ...]
    handlers: tuple[Any, Any]
    others: frozenset[int]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    home = tmp_path_factory.mktemp("home")
    state = home / "state"
    state.mkdir()
    before = Path.cwd()
    os.chdir(state)
    said: list[str] = []
    others = frozenset(process.pid for process in psutil.Process().children(recursive=True))
    began = time.monotonic()
    extra = {"PYTHONPATH": str(REPOSITORY), "CONDUCTOR_TEST_VARIABLE": "noon"}
    runtime = spawn.start_embedded(home / "ray", said.append, extra)
    seconds = time.monotonic() - began
    handlers = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    yield Started(runtime, home / "ray", state, seconds, tuple(said), handlers, others)
    runtime.stop()
    os.chdir(before)


@pytest.fixture(scope="module")
def echo(started: Started) -> EchoHandle:
    host = started.runtime.spawn_host("echo", Echo, b"> ")
    uvloop.run(host.ready(30))
    return host


def rays_processes(started: Started) -> list[psutil.Process]:
    # Other modules of the same run may have a daemon or a database that lives on.
    return [process for process in psutil.Process().children(recursive=True) if process.pid not in started.others]


def test_a_bare_class_becomes_a_host_that_answers_on_uvloop(echo: EchoHandle) -> None:
    async def story() -> bytes:
        return await echo.many(b"hello")

    answer = uvloop.run(story())

    assert answer == b"> hello"


def test_batches_run_one_at_a_time_on_one_thread(echo: EchoHandle) -> None:
    async def story() -> Figures:
        for _ in range(20):
            await asyncio.gather(*(echo.many(b"x") for _ in range(20)))
        return await echo.stats()

    figures = uvloop.run(story())

    assert figures.peak == 1
    assert len(figures.threads) == 1
    assert figures.thread not in figures.threads


def test_hosts_live_in_the_daemons_folder_with_the_variables_that_were_added(
    started: Started, echo: EchoHandle
) -> None:
    figures = uvloop.run(echo.stats())

    assert figures.folder == str(started.state)
    assert figures.test_variable == "noon"
    assert "CONDUCTOR_TEST_VARIABLE" not in os.environ


def test_what_a_host_raises_arrives_as_host_failed_with_its_text(echo: EchoHandle) -> None:
    with pytest.raises(HostFailed) as caught:
        uvloop.run(echo.many(b"raise"))

    assert (caught.value.kind, caught.value.text) == ("ValueError", "no such command")
    assert caught.value.host == "echo"


def test_a_call_under_which_the_host_is_killed_is_lost_and_the_next_one_is_answered(echo: EchoHandle) -> None:
    async def story() -> tuple[int, int, bytes, float, float]:
        call = asyncio.create_task(echo.many(b"hang"))
        old = await running(echo)
        began = time.monotonic()
        os.kill(old.pid, signal.SIGKILL)
        with pytest.raises(HostLost):
            await call
        lost_s = time.monotonic() - began
        await echo.ready(30)
        answer = await echo.many(b"again")
        new = await echo.stats()
        return old.pid, new.pid, answer, lost_s, time.monotonic() - began

    old_pid, new_pid, answer, lost_s, back_s = uvloop.run(story())

    print(f"kill -9 of a host: call lost after {lost_s:.2f} s, next answer after {back_s:.2f} s")
    assert answer == b"> again"
    assert new_pid != old_pid


def test_a_restarted_host_is_noted_for_the_sweep(started: Started, echo: EchoHandle) -> None:
    figures = uvloop.run(echo.stats())

    note = json.loads((started.folder / "run.json").read_bytes())

    assert figures.pid in {process["pid"] for process in note["processes"]}
    assert stat.S_IMODE((started.folder / "run.json").stat().st_mode) == 0o600


def test_a_host_whose_constructor_raised_says_why_and_is_tried_again(started: Started, tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    host = started.runtime.spawn_host("moody", Echo, obstacle=obstacle)

    with pytest.raises(HostFailed) as caught:
        uvloop.run(host.ready(30))
    answer = uvloop.run(host.many(b"x"))
    host.end()

    assert (caught.value.kind, caught.value.text) == ("RuntimeError", "the database is away")
    assert answer == b"x"


def test_the_lean_head_stays_small(started: Started, echo: EchoHandle) -> None:
    uvloop.run(echo.ready(30))

    # Ray's own processes: the driver here is pytest, with all that the other rings have loaded.
    sizes = [(process.name(), process.memory_info().rss) for process in rays_processes(started)]

    total_mb = sum(size for _, size in sizes) / 1e6
    print(f"start {started.seconds:.2f} s; RSS {total_mb:.0f} MB:", [(name, round(size / 1e6)) for name, size in sizes])
    assert total_mb < 600


def test_ray_listens_on_loopback_only(started: Started, echo: EchoHandle) -> None:
    listening = {
        connection.laddr.ip
        for process in [psutil.Process(), *rays_processes(started)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening
    assert listening <= LOOPBACK


def test_the_token_and_everything_of_ray_are_closed_to_others(started: Started) -> None:
    token = started.folder.with_name("ray.token")

    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(started.folder.stat().st_mode) == 0o700
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(token)


def test_the_daemon_keeps_its_own_signal_handlers(started: Started) -> None:
    interrupt, terminate = started.handlers

    assert interrupt is signal.default_int_handler
    assert terminate is signal.SIG_DFL


def test_a_ray_of_another_shape_is_started_as_ray_likes() -> None:
    other_ray = type("Node", (), {"start_dashboard": lambda self: None})

    assert spawn.lean_node(other_ray, object) is None


def test_a_thread_that_may_end_is_no_place_to_start_ray(tmp_path: Path) -> None:
    async def story() -> None:
        await asyncio.to_thread(spawn.start_embedded, tmp_path / "ray", print)

    with pytest.raises(RuntimeError, match="main thread"):
        asyncio.run(story())
