"""The daemon: puts everything together, serves until it is told to stop, and leaves nothing behind.

The only place where parts are wired. Order matters: settings, own packages, the lock, the schema, the owner, Ray, the
hosts, the faces; and back in the opposite order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import uvicorn

from actors import spawn
from actors.dispatch import Dispatcher
from actors.fleet import Fleet, Handle
from actors.host import HostSetup, passes
from actors.remote_host import RemoteHandle, RemoteHost
from conductor import settings, telemetry
from conductor.clock import Clock, SystemClock
from conductor.domain import errors
from conductor.home import Home, RunningDaemon
from conductor.integrations.coding_agents import profiles
from conductor.log_file import LogFile
from conductor.operations import catalogue
from conductor.settings import Settings
from mcp_server import command_line, first_run, greeting, http_protocol
from mcp_server.app import Parts, build_app
from mcp_server.auth import Authenticator
from mcp_server.health import Health
from mcp_server.metrics import Metrics
from mcp_server.tokens import TokenDesk
from mcp_server.watch import Watch
from storage import data_lock, migrate
from storage.store import Store

log = telemetry.logger("daemon")

HOST_READY_S = 30.0

_ENDS_TOKENS = frozenset(
    {
        "approve_access",
        "delete_organization",
        "register_agent",
        "remove_member",
        "revoke_access",
        "revoke_token",
        "rotate_token",
        "update_member",
    }
)
"""Operations after which some token may be good no longer, or for less: nobody is let in by what is remembered."""


@dataclass(frozen=True)
class Build:
    """What a test build replaces: the clock of all processes, and the places at which a host can be killed."""

    clock: Clock
    probe: Callable[[str], None] = passes


def main() -> None:
    """Run `conductord`."""
    sys.exit(run(sys.argv[1:], Build(SystemClock())))


def run(arguments: Sequence[str], build: Build) -> int:
    """Run the daemon until it is stopped; returns its exit code."""
    os.umask(0o077)
    version = importlib.metadata.version("conductor-server")
    flags, given = command_line.parse(arguments, version)
    environ = dict(os.environ)
    if given.home is not None:
        environ["CONDUCTOR_HOME"] = str(given.home)
    try:
        home = Home.locate(environ)
        loaded = settings.load(flags, environ, home=home.path, config=given.config)
        first_run.require_own_packages()
        catalogue.require_complete()
        _require_port(loaded.settings)
        home.prepare()
        with contextlib.ExitStack() as stack:
            return _serve(home, loaded.settings, given.new_owner_token, version, build, stack)
    except errors.ConductorError as error:
        print(f"conductord: {error.message}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("stopped while starting; nothing was left running")
        return 130
    except PermissionError as error:
        _complain(f"{error.filename} belongs to another user: run this as its owner, or take another home with --home")
        return 3


def _serve(
    home: Home, chosen: Settings, new_owner_token: bool, version: str, build: Build, stack: contextlib.ExitStack
) -> int:
    telemetry.configure(chosen.log.format, chosen.log.level, cast(TextIO, LogFile(home.logs / "conductord.log")))
    # Ray adds the folder its driver was started in to its workers' path; that must not be a user's.
    os.chdir(home.state)
    url = _database_url(chosen)
    lock = data_lock.for_url(url)
    stack.enter_context(lock)
    migration_url = chosen.storage.migration_url
    migrate.migrate(migration_url.get_secret_value() if migration_url is not None else url, _say)
    store = Store(
        url,
        clock=build.clock,
        pool_size=chosen.storage.pool_size,
        statement_timeout_s=chosen.storage.statement_timeout_s,
    )
    stack.callback(store.close)
    store.require_durable(allow_superuser=chosen.storage.allow_superuser)
    first_run.prepare_store(store, home, new_owner_token=new_owner_token, progress=_say)
    runtime = (
        spawn.connect(chosen.ray.address, _say)
        if chosen.ray.address
        else spawn.start_embedded(home.ray, _say, object_store_mb=chosen.ray.object_store_mb)
    )
    stack.callback(runtime.stop)
    telemetry.adopt_libraries()
    handles = [
        RemoteHandle(
            runtime.spawn_host(
                f"host-{index}",
                RemoteHost,
                HostSetup(
                    index,
                    chosen.ray.hosts,
                    url,
                    chosen,
                    home.pepper(),
                    build.clock,
                    home.logs / f"host-{index}.log",
                    build.probe,
                ),
            )
        )
        for index in range(chosen.ray.hosts)
    ]
    fleet = Fleet(handles, chosen.batch, chosen.leases, chosen.limits)
    service = Service(home, chosen, version, build.clock, store, fleet, lock, runtime)
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(service.run(handles))


class Service:
    """The daemon while it serves."""

    def __init__(
        self,
        home: Home,
        chosen: Settings,
        version: str,
        clock: Clock,
        store: Store,
        fleet: Fleet,
        lock: data_lock.DataLock,
        runtime: spawn.Runtime,
    ) -> None:
        self._home = home
        self._settings = chosen
        self._version = version
        self._fleet = fleet
        self._health = Health()
        self._exit_code = 0
        self._metrics = metrics = Metrics()
        self._dispatcher = Dispatcher(
            store,
            fleet,
            chosen.leases,
            chosen.tasks,
            self._observe,
            read_threads=chosen.storage.pool_size,
            repositories=chosen.repositories,
            known_profiles=profiles.known(chosen.agents.profiles),
        )
        desk = TokenDesk(self._dispatcher, store)
        self._authenticator = authenticator = Authenticator(desk.find, home.pepper(), clock, desk.mark_used)
        self._desk = desk
        self._watch = Watch(self._dispatcher, fleet, lock, runtime, self._health, metrics, clock, self._give_up)
        app = build_app(
            Parts(self._dispatcher, authenticator, self._health, metrics, clock, chosen.server, chosen.limits)
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                host=chosen.server.host,
                port=chosen.server.port,
                loop="none",
                # Agents think between calls: a connection of theirs is kept over a minute's pause.
                timeout_keep_alive=75,
                limit_concurrency=chosen.server.max_connections,
                timeout_graceful_shutdown=int(chosen.server.drain_s),
                ssl_certfile=chosen.server.tls_cert,
                ssl_keyfile=chosen.server.tls_key,
                **http_protocol.options(),
            ),
            self._told,
        )

    async def run(self, handles: Sequence[Handle]) -> int:
        """Wake the hosts, serve, and put everything to rest."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        _say("Waking the hosts")
        await asyncio.gather(*(handle.ready(HOST_READY_S) for handle in handles))
        await self._fleet.start()
        await self._watch.look()
        # What is loaded by now stays: the collector need not walk it again and again while calls wait.
        gc.freeze()
        watching = loop.create_task(self._watch.run())
        try:
            with contextlib.suppress(SystemExit):
                # uvicorn exits by itself when it cannot listen; the rest must be put to rest all the same.
                await self._server.serve()
        finally:
            watching.cancel()
            self._health.unready("it is stopping")
            self._home.remove_daemon(os.getpid())
            await self._desk.close()
            await self._fleet.stop()
            self._dispatcher.close()
            log.info("stopped")
        if not self._server.started:
            _complain(f"cannot listen on {self._settings.server.host}:{self._settings.server.port}: is it in use?")
            return 1
        return self._exit_code

    def _observe(self, operation: str, code: str | None, seconds: float, organization_id: str) -> None:
        self._metrics.observe(operation, code, seconds, organization_id)
        if code is None and operation in _ENDS_TOKENS:
            self._authenticator.forget()

    def _told(self, port: int) -> None:
        scheme = "https" if self._settings.server.tls_cert else "http"
        host = self._settings.server.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  # compared, not bound
        url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
        started_at = SystemClock().now().isoformat()
        self._home.write_daemon(RunningDaemon(os.getpid(), url, started_at, self._version))
        log.info("ready", url=url, pid=os.getpid())
        print(
            greeting.greeting(url, self._home.owner_token(), self._home.owner_token_file, self._home.logs), flush=True
        )

    def _stop(self) -> None:
        if self._server.should_exit:
            self._server.force_exit = True
            return
        _say("Stopping: letting calls under way finish")
        self._health.unready("it is stopping")
        self._server.should_exit = True
        self._dispatcher.end_waits()
        # uvicorn cuts off at drain_s what has no answer; a second before, everybody is given one.
        last_s = max(self._settings.server.drain_s - 1.0, 0.0)
        asyncio.get_running_loop().call_later(last_s, self._fleet.give_up)

    def _give_up(self, why: str) -> None:
        log.error("giving_up", why=why)
        _complain(why)
        self._exit_code = 1
        self._server.should_exit = True
        self._dispatcher.end_waits()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the daemon decides when to stop and what its exit code is."""

    def __init__(self, config: uvicorn.Config, told: Callable[[int], None]) -> None:
        super().__init__(config)
        self._told = told

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the port."""
        await super().startup(sockets)
        if self.started:
            self._told(self.servers[0].sockets[0].getsockname()[1])


def _require_port(chosen: Settings) -> None:
    """Refuse a port that is taken before anything is made. Raises Invalid."""
    host, port = chosen.server.host, chosen.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as wrong:
            raise errors.Invalid(
                f"Cannot listen on {host}:{port} ({wrong.strerror}): another program may have it. Choose another with "
                "--port N, or any free one with --port 0.",
                facts={"host": host, "port": port},
            ) from None


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415  # only the daemon's main needs it, and it is not for every platform

    return uvloop.new_event_loop()


def _database_url(chosen: Settings) -> str:
    storage = chosen.storage
    if storage.database_url is not None:
        return storage.database_url.get_secret_value()
    if storage.db is None:
        raise errors.Invalid("storage.db is empty: give a path for the SQLite database, or storage.database_url.")
    return f"sqlite:///{Path(storage.db)}"


def _say(sentence: str) -> None:
    print(f"  {sentence}", flush=True)


def _complain(sentence: str) -> None:
    print(f"conductord: {sentence}", file=sys.stderr, flush=True)
