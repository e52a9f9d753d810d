"""Statements that run in every batch: compiled once, then handed to the driver with bare values.

SQLAlchemy's own execution costs as much as the database's work for a small row. A Hot keeps the statement's text and
the order of its values, converts whole columns at once and goes through `exec_driver_sql`.
PostgreSQL takes many new rows as one JSON text: faster than a statement a row, and one plan for any number of them.
Changes and deletions go a statement a row, in psycopg's pipeline: all at once PostgreSQL might read the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, Delete, Dialect, Insert, Text, Update, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

from storage.columns import converter

Statement = Insert | Update | Delete
Row = Mapping[str, Any]

_ROWS = "rows"


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of a statement, in its place. name: of the row's value; None: the same `always`."""

    name: str | None
    convert: Callable[[Any], Any] | None
    always: Any = None

    def of(self, rows: Sequence[Row]) -> list[Any]:
        """Give the value for each row, as the database keeps it."""
        name, convert = self.name, self.convert
        if name is None:
            return [self.always] * len(rows)
        if convert is None:
            return [row[name] for row in rows]
        return [convert(row[name]) for row in rows]


class Hot:
    """One INSERT, UPDATE or DELETE, compiled for one kind of database.

    An Insert without `values` takes every column of its table from the row, also as an upsert; any other statement
    takes each `bindparam(name)` that has no value of its own.
    Raises ValueError for a statement that returns rows, or that has another text for other values, as IN has.
    """

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        # psycopg's marks by place: a tuple a row, not a mapping.
        by_place = type(dialect)(paramstyle="format") if dialect.paramstyle == "pyformat" else dialect  # type: ignore[call-arg]  # every dialect takes it
        self._text, self._values = _compile(statement, by_place)
        self._as_json = _JsonInsert.of(statement, by_place)

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Run it once for each row, in their order; returns how many rows of the database it met.

        A value that is missing in a row raises KeyError.
        """
        if not rows:
            return 0
        if len(rows) > 1 and self._as_json is not None and self._as_json.takes(rows):
            text, given = self._as_json.text, self._as_json.given(rows)
        else:
            text, given = self._text, list(zip(*[value.of(rows) for value in self._values], strict=True))
        # One set of values by itself goes without the machinery for many.
        return connection.exec_driver_sql(text, given[0] if len(given) == 1 else given).rowcount


class _JsonInsert:
    """The same INSERT for PostgreSQL, of all rows at once."""

    def __init__(self, statement: Insert, dialect: Dialect, distinct: tuple[str, ...]) -> None:
        columns = list(statement.table.c)
        rows = func.json_to_recordset(cast(bindparam(_ROWS, type_=Text), JSON)).table_valued(
            *[column(each.name, each.type) for each in columns]
        )
        rows = rows.render_derived(with_types=True)
        all_at_once = statement.from_select(list(columns), select(*rows.c), include_defaults=False)
        self.text, self._values = _compile(all_at_once, dialect)
        self._columns = [(str(each.name), _Value(each.key, converter(each.type, dialect))) for each in columns]
        self._distinct = distinct

    @classmethod
    def of(cls, statement: Statement, dialect: Dialect) -> _JsonInsert | None:
        """Give the insert, where there is one that means the same."""
        if dialect.name != "postgresql" or not isinstance(statement, Insert) or not _takes_the_row(statement):
            return None
        changes = next((part for part in visitors.iterate(statement) if isinstance(part, OnConflictDoUpdate)), None)
        if changes is None:
            return cls(statement, dialect, ())
        if changes.inferred_target_elements is None or changes.inferred_target_whereclause is not None:
            return None
        names = [part if isinstance(part, str) else part.key for part in changes.inferred_target_elements]
        return cls(statement, dialect, tuple(names))

    def takes(self, rows: Sequence[Row]) -> bool:
        """Tell whether no two rows meet in one: an upsert all at once may change a row only once."""
        if not self._distinct:
            return True
        return len({tuple([row[name] for name in self._distinct]) for row in rows}) == len(rows)

    def given(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Give the one set of values that stands for all rows."""
        names = [name for name, _ in self._columns]
        kept = zip(*[value.of(rows) for _, value in self._columns], strict=True)
        text = orjson.dumps([dict(zip(names, row, strict=True)) for row in kept]).decode()
        return [tuple(text if value.name == _ROWS else value.always for value in self._values)]


def _takes_the_row(statement: Insert) -> bool:
    return statement._values is None and not statement._multi_values and statement.select is None


def _compile(statement: Statement, dialect: Dialect) -> tuple[str, list[_Value]]:
    keys = (
        [each.key for each in statement.table.c]
        if isinstance(statement, Insert) and _takes_the_row(statement)
        else None
    )
    compiled = statement.compile(dialect=dialect, column_keys=keys, for_executemany=True)
    if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
        raise TypeError(f"{type(dialect).__name__} puts no values by place.")
    if compiled.effective_returning:
        raise ValueError("A hot statement returns no rows: execute this one through the connection.")
    if compiled.post_compile_params or compiled.literal_execute_params:
        raise ValueError("A hot statement has one text for all values: execute this one through the connection.")
    fixed = compiled.params
    values = []
    for name in compiled.positiontup:
        convert = converter(compiled.binds[name].type, dialect)
        if compiled.binds[name].required:
            values.append(_Value(name, convert))
        else:
            values.append(_Value(None, None, convert(fixed[name]) if convert else fixed[name]))
    return compiled.string, values
