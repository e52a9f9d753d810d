"""Replies and errors as people read them: tables for lists, lines for one thing, never more than the models say.

What came over the network is shown as text, without styles or control characters of its own. A token is shown whole
and unbroken, so that it can be copied.
"""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conductor.cli import arguments
from conductor.domain import errors, money
from conductor.operations import faults
from conductor.operations.agents import NextCall
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Reply

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Task": ("id", "status", "priority", "assigned_to", "title", "blocked_by"),
    "Lock": ("id", "agent_id", "mode", "paths", "task_id", "expires_at"),
    "Agent": ("agent_id", "status", "health", "role", "current_task", "spent_today_usd", "last_seen_at"),
    "Project": ("id", "slug", "name", "conflict_strategy", "my_role", "archived_at"),
    "EventSeen": ("number", "at", "actor", "kind", "subject_id", "facts"),
    "AccessRequest": ("id", "agent_id", "agent_type", "requested_role", "status", "requested_at"),
    "CostRow": (
        "day",
        "project",
        "agent",
        "task",
        "model",
        "provider",
        "cost_usd",
        "events",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "unpriced_events",
    ),
    "Message": ("id", "sent_at", "sender", "to", "urgent", "subject", "text", "attachments", "reply_to"),
    "MessageSeen": ("id", "sent_at", "sender", "to", "urgent", "subject", "text", "delivered", "acknowledged"),
    "Checkpoint": ("id", "made_at", "agent_id", "task_id", "summary", "next_steps", "automatic", "expires_at"),
    "Bead": ("id", "status", "priority", "issue_type", "assignee", "title"),
    "TokenSeen": ("id", "kind", "role", "name", "agent_id", "created_at", "expires_at", "revoked_at"),
}
"""What a list shows of models that have more fields than a line holds; of others all. Empty columns are left out."""

_PIPE_WIDTH = 200
_TIME = "%Y-%m-%d %H:%M:%SZ"


def console(*, to_errors: bool = False) -> Console:
    """Where to print. rich keeps to NO_COLOR by itself; into a pipe lines are wide, as nobody wraps there."""
    stream = sys.stderr if to_errors else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, emoji=False, markup=False
    )


def reply(answer: Reply) -> None:
    """Print a reply."""
    out = console()
    lists = {name: value for name, value in answer if isinstance(value, list) and _is_table(answer, name)}
    single = {name: value for name, value in answer if name not in lists and value is not None}
    if "items" not in lists and "rows" not in lists:
        out.print(_text(answer.line()), style="bold", soft_wrap=True)
        _lines(out, single)
    for name, items in lists.items():
        if items and isinstance(items[0], NextCall):
            _steps(out, [(step.tool, step.args, step.because) for step in items])
        elif items:
            out.print(_table(items, None if name in {"items", "rows"} else name))
        elif name in {"items", "rows"}:
            out.print("none")
    if "items" in lists or "rows" in lists:
        _lines(out, {name: value for name, value in single.items() if name != "next_cursor"})
        if single.get("next_cursor"):
            out.print(f"more: --cursor {single['next_cursor']}", soft_wrap=True)


def fault(error: errors.ConductorError, *, as_json: bool) -> None:
    """Print an error: to the error stream for people, as the one shape to the output with --json."""
    if as_json:
        sys.stdout.write(faults.fault_of(error).model_dump_json(exclude_none=True) + "\n")
        return
    out = console(to_errors=True)
    out.print(Text.assemble((f"{error.code}: ", "bold red"), _text(error.message)), soft_wrap=True)
    for name, value in error.facts.items():
        # Which fields are wrong, and why, stands in the message.
        if name != "fields" and value not in (None, [], {}, ""):
            out.print(_text(f"  {name}: {_cell(value)}"), style="dim", soft_wrap=True)
    if error.wait_s:
        out.print(f"  again in {error.wait_s:g} s", style="dim")
    _steps(out, [(step.tool, step.args, step.because) for step in error.next])


def command(tool: str, args: Mapping[str, object]) -> str:
    """A call as a command to copy, `conductor task claim tsk_…`; of an operation not known here, name and JSON."""
    row = CATALOGUE.get(tool.removeprefix("conductor_"))
    if row is None:
        return f"{tool} {json.dumps(args)}"
    return shlex.join(["conductor", *row.command, *arguments.words(row, args)])


_WHOLE = {"export_organization": "conductor org export FILE"}
"""Commands that do at once what the operation does page by page."""


def _steps(out: Console, steps: Iterable[tuple[str, Mapping[str, object], str]]) -> None:
    for tool, args, because in steps:
        why = f"   # {because}" if because else ""
        told = _WHOLE.get(tool.removeprefix("conductor_")) or command(tool, args)
        out.print(Text.assemble("try: ", (clean(told), "bold"), (clean(why), "dim")), soft_wrap=True)


def table(title: str | None, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table without borders; the columns of names and ids are not broken."""
    made = Table(
        title=_text(title) if title else None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for column in columns:
        is_short = column.endswith(("id", "_at", "_usd")) or column in _UNBROKEN
        made.add_column(column.replace("_", " "), no_wrap=is_short, overflow="fold")
    for row in rows:
        made.add_row(*(_text(_cell(value)) for value in row))
    return made


_UNBROKEN = {"number", "at", "status", "kind", "slug", "priority"}


def _table(items: list[BaseModel], title: str | None) -> Table:
    first = items[0]
    known = COLUMNS.get(type(first).__name__) or tuple(type(first).model_fields)
    names = [name for name in known if any(getattr(item, name) not in (None, [], {}) for item in items)]
    return table(title, names, [[getattr(item, name) for name in names] for item in items])


def _is_table(answer: Reply, name: str) -> bool:
    value = getattr(answer, name)
    return name in {"items", "rows"} if not value else isinstance(value[0], BaseModel)


def _lines(out: Console, named: Mapping[str, object], indent: str = "  ") -> None:
    width = max((len(name) for name in named), default=0)
    for name, value in named.items():
        if isinstance(value, BaseModel):
            out.print(_text(f"{indent}{name}"), style="dim")
            _lines(out, {field: inner for field, inner in value if inner not in (None, [], {})}, indent + "  ")
        elif value not in ([], {}):
            told = _cell(value).replace("\n", "\n" + indent + " " * (width + 2))
            out.print(Text.assemble((f"{indent}{name:<{width}}  ", "dim"), _text(told)), soft_wrap=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case datetime():
            return value.strftime(_TIME)
        case list() | tuple():
            return ("; " if value and isinstance(value[0], Mapping) else ", ").join(_cell(each) for each in value)
        case BaseModel():
            told = value.model_dump(mode="json", exclude_none=True)
            return _cell({name: inner for name, inner in told.items() if inner not in ([], {})})
        case Mapping():
            return ", ".join(_fact(str(name), inner) for name, inner in value.items())
        case _:
            return str(value)


def _fact(name: str, value: object) -> str:
    """Tell one fact of an event or an error: amounts in dollars and times as everywhere else."""
    if name.endswith("_nano") and isinstance(value, int):
        return f"{name.removesuffix('nano')}usd {money.format_usd(value)}"
    if name.endswith(("_at", "_until", "since")) and isinstance(value, str):
        try:
            return f"{name} {_cell(datetime.fromisoformat(value))}"
        except ValueError:
            pass
    return f"{name} {'none' if value is None else _cell(value) or 'empty'}"


def _text(text: str) -> Text:
    return Text(clean(text))


def clean(text: str) -> str:
    """Give a text without the characters that a terminal obeys."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
