"""Look-ups that happen at every call find what they name by its key: history must not slow them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from storage import migrate
from storage.store import Store
from tests.support.clocks import HandClock

ORGANIZATION = "org_0000000001"
IDS = [f"tsk_{number:010d}" for number in range(79)]


def test_where_tasks_stand_is_looked_up_id_by_id_and_not_among_all_of_the_project(tmp_path: Path) -> None:
    path = tmp_path / "conductor.db"
    migrate.migrate(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}", clock=HandClock())
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with store.reading(ORGANIZATION) as tx:
            tx.tasks.statuses("prj_0000000001", IDS)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        store.close()

    statement, parameters = next((text, values) for text, values in asked if "FROM tasks" in text)
    plain = sqlite3.connect(path)
    plan = plain.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    plain.close()
    assert [step[3].partition("(")[2] for step in plan] == ["organization_id=? AND project_id=? AND id=?)"]
