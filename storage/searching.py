"""Text search that means the same on both databases: exact, or blind to the case of ASCII letters."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Integer, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class place_of(FunctionElement[int]):  # noqa: N801  # functions of SQL are written small
    """Where one text begins in another, from 1; 0: nowhere."""

    type = Integer()
    inherit_cache = True
    name = "place_of"


@compiles(place_of, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(place_of, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Find a text in a column, blind to the case of ASCII letters."""
    folded = "".join(character.lower() if character.isascii() else character for character in text)
    return place_of(func.lower(column), folded) > 0


def holds(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Find a word in a column that keeps a JSON list of words.

    The encoded word with its quotes can stand in no other word: there its quotes would be escaped.
    """
    return place_of(column, orjson.dumps(word).decode()) > 0
