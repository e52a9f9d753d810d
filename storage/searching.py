"""Text search that means the same on both databases: exact, or blind to the case of ASCII letters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _contains_text(FunctionElement[bool]):  # noqa: N801  # functions of SQL are written small
    """Tell whether a text, its ASCII letters small, stands in a column."""

    type = Boolean()
    inherit_cache = True
    name = "contains_text"


class _holds_word(FunctionElement[bool]):  # noqa: N801  # as above
    """Tell whether a JSON list of words has a word."""

    type = Boolean()
    inherit_cache = True
    name = "holds_word"


@compiles(_contains_text, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(part, **options) for part in element.clauses)
    return f"instr(lower({column}), {text}) > 0"


@compiles(_contains_text, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, text = (compiler.process(part, **options) for part in element.clauses)
    # Without a collation of its own `lower` would fold what the server's locale folds.
    return f'strpos(lower({column} COLLATE "C"), {text}) > 0'


@compiles(_holds_word, "sqlite")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, word = (compiler.process(part, **options) for part in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS held WHERE held.value = {word})"  # noqa: S608  # parts compiled by SQLAlchemy


@compiles(_holds_word, "postgresql")
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, word = (compiler.process(part, **options) for part in element.clauses)
    return f"jsonb_exists(CAST({column} AS jsonb), {word})"


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Find a text in a column, blind to the case of ASCII letters."""
    folded = "".join(character.lower() if character.isascii() else character for character in text)
    return _contains_text(column, folded)


def holds(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Find a word in a column that keeps a JSON list of words."""
    return _holds_word(column, word)
