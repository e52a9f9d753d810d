"""What a column can hold: integers, texts, booleans, nothing else, so that both databases keep the very same values.

Times are microseconds since the epoch, money nano-dollars, lists and objects JSON text. The decorated types turn
them into aware datetimes, tuples and enums at the edge; hot statements use the same conversions through `to_stored`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Whole = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit integer; SQLite grows a primary key by itself only when its type is exactly INTEGER."""


def to_micros(at: datetime) -> int:
    """Turn an aware time into microseconds since the epoch, exactly."""
    return (at - EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Turn microseconds since the epoch into an aware time."""
    return EPOCH + timedelta(microseconds=value)


class UtcTime(TypeDecorator[datetime]):
    """A time, kept as microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return _moment(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """A JSON value, kept as text; lists come back as tuples."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        return _json(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        loaded = orjson.loads(value)
        return tuple(loaded) if isinstance(loaded, list) else loaded


class Word(TypeDecorator[StrEnum]):
    """A word of a closed set, kept as text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


def _moment(value: datetime | None) -> int | None:
    return None if value is None else to_micros(value)


def _json(value: Any | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _word(value: StrEnum | str | None) -> str | None:
    return None if value is None else str(value)


def converter(column_type: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Give the conversion of a column's values for statements that bypass SQLAlchemy's own; None: as they are."""
    match column_type:
        case UtcTime():
            return _moment
        case Json():
            return _json
        case Word():
            return _word
        case TypeDecorator():
            return lambda value: column_type.process_bind_param(value, dialect)
        case _:
            return None
