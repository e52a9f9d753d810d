"""Reading a request: strict, with an error that names the argument and what it must be."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from conductor.domain import errors
from conductor.operations.row import Operation, Request

RequestT = TypeVar("RequestT", bound=Request)
MANY = 100
SHOWN = 5
"""So many faults of one request are named; the rest are counted."""


def read_request(row: Operation[RequestT, Any], arguments: bytes) -> RequestT:
    """Read the JSON of an operation's arguments, coercing nothing.

    Raises Invalid.
    """
    try:
        return row.request.model_validate_json(arguments, strict=True)
    except ValidationError as error:
        raise _invalid(row, error) from None


def _invalid(row: Operation[Any, Any], error: ValidationError) -> errors.Invalid:
    if (count := error.error_count()) > MANY:
        # To word ninety thousand faults takes longer than a thousand calls.
        return errors.Invalid(
            f"{row.name}: {count} values are wrong. Nothing was done; send less, and what the operation takes.",
            facts={"operation": row.name, "faults": []},
        )
    # The input itself is left out: it may be a secret, and it may be a megabyte.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_sentence(row, fault) for fault in faults[:SHOWN]]
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return errors.Invalid(
        f"{row.name}: {'; '.join(told)}{more}. Nothing was done; correct it and call again.",
        facts={
            "operation": row.name,
            "faults": [{"argument": _argument(fault), "kind": str(fault["type"])} for fault in faults[:SHOWN]],
        },
    )


def _sentence(row: Operation[Any, Any], fault: Mapping[str, Any]) -> str:
    argument = _argument(fault)
    match fault["type"]:
        case "json_invalid":
            return f"the arguments are not valid JSON ({fault['msg'].removeprefix('Invalid JSON: ')[:120]})"
        case "extra_forbidden":
            near = get_close_matches(argument, row.request.model_fields, n=1)
            return f"{argument} is not an argument" + (f" (did you mean {near[0]}?)" if near else "")
        case "missing":
            return f"{argument} is required"
        case _:
            reason = str(fault["msg"])[:200]
            return f"{argument or 'the arguments'}: {reason[:1].lower()}{reason[1:]}"


def _argument(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])[:120]
    return name.encode("ascii", "backslashreplace").decode()
