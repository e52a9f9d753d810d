"""`conductor bead import FOLDER` and `conductor bead export FOLDER`: many calls, one command.

The files are read here and never by the daemon, which may be another machine; what is sent is as much as one request
holds. Both can be repeated: an import that broke off goes on where it was, because beads that are there are not made
again.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from conductor.cli import bead_files, calling, show
from conductor.client import wire
from conductor.client.synchronous import Client
from conductor.operations import beads as ops

_MOST_BYTES = 600_000
"""Of the beads in one request: well below what a daemon takes."""

_PAGE = 200

Project = Annotated[
    str | None, typer.Option("--project", metavar="SLUG|ID", help="default: CONDUCTOR_PROJECT, or the only one")
]
Organization = Annotated[str | None, typer.Option("--organization", metavar="ID", help="installation owner only")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="another daemon than the home's (CONDUCTOR_URL)")]
HomeFolder = Annotated[str | None, typer.Option("--home", metavar="DIR", help="home folder (CONDUCTOR_HOME)")]


class Advance(Protocol):
    """Says that so many more are done."""

    def __call__(self, count: int) -> None: ...


def import_beads(
    folder: Annotated[Path, typer.Argument(help="a folder with *.json and *.jsonl, or with .beads; or one file")],
    as_json: AsJson = False,
    project: Project = None,
    organization: Organization = None,
    url: Url = None,
    home: HomeFolder = None,
) -> None:
    """Bring the beads and convoys of a folder in as tasks; again without duplicates."""
    found = bead_files.read(folder)
    created: list[ops.ImportedBead] = []
    updated: list[ops.ImportedBead] = []
    problems = dict.fromkeys(found.remarks)
    unchanged = 0
    around = calling.Surroundings(url=url, home=home, project=project, organization=organization)
    with (
        calling.connected(ops.IMPORT_BEADS, around) as (client, place),
        _progress("beads", len(found.beads) + len(found.convoys)) as advance,
    ):
        for part in _parts(found):
            reply = client.call(ops.IMPORT_BEADS, wire.request_of(ops.IMPORT_BEADS, {**place, **part}))
            created += reply.created
            updated += reply.updated
            unchanged += reply.unchanged
            problems |= dict.fromkeys(reply.problems)
            advance(sum(map(len, part.values())))
    _say(
        ops.ImportedBeads(created=created, updated=updated, unchanged=unchanged, problems=list(problems)),
        as_json=as_json,
    )


def export_beads(
    folder: Annotated[Path, typer.Argument(help=f"where {bead_files.ISSUES} and {bead_files.CONVOYS} are to be")],
    force: Annotated[bool, typer.Option("--force", help="write over files that are there")] = False,
    as_json: AsJson = False,
    project: Project = None,
    organization: Organization = None,
    url: Url = None,
    home: HomeFolder = None,
) -> None:
    """Write the project's tasks into a folder as beads and convoys."""
    around = calling.Surroundings(url=url, home=home, project=project, organization=organization)
    beads: list[ops.Bead] = []
    convoys: list[ops.Convoy] = []
    with calling.connected(ops.EXPORT_BEADS, around) as (client, place), _progress("beads", None) as advance:
        for page in _pages(client, place):
            beads += page.beads
            convoys += page.convoys
            advance(len(page.beads))
    written = bead_files.write(folder, beads, convoys, force=force)
    if as_json:
        paths = [str(path) for path in written]
        sys.stdout.write(json.dumps({"beads": len(beads), "convoys": len(convoys), "files": paths}) + "\n")
    else:
        told = f"{len(beads)} bead(s) in {written[0]}, {len(convoys)} convoy(s) in {written[1]}"
        show.console().print(told, soft_wrap=True)


def _parts(found: bead_files.Found) -> Iterator[dict[str, list[Any]]]:
    """Cut what was found into requests; convoys come last, when their beads are there."""
    part: list[Any] = []
    size = 0
    for bead in found.in_order():
        length = len(json.dumps(bead))
        if part and (len(part) == ops.MOST_BEADS or size + length > _MOST_BYTES):
            yield {"beads": part}
            part, size = [], 0
        part.append(bead)
        size += length
    convoys = list(found.convoys.values())
    yield {"beads": part, "convoys": convoys[: ops.MOST_CONVOYS]}
    for start in range(ops.MOST_CONVOYS, len(convoys), ops.MOST_CONVOYS):
        yield {"convoys": convoys[start : start + ops.MOST_CONVOYS]}


def _pages(client: Client, place: dict[str, object]) -> Iterator[ops.ExportedBeads]:
    cursor: str | None = None
    while True:
        asked: dict[str, object] = {**place, "limit": _PAGE} | ({"cursor": cursor} if cursor else {})
        page = client.call(ops.EXPORT_BEADS, wire.request_of(ops.EXPORT_BEADS, asked))
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def _say(reply: ops.ImportedBeads, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(reply.model_dump_json() + "\n")
        return
    out = show.console()
    out.print(reply.line(), style="bold", soft_wrap=True)
    for problem in reply.problems:
        out.print(f"  {show.clean(problem)}", soft_wrap=True)


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Advance]:
    """Show how far a long command is, to a person at a terminal and to nobody else."""
    out = show.console(to_errors=True)
    if not out.is_terminal:
        yield lambda count: None
        return
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=out, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
