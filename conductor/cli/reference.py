"""What is made from the catalogue and kept as files: the page of operations and the typed methods of the client.

`conductor reference`, run in the repository, writes them all, and the page of settings with them; tests hold files
and catalogue equal. Nothing here is needed when Conductor runs.
"""

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from conductor import settings
from conductor.cli import arguments
from conductor.client import fields, source
from conductor.client.fields import FieldSeen, Kind
from conductor.domain import errors
from conductor.domain.access import Role
from conductor.operations.catalogue import CATALOGUE, SEED
from conductor.operations.row import Face, Operation

_COMMON = (
    errors.Invalid, errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.TooLarge,
    errors.IdempotencyMismatch, errors.Paused, errors.RateLimited, errors.Unavailable, errors.Internal,
)  # fmt: skip
_SURROUNDING = ("project_id", "organization_id", "idempotency_key")


def files() -> dict[str, str]:
    """Every generated file: its path in the repository, and its text."""
    return {
        "docs/operations.md": operations_markdown(),
        "docs/configuration.md": settings.reference_markdown(),
        "conductor/client/typed_async.py": source.typed(asynchronous=True),
        "conductor/client/typed_sync.py": source.typed(asynchronous=False),
    }


def write(repository: Path) -> list[Path]:
    """Write what differs; gives what was written. Raises Invalid outside a checkout of Conductor."""
    if not (repository / "conductor" / "operations" / "catalogue.py").exists():
        raise errors.Invalid(f"{repository.absolute()} is not a checkout of Conductor: run this in the repository.")
    written = []
    for name, text in files().items():
        path = repository / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def operations_markdown() -> str:
    """The page docs/operations.md."""
    parts = [_HEAD, _errors(_COMMON), _FIELDS, _listing(), *(_operation(row) for row in CATALOGUE.values()), _shapes()]
    return "\n".join(parts)


def _listing() -> str:
    def lines(names: Iterable[str]) -> Iterator[str]:
        for name in names:
            yield f"- [{name}](#{name}): {CATALOGUE[name].description}"

    others = [name for name in CATALOGUE if name not in SEED]
    return "\n".join(["## All operations", "", *lines(SEED), "", "Beyond these:", "", *lines(others), ""])


def _operation(row: Operation[Any, Any]) -> str:
    asked = [field for field in fields.of(row.request) if field.name not in _SURROUNDING or field.is_required]
    lines = [f"## {row.name}", "", row.description, "", *_faces(row), ""]
    lines += _table(asked) if asked else ["It takes no fields of its own.", ""]
    also = [f"`{name}`" for name in _SURROUNDING if name in row.request.model_fields and name not in _required(asked)]
    lines += [f"Also {', '.join(also)}.", ""]
    name = row.reply.__name__
    if name in _named_shapes():
        lines += [f"Reply: [{name}](#{name.lower()})", ""]
    else:
        about = " ".join((inspect.getdoc(row.reply) or "").split())
        lines += [f"Reply: {about}", "", *_table(fields.of(row.reply), of_reply=True)]
    if row.raises:
        lines += ["Errors beyond the common ones:", "", _errors(row.raises)]
    return "\n".join(lines)


def _faces(row: Operation[Any, Any]) -> list[str]:
    who = ", ".join(role.value for role in Role if role in row.allowed)
    lines = []
    if row.faces & Face.MCP:
        lines.append(f"- MCP: `{row.tool}`")
    if row.faces & Face.REST:
        lines.append(f"- REST: `POST /v1/{row.name}`")
    if row.faces & Face.CLI:
        lines.append(f"- Command: `{_command(row)}`")
    lines.append(f"- Python: `client.{row.name}(…)`")
    lines.append(f"- Who: {who}; it {'changes something' if row.writes else 'only reads'}")
    if row.wide:
        wide = ", ".join(role.value for role in Role if role in row.wide)
        lines.append(f"- Without a project, the whole organisation: {wide}")
    return lines


def _command(row: Operation[Any, Any]) -> str:
    words = ["conductor", *row.command]
    for argument in arguments.of(row):
        name = argument.name.upper()
        if argument.is_positional:
            word = f"{name}..." if argument.is_repeatable else name
            words.append(word if argument.field.is_required else f"[{word}]")
        elif argument.field.is_required and argument.inside is None:
            words.append(f"{argument.option} {name}")
    return " ".join(words)


