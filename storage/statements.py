"""The statements that every unit of work runs, compiled once for a database, derived from the tables."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Dialect, Table, bindparam, delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.hot import Hot

Verb = Literal["insert", "update", "upsert", "add", "delete"]
"""upsert replaces a row of the same key; add adds its numbers to it. update and delete take the key as key_<column>."""


class Statements:
    """Hot statements by verb and table."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._hot: dict[tuple[Verb, str], Hot] = {}

    def get(self, verb: Verb, table: Table) -> Hot:
        """Give the statement, compiled at its first use."""
        found = self._hot.get((verb, table.name))
        if found is None:
            found = self._hot[verb, table.name] = Hot(_statement(verb, table, self.dialect), self.dialect)
        return found


def _statement(verb: Verb, table: Table, dialect: Dialect) -> Any:
    key = list(table.primary_key)
    rest = [column for column in table.c if not column.primary_key]
    if verb == "insert":
        return insert(table)
    if verb in {"upsert", "add"}:
        maker: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        statement = maker(table)
        values = {
            column.name: column + statement.excluded[column.name] if verb == "add" else statement.excluded[column.name]
            for column in rest
        }
        return statement.on_conflict_do_update(index_elements=key, set_=values)
    matches = [column == bindparam(f"key_{column.name}", type_=column.type) for column in key]
    if verb == "delete":
        return delete(table).where(*matches)
    return update(table).where(*matches).values({column: bindparam(column.name, type_=column.type) for column in rest})
