"""The Ray runtime: starts it or joins it, makes a host of a plain class, and says plainly when a host is lost.

The only file that imports ray. Ray reads its environment while it is imported, so it is imported by the functions that
prepare that environment, never at the top. The embedded Ray is lean, listens on loopback alone, takes its token from
a file of ours and none of the user's own Ray settings. Start it on the main thread: the kernel ends Ray's processes
with the thread that started them. Must never be imported outside the daemon.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import psutil
import structlog

from actors import leftovers
from actors.host_lost import HostFailed, HostLost
from conductor.domain.errors import Invalid, Unavailable

log = structlog.get_logger()

Batch_contra = TypeVar("Batch_contra", contravariant=True)
Replies_co = TypeVar("Replies_co", covariant=True)
Stats_co = TypeVar("Stats_co", covariant=True)
Arguments = ParamSpec("Arguments")

_MIB = 1024 * 1024
_READY_PAUSE_S = 0.05
_ASIDE = "aside"
_HEAD = ("gcs_server", "raylet")
_EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # How long a failed call waits for news of its host's end: Ray's 1,000 ms is longer than a host needs to be back.
    "RAY_timeout_ms_task_wait_for_death_info": "300",
    # Nobody reads Ray's task history, and writing it costs a twentieth of each call.
    "RAY_task_events_report_interval_ms": "0",
}
_EMBEDDED = {
    # Despite its name this is what binds every socket of a head to 127.0.0.1, on Linux as well.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ROTATION_MAX_BYTES": str(10 * 1024 * 1024),
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_event_stats": "0",
}


class Host(Protocol[Batch_contra, Replies_co, Stats_co]):
    """What a class must have to be a host; both methods are plain and synchronous.

    The constructor runs on the process's main thread, `many` always on one other thread, one call at a time, `stats`
    on a third, beside a running `many`. After the process died all of it begins anew with the same arguments.
    """

    def many(self, batch: Batch_contra, /) -> Replies_co: ...

    def stats(self) -> Stats_co: ...


class HostHandle(Generic[Batch_contra, Replies_co, Stats_co]):
    """The daemon's end of one host. Awaitable on any asyncio loop, uvloop included.

    Each call raises HostLost when the host went away under it, HostFailed when the host's own code raised.
    """

    def __init__(self, runtime: Runtime, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self._runtime = runtime
        self._make = make
        self._actor = make()

    async def many(self, batch: Batch_contra) -> Replies_co:
        """Hand over one batch. Batches of one host run in the order they were handed over."""
        replies: Replies_co = await self._ask(lambda actor: actor.many.remote(batch))
        return replies

    async def stats(self) -> Stats_co:
        """Ask for the host's figures; answered also while a batch runs."""
        stats: Stats_co = await self._ask(lambda actor: actor.stats.options(concurrency_group=_ASIDE).remote())
        return stats

    async def ready(self, timeout_s: float) -> None:
        """Wait until the host answers: after spawn, and after HostLost before the call is repeated.

        Raises the last HostLost when timeout_s is over, HostFailed at once when the constructor raised.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self.stats()
                break
            except TimeoutError:
                raise HostLost(self.name, f"no answer within {timeout_s} s") from None
            except HostLost:
                if self._runtime.is_stopped or time.monotonic() + _READY_PAUSE_S > deadline:
                    raise
                await asyncio.sleep(_READY_PAUSE_S)
        await asyncio.to_thread(self._runtime.note)

    def end(self) -> None:
        """Kill the host's process for good."""
        self._runtime.kill(self._actor)

    async def _ask(self, call: Callable[[Any], Any]) -> Any:
        if self._runtime.is_stopped:
            raise HostLost(self.name, "the runtime has been stopped")
        errors, actor = self._runtime.errors, self._actor
        try:
            return await call(actor)
        except errors.RayTaskError as error:
            raise HostFailed(self.name, type(error.cause).__name__, str(error.cause), str(error)) from error
        except errors.ActorDiedError as error:
            self._replace(actor)
            if not error.actor_init_failed:
                raise HostLost(self.name, str(error)) from error
            raise _constructor_failed(self.name, str(error)) from error
        except errors.RayError as error:
            raise HostLost(self.name, str(error)) from error

    def _replace(self, dead: Any) -> None:
        """Ray restarts a process that died, but gives an actor up when its constructor raises, also in a restart."""
        if self._actor is dead and not self._runtime.is_stopped:
            log.warning("host_replaced", host=self.name)
            self._actor = self._make()


