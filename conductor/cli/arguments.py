"""An operation's fields as a command line has them, both ways: words into a request body, a body into words.

The fields of a nested object stand beside the others (`--commit`, `--require-evidence`), as a person at a terminal
names what is meant and not where it lies. A field whose values are objects themselves is given as JSON, or as the
name of a file that holds it: `--tasks @many.json`.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from conductor.client import fields
from conductor.client.fields import FieldSeen, Kind
from conductor.domain import errors
from conductor.operations.row import Operation

SURROUNDINGS = ("organization_id", "project_id")
"""Fields that are given by --organization and --project on every command."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One field on the command line. inside: the nested object that it belongs to. name: unique in its command."""

    name: str
    field: FieldSeen
    inside: str | None = None
    is_positional: bool = False

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def is_flag(self) -> bool:
        return self.field.kinds == (Kind.FLAG,) and not self.field.many

    @property
    def is_json(self) -> bool:
        """Tell whether the value is given as JSON text: objects in lists, objects in objects."""
        return self.field.has(Kind.PART)

    @property
    def is_repeatable(self) -> bool:
        return self.field.many or self.field.has(Kind.MAPPING)


def is_scoped(row: Operation[Any, Any]) -> bool:
    """Tell whether a change says itself what it is for: an agent, a project, or with `organization` all of them."""
    return row.writes and "scope" in row.request.model_fields


def of(row: Operation[Any, Any]) -> tuple[Argument, ...]:
    """The arguments of a row's command, the positional ones first."""
    seen = {field.name: field for field in fields.of(row.request) if field.name not in SURROUNDINGS}
    flat = {name: field for name, field in seen.items() if _is_flat(field)}
    times = Counter([*seen, *(part.name for field in flat.values() for part in field.parts)])
    # Only the last positional may take several words; an earlier list is an option.
    places = [name for name in row.positional if not seen[name].many or name == row.positional[-1]]
    found = [Argument(name, seen[name], is_positional=True) for name in places]
    for name, field in seen.items():
        if name in flat:
            found += [
                Argument(part.name if times[part.name] == 1 else f"{name}_{part.name}", part, inside=name)
                for part in field.parts
            ]
        elif name not in places:
            found.append(Argument(name, field))
    return tuple(sorted(found, key=lambda argument: argument.name == "idempotency_key"))


def body(row: Operation[Any, Any], given: Mapping[str, object]) -> dict[str, object]:
    """Make the request's body from what was given; what was left out, or equals the default, is not in it.

    Raises Invalid, which names the option, for text that is not what its field needs.
    """
    made: dict[str, object] = {}
    nested: dict[str, dict[str, object]] = {}
    for argument in of(row):
        value = given.get(argument.name)
        if value is None:
            continue
        value = _value(argument, value)
        if argument.inside is not None:
            nested.setdefault(argument.inside, {})[argument.field.name] = value
        elif value != argument.field.default or argument.is_positional:
            made[argument.field.name] = value
    return {**made, **nested}


def words(row: Operation[Any, Any], told: Mapping[str, Any]) -> list[str]:
    """Write a body as the words after the command; the inverse of parsing them and making the body."""
    places: list[str] = []
    options: list[str] = []
    is_gapless = True
    for argument in of(row):
        source = told if argument.inside is None else told.get(argument.inside) or {}
        value = source.get(argument.field.name)
        if value is None or (argument.is_positional and value == []):
            is_gapless = is_gapless and not argument.is_positional
            continue
        if argument.is_positional and is_gapless:
            places += [_word(each) for each in _each(value)]
        elif argument.is_flag:
            options.append(argument.option if value else f"--no-{argument.option[2:]}")
        elif argument.field.has(Kind.MAPPING) and isinstance(value, Mapping):
            for key, each in value.items():
                options += [argument.option, f"{key}={_entry(argument.field, each)}"]
        elif value == []:
            options += [argument.option, ""]
        else:
            for each in _each(value):
                options += [argument.option, _word(each)]
    for name, option in (("project_id", "--project"), ("organization_id", "--organization")):
        if told.get(name):
            options += [option, str(told[name])]
    if any(word.startswith("-") for word in places):
        return [*options, "--", *places]
    return [*places, *options]


def _is_flat(field: FieldSeen) -> bool:
    return field.kinds == (Kind.PART,) and not field.many and not any(part.has(Kind.PART) for part in field.parts)


def _value(argument: Argument, value: object) -> object:
    field = argument.field
    if field.has(Kind.MAPPING) and isinstance(value, list):
        return dict(_pair(argument, str(text)) for text in value)
    if field.many and isinstance(value, list):
        # One empty word says `none`: the only way to empty a list, as no item may be empty.
        items = [] if value == [""] else [_single(argument, each) for each in value]
        # No item of objects is a list, so one that was given whole is its items.
        return [item for each in items for item in (each if argument.is_json and isinstance(each, list) else [each])]
    return _single(argument, value)


def _single(argument: Argument, value: object) -> object:
    if not isinstance(value, str):
        return value
    if argument.is_json:
        return _read_json(argument, value)
    if argument.field.has(Kind.INTEGER) and value.removeprefix("-").isdecimal():
        return int(value)
    if argument.field.has(Kind.TIME) and not argument.field.has(Kind.TEXT):
        _require_time(argument, value)
    return value


def _read_json(argument: Argument, value: str) -> object:
    told = value
    if value.startswith("@"):
        try:
            told = sys.stdin.read() if value == "@-" else Path(value[1:]).read_text(encoding="utf-8-sig")
        except OSError as wrong:
            raise errors.Invalid(f"{argument.option}: cannot read {value[1:]}: {wrong.strerror}.") from None
        except UnicodeDecodeError:
            raise errors.Invalid(f"{argument.option}: {value[1:]} is no text in UTF-8.") from None
    try:
        return json.loads(told)
    except ValueError as wrong:
        raise errors.Invalid(
            f"{argument.option} takes JSON, such as '{{\"name\": 1}}', or @FILE with it: {wrong}"
        ) from None


def _require_time(argument: Argument, value: str) -> None:
    takes_day = argument.field.has(Kind.DATE)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is not None and (moment.tzinfo is not None or (takes_day and len(value) <= len("2026-11-24"))):
        return
    also = " or a day, such as 2026-11-24" if takes_day else " or a number" if argument.field.has(Kind.INTEGER) else ""
    raise errors.Invalid(
        f"{argument.option} takes a time with its zone, such as 2026-11-24T08:00:00Z{also}; not {value!r}"
    )


def _pair(argument: Argument, text: str) -> tuple[str, object]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise errors.Invalid(f"{argument.option} takes NAME=VALUE, such as {argument.option} build=green; not {text!r}")
    if argument.field.values == (Kind.TEXT,):
        return key, value
    try:
        read = json.loads(value)
    except ValueError:
        return key, value
    # 1e999 and NaN read as numbers that JSON cannot carry; they stay text.
    return (key, value) if isinstance(read, float) and not abs(read) < float("inf") else (key, read)


def _entry(field: FieldSeen, value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return value if field.values == (Kind.TEXT,) or not _reads_as_json(value) else json.dumps(value)


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else [value]


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
