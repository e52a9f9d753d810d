"""The home folder: where a daemon keeps its secrets and says where it listens.

Everything in it is for its owner alone: folders 0700, files 0600. A secret that others can read is refused, not used.
Standard library only: the hook, the bridge and the gate import this before anything else and must start at once.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from conductor.domain import errors

_MARKS = ("owner.token", "pepper", "conductor.db", "conductor.toml", "daemon.json")
_PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """What daemon.json says. started_at: ISO 8601 UTC, as written by the daemon's clock."""

    pid: int
    url: str
    started_at: str
    version: str


@dataclass(frozen=True, slots=True)
class Connection:
    """How a client reaches the daemon. project: id or slug from CONDUCTOR_PROJECT; None: the caller chooses."""

    url: str
    token: str
    project: str | None


@dataclass(frozen=True, slots=True)
class Home:
    """One home folder and the places in it."""

    path: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> Home:
        """The home that CONDUCTOR_HOME names, else `~/.conductor`; absolute, as the daemon leaves its folder."""
        path = os.path.expanduser(environ.get("CONDUCTOR_HOME") or "~/.conductor")
        if path.startswith("~"):
            raise errors.Invalid("This user has no home folder: set CONDUCTOR_HOME to a folder for Conductor.")
        return cls(Path(os.path.abspath(path)))

    @property
    def config(self) -> Path:
        return self.path / "conductor.toml"

    @property
    def database(self) -> Path:
        return self.path / "conductor.db"

    @property
    def database_lock(self) -> Path:
        return self.path / "conductor.db.lock"

    @property
    def owner_token_file(self) -> Path:
        return self.path / "owner.token"

    @property
    def pepper_file(self) -> Path:
        return self.path / "pepper"

    @property
    def daemon_file(self) -> Path:
        return self.path / "daemon.json"

    @property
    def ray(self) -> Path:
        """Ray's temporary folder."""
        return self.path / "ray"

    @property
    def ray_token_file(self) -> Path:
        return self.path / "ray.token"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def state(self) -> Path:
        """The daemon's current folder while it runs: empty, so that no package is imported from it by accident."""
        return self.path / "state"

    def prepare(self) -> None:
        """Make the home and its folders, mode 0700; a second time changes nothing.

        A folder that was there before is closed to others only when it is empty or a home already: `--home /tmp` must
        not lock everybody out of /tmp. Raises Invalid when the folder is somebody's else or cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_uid != os.geteuid():
                raise errors.Invalid(
                    f"The home {self.path} belongs to another user, who could plant secrets in it: take a "
                    "folder of your own with --home DIR."
                )
            if _is_open(self.path.stat()) and not self._is_ours():
                raise errors.Invalid(
                    f"The home {self.path} holds other files and is open to other users: take a folder of its own "
                    f"with --home DIR, or close it: chmod 700 {self.path}"
                )
            for folder in (self.path, self.ray, self.logs, self.state):
                folder.mkdir(mode=0o700, exist_ok=True)
                if stat.S_IMODE(folder.stat().st_mode) != 0o700:
                    folder.chmod(0o700)
        except OSError as wrong:
            raise errors.Invalid(
                f"The home {self.path} cannot be used: {wrong.strerror}. Choose another with --home DIR."
            ) from wrong

    def pepper(self) -> bytes:
        """The secret that every token's hash is made with: 32 random bytes, made once, then only read.

        Of two processes that make it at once both get the same. Without it no token is valid any more.
        """
        if not self.pepper_file.exists():
            _write_new(self.pepper_file, os.urandom(_PEPPER_BYTES).hex())
        try:
            pepper = bytes.fromhex(read_private(self.pepper_file))
        except ValueError:
            pepper = b""
        if len(pepper) != _PEPPER_BYTES:
            raise errors.Invalid(
                f"{self.pepper_file} is damaged, it must hold {_PEPPER_BYTES * 2} hexadecimal digits: restore it "
                "from a backup; with another one no token is valid any more."
            )
        return pepper

    def owner_token(self) -> str | None:
        """The first token, which may do everything; None before the first start."""
        try:
            return read_private(self.owner_token_file)
        except errors.NotFound:
            return None

    def write_owner_token(self, token: str) -> None:
        """Keep the first token; the file holds the token alone."""
        write_private(self.owner_token_file, token)

    def write_daemon(self, running: RunningDaemon) -> None:
        """Say where the daemon listens, once it does."""
        write_private(self.daemon_file, json.dumps(asdict(running)))

    def daemon(self) -> RunningDaemon | None:
        """What the last daemon said; None when it stopped in order. After a kill the process may be gone."""
        try:
            said = json.loads(self.daemon_file.read_bytes())
            return RunningDaemon(int(said["pid"]), str(said["url"]), str(said["started_at"]), str(said["version"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            raise errors.Forbidden(_anothers(self.daemon_file)) from None
        except (ValueError, KeyError, TypeError):
            # It is written in one piece, so a person broke it; the next start writes it anew.
            return None

    def remove_daemon(self, pid: int) -> None:
        """Take back what the daemon with this pid said; what a later one said stays."""
        said = self.daemon()
        if said is None or said.pid == pid:
            self.daemon_file.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        names = {entry.name for entry in self.path.iterdir()}
        return not names or bool(names & set(_MARKS))


def find_connection(environ: Mapping[str, str]) -> Connection:
    """How a client on this machine reaches its daemon: the environment, else what the home says.

    The owner's token goes only to the address that the home's own daemon said: not to any CONDUCTOR_URL.
    Raises Unavailable when no daemon is known, Unauthenticated when no token is, Invalid for a malformed address.
    """
    home = Home.locate(environ)
    project = environ.get("CONDUCTOR_PROJECT") or None
    running = home.daemon()
    own_url = running.url.rstrip("/") if running else ""
    url = environ.get("CONDUCTOR_URL", "").strip().rstrip("/") or own_url
    if not url:
        raise errors.Unavailable(
            f"No daemon is known in {home.path}: start one with `conductor up`, or set CONDUCTOR_URL and "
            "CONDUCTOR_TOKEN."
        )
    if not url.startswith(("http://", "https://")):
        raise errors.Invalid("CONDUCTOR_URL must begin with http:// or https://, such as http://127.0.0.1:8787.")
    token = environ.get("CONDUCTOR_TOKEN", "").strip()
    if not token and running is not None and _numeric(url) == _numeric(own_url):
        if not _is_alive(running.pid):
            # Whoever listens on a dead daemon's port must not be handed its owner's token.
            raise errors.Unavailable(
                f"No daemon answers at {url}: its process is gone ({running.pid}). Start it again with `conductor up`."
            )
        token = home.owner_token() or ""
    if not token:
        raise errors.Unauthenticated(
            f"There is no token for {url}: set CONDUCTOR_TOKEN to one that `conductor token create` or an approval "
            "gave."
        )
    return Connection(url, token, project)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, 0600, in one piece: a reader, also after a crash, sees the old or the new."""
    part = _write_part(path, text)
    try:
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_private(path: Path) -> str:
    """Read a secret, without the white space around it.

    Raises Invalid when others may read or write the file, NotFound when it is absent, Forbidden when it is not ours.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            if _is_open(os.fstat(file.fileno())):
                raise errors.Invalid(
                    f"{path} is a secret and other users can read or change it. Close it: chmod 600 {path} "
                    "(and replace the secret if somebody may have seen it)."
                )
            return file.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        raise errors.NotFound(f"There is no {path}: `conductor up` makes it at its first start.") from None
    except PermissionError:
        raise errors.Forbidden(_anothers(path)) from None


def _anothers(path: Path) -> str:
    return f"{path} belongs to another user: run this as the one who runs the daemon."


def _write_new(path: Path, text: str) -> None:
    """Write a private file unless it is there; the first of several writers wins, and none sees half of it."""
    part = _write_part(path, text)
    try:
        os.link(part, path)
    except FileExistsError:
        return
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_part(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _sync_folder(folder: Path) -> None:
    """Make a rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _numeric(url: str) -> str:
    return url.replace("://localhost:", "://127.0.0.1:", 1)
