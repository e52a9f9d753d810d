"""Commands made from the catalogue: group and verb, arguments, options and help, each from its row.

A group is built only when it is named, so that `conductor task list` does not wait for the other thirty commands.
"""

import inspect
import sys
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any

import typer
from typer.core import TyperGroup

from conductor.cli import arguments, beside
from conductor.cli.arguments import Argument
from conductor.client.fields import Kind
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Face, Operation

_KEEPS = "conductor_"
"""Before the names of the options that are no fields of the request: a field may be called `url` as well."""

_MANY_WORDS = 12
"""More words than this stand in the text of an option, where lines are broken, and not in its name."""

_EXITS = {
    "acquire_lock": "Exit code 5 when it is queued.",
    "check_paths": "Exit code 3 when it is not allowed.",
}
"""What a program that goes on after a reply has to know."""

Carry = Callable[[Operation[Any, Any], dict[str, object], dict[str, Any]], None]
"""What a command does: a row, its body, and the options that say where and how."""


@cache
def groups() -> dict[str, tuple[Operation[Any, Any], ...]]:
    """The groups of commands by their singular name."""
    found: dict[str, tuple[Operation[Any, Any], ...]] = {}
    for row in CATALOGUE.values():
        if row.faces & Face.CLI:
            found[row.command[0]] = (*found.get(row.command[0], ()), row)
    return found


def singular(name: str) -> str | None:
    """The group that is meant: `tasks` and `task` are one. None: there is none of that name."""
    return name if name in groups() else next((group for group in groups() if name == f"{group}s"), None)


def verbs(name: str) -> str:
    """A group's verbs, which say what it is better than a sentence."""
    return ", ".join([*(row.command[1] for row in groups()[name]), *beside.VERBS.get(name, ())])


def with_verb(verb: str) -> str:
    """Give the commands that end so: whoever types `whoami` means `token whoami`. At most three; empty: none."""
    found = [f"'{name} {verb}'" for name in groups() if verb in verbs(name).split(", ")]
    return ", ".join(found[:3])


def group(name: str, carry: Carry) -> TyperGroup:
    """Build a group's commands."""
    app = typer.Typer(
        cls=_Group, name=name, help=verbs(name), no_args_is_help=True, add_completion=False, rich_markup_mode=markup()
    )
    # With a callback a group of one verb stays a group.
    app.callback()(_nothing)
    for row in groups()[name]:
        about = "\n\n".join(filter(None, (row.description, _EXITS.get(row.name))))
        app.command(row.command[1], help=_safe(about))(_function(row, carry))
    return typer.main.get_group(app)


