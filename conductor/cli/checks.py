"""What `conductor doctor` looks at: each check is one sentence, and one command that mends it.

A check never changes anything and never raises for what it finds. `bad` must be mended, a `hint` may be.
"""

import errno
import importlib.util
import os
import platform
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from conductor import home, settings
from conductor.cli import calling, probe, programs
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.home import Home
from conductor.settings import Settings

_ROOMS = ("storage", "actors", "mcp_server")
_AGENTS = {
    "claude": "npm install -g @anthropic-ai/claude-code",
    "codex": "npm install -g @openai/codex",
    "gemini": "npm install -g @google/gemini-cli",
}
_LEAST_FREE_BYTES = 200_000_000
_CLOCK_S = 5.0
_START = "conductor up"

_NEW_TOKEN = "unset CONDUCTOR_TOKEN (then the home's owner.token is used), or: conductor up --new-owner-token"


class State(StrEnum):
    """How a check came out."""

    GOOD = "ok"
    HINT = "hint"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. command: what mends it; None when nothing need be done."""

    name: str
    state: State
    sentence: str
    command: str | None = None


def look(environ: Mapping[str, str]) -> list[Check]:
    """Make every check."""
    place = Home.locate(environ)
    found = [_python(), *_packages(), *_home(place)]
    try:
        read = settings.load({}, environ, home=place.path).settings
        found += [Check("settings", State.GOOD, "Every setting is valid."), _database(read)]
    except errors.Invalid as wrong:
        read = Settings()
        found.append(Check("settings", State.BAD, wrong.message, "conductor config"))
    return [*found, *_daemon(environ, place, read), _git(), _agents()]


def _python() -> Check:
    return Check("python", State.GOOD, f"Python {platform.python_version()} at {sys.executable}.")


def _packages() -> Iterator[Check]:
    own = Path(__file__).resolve().parents[2]
    foreign = []
    for room in _ROOMS:
        spec = importlib.util.find_spec(room)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
        if own / room not in places:
            foreign.append(f"{room} comes from {places[0].parent if places else 'nowhere'}")
    if foreign:
        mend = "python3 -m venv ~/conductor-env && ~/conductor-env/bin/pip install conductor-server"
        yield Check("packages", State.BAD, f"Packages of Conductor lie in {own}, but {'; '.join(foreign)}.", mend)
    else:
        yield Check("packages", State.GOOD, f"All packages come from {own}.")
    daemon = programs.find_daemon()
    if daemon is None:
        yield Check(
            "conductord",
            State.BAD,
            "conductord is neither beside conductor nor on the PATH.",
            "pip install conductor-server",
        )
    else:
        yield Check("conductord", State.GOOD, f"The daemon's program is {daemon}.")


def _home(place: Home) -> Iterator[Check]:
    if not place.path.exists():
        yield Check("home", State.HINT, f"There is no home {place.path} yet; the first start makes it.", _START)
        return
    mine = getattr(os, "getuid", lambda: place.path.stat().st_uid)()
    if place.path.stat().st_uid != mine:
        yield Check(
            "home",
            State.BAD,
            f"The home {place.path} belongs to another user.",
            f"sudo chown -R $USER {_quoted(place.path)}",
        )
        return
    if _is_open(place.path):
        yield Check("home", State.BAD, f"Other users can look into {place.path}.", f"chmod 700 {_quoted(place.path)}")
    else:
        yield Check("home", State.GOOD, f"The home is {place.path}, closed to others.")
    secrets = (place.owner_token_file, place.pepper_file, place.ray_token_file)
    opened = [file for file in secrets if file.exists() and _is_open(file)]
    if opened:
        names = " ".join(map(_quoted, opened))
        yield Check("secrets", State.BAD, f"Other users can read or change {names}.", f"chmod 600 {names}")
    elif not place.owner_token_file.exists():
        yield Check("secrets", State.HINT, "There is no owner.token yet; the first start makes it.", _START)
    else:
        yield Check("secrets", State.GOOD, "Only you can read the tokens.")


def _database(read: Settings) -> Check:
    if read.storage.database_url is not None or read.storage.db is None:
        return Check("database", State.GOOD, "The database is PostgreSQL; whether it answers is said by the daemon.")
    folder = read.storage.db.parent
    standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(standing, os.W_OK) or (read.storage.db.exists() and not os.access(read.storage.db, os.W_OK)):
        return Check("database", State.BAD, f"{read.storage.db} cannot be written.", f"chmod u+rwX {_quoted(standing)}")
    free = shutil.disk_usage(standing).free
    if free < _LEAST_FREE_BYTES:
        return Check(
            "database",
            State.BAD,
            f"Only {free // 1_000_000} MB are free for {read.storage.db}.",
            f"df -h {_quoted(standing)}",
        )
    return Check(
        "database", State.GOOD, f"The database is {read.storage.db} (SQLite), {free // 1_000_000} MB are free."
    )


def _daemon(environ: Mapping[str, str], place: Home, read: Settings) -> Iterator[Check]:
    try:
        found = home.find_connection(environ)
    except errors.ConductorError as missing:
        yield Check("daemon", State.BAD, missing.message, _START)
        yield _port(read)
        return
    seen = probe.look(found.url)
    if not seen.is_ready:
        running = place.daemon()
        stale = running is not None and not seen.is_alive and not _lives(running.pid)
        says = f"{seen.problem}{' It was killed: its process is gone.' if stale else ''}"
        mend = f"tail -n 50 {_quoted(place.logs)}/*" if seen.is_alive else seen.mend
        yield Check("daemon", State.BAD, says, mend)
        if mend == _START:
            yield _port(read)
        return
    yield Check("daemon", State.GOOD, f"The daemon serves at {found.url}.")
    yield _token(found)
    yield _clock(found.url, seen)


def _token(found: home.Connection) -> Check:
    host = urlsplit(found.url).hostname or ""
    if found.url.startswith("http:") and not (host == "localhost" or host.startswith("127.") or host == "::1"):
        return Check(
            "token",
            State.BAD,
            f"The token crosses the network to {host} in clear.",
            "conductor up --tls-cert FILE --tls-key FILE",
        )
    try:
        with Client(found.url, found.token, patience=calling.PATIENCE) as client:
            return Check("token", State.GOOD, f"The token is valid: {client.whoami().line()}.")
    except errors.ConductorError as refused:
        return Check("token", State.BAD, f"The token is refused: {refused.message}", _NEW_TOKEN)


def _clock(url: str, seen: probe.Probe) -> Check:
    if seen.clock_ahead_s is None:
        return Check("clock", State.GOOD, f"{url} does not tell its time; leases end by its clock alone.")
    if abs(seen.clock_ahead_s) > _CLOCK_S:
        ahead = "ahead of" if seen.clock_ahead_s > 0 else "behind"
        says = (
            f"The daemon's clock is {abs(seen.clock_ahead_s):.0f} s {ahead} this machine's; leases end by the daemon's."
        )
        return Check("clock", State.BAD, says, "sudo timedatectl set-ntp true")
    return Check("clock", State.GOOD, "The daemon's clock and this machine's agree.")


def _port(read: Settings) -> Check:
    host, port = read.server.host, read.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
    except OSError as taken:
        if taken.errno == errno.EADDRINUSE:
            return Check(
                "port", State.BAD, f"Port {port} of {host} is taken by another program.", "conductor up --port 0"
            )
        return Check(
            "port", State.BAD, f"{host} port {port} cannot be listened on: {taken.strerror}.", "conductor up --port 0"
        )
    return Check("port", State.GOOD, f"Port {port} of {host} is free.")


def _git() -> Check:
    try:
        said = subprocess.run(
            ["git", "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Check("git", State.BAD, "git is not installed; agents commit with it.", "sudo apt-get install git")
    return Check("git", State.GOOD, f"{said} is there.")


def _agents() -> Check:
    there = [name for name in _AGENTS if shutil.which(name)]
    if not there:
        return Check(
            "agents", State.HINT, "No agent's command line (claude, codex, gemini) is on the PATH.", _AGENTS["claude"]
        )
    rest = ", ".join(name for name in _AGENTS if name not in there)
    return Check("agents", State.GOOD, f"Found {', '.join(there)}{f'; not {rest}' if rest else ''}.")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
