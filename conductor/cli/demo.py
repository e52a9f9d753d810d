"""`conductor demo`: the story, told at reading pace, on the daemon that runs or on one of its own."""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from conductor import home
from conductor.cli import calling, demo_daemon, probe, show
from conductor.cli.demo_repository import Repository
from conductor.cli.demo_story import ADA, BOB, Step, Story
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.domain.access import ADMIN_UP
from conductor.home import Connection

_PAUSE_S = 1.6
_STYLES = {ADA: "bold cyan", BOB: "bold magenta"}
_SIGTERM_CODE = 143


def run(environ: Mapping[str, str], *, is_fast: bool, with_own_daemon: bool, as_json: bool) -> None:
    """Tell the story; raises the domain's error when a step goes otherwise than told."""
    # Without this a SIGTERM would leave the demo's daemon behind.
    before = signal.signal(signal.SIGTERM, _end)
    try:
        _run(environ, is_fast=is_fast, with_own_daemon=with_own_daemon, as_json=as_json)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(environ: Mapping[str, str], *, is_fast: bool, with_own_daemon: bool, as_json: bool) -> None:
    out = show.console()
    found = None if with_own_daemon else _usable(environ)
    steps: list[Step] = []
    with _somewhere(found, out, is_quiet=as_json) as connection, tempfile.TemporaryDirectory(prefix="cdr-") as folder:
        if not as_json:
            out.print(f"Two agents share a repository through the daemon at {connection.url}.\n", soft_wrap=True)
        for step in _told(connection, Repository(Path(folder))):
            steps.append(step)
            if not as_json:
                _print(out, len(steps), step)
                time.sleep(0 if is_fast else _PAUSE_S)
    if as_json:
        sys.stdout.write(
            json.dumps([{"number": number, **asdict(step)} for number, step in enumerate(steps, 1)]) + "\n"
        )
    elif found is None:
        out.print("That was all of it: the daemon, its database and the repository are gone again.", style="bold")
    else:
        out.print(
            "That was all of it: the agents' tokens are revoked, the repository is gone; the project stays as a record."
        )


def _told(connection: Connection, repository: Repository) -> Iterator[Step]:
    def connect(token: str) -> Client:
        return Client(connection.url, token, patience=calling.PATIENCE)

    with connect(connection.token) as owner:
        story = Story(owner, connect, repository)
        try:
            yield from story.tell()
        finally:
            story.clean()


def _usable(environ: Mapping[str, str]) -> Connection | None:
    """The daemon that runs, when its caller may make projects in it."""
    try:
        found = home.find_connection(environ)
        if not probe.look(found.url).is_ready:
            return None
        with Client(found.url, found.token, patience=calling.PATIENCE) as client:
            return found if client.whoami().role in ADMIN_UP else None
    except (errors.Unavailable, errors.Unauthenticated):
        return None


@contextmanager
def _somewhere(found: Connection | None, out: Console, *, is_quiet: bool) -> Iterator[Connection]:
    if found is not None:
        yield found
        return
    if not is_quiet:
        out.print("Starting a daemon for the demo in a temporary folder; this takes some seconds.")
    with demo_daemon.running() as own:
        yield own


def _print(out: Console, number: int, step: Step) -> None:
    head = Text.assemble(
        (f"{number:>2}  ", "dim"),
        (step.who, _STYLES.get(step.who, "bold green")),
        f" {step.does}",
        (f"   {step.call}", "dim"),
    )
    out.print(head, soft_wrap=True)
    for line in step.answer:
        out.print(Text(f"      {line}", style="red" if step.error else ""), soft_wrap=True)
    out.print()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_SIGTERM_CODE)
