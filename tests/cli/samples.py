"""The smallest JSON that a model allows, made from its schema: replies for the double, and requests for commands."""

from typing import Any

from pydantic import BaseModel

from conductor.operations.locks import Lock, LockGrant


def reply(model: type[BaseModel], **given: object) -> dict[str, Any]:
    """A reply with every required field; lists that must be there are empty."""
    schema = model.model_json_schema()
    made = _value(schema, schema.get("$defs", {}), is_full=False)
    assert isinstance(made, dict)
    return {**_granted(model, made), **given}


def full(model: type[BaseModel]) -> dict[str, Any]:
    """An object with every field, also those that may be left out, and one item in each list."""
    schema = model.model_json_schema()
    made = _value(schema, schema.get("$defs", {}), is_full=True)
    assert isinstance(made, dict)
    return _granted(model, made)


def _granted(model: type[BaseModel], made: dict[str, Any]) -> dict[str, Any]:
    """Make one of two of what is a lock or a place in line, which a schema cannot say."""
    if model is not LockGrant:
        return made
    return {"status": "granted", "lock": reply(Lock), "lost_after_s": 900}


def _value(told: dict[str, Any], shapes: dict[str, Any], *, is_full: bool) -> Any:
    if "$ref" in told:
        return _value(shapes[told["$ref"].rpartition("/")[2]], shapes, is_full=is_full)
    if "anyOf" in told:
        return _value(told["anyOf"][0], shapes, is_full=is_full)
    if "enum" in told or "const" in told:
        return told.get("const", told.get("enum", [None])[-1])
    match told.get("type"):
        case "object" if "properties" in told:
            named = told["properties"] if is_full else told.get("required", [])
            return {name: _value(told["properties"][name], shapes, is_full=is_full) for name in named}
        case "object":
            inner = told.get("additionalProperties")
            value = _value(inner, shapes, is_full=True) if isinstance(inner, dict) and inner else "green"
            return {"build": value} if is_full else {}
        case "array":
            return [_value(told["items"], shapes, is_full=is_full)] if is_full else []
        case "boolean":
            return not told.get("default", False)
        case "integer":
            return int(told.get("minimum", 1)) + 1 if "maximum" not in told else int(told["maximum"]) - 1
        case "number":
            return 0.5
        case ["number", "string"]:
            return "1.5"
        case _:
            return _text(told)


def _text(told: dict[str, Any]) -> str:
    if told.get("format") == "date-time":
        return "2026-11-24T08:20:11Z"
    if told.get("format") == "date":
        return "2026-11-24"
    if "{40}" in told.get("pattern", ""):
        return "abcdef12" * 5
    return "abcdef1" if "pattern" in told else "some text"