class _Group(TyperGroup):
    """A derived group with the commands written by hand that stand in it, which are loaded when they are named."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self._beside()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self._beside():
            return super().get_command(ctx, cmd_name)
        app = typer.Typer(add_completion=False, rich_markup_mode=markup())
        app.command(cmd_name)(beside.function(self.name or "", cmd_name))
        return typer.main.get_command(app)

    def _beside(self) -> tuple[str, ...]:
        return beside.VERBS.get(self.name or "", ())


def markup() -> Any:
    """Help with colours and panels for people, plain lines for programs."""
    return "rich" if sys.stdout.isatty() else None


def _nothing() -> None:
    return None


def _function(row: Operation[Any, Any], carry: Carry) -> Callable[..., None]:
    def run(**given: Any) -> None:
        around = {name.removeprefix(_KEEPS): given.pop(name) for name in list(given) if name.startswith(_KEEPS)}
        carry(row, arguments.body(row, {name: _plain(value) for name, value in given.items()}), around)

    parameters = [_parameter(argument) for argument in arguments.of(row)] + _surroundings(row)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads; no static attribute
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(argument: Argument) -> inspect.Parameter:
    field = argument.field
    kind = _type(argument)
    default: Any = None
    if field.is_required and argument.inside is None:
        default = ...
    elif argument.inside is None and not argument.is_repeatable and not argument.is_json and field.default is not None:
        default = kind(field.default) if isinstance(kind, type) else field.default
    numbers = {"min": field.least, "max": field.most} if kind in {int, float} else {}
    about: dict[str, Any] = {"help": _help(argument), "metavar": _metavar(argument), **numbers}
    if argument.is_positional:
        told = typer.Argument(default, **about)
    elif argument.is_flag:
        told = typer.Option(default, f"{argument.option}/--no-{argument.option[2:]}", help=about["help"])
    else:
        told = typer.Option(default, argument.option, **about)
    return _keyword(argument.name, list[kind] if argument.is_repeatable else kind, told)  # type: ignore[valid-type]  # made at run time


def _type(argument: Argument) -> Any:
    field = argument.field
    if argument.is_json or field.has(Kind.MAPPING):
        return str
    if field.words:
        return Enum(field.name, {f"word_{number}": word for number, word in enumerate(field.words)})
    match field.kinds:
        case (Kind.INTEGER,):
            return int
        case (Kind.NUMBER,):
            return float
        case (Kind.FLAG,):
            return bool
        case _:
            return str


def _help(argument: Argument) -> str:
    said = [argument.field.description] if argument.field.description else []
    if len(argument.field.words) > _MANY_WORDS:
        said.append(f"one of {', '.join(argument.field.words)}")
    if argument.is_json:
        said.append(f"as JSON{', one or a list ([] for none)' if argument.is_repeatable else ''}, or @FILE with it")
    if argument.is_repeatable and not argument.is_positional:
        said.append("repeatable")
    return _safe("; ".join(said))


def _metavar(argument: Argument) -> str | None:
    field = argument.field
    if argument.is_positional or len(field.words) > _MANY_WORDS:
        return argument.name.upper()
    if argument.is_json:
        return "JSON"
    for kind, metavar in _METAVARS.items():
        if field.has(kind):
            return metavar
    return "TEXT" if field.has(Kind.TEXT) else None


_METAVARS = {Kind.MAPPING: "NAME=VALUE", Kind.AMOUNT: "USD", Kind.TIME: "TIME", Kind.DATE: "DATE"}


def _surroundings(row: Operation[Any, Any]) -> list[inspect.Parameter]:
    taken = {argument.option for argument in arguments.of(row)}
    is_wide = bool(row.wide) and not arguments.is_scoped(row)
    offered: list[tuple[str, Any, Any]] = []
    if "project_id" in row.request.model_fields:
        which = "the project that it is for"
        if row.takes_project or arguments.is_scoped(row):
            which = _WIDE if is_wide else _PROJECT
        offered.append(("project", str, typer.Option(None, "--project", help=which, metavar="SLUG|ID")))
    if is_wide:
        offered.append(
            ("all_projects", bool, typer.Option(False, "--all-projects", help="whatever CONDUCTOR_PROJECT says"))
        )
    offered += [
        ("organization", str, typer.Option(None, "--organization", help="installation owner only", metavar="ID")),
        ("field", str, typer.Option(None, "--field", help="print one field of the reply, as agent.id", metavar="NAME")),
        ("json", bool, typer.Option(False, "--json", help="print the reply's JSON and nothing else")),
        ("url", str, typer.Option(None, "--url", help="another daemon than the home's (CONDUCTOR_URL)", metavar="URL")),
        ("home", str, typer.Option(None, "--home", help="home folder (CONDUCTOR_HOME)", metavar="DIR")),
    ]
    return [_keyword(f"{_KEEPS}{name}", kind, told) for name, kind, told in offered if f"--{name}" not in taken]


_WIDE = "default: CONDUCTOR_PROJECT, the token's own, or all"
_PROJECT = "default: CONDUCTOR_PROJECT, the token's own, the only one, or `default`"


def _keyword(name: str, kind: Any, told: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=told, annotation=kind)


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def _safe(text: str) -> str:
    """Help text in which brackets are brackets, not styles."""
    return text.replace("[", "\\[") if markup() else text