def _table(seen: Iterable[FieldSeen], *, of_reply: bool = False) -> list[str]:
    head = ["| field | type | meaning |", "|---|---|---|"] if of_reply else [
        "| field | type | default | bounds | meaning |", "|---|---|---|---|---|"
    ]  # fmt: skip
    lines = []
    for field in seen:
        cells = [f"`{field.name}`{'' if _is_there(field) or not of_reply else '?'}", _type(field)]
        if not of_reply:
            cells += [_default(field), field.bounds.replace("|", "\\|")]
        lines.append(f"| {' | '.join([*cells, field.description])} |")
    return [*head, *lines, ""]


def _type(field: FieldSeen) -> str:
    if field.words:
        word = ", ".join(f"`{word}`" for word in field.words)
        return f"list of: {word}" if field.many else word
    if field.shape:
        kind = f"[{field.shape}](#{field.shape.lower()})"
    elif field.has(Kind.MAPPING):
        kind = "mapping" if field.values == tuple(Kind) else f"name to {_named(field.values)}"
    else:
        kind = _named(field.kinds)
    return f"list of {kind}" if field.many else kind


def _named(kinds: Iterable[Kind]) -> str:
    return " or ".join(dict.fromkeys(kind.value for kind in kinds))


def _default(field: FieldSeen) -> str:
    if field.is_required:
        return "required"
    if field.default in (None, [], {}):
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _required(seen: Iterable[FieldSeen]) -> set[str]:
    return {field.name for field in seen if field.is_required}


def _is_there(field: FieldSeen) -> bool:
    return field.is_required or field.default is not None


def _errors(kinds: Iterable[type[errors.ConductorError]]) -> str:
    lines = ["| error | HTTP | exit code | what it means |", "|---|---|---|---|"]
    for kind in kinds:
        about = " ".join((inspect.getdoc(kind) or "").split())
        lines.append(f"| `{kind.code}` | {kind.http} | {kind.exit_code} | {about} |")
    return "\n".join([*lines, ""])


@cache
def _named_shapes() -> frozenset[str]:
    """The names of the objects that occur inside others."""
    models = [model for row in CATALOGUE.values() for model in (row.request, row.reply)]
    return frozenset(field.shape for model in models for field in _deep(fields.of(model)) if field.shape)


def _shapes() -> str:
    shapes: dict[str, type[BaseModel]] = {}
    for row in CATALOGUE.values():
        for model in (row.request, row.reply):
            _collect(model, shapes)
    lines = ["## Shapes", "", "Objects that occur in requests and replies; a field with ? may be absent.", ""]
    for name in sorted(_named_shapes()):
        about = " ".join((inspect.getdoc(shapes[name]) or "").split())
        lines += [f"### {name}", "", about, "", *_table(fields.of(shapes[name]), of_reply=True)]
    return "\n".join(lines)


def _collect(model: type[BaseModel], shapes: dict[str, type[BaseModel]]) -> None:
    for kind in source.models_in(model):
        if kind.__name__ not in shapes:
            shapes[kind.__name__] = kind
            _collect(kind, shapes)


def _deep(seen: Iterable[FieldSeen]) -> Iterator[FieldSeen]:
    for field in seen:
        yield field
        yield from _deep(field.parts)


_HEAD = """# Operations

Made from `conductor/operations` by `conductor reference`, run in the repository; a test holds the two equal.

One operation is one thing on every face: the MCP tool, `POST /v1/<operation>` with a JSON object, the command, the
Python method. The OpenAPI description is at `/v1/openapi.json`. Unknown fields are refused and nothing is coerced:
`"3"` is no number. A list may be left out, which is an empty one; times are ISO 8601 with their zone; amounts are US
dollars, in replies as decimal text.

An error has one shape: `{code, message, retryable, facts, next: [{tool, args, because}], wait_s?}`. `next` names
calls that would help. On the command line the exit code tells the kind of error, and `--json` prints the shape.

## Errors that any operation can answer
"""

_FIELDS = """## Fields that most operations have

| field | meaning |
|---|---|
| `project_id` | left out: the token's project, or the only one; the command line's `--project` takes a slug as well |
| `organization_id` | only the owner of the installation names one; everybody else acts in their own |
| `idempotency_key` | every write has it: the same key with the same request does once and answers the same again |
"""
