"""Briefing an agent: gathers what it should know from the store and the sight, and lets the rule fit it in.

At a claim, and again whenever an agent asks because its context was lost or grew old.
"""

from __future__ import annotations

from dataclasses import replace

from actors import seen
from actors.board_memory import BoardMemory
from actors.call import Call
from actors.roster import Roster
from conductor.domain import briefing
from conductor.domain.agents import Agent
from conductor.domain.briefing import Briefing, Instructions
from conductor.domain.checkpoints import Checkpoint
from conductor.domain.organizations import Onboarding
from conductor.domain.tasks import Task, TaskStatus
from conductor.operations import onboarding as ops
from conductor.operations import tasks as task_ops

MOST_RELATED = 200
"""Dependencies that are read for a briefing, more than its budget has room for: a convoy may wait for thousands."""


class Briefings:
    """Briefs the agents of one project."""

    def __init__(self, memory: BoardMemory, roster: Roster) -> None:
        self._memory = memory
        self._roster = roster

    def at_claim(self, task: Task, call: Call) -> task_ops.TaskContext:
        """Tell an agent what it should know of the task that it has just claimed."""
        return self._context(task, call, briefing.BUDGET_TOKENS, is_claim=True)

    def refresh(self, task: Task | None, request: ops.RefreshContext, call: Call) -> ops.RefreshedContext:
        """Tell an agent again what it should know: of the task it names, else of the one it holds."""
        if task is None:
            task = next(iter(self._memory.held_by(call.agent_name)), None)
        context = self._context(task, call, request.budget_tokens, is_claim=False)
        return ops.RefreshedContext(task_id=task.id if task is not None else None, context=context)

    def _context(self, task: Task | None, call: Call, budget_tokens: int, *, is_claim: bool) -> task_ops.TaskContext:
        tx = call.tx
        agent = self._roster.get(call.agent_name)
        config = tx.projects.onboarding(agent.project_id)
        is_first = is_claim and task is not None and task.attempt <= 1
        told = briefing.compose(
            agent,
            config,
            instructions=_instructions(agent, config, call),
            related=tx.tasks.related(task.project_id, _related_to(task)) if task is not None else (),
            # Who claims a task as its first has nothing to go on from.
            checkpoint=None if is_first else _checkpoint(agent, task, call),
            last_error=_last_error(task, call) if task is not None else None,
            budget_tokens=budget_tokens,
            is_claim=is_claim,
        )
        beyond = len(task.dependencies) - MOST_RELATED if task is not None else 0
        if beyond > 0:
            told = replace(told, cut=(*told.cut, f"related: {beyond} more dependencies, get_task has their ids"))
        return _shown(told)


def _instructions(agent: Agent, config: Onboarding, call: Call) -> Instructions | None:
    read = seen.instructions_seen(call.sight)
    if read is not None:
        return read
    chosen = briefing.instruction_file(agent, config)
    return None if chosen is None else Instructions(chosen)


def _related_to(task: Task) -> list[str]:
    return [*task.dependencies[:MOST_RELATED], *([task.parent_id] if task.parent_id is not None else [])]


def _checkpoint(agent: Agent, task: Task | None, call: Call) -> Checkpoint | None:
    checkpoints = call.tx.checkpoints
    if task is None:
        return checkpoints.latest(agent.project_id, agent_id=agent.agent_id)
    return checkpoints.latest(task.project_id, task_id=task.id)


def _last_error(task: Task, call: Call) -> str | None:
    if task.attempt <= 1:
        return None
    told = [attempt.error for attempt in call.tx.tasks.attempts(task.id) if attempt.error]
    return told[-1] if told else None


def _shown(told: Briefing) -> task_ops.TaskContext:
    last = told.checkpoint
    return task_ops.TaskContext(
        focus=told.focus,
        goals=list(told.goals),
        instructions=told.instructions,
        instructions_file=told.instructions_file,
        instructions_commit=told.instructions_commit,
        style_guide=told.style_guide,
        checkpoint_rules=list(told.checkpoint_rules),
        allowed_paths=list(told.allowed_paths),
        denied_paths=list(told.denied_paths),
        related=[
            task_ops.RelatedTask(
                task_id=other.task_id, title=other.title, status=TaskStatus(other.status), result=other.result
            )
            for other in told.related
        ],
        last_error=told.last_error,
        checkpoint=None
        if last is None
        else task_ops.ContextCheckpoint(
            id=last.id,
            agent_id=last.agent_id,
            task_id=last.task_id,
            summary=last.summary,
            next_steps=list(last.next_steps),
            files=list(last.files),
            locks=list(last.locks),
        ),
        welcome=told.welcome,
        reminder=told.reminder,
        cut=list(told.cut),
    )
