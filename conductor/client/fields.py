"""What a model's fields are, read from its JSON schema: kind, bounds, default, meaning.

The command line builds its options from this and the reference page its tables, so that neither looks at Python
annotations: what crosses a face is JSON, and the schema is the promise about it that callers are given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel


class Kind(Enum):
    """What one value of a field is, named as people read it."""

    TEXT = "text"
    WORD = "word"
    INTEGER = "integer"
    NUMBER = "number"
    AMOUNT = "amount"
    FLAG = "true or false"
    TIME = "time"
    DATE = "date"
    PART = "object"
    MAPPING = "mapping"


@dataclass(frozen=True, slots=True)
class FieldSeen:
    """One field. kinds: what a value (with many: each value of the list) may be, several for a union.

    default: as JSON, None when left out means left out. words: the allowed ones of a closed set. shape: the name of
    the nested object, whose fields are in parts. bounds: in words, `10 to 86400`; empty when there are none.
    """

    name: str
    kinds: tuple[Kind, ...]
    many: bool = False
    is_required: bool = False
    default: object = None
    words: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    bounds: str = ""
    shape: str | None = None
    parts: tuple["FieldSeen", ...] = ()
    values: tuple[Kind, ...] = ()
    description: str = ""

    def has(self, kind: Kind) -> bool:
        """Tell whether a value may be of that kind."""
        return kind in self.kinds


def of(model: type[BaseModel]) -> tuple[FieldSeen, ...]:
    """Read the fields of a model in their order."""
    return _of(model)


@cache
def _of(model: type[BaseModel]) -> tuple[FieldSeen, ...]:
    schema = model.model_json_schema()
    return _fields(schema, schema.get("$defs", {}))


def _fields(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> tuple[FieldSeen, ...]:
    required = schema.get("required", ())
    return tuple(
        replace(
            _read(name, told, shapes),
            is_required=name in required,
            default=told.get("default"),
            description=told.get("description", ""),
        )
        for name, told in schema.get("properties", {}).items()
    )


def _read(name: str, told: Mapping[str, Any], shapes: Mapping[str, Any]) -> FieldSeen:
    if "$ref" in told:
        shape = told["$ref"].rpartition("/")[2]
        seen = _read(name, shapes[shape], shapes)
        return replace(seen, shape=shape) if seen.has(Kind.PART) else seen
    if "anyOf" in told:
        ways = [_read(name, way, shapes) for way in told["anyOf"] if way.get("type") != "null"]
        kinds = tuple(dict.fromkeys(kind for way in ways for kind in way.kinds))
        return replace(ways[0], kinds=kinds)
    if "enum" in told or "const" in told:
        return FieldSeen(name, (Kind.WORD,), words=tuple(told.get("enum") or (told["const"],)))
    if told.get("type") == "array":
        item = _read(name, told.get("items", {}), shapes)
        count = _span(told.get("minItems"), told.get("maxItems"), "items")
        return replace(item, many=True, bounds=", ".join(part for part in (count, item.bounds) if part))
    if told.get("type") == "object":
        return _object(name, told, shapes)
    return _single(name, told)


def _object(name: str, told: Mapping[str, Any], shapes: Mapping[str, Any]) -> FieldSeen:
    if "properties" in told:
        return FieldSeen(name, (Kind.PART,), shape=told.get("title"), parts=_fields(told, shapes))
    inner = told.get("additionalProperties")
    values = _read(name, inner, shapes).kinds if isinstance(inner, Mapping) and inner else tuple(Kind)
    return FieldSeen(
        name,
        (Kind.MAPPING,),
        values=values,
        bounds=_span(told.get("minProperties"), told.get("maxProperties"), "entries"),
    )


def _single(name: str, told: Mapping[str, Any]) -> FieldSeen:
    match told.get("type"):
        case ["number", "string"]:
            return FieldSeen(name, (Kind.AMOUNT,), bounds="US dollars, at most 9 decimals")
        case "boolean":
            return FieldSeen(name, (Kind.FLAG,))
        case "integer" | "number" as kind:
            least, most = told.get("minimum"), told.get("maximum")
            return FieldSeen(name, (Kind(kind),), least=least, most=most, bounds=_span(least, most, ""))
        case "string" if told.get("format") == "date-time":
            return FieldSeen(name, (Kind.TIME,))
        case "string" if told.get("format") == "date":
            return FieldSeen(name, (Kind.DATE,))
        case "string":
            bounds = _span(told.get("minLength"), told.get("maxLength"), "characters")
            pattern = f"`{told['pattern']}`" if "pattern" in told else ""
            return FieldSeen(name, (Kind.TEXT,), bounds=", ".join(part for part in (bounds, pattern) if part))
        case _:
            # A schema without a type allows any JSON value: facts and arguments of other calls.
            return FieldSeen(name, (Kind.MAPPING,), values=tuple(Kind))


def _span(least: float | None, most: float | None, unit: str) -> str:
    if least is None and most is None:
        return ""
    if least is None or (least == 0 and unit):
        span = f"at most {_plain(most)}" if most is not None else ""
    elif most is None:
        span = f"at least {_plain(least)}"
    else:
        span = f"{_plain(least)} to {_plain(most)}"
    return f"{span} {unit}".strip() if span else ""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
