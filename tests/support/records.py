"""Records as they are, plain in everything that a test does not say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from conductor.domain.access import Role
from conductor.domain.agents import Agent, AgentStatus
from conductor.domain.tasks import Priority, Task, TaskStatus

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def task(**particulars: Any) -> Task:
    """A pending task that waits for nothing and asks for nothing."""
    plain = Task(
        id="tsk_7f3kq2m9xd",
        project_id="prj_a",
        title="Do it",
        description=None,
        status=TaskStatus.PENDING,
        priority=Priority.MEDIUM,
        dependencies=(),
        files=(),
        tags=(),
        requires=(),
        max_attempts=3,
        created_by="member:mbr_a",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(plain, **particulars)


def agent(**particulars: Any) -> Agent:
    """A contributor without skills that may touch everything."""
    plain = Agent(
        id="agn_7f3kq2m9xd",
        project_id="prj_a",
        agent_id="ada",
        name="Ada",
        provider=None,
        model=None,
        role=Role.CONTRIBUTOR,
        capabilities=(),
        allowed_paths=(),
        denied_paths=(),
        token_budget=None,
        instructions_file=None,
        status=AgentStatus.IDLE,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(plain, **particulars)
