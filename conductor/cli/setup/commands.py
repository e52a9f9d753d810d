"""The words after `conductor init`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from conductor.cli import derive

_Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="another daemon than the home's (CONDUCTOR_URL)")
]
_HomeFolder = Annotated[str | None, typer.Option("--home", metavar="DIR", help="home folder (CONDUCTOR_HOME)")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would change, and change nothing")]
_Force = Annotated[bool, typer.Option("--force", help="also where somebody changed what Conductor wrote")]


def group() -> Any:
    """The command with its two verbs."""
    app = typer.Typer(add_completion=False, rich_markup_mode=derive.markup())
    app.callback(invoke_without_command=True)(_init)
    app.command("status")(_status)
    app.command("remove")(_remove)
    return app


def _init(
    context: typer.Context,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", metavar="CLIENT[=NAME]", help="only this client (repeatable), under this agent's name"),
    ] = None,
    project: Annotated[str | None, typer.Option("--project", help="its id or slug, or the name of a new one")] = None,
    dry_run: _DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask before writing")] = False,
    force: _Force = False,
    url: _Url = None,
    home: _HomeFolder = None,
) -> None:
    """Set this repository and its coding agents up: MCP, hooks, instructions, git gates. Shows the diff first.

    The clients that are detected are set up: Claude Code, Codex, Gemini CLI, Cursor, OpenCode. `conductor init remove`
    leaves every file as it was.
    """
    if context.invoked_subcommand is not None:
        return
    from conductor.cli import calling  # noqa: PLC0415
    from conductor.cli.setup import init  # noqa: PLC0415

    wish = init.Wish(tuple(agent or ()), project, is_dry=dry_run, is_sure=yes, force=force)
    init.run(calling.environment(url, home), Path.cwd(), wish)


def _status(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
    url: _Url = None,
    home: _HomeFolder = None,
) -> None:
    """Say whether everything that was set up still stands; exit code 1 when not."""
    from conductor.cli import calling  # noqa: PLC0415
    from conductor.cli.setup import standing  # noqa: PLC0415

    raise typer.Exit(standing.run(calling.environment(url, home), Path.cwd(), as_json=as_json))


def _remove(dry_run: _DryRun = False, force: _Force = False, home: _HomeFolder = None) -> None:
    """Take everything back that `conductor init` wrote here: every file is what it was before, byte for byte."""
    from conductor.cli import calling  # noqa: PLC0415
    from conductor.cli.setup import init  # noqa: PLC0415

    init.remove(calling.environment(None, home), Path.cwd(), is_dry=dry_run, force=force)
