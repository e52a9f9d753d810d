"""The command line: the commands written by hand, the groups derived from the catalogue, and how each ends.

Exit codes are those of the error table in OPERATIONS: 0 done, 2 invalid, 3 not allowed, 4 not found, 5 a conflict,
6 over budget, 7 paused, 8 busy or not there, 1 a defect. With --json an error is the one JSON shape on the output.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from conductor.cli import derive
from conductor.cli.setup import commands
from conductor.domain import errors

_INTERRUPTED = 130

AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="another daemon than the home's (CONDUCTOR_URL)")]
HomeFolder = Annotated[str | None, typer.Option("--home", metavar="DIR", help="home folder (CONDUCTOR_HOME)")]


class Commands(TyperGroup):
    """The hand-written commands and, built when they are named, the derived groups."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *derive.groups()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        written = super().get_command(ctx, cmd_name)
        name = derive.singular(cmd_name)
        if written is not None or name is None:
            return written
        return derive.group(name, _carry_out)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # typer would suggest only the hand-written ones.
        known = self.list_commands(ctx)
        if args[0] not in self.commands and derive.singular(args[0]) is None:
            near = derive.with_verb(args[0]) or _nearest(args[0], known)
            ctx.fail(f"No such command '{args[0]}'.{f' Did you mean {near}?' if near else ''}")
        return super().resolve_command(ctx, args)


def run(arguments: Sequence[str]) -> int:
    """Run a command; gives the exit code."""
    as_json = "--json" in list(arguments)[: list(arguments).index("--") if "--" in arguments else None]
    try:
        code = _command().main(args=list(arguments) or ["--help"], prog_name="conductor", standalone_mode=False)
    except errors.ConductorError as error:
        return _failed(error, as_json=as_json)
    except typer.TyperException as wrong:
        if not as_json:
            _usage(wrong)
            return wrong.exit_code
        return _failed(errors.Invalid(_told(wrong)), as_json=True)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    return code if isinstance(code, int) else 0


def _command() -> Any:
    mode = derive.markup()
    app = typer.Typer(
        cls=Commands,
        name="conductor",
        help="A team server for coding agents: tasks, file leases, budgets, and a memory of who did what.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=mode,
        context_settings={"max_content_width": 110},
    )
    app.callback()(_root)
    context = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("up", add_help_option=False, context_settings=context)(_up)
    for name, function in (("status", _status), ("doctor", _doctor), ("demo", _demo), ("config", _config)):
        app.command(name)(function)
    app.add_typer(commands.group(), name="init")
    for name, told in _QUICK.items():
        app.command(name, help=told, add_help_option=False, context_settings=context)(_quick(name))
    app.command("reference", hidden=True)(_reference)
    return typer.main.get_command(app)


_QUICK = {
    "mcp": "Serve MCP on the input and output, for clients that start a process.",
    "prime": "Tell an agent where it stands, in at most 400 tokens.",
    "hook": "Answer the hooks of a coding agent: `conductor hook --help` lists them.",
    "gate": "Be a gate of git: `conductor gate --help` lists them.",
}
"""What `conductor.cli.main` runs without coming by here; help lists it."""


def _quick(name: str) -> Callable[[typer.Context], None]:
    def run_quick(context: typer.Context) -> None:
        from conductor.cli import main  # noqa: PLC0415

        raise typer.Exit(importlib.import_module(main.QUICK[name]).run(context.args))

    return run_quick


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"conductor {version('conductor-server')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """What every command stands under; the option is answered by its callback."""


def _up(context: typer.Context) -> None:
    """Start the daemon here: `conductor up --help` lists its options."""
    from conductor.cli import up  # noqa: PLC0415

    raise typer.Exit(up.run(context.args))


def _status(as_json: AsJson = False, url: Url = None, home: HomeFolder = None) -> None:
    """Say whether the daemon runs, where, and what it holds."""
    from conductor.cli import calling, status  # noqa: PLC0415

    raise typer.Exit(status.run(calling.environment(url, home), as_json=as_json))


def _doctor(as_json: AsJson = False, url: Url = None, home: HomeFolder = None) -> None:
    """Check this installation: what is wrong, and the command that mends it."""
    from conductor.cli import calling, doctor  # noqa: PLC0415

    raise typer.Exit(doctor.run(calling.environment(url, home), as_json=as_json))


def _demo(
    fast: Annotated[bool, typer.Option("--fast", help="without pauses for reading")] = False,
    own_daemon: Annotated[bool, typer.Option("--own-daemon", help="start one for it, even when one runs")] = False,
    as_json: AsJson = False,
    url: Url = None,
    home: HomeFolder = None,
) -> None:
    """Watch two agents share a codebase: 30 s, no key needed, nothing left behind."""
    from conductor.cli import calling, demo  # noqa: PLC0415

    demo.run(calling.environment(url, home), is_fast=fast, with_own_daemon=own_daemon, as_json=as_json)


def _config(
    as_json: AsJson = False,
    home: HomeFolder = None,
    file: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="settings file (CONDUCTOR_CONFIG)")
    ] = None,
) -> None:
    """Show each setting of the daemon, its value and where it comes from."""
    from conductor.cli import calling, config  # noqa: PLC0415

    config.run(calling.environment(None, home), file=file, as_json=as_json)


def _reference(folder: Annotated[str, typer.Argument(metavar="FOLDER", help="the repository")] = ".") -> None:
    """Write the pages and the typed methods that are made from the catalogue."""
    from pathlib import Path  # noqa: PLC0415

    from conductor.cli import reference  # noqa: PLC0415

    for path in reference.write(Path(folder)):
        print(path)


def _carry_out(row: Any, body: dict[str, object], options: dict[str, Any]) -> None:
    from conductor.cli import calling  # noqa: PLC0415

    calling.carry_out(row, body, options)


def _failed(error: errors.ConductorError, *, as_json: bool) -> int:
    from conductor.cli import show  # noqa: PLC0415

    show.fault(error, as_json=as_json)
    return error.exit_code


def _usage(wrong: typer.TyperException) -> None:
    context = getattr(wrong, "ctx", None)
    if context is not None and type(wrong).__name__ != "NoArgsIsHelpError":
        print(context.get_usage(), file=sys.stderr)
    print(_told(wrong), file=sys.stderr)


def _told(wrong: typer.TyperException) -> str:
    # What typer wraps says of what kind it was.
    return str(wrong.format_message()).replace("Value error, ", "")


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415

    return ", ".join(repr(one) for one in get_close_matches(name, known))
