"""Look-ups that happen at every call find what they name by its key: history must not slow them."""

from __future__ import annotations

from pathlib import Path

from tests.support.plans import lookups

ORGANIZATION = "org_0000000001"
IDS = [f"tsk_{number:010d}" for number in range(79)]


def test_where_tasks_stand_is_looked_up_id_by_id_and_not_among_all_of_the_project(tmp_path: Path) -> None:
    asked = lookups(tmp_path / "conductor.db", ORGANIZATION, lambda tx: tx.tasks.statuses("prj_0000000001", IDS))

    steps = next(steps for statement, steps in asked if "FROM tasks" in statement)
    assert steps == ["organization_id=? AND project_id=? AND id=?)"]
