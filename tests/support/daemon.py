"""A daemon as a process, started, killed and talked to as users do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.clocks import FileClock

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 60.0
TEST_BUILD = (sys.executable, str(ROOT / "tests/support/build.py"))


def installed(name: str) -> str:
    """Where pip put a script of ours."""
    return str(Path(sys.executable).with_name(name))


class DaemonProcess:
    """A daemon in a home of its own; `start` waits until it serves.

    program: what is started; the test build, unless a story is about the product's own scripts. folder: the current
    folder of the start, with what the test build is ordered by.
    """

    def __init__(
        self,
        home: Path,
        *,
        database_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = TEST_BUILD,
    ) -> None:
        self.home = home
        self._program = program
        self.folder = home.parent / f"{home.name}-test"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = FileClock(self.folder / "clock")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")},
            "PYTHONPATH": str(ROOT),
            "CONDUCTOR_TEST_FOLDER": str(self.folder),
            **({"CONDUCTOR_DATABASE_URL": database_url} if database_url else {}),
            **(environment or {}),
        }
        self._http = httpx.Client(timeout=30, trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = self.folder / "output"
        self.url = ""

    def start(self, *arguments: str) -> float:
        """Start and wait until it serves; returns how many seconds that took."""
        (self.home / "daemon.json").unlink(missing_ok=True)
        began = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._command(arguments), stdout=output, stderr=output, env=self._environment, cwd=self.folder
            )
        while not (self.home / "daemon.json").exists():
            if self.process.poll() is not None or time.monotonic() - began > START_S:
                raise AssertionError(f"the daemon did not start: {self.output.read_text()[-3000:]}")
            time.sleep(0.02)
        self.url = json.loads((self.home / "daemon.json").read_text())["url"]
        return time.monotonic() - began

    def start_refused(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Start one more that must end by itself; returns its code and what it said."""
        command = self._command(arguments)
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=self.folder,
            timeout=START_S,
            check=False,
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        port = () if "--port" in arguments else ("--port", "0")
        return [*self._program, "--home", str(self.home), *port, *arguments]

    @property
    def owner_token(self) -> str:
        """The owner's token."""
        return (self.home / "owner.token").read_text().strip()

    def tree(self) -> list[psutil.Process]:
        """All processes of the daemon."""
        assert self.process is not None
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def host(self) -> psutil.Process:
        """The host's process."""
        return next(process for process in self.tree() if "ray::RemoteHost" in " ".join(process.cmdline()))

    def kill(self) -> None:
        """kill -9 of the daemon's main process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def kill_host(self) -> None:
        """kill -9 of the host."""
        self.host().kill()

    def kill_host_at(self, place: str, times: int = 1) -> None:
        """Have the host kill itself with -9 when it comes to a place, the next time or one of the times after."""
        order = self.folder / "kill.ordered"
        order.write_text(f"{place} {times}")
        order.replace(self.folder / "kill")

    @property
    def has_killed(self) -> bool:
        """Whether the ordered kill has happened."""
        return not (self.folder / "kill").exists()

    def stop(self) -> int:
        """Stop in order; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def close(self) -> None:
        """End whatever still runs."""
        self._http.close()
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            if self.process.poll() is None:
                self.kill()

    def call(self, operation: str, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Call an operation over REST; raises AssertionError with the fault when it is refused."""
        answer = self.ask(operation, token, arguments)
        assert answer.status_code == httpx.codes.OK, answer.text
        reply: dict[str, Any] = answer.json()
        return reply

    def every(self, operation: str, token: str | None = None, **arguments: Any) -> list[dict[str, Any]]:
        """List all there is, page by page."""
        page = self.call(operation, token, limit=200, **arguments)
        items: list[dict[str, Any]] = page["items"]
        while "next_cursor" in page:
            page = self.call(operation, token, limit=200, cursor=page["next_cursor"], **arguments)
            items += page["items"]
        return items

    def ask(self, operation: str, token: str | None, arguments: Mapping[str, Any]) -> httpx.Response:
        """Call an operation over REST and give the answer as it is."""
        headers = {"Authorization": f"Bearer {token or self.owner_token}"}
        return self._http.post(f"{self.url}/v1/{operation}", json=dict(arguments), headers=headers)

    @contextlib.asynccontextmanager
    async def mcp(self, token: str, mode: str = "auto") -> AsyncIterator[Client]:
        """Connect the official MCP client. mode: `legacy` for the era of handshakes, `auto` for the newest."""
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client


@contextlib.contextmanager
def running(folder: Path, **particulars: Any) -> Iterator[DaemonProcess]:
    """A daemon with its home in a folder, running until the block ends."""
    process = DaemonProcess(folder / "home", **particulars)
    try:
        process.start()
        yield process
    finally:
        process.close()


def eventually(is_so: Callable[[], object], what: str, within_s: float = 10.0) -> float:
    """Look until something is so, which another process brings about; returns the seconds that took."""
    began = time.monotonic()
    while not is_so():
        passed = time.monotonic() - began
        assert passed < within_s, f"after {passed:.1f} s still not: {what}"
        time.sleep(0.02)
    return time.monotonic() - began
