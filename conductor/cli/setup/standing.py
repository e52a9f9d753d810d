"""`conductor init status`: whether what was set up still stands, and what mends it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from conductor import home
from conductor.cli import calling, show
from conductor.cli.setup import clients, places, plan, program, record
from conductor.cli.setup.parts import Standing
from conductor.cli.setup.places import Checkout
from conductor.client.synchronous import Client
from conductor.domain import errors

_AGAIN = "conductor init"
_MEND = {
    Standing.AS_WRITTEN: ("stands", None),
    Standing.ABSENT: ("is missing", _AGAIN),
    Standing.OLDER: ("is of another version", _AGAIN),
    Standing.EDITED: ("was changed by hand", f"{_AGAIN} --force"),
    Standing.TAKEN: ("is somebody else's entry `conductor`, which is left alone", None),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was looked at. mend: the command, when there is something to mend."""

    name: str
    is_well: bool
    sentence: str
    mend: str | None = None


def run(environ: Mapping[str, str], folder: Path, *, as_json: bool) -> int:
    """Look and print; gives the exit code: 1 when something must be mended."""
    checkout = places.find(folder)
    kept = record.load(checkout)
    seen = [*_files(checkout, kept, environ), *_agents(kept, environ)]
    is_set_up = not kept.is_empty
    is_well = is_set_up and all(one.is_well for one in seen)
    if as_json:
        told = {"is_set_up": is_set_up, "is_well": is_well, "project": kept.project, "agents": kept.agents}
        sys.stdout.write(json.dumps({**told, "checks": [asdict(one) for one in seen]}) + "\n")
        return 0 if is_well else 1
    out = show.console()
    if not is_set_up:
        out.print("Conductor is not set up in this checkout: conductor init")
        return 1
    for one in seen:
        mark = Text("ok  ", "green") if one.is_well else Text("bad ", "bold red")
        out.print(Text.assemble(mark, f"  {one.name}: {one.sentence}"), soft_wrap=True)
        if one.mend:
            out.print(Text.assemble("      ", ("mend: ", "dim"), (one.mend, "bold")), soft_wrap=True)
    return 0 if is_well else 1


def _files(checkout: Checkout, kept: record.Record, environ: Mapping[str, str]) -> Iterator[Seen]:
    if kept.is_empty:
        return
    agents = {clients.CLIENTS[name]: agent for name, agent in kept.agents.items() if name in clients.CLIENTS}
    for wish in plan.wanted(checkout, agents, program.find(environ)):
        name = str(wish.path.relative_to(checkout.top)) if wish.path.is_relative_to(checkout.top) else str(wish.path)
        try:
            standing = plan.standing(wish, kept)
        except errors.ConductorError as wrong:
            yield Seen(name, False, wrong.message, _AGAIN)
            continue
        sentence, mend = _MEND[standing]
        yield Seen(name, standing in {Standing.AS_WRITTEN, Standing.TAKEN}, sentence, mend)


def _agents(kept: record.Record, environ: Mapping[str, str]) -> Iterator[Seen]:
    for client, name in kept.agents.items():
        token_file = home.Home.locate(environ).path / "agents" / f"{name}.token"
        try:
            given = environ.get("CONDUCTOR_TOKEN", "") if name not in kept.tokens else home.read_private(token_file)
            if not given:
                raise errors.Unauthenticated(f"CONDUCTOR_TOKEN is not set, by which {name} is known.")
            found = home.find_connection({**environ, "CONDUCTOR_TOKEN": given})
            with Client(found.url, given, patience=calling.PATIENCE) as connected:
                caller = connected.whoami()
        except errors.Unavailable as away:
            yield Seen(client, False, away.message, "conductor up")
        except errors.ConductorError as wrong:
            yield Seen(client, False, f"{name} is not known: {wrong.message}", _AGAIN)
        else:
            is_itself = caller.agent_id == name
            yield Seen(client, is_itself, f"{name} is known at {found.url}" if is_itself else "its token is another's")
