"""Pages of lists: a cursor is the sort key of the last row seen, opaque to callers.

Keyset pagination costs the same on the first page and on the thousandth, and rows that come and go meanwhile
neither repeat nor skip others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import ColumnElement, tuple_

from conductor.domain import errors

ItemT = TypeVar("ItemT")
OtherT = TypeVar("OtherT")


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Items and where the next page begins; None: this was the last."""

    items: list[ItemT]
    next_cursor: str | None

    def map(self, change: Callable[[ItemT], OtherT]) -> Page[OtherT]:
        """Give the page with each item changed."""
        return Page([change(item) for item in self.items], self.next_cursor)


def encode(key: Sequence[int | str]) -> str:
    """Make a cursor of a sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode()


def decode(cursor: str, shape: Sequence[type]) -> list[Any]:
    """Read a cursor; shape: the types of its parts.

    Raises Invalid when it is not one of ours.
    """
    key = _read(cursor)
    if not _fits(key, shape):
        raise foreign()
    return list(key)


def fits(cursor: str, shape: Sequence[type]) -> bool:
    """Tell whether a cursor has parts of these types."""
    return _fits(_read(cursor), shape)


def foreign() -> errors.Invalid:
    """Word that a cursor is not one of ours."""
    return errors.Invalid(
        "cursor is not one that this list gave: leave it out to begin anew.", facts={"argument": "cursor"}
    )


def _read(cursor: str) -> Any:
    try:
        return orjson.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None


def _fits(key: Any, shape: Sequence[type]) -> bool:
    if not isinstance(key, list) or [type(part) for part in key] != list(shape):
        return False
    # Neither database takes a larger number, and PostgreSQL no NUL.
    return not any(abs(part) >= 2**63 if isinstance(part, int) else "\0" in part for part in key)


def beyond(
    columns: Sequence[ColumnElement[Any]], cursor: str | None, shape: Sequence[type], *, newest_first: bool
) -> list[Any]:
    """Give the condition that continues a list after a cursor; none for the first page.

    columns: what the list is ordered by, as stored values, all in one direction.
    """
    if cursor is None:
        return []
    key = decode(cursor, shape)
    row = tuple_(*columns)
    return [row < tuple_(*key) if newest_first else row > tuple_(*key)]


def cut(rows: Sequence[ItemT], limit: int, key: Callable[[ItemT], Sequence[int | str]]) -> Page[ItemT]:
    """Make a page of `limit + 1` rows that were read."""
    kept = list(rows[:limit])
    return Page(kept, encode(key(kept[-1])) if len(rows) > limit else None)
