"""`conductor init`: a repository and its coding agents brought to Conductor, and taken back byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.text import Text

from conductor.cli import show
from conductor.cli.setup import clients, files, places, plan, program, record, team
from conductor.cli.setup.files import Absent, Change
from conductor.cli.setup.places import Checkout
from conductor.cli.setup.record import Record, Written, fingerprint

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Wish:
    """How it was asked for. asked: the values of --agent."""

    asked: Sequence[str] = ()
    project: str | None = None
    is_dry: bool = False
    is_sure: bool = False
    force: bool = False


def run(environ: Mapping[str, str], folder: Path, wish: Wish) -> None:
    """Show what would be done and do it. Raises Invalid, Unavailable and what the daemon refuses."""
    checkout = places.find(folder)
    ours = program.find(environ)
    with record.held(checkout):
        kept = record.load(checkout)
        detected = clients.detect(checkout.top, environ)
        if not wish.asked and kept.agents:
            detected = tuple(client for client in clients.CLIENTS.values() if client.name in kept.agents)
        chosen = clients.choose(wish.asked, detected)
        # What is in the way in the files is said before a daemon is started for nothing.
        plan.additions(plan.wanted(checkout, {one: one.name for one in chosen}, ours), kept, force=wish.force)
        if team.is_away(environ) and not wish.is_dry:
            show.console().print(f"No daemon runs: started one at {team.start(environ)}")
        there = team.look(checkout, chosen, kept.agents, environ, project=wish.project, may_be_away=wish.is_dry)
        agents = {**_agents_before(kept, chosen), **there.agents}
        changes = plan.additions(plan.wanted(checkout, agents, ours), kept, force=wish.force)
        needed = [change for change in changes if change.is_needed]
        _announce(there, needed, checkout)
        if wish.is_dry:
            show.console().print("Nothing was changed (--dry-run).")
            return
        if needed and not wish.is_sure and sys.stdin.isatty() and not typer.confirm("Write this?"):
            raise typer.Abort
        # Known before they are made: a set-up that is cut off goes on with the same agents.
        kept.agents = {client.name: name for client, name in agents.items()}
        kept.tokens = sorted({*kept.tokens, *(there.agents[client] for client in there.to_register)})
        record.save(checkout, kept)
        project = team.make(there, checkout, environ)
        kept.project, kept.project_id = project.slug, project.id
        _write(checkout, kept, changes)
    _close(project.slug, agents, needed, checkout)


def remove(environ: Mapping[str, str], folder: Path, *, is_dry: bool, force: bool) -> None:
    """Take everything back; what others wrote since stays. Raises VersionConflict, Invalid."""
    out = show.console()
    checkout = places.find(folder)
    with record.held(checkout):
        kept = record.load(checkout)
        others = kept.worktrees - {str(checkout.git_folder)}
        if kept.is_empty and (others or not kept.shared):
            out.print("Nothing of Conductor was written here.")
            return
        written = [*kept.files.values(), *(() if others else kept.shared.values())]
        changes = plan.removals(reversed(written), force=force)
        needed = [change for change in changes if change.is_needed]
        _show_diff(needed, checkout)
        if is_dry:
            out.print("Nothing was changed (--dry-run).")
            return
        for change in changes:
            if change.is_needed:
                files.write(change.path, change.after)
            for made in reversed(change.folders):
                if made.is_dir() and not any(made.iterdir()):
                    made.rmdir()
        names = ", ".join(kept.agents.values())
        left = {name: client for client, name in kept.agents.items() if name in kept.tokens}
        tokens = kept.tokens
        record.save(checkout, _without(kept, checkout, others))
        team.leave(tokens, left, checkout, environ)
    out.print(Text(_taken_back(needed, checkout)), style="bold", soft_wrap=True)
    if others:
        out.print(f"The git hooks stay: {len(others)} other worktree(s) of this repository use them.")
    if names:
        out.print(f"On the server {names} and what it did stay: `conductor token list` and `revoke` end its tokens.")


def _taken_back(needed: Sequence[Change], checkout: Checkout) -> str:
    whole = sum(change.after == change.before for change in needed)
    theirs = [_name(change.path, checkout) for change in needed if change.after != change.before]
    stays = f" Without ours, but not as before, as others wrote there too: {', '.join(theirs)}." if theirs else ""
    return f"Taken back: {whole} file(s) are as they were.{stays}"


def _name(path: Path, checkout: Checkout) -> str:
    return str(path.relative_to(checkout.top)) if path.is_relative_to(checkout.top) else str(path)


def _agents_before(kept: Record, chosen: Mapping[clients.Client, str | None]) -> dict[clients.Client, str]:
    """The clients of earlier set-ups: asking for one more does not take the others away."""
    names = {clients.CLIENTS[name]: agent for name, agent in kept.agents.items() if name in clients.CLIENTS}
    return {client: agent for client, agent in names.items() if client not in chosen}


def _write(checkout: Checkout, kept: Record, changes: Sequence[Change]) -> None:
    """Keep what was, then write; a set-up that is cut off in between can be taken back."""
    for change in changes:
        into = kept.shared if change.is_shared else kept.files
        if change.before != change.after or change.path in into:
            into[change.path] = Written(
                change.path, change.part, change.before, fingerprint(change.after), change.folders
            )
    kept.worktrees.add(str(checkout.git_folder))
    record.save(checkout, kept)
    for change in changes:
        if change.is_needed:
            files.write(change.path, change.after)


def _without(kept: Record, checkout: Checkout, others: set[str]) -> Record:
    """What is still kept when this worktree's is gone."""
    return Record(shared=kept.shared if others else {}, project_id=kept.project_id, worktrees=others)


