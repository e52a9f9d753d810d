"""What an agent may take just now: inside its paths, within its budgets, on files that others do not lease."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from conductor.domain.agents import Agent
from conductor.domain.locks import Lease, LockTable, Mode
from conductor.domain.money import UsdNano
from conductor.domain.quotas import Level, Quota, Scope, TokenBudget, Window
from conductor.domain.selection import Obstacle, Reach
from tests.support import records
from tests.support.records import NOW, task


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def agent(**particulars: Any) -> Agent:
    return records.agent(**{"capabilities": ("python", "sql"), **particulars})


IN_A_MINUTE = after(60)


def lease(*paths: str, agent_id: str = "bob", ends_at: datetime = IN_A_MINUTE) -> Lease:
    return Lease(f"lck_{agent_id}{ends_at:%M%S}", "prj_a", agent_id, paths, Mode.EXCLUSIVE, 1, 60, NOW, ends_at)


def reach(
    who: Agent | None = None,
    leases: Collection[Lease] = (),
    levels: Sequence[Level] = (),
    tokens: TokenBudget | None = None,
) -> Reach:
    return Reach(who or agent(), LockTable(leases), levels, lambda: tokens, tuple, NOW)


def spent(nano: int, *, limit_nano: int = 100, hard: bool = True) -> Level:
    return Level(Quota(Scope.PROJECT, "prj_a", None, UsdNano(limit_nano), Window.DAY, hard), nano)


@pytest.mark.parametrize(
    ("within", "particulars", "expected"),
    [
        (reach(), {"files": ("a.py",), "estimated_cost_nano": 5}, None),
        (reach(agent(allowed_paths=("src/",))), {"files": ("a.py",)}, Obstacle.OUTSIDE_PATHS),
        (reach(agent(allowed_paths=("src/",))), {}, None),
        (reach(levels=[spent(96)]), {"estimated_cost_nano": 5}, Obstacle.BUDGET),
        (reach(levels=[spent(95)]), {"estimated_cost_nano": 5}, None),
        (reach(levels=[spent(100)]), {}, Obstacle.BUDGET),
        (reach(levels=[spent(100, hard=False)]), {}, None),
        (reach(tokens=TokenBudget(10, 10)), {}, Obstacle.BUDGET),
        (reach(tokens=TokenBudget(10, 9)), {}, None),
        (reach(leases=[lease("a.py")]), {"files": ("*.py",)}, Obstacle.FILES_LEASED),
        (reach(leases=[lease("a.py", agent_id="ada")]), {"files": ("a.py",)}, None),
        (reach(leases=[lease("a.py", ends_at=NOW)]), {"files": ("a.py",)}, None),
    ],
)
def test_what_an_agent_cannot_reach_is_named(
    within: Reach, particulars: dict[str, Any], expected: Obstacle | None
) -> None:
    assert within.obstacle(task(**particulars)) is expected


def test_a_budget_of_tokens_that_is_used_up_refuses_every_estimate() -> None:
    within = reach(tokens=TokenBudget(10, 10))

    found = [within.obstacle(task(estimated_cost_nano=estimate)) for estimate in (1, 2, 1)]

    assert found == [Obstacle.BUDGET] * 3


def test_the_first_end_is_that_of_the_first_lease_that_was_in_the_way() -> None:
    within = reach(leases=[lease("a.py", ends_at=after(60)), lease("b.py", ends_at=after(30)), lease("c.py")])

    assert within.first_end() is None
    for path in ("a.py", "b.py"):
        within.obstacle(task(files=(path,)))
    assert within.first_end() == after(30)
