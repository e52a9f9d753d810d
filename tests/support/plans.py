"""How SQLite finds what a read asks for: by which keys, or by looking through everything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from storage import migrate
from storage.store import Store
from storage.unit_of_work import UnitOfWork
from tests.support.clocks import HandClock


def lookups(path: Path, organization_id: str, read: Callable[[UnitOfWork], object]) -> list[tuple[str, list[str]]]:
    """Run a read on a new database; gives each SELECT with the condition of each of its plan's steps."""
    migrate.migrate(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}", clock=HandClock())
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with store.reading(organization_id) as tx:
            read(tx)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        store.close()
    plain = sqlite3.connect(path)
    plans = [
        (statement, plain.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall())
        for statement, parameters in asked
        if statement.startswith("SELECT")
    ]
    plain.close()
    return [(statement, [step[3].partition("(")[2] for step in plan]) for statement, plan in plans]