class Runtime:
    """A running Ray as the daemon holds it. Made by start_embedded or connect.

    address: host:port of the head. folder: the Ray folder of an embedded one.
    """

    def __init__(self, ray: ModuleType, address: str, folder: Path | None = None, temp: Path | None = None) -> None:
        self.address = address
        self.errors = ray.exceptions
        self.is_stopped = False
        self._ray = ray
        self._folder = folder
        self._temp = temp
        self._handles: list[HostHandle[Any, Any, Any]] = []
        children = psutil.Process().children() if temp is not None else []
        self._head = {name: child for child in children if (name := child.name()) in _HEAD}

    def spawn_host(
        self,
        name: str,
        host_class: Callable[Arguments, Host[Batch_contra, Replies_co, Stats_co]],
        /,
        *args: Arguments.args,
        **kw: Arguments.kwargs,
    ) -> HostHandle[Batch_contra, Replies_co, Stats_co]:
        """Make a host of a plain class, in a process of its own; await `ready` before the first batch.

        The class and the arguments travel pickled: the class by its name, so it must be importable in the worker.
        """
        if self.is_stopped:
            raise RuntimeError("The runtime has been stopped: start another one.")
        options = self._ray.remote(
            num_cpus=0,
            max_restarts=-1,
            # A batch must never run twice by Ray's hand: the dispatcher repeats it, with its idempotency key.
            max_task_retries=0,
            concurrency_groups={_ASIDE: 1},
            scheduling_strategy="SPREAD",
            enable_task_events=False,
        )
        remote = options(host_class)
        handle = HostHandle[Batch_contra, Replies_co, Stats_co](self, name, lambda: remote.remote(*args, **kw))
        self._handles.append(handle)
        return handle

    def missing(self) -> tuple[str, ...]:
        """Parts of an embedded head that died; hosts answer for a while, but none comes back: the daemon must end."""
        return tuple(name for name, process in self._head.items() if not leftovers.still_runs(process))

    def kill(self, actor: Any) -> None:
        """End an actor's process without a restart."""
        if not self.is_stopped:
            self._ray.kill(actor, no_restart=True)

    def note(self) -> None:
        """Write down the processes of this moment, for the sweep after a kill -9. Nothing to note in a cluster."""
        if self._folder is not None and self._temp is not None and not self.is_stopped:
            leftovers.note(self._folder, self._temp)

    def stop(self) -> None:
        """Release Ray: kill the hosts, end what was started, remove its folder. Harmless when done before."""
        if self.is_stopped:
            return
        for handle in self._handles:
            handle.end()
        self.is_stopped = True
        _release(self._ray, self._folder)


