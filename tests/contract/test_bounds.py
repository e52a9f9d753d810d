"""Everything a caller can send has a bound, and what lies beyond is refused: never coerced, dropped or fatal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Operation
from tests.support.furnished import Furnished, golden

rows = pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)

LONGEST = 20_000
"""Characters of the longest text that any argument takes."""


def unbounded(schema: dict[str, Any], definitions: dict[str, Any], place: str) -> Iterator[str]:
    """Name what a schema does not bound."""
    if "$ref" in schema:
        yield from unbounded(definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    for branch in schema.get("anyOf", ()):
        yield from unbounded(branch, definitions, place)
    if "enum" in schema or "const" in schema:
        return
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from (f"{place}: {word}" for word in _missing(kind, schema))
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, definitions, f"{place}.{name}")
    if "items" in schema:
        yield from unbounded(schema["items"], definitions, f"{place}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from unbounded(schema["additionalProperties"], definitions, f"{place}{{}}")
        yield from unbounded({"type": "string"} | schema.get("propertyNames", {}), definitions, f"{place} names")


def _missing(kind: str, schema: dict[str, Any]) -> Iterator[str]:
    match kind:
        case "string":
            if schema.get("maxLength", LONGEST + 1) > LONGEST and not (
                "pattern" in schema or schema.get("format") in {"date-time", "date"}
            ):
                yield "length"
        case "integer" | "number":
            if not {"minimum", "maximum"} <= schema.keys():
                yield "range"
        case "array":
            if "maxItems" not in schema:
                yield "count"
        case "object":
            is_closed = schema.get("additionalProperties") is False
            if not is_closed and "maxProperties" not in schema:
                yield "properties"
        case "boolean" | "null":
            pass
        case _:
            yield f"kind {kind}"


@rows
def test_every_argument_is_bounded(row: Operation[Any, Any]) -> None:
    schema = row.request.model_json_schema()

    assert not list(unbounded(schema, schema.get("$defs", {}), row.name))


@rows
def test_every_pattern_says_where_it_ends(row: Operation[Any, Any]) -> None:
    text = json.dumps(row.request.model_json_schema())
    patterns = [part.split('"')[0] for part in text.split('"pattern": "')[1:]]

    for pattern in patterns:
        assert pattern.startswith("^"), pattern
        assert pattern.endswith("$"), pattern


def test_the_checker_finds_what_is_not_bounded() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "text": {"type": "string"},
            "number": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
            "list": {"type": "array", "items": {"type": "string", "maxLength": 5}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}},
        },
    }

    found = list(unbounded(schema, {}, "x"))

    assert found == ["x.text: length", "x.number: range", "x.list: count", "x.map: properties", "x.map names: length"]


STAND_IN = "@@here@@"


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Give every single value of a request and its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*place, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*place, index))
    else:
        yield place, value


def with_raw(request: dict[str, Any], place: tuple[Any, ...], raw: str) -> bytes:
    """Put a piece of raw JSON at one place of a request."""
    copy = json.loads(json.dumps(request))
    inside = copy
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = STAND_IN
    return json.dumps(copy).replace(f'"{STAND_IN}"', raw).encode()


TEXTS = ['"a\\u0000b"', '"a\\u001b[2Jb"', '"a\\u0085b"', '"\\ud800"', '"\\udfff x"', f'"{"x" * 30_000}"', "[]", "{}"]
NUMBERS = ["-1", "1e400", "-1e400", "NaN", "Infinity", '"1"', "true", "[]", "1" + "0" * 400]
FLAGS = ["0", "1", '"true"', "[]"]


def poisons(place: tuple[Any, ...], value: Any) -> list[str]:
    """Give what must be refused in the place of a value."""
    match value:
        case bool():
            found = FLAGS
        case int() | float():
            found = NUMBERS if isinstance(value, float) else [*NUMBERS, "1.5"]
        case str():
            found = TEXTS
        case _:
            return []
    if "metadata" in place:
        # A value of somebody's own may be of any plain kind, but never beyond its bounds.
        return [raw for raw in found if raw not in {"-1", '"1"', "true", "1.5", *FLAGS[:3]}]
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_no_argument_takes_poison(here: Furnished) -> None:
    tried = 0
    for name, row in CATALOGUE.items():
        request, caller = here.request(name), here.natural(name).caller
        for place, value in leaves(golden(name)):
            for raw in poisons(place, value):
                answer = await here.world.dispatcher.call(row, with_raw(request, place, raw), caller)
                assert answer.code in {"invalid", "path_invalid"}, f"{name} {place} {raw[:40]}: {answer.line[:200]}"
                assert len(answer.body) < 3000, f"{name} {place} answers with what it was sent"
                tried += 1
    assert tried > 900


@pytest.mark.anyio
async def test_an_argument_that_nobody_knows_is_refused_and_named(here: Furnished) -> None:
    for name in CATALOGUE:
        request = here.request(name)
        for inside in (request, *(value for value in request.values() if isinstance(value, dict))):
            if inside is request.get("metadata") or inside is request.get("instruction_files"):
                continue
            inside["surplus"] = 1
            answer = await here.world.answer(name, here.natural(name).caller, request)
            del inside["surplus"]
            assert answer.code == "invalid", name
            assert "surplus is not an argument" in json.loads(answer.body)["message"], name


@pytest.mark.anyio
@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"x"', b"{", b'{"a":1', b"\xff\xfe", b"{}" * 2, b"[" * 5000])
async def test_what_is_no_object_is_refused(here: Furnished, raw: bytes) -> None:
    for name, row in CATALOGUE.items():
        answer = await here.world.dispatcher.call(row, raw, here.natural(name).caller)
        assert answer.code == "invalid", f"{name}: {answer.line}"


@pytest.mark.anyio
async def test_a_malformed_id_answers_not_found(here: Furnished) -> None:
    for name, row in CATALOGUE.items():
        argument = {"get_project": "project_id"}.get(name, row.locate)
        if argument is None or not row.request.model_fields[argument].is_required():
            continue
        for wrong in ("x", "tsk_", "tsk_0000000000 ", "TSK_0000000000", "'; --", "%", "é" * 64, "{}"):
            answer = await here.world.answer(name, here.natural(name).caller, here.request(name) | {argument: wrong})
            assert answer.code == "not_found", f"{name} {wrong}: {answer.line}"
