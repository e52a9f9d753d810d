"""`conductor org export FILE`: everything that an organisation has, one JSON object a line.

A file that is there is the whole of it: it is written beside its place and moved there at the end, for its owner's
eyes only. Read as pages: what changes meanwhile is there as it was when its page was read.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from conductor import home
from conductor.cli.calling import PATIENCE, environment
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.operations.tenancy import EXPORT_ORGANIZATION, ExportedRows, ExportOrganization


def export_organization(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a new file, or - for the output")],
    organization: Annotated[
        str | None, typer.Option("--organization", metavar="ID", help="installation owner only")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="another daemon than the home's (CONDUCTOR_URL)")
    ] = None,
    home_folder: Annotated[
        str | None, typer.Option("--home", metavar="DIR", help="home folder (CONDUCTOR_HOME)")
    ] = None,
) -> None:
    """Write all that the organisation has into a file, one JSON object a line, without secrets."""
    found = home.find_connection(environment(url, home_folder))
    with Client(found.url, found.token, patience=PATIENCE) as client:
        if file == "-":
            _write(_pages(client, organization), sys.stdout)
            return
        place = Path(file)
        counts = _to(place, _pages(client, organization))
    told = {"file": str(place), "rows": sum(counts.values()), "tables": counts}
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"{told['rows']} row(s) of {len(counts)} table(s) in {place}\n")


def _to(place: Path, pages: Iterator[ExportedRows]) -> dict[str, int]:
    if place.exists():
        raise errors.Invalid(f"{place} is there already: name a file that is not, or move that one away.")
    partial = place.with_name(f"{place.name}.partial")
    try:
        # Made anew: a link that lies there already would lead the rows somewhere else.
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            counts = _write(pages, out)
        partial.rename(place)
    except OSError as wrong:
        raise errors.Invalid(f"Cannot write {place}: {wrong.strerror}.", facts={"file": str(place)}) from None
    finally:
        partial.unlink(missing_ok=True)
    return counts


def _write(pages: Iterator[ExportedRows], out: TextIO) -> dict[str, int]:
    counts: dict[str, int] = {}
    for page in pages:
        for row in page.rows:
            out.write(json.dumps({"table": page.table, "row": row}, ensure_ascii=False) + "\n")
        if page.rows:
            counts[page.table] = counts.get(page.table, 0) + len(page.rows)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{sum(counts.values())} rows")
    if sys.stderr.isatty():
        sys.stderr.write("\r")
    return counts


def _pages(client: Client, organization: str | None) -> Iterator[ExportedRows]:
    cursor = None
    while True:
        asked = ExportOrganization(cursor=cursor, organization_id=organization)
        page = client.call(EXPORT_ORGANIZATION, asked)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
