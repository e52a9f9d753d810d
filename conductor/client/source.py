"""The source text of the typed methods of both clients, made from the catalogue.

Methods that exist as text are seen by mypy, by editors and by `help()`; made from the rows they cannot differ from
them. `conductor reference` writes them, a test holds file and catalogue equal.
"""

import types
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from inspect import isclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Operation

_LAST = ("project_id", "organization_id", "idempotency_key")
_MANY_WORDS = 12


def typed(*, asynchronous: bool) -> str:
    """The module with one method an operation."""
    rows = list(CATALOGUE.values())
    methods = "\n".join(_method(row, asynchronous=asynchronous) for row in rows)
    enums = {kind.__name__: kind for row in rows for kind in _kinds(row.request) if issubclass(kind, Enum)}
    words = "\n".join(f"{name}Word: TypeAlias = {name} | {_literal(kind)}" for name, kind in sorted(enums.items()))
    word, name = ("async ", "AsyncOperations") if asynchronous else ("", "Operations")
    return _HEAD.format(
        kind="asynchronous" if asynchronous else "synchronous",
        imports=_imports(rows),
        words=words,
        word=word,
        name=name,
        methods=methods,
    )


def _method(row: Operation[Any, Any], *, asynchronous: bool) -> str:
    model = row.request.model_fields
    order = [*row.positional, *(name for name in model if name not in row.positional and name not in _LAST)]
    order += [name for name in _LAST if name in model]
    arguments = ", ".join(_argument(name, model[name]) for name in order)
    given = ", ".join(f'"{name}": {name}' for name in order)
    constant = f"{_module(row.request)}_ops.{row.name.upper()}"
    word, wait = ("async ", "await ") if asynchronous else ("", "")
    raises = ", ".join(error.__name__ for error in row.raises)
    return (
        f"    {word}def {row.name}(self, *, {arguments}) -> {row.reply.__name__}:\n"
        f'        """{row.description}{f" Raises {raises}." if raises else ""}"""\n'
        f"        return {wait}self.call({constant}, request_of({constant}, {{{given}}}))\n"
    )


def _argument(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"{name}: {_spell(field.annotation)}"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, list) and not default:
        return f"{name}: {_spell(field.annotation)} = ()"
    if isinstance(default, dict) and not default:
        return f"{name}: {_spell(field.annotation)} | None = None"
    shown = f"{type(default).__name__}.{default.name}" if isinstance(default, Enum) else repr(default)
    return f"{name}: {_spell(field.annotation)} = {shown}"


def _spell(annotation: Any) -> str:
    """The type as a caller may give it: a list as any sequence, a time also as text, a closed set also as its words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _spell(parts[0])
    if origin in {Union, types.UnionType}:
        return " | ".join(dict.fromkeys(_spell(part) for part in parts))
    if origin is list:
        return f"Sequence[{_spell(parts[0])}]"
    if origin is dict:
        return f"dict[{_spell(parts[0])}, {_spell(parts[1])}]"
    if annotation is types.NoneType:
        return "None"
    if annotation is Decimal:
        return "Decimal | float | str"
    if annotation in {datetime, AwareDatetime}:
        return "datetime | str"
    if isclass(annotation) and issubclass(annotation, Enum):
        return f"{annotation.__name__}Word"
    if annotation in {str, int, float, bool, date} or (isclass(annotation) and issubclass(annotation, BaseModel)):
        return str(annotation.__name__)
    raise TypeError(f"no Python spelling is known for {annotation!r}; add one in conductor/client/source.py")


def _literal(kind: type[Enum]) -> str:
    # A long list of words would hide the signature in an editor's hint.
    words = ", ".join(f'"{member.value}"' for member in kind)
    return "str" if len(kind) > _MANY_WORDS else f"Literal[{words}]"


def models_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The nested models in the fields of a model."""
    return [kind for kind in _kinds(model) if issubclass(kind, BaseModel)]


def _kinds(model: type[BaseModel]) -> Iterator[type]:
    """The enums and nested models in the fields of a model."""
    for field in model.model_fields.values():
        yield from _named(field.annotation)


def _named(annotation: Any) -> Iterator[type]:
    if isclass(annotation) and issubclass(annotation, Enum | BaseModel):
        yield annotation
    for part in get_args(annotation):
        if part is not Literal:
            yield from _named(part)


def _imports(rows: list[Operation[Any, Any]]) -> str:
    modules = sorted({_module(row.request) for row in rows})
    wanted: dict[str, set[str]] = {}
    for row in rows:
        for kind in (row.reply, *_kinds(row.request)):
            wanted.setdefault(kind.__module__, set()).add(kind.__name__)
    wanted.setdefault("conductor.operations.row", set()).update({"Operation", "ReplyT", "RequestT"})
    # An argument may be called like a module: import_beads(beads=…).
    lines = [f"from conductor.operations import {', '.join(f'{module} as {module}_ops' for module in modules)}"]
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items())]
    return "\n".join(sorted(lines, key=lambda line: line.split()[1]))


def _module(model: type[BaseModel]) -> str:
    return model.__module__.rpartition(".")[2]


_HEAD = '''"""The {kind} client's methods, one an operation. Made from the catalogue by `conductor reference`.

Keyword arguments only. None, where it is the default, means left out. A list is any sequence but text; a closed set
is its enum or the word itself.
"""
# fmt: off
# ruff: noqa: E501, I001

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from conductor.client.wire import request_of
{imports}

{words}


class {name}(ABC):
    """Every operation as a method."""

    @abstractmethod
    {word}def call(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> ReplyT:
        """Call an operation of the catalogue."""

{methods}'''