def start_embedded(
    ray_folder: Path,
    progress: Callable[[str], None],
    extra_env: Mapping[str, str] | None = None,
    *,
    object_store_mb: int = 80,
) -> Runtime:
    """Start a Ray of our own on this machine, after what a killed run left behind has been ended.

    ray_folder: home/ray; the token lies beside it in home/ray.token. progress: shown to the person who waits.
    extra_env: variables that only Ray's processes get. object_store_mb: shared memory for large objects.
    Raises Unavailable when another daemon of this home is running.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Start Ray on the main thread: the kernel ends its processes with their parent thread.")
    folder = leftovers.private_folder(ray_folder).resolve()
    if ended := leftovers.sweep(folder):
        progress(f"Ended {len(ended)} processes that a killed run left behind")
    progress("Starting Ray on 127.0.0.1")
    temp = leftovers.short_temp(folder)
    leftovers.note(folder, temp)
    ray = _import_ray(_EVERYWHERE | _EMBEDDED | {"RAY_AUTH_TOKEN_PATH": str(_new_token(folder))}, keep_users=False)
    is_up = False
    try:
        with _signals_kept(), _lean(ray), _added_env(extra_env or {}):
            context = ray.init(
                address="local",
                # One worker is started ahead of need: the first host takes it over.
                num_cpus=1,
                num_gpus=0,
                object_store_memory=object_store_mb * _MIB,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(temp),
            )
        runtime = Runtime(ray, context.address_info["gcs_address"], folder, temp)
        runtime.note()
        is_up = True
    finally:
        if not is_up:
            _release(ray, folder)
    progress("Ray is up")
    return runtime


def connect(address: str, progress: Callable[[str], None], extra_env: Mapping[str, str] | None = None) -> Runtime:
    """Join the cluster at `ray.address`; its token and other settings come from the environment, as with `ray start`.

    address: host:port of the head. extra_env: variables for the hosts.
    """
    if "://" in address or address in {"", "auto", "local"}:
        raise Invalid(f"ray.address is {address!r}; give host:port of the cluster's head, such as 10.0.0.5:6379.")
    progress(f"Joining the Ray cluster at {address}")
    ray = _import_ray(_EVERYWHERE, keep_users=True)
    try:
        with _signals_kept():
            ray.init(
                address=address,
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"env_vars": dict(extra_env)} if extra_env else None,
            )
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise Unavailable(
            f"No Ray cluster at {address} lets us in. Check ray.address, and that RAY_AUTH_MODE and "
            "RAY_AUTH_TOKEN_PATH are those of the cluster."
        ) from error
    return Runtime(ray, address)


def _release(ray: ModuleType, folder: Path | None) -> None:
    ray.shutdown(wait_for_processes=True)
    if folder is not None:
        leftovers.clear(folder)


def _import_ray(environment: Mapping[str, str], *, keep_users: bool) -> ModuleType:
    if not keep_users:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
    os.environ.update(environment)
    import ray  # noqa: PLC0415 (it reads the environment that was just prepared)
    import ray._private.node  # noqa: PLC0415
    import ray._private.worker  # noqa: PLC0415
    import ray.exceptions  # noqa: PLC0415

    logging.getLogger("ray").setLevel(logging.WARNING)
    # Ray prints what the raylet reports, such as a dead worker, in colours on our standard output.
    if hasattr(ray._private.worker, "print_to_stdstream"):
        ray._private.worker.print_to_stdstream = _report
    # A second runtime in one process has a new token.
    if loader := getattr(ray._raylet, "AuthenticationTokenLoader", None):
        loader.instance().reset_cache()
    module: ModuleType = ray
    return module


def _report(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
    for line in data.get("lines", ()):
        log.warning("ray_reported", source=str(data.get("pid")), text=str(line))


def _new_token(folder: Path) -> Path:
    """A fresh token for this run, in a file that only its owner may read; Ray would make it readable to all."""
    path = folder.with_name("ray.token")
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return path


@contextmanager
def _lean(ray: ModuleType) -> Iterator[None]:
    """While a head starts: without dashboard, autoscaler and log monitor, which saves 250 MB and seconds.

    Ray has no public way. Where the private one looks different from the one we know, the head starts as Ray likes.
    """
    node, parameters = ray._private.node, ray._private.parameter.RayParams
    lean = lean_node(node.Node, parameters)
    if lean is None:
        log.warning("ray_not_lean", version=ray.__version__)
        yield
        return
    plain, node.Node = node.Node, lean
    try:
        yield
    finally:
        node.Node = plain


def lean_node(plain: Any, parameters: Any) -> Any:
    """Ray's Node class without the parts that nobody asks, or None where its shape is not the one we know."""
    api_server = getattr(plain, "start_api_server", None)
    if api_server is None or set(inspect.signature(api_server).parameters) != {
        "self",
        "include_dashboard",
        "raise_on_failure",
    }:
        return None
    if not {"no_monitor", "include_log_monitor"} <= set(inspect.signature(parameters).parameters):
        return None

    def begin(self: Any, ray_params: Any, *args: Any, **kw: Any) -> None:
        ray_params.update(no_monitor=True, include_log_monitor=False)
        plain.__init__(self, ray_params, *args, **kw)

    def no_api_server(self: Any, **_: Any) -> None:
        self._webui_url = None

    return type("LeanNode", (plain,), {"__init__": begin, "start_api_server": no_api_server})


@contextmanager
def _signals_kept() -> Iterator[None]:
    """ray.init takes SIGTERM for itself: the daemon drains on it, so its own handlers are put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def _added_env(extra: Mapping[str, str]) -> Iterator[None]:
    """Ray's processes inherit what the environment holds while they start; afterwards it is as before."""
    kept = {name: os.environ.get(name) for name in extra}
    os.environ.update(extra)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _constructor_failed(host: str, told: str) -> HostFailed:
    """Ray hands a constructor's exception over as coloured text only; its last line is `Kind: message`."""
    trace = re.sub(r"\x1b\[\d+m", "", told).strip()
    kind, _, text = trace.splitlines()[-1].partition(": ")
    return HostFailed(host, kind, text, trace)