def _announce(there: team.Team, needed: Sequence[Change], checkout: Checkout) -> None:
    out = show.console()
    for line in _facts(there):
        out.print(Text(line), soft_wrap=True)
    if checkout.hooks().is_everybodys:
        out.print(
            Text(
                f"git runs the hooks of {checkout.hooks().folder} in all your repositories, which are left alone: no "
                "gate at commit and push here. To have them: git config --local core.hooksPath "
                f"{checkout.common / 'hooks'}",
                style="yellow",
            ),
            soft_wrap=True,
        )
    _show_diff(needed, checkout)
    tracked = [change.path for change in needed if checkout.is_tracked(change.path)]
    if tracked:
        names = ", ".join(str(path.relative_to(checkout.top)) for path in tracked)
        out.print(Text(f"Part of the repository, so git shows them as changed: {names}"), soft_wrap=True)


def _facts(there: team.Team) -> list[str]:
    if there.project is not None:
        project = f"project {there.project.slug} ({there.project.id})"
    else:
        project = f"project {there.new_project} (to be made)"
    agents = ", ".join(
        f"{client.title} as {name}{' (to be registered)' if client in there.to_register else ''}"
        for client, name in there.agents.items()
    )
    return [f"server  {there.url or 'none runs; one would be started'}", project, f"agents  {agents}"]


def _show_diff(changes: Sequence[Change], checkout: Checkout) -> None:
    out = show.console()
    for line in plan.diff(changes, checkout.top):
        out.print(Text(show.clean(line), style=_COLOURS.get(line[:1], "")), soft_wrap=True)


def _close(slug: str, agents: Mapping[clients.Client, str], needed: Sequence[Change], checkout: Checkout) -> None:
    out = show.console()
    made = sum(isinstance(change.now, Absent) for change in needed)
    done = f"{len(needed)} file(s) written, {made} of them new" if needed else "everything stood as it should"
    out.print(Text(f"Set up in project {slug}: {done}."), style="bold", soft_wrap=True)
    for client in agents:
        out.print(Text(f"  {client.title}: {_FIRST[client.name]}"), soft_wrap=True)
    out.print("Check it with `conductor init status`; take it back with `conductor init remove`.")


_FIRST = {
    "claude": "start `claude` here and allow the server `conductor` when it asks.",
    "codex": "start `codex` here, trust the folder, and trust the hooks with /hooks: before that none of them runs.",
    "gemini": "start `gemini` here and trust the folder: before that it reads none of this.",
    "cursor": "enable the server `conductor` in its settings. Without hooks, locks are judged at commit and push.",
    "opencode": "start `opencode` here. Without hooks, locks are judged at commit and push.",
}
