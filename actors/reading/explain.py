"""Why an agent gets one task and not another: the keeper's own choice, made over what is committed and not taken.

It reads all open tasks of the project, as the keeper does when it wakes: a question for people, not for loops.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from actors import obstacles
from actors.board_memory import BoardMemory
from actors.claims import in_time
from actors.places import no_project
from actors.reading.read import Read
from actors.task_board import no_task
from conductor.domain import errors, paths, pauses, quotas, selection, tasks
from conductor.domain.access import WORKERS
from conductor.domain.agents import Agent
from conductor.domain.errors import NextStep
from conductor.domain.in_the_way import Line
from conductor.domain.lock_queue import LockQueue
from conductor.domain.locks import LockTable
from conductor.domain.organizations import Project
from conductor.domain.selection import Obstacle, Place, Reach
from conductor.domain.tasks import Task, TaskStatus
from conductor.domain.verdicts import REFUSING
from conductor.operations import explaining as ops

EACH = 10
"""Tasks told of either kind: ready ones that were not chosen, and ones that are not ready for the agent."""


def explain_task(request: ops.ExplainTask, read: Read) -> ops.TaskExplained:
    """Say which task claim_task would give an agent now, and why not another."""
    project = read.tx.projects.get(read.project_id)
    if project is None:
        raise no_project(read.project_id)
    agent = _agent(request, read)
    if (standstill := _standstill(project, agent, read)) is not None:
        return ops.TaskExplained(agent_id=agent.agent_id, standstill=standstill, others=[])
    memory = BoardMemory(
        read.tx.tasks.open_of(project.id), lambda others: read.tx.tasks.statuses(project.id, list(others))
    )
    choice = _Choice(agent, project, memory, read)
    if request.task_id is None:
        return ops.TaskExplained(agent_id=agent.agent_id, chosen=choice.told(), others=choice.others())
    asked = memory.tasks.get(request.task_id) or read.tx.tasks.get(request.task_id)
    if asked is None or asked.project_id != project.id:
        raise no_task(request.task_id)
    others = [choice.other(asked)] if asked != choice.chosen else []
    return ops.TaskExplained(agent_id=agent.agent_id, chosen=choice.told(), others=others)


def _standstill(project: Project, agent: Agent, read: Read) -> str | None:
    if project.archived_at is not None:
        return "the project is archived"
    pause = pauses.bearing(read.tx.pauses.of_organization(), project.id, agent.agent_id)
    return None if pause is None else f"the {pause.scope} is {pause.mode}: {pause.reason}"


class _Choice:
    """One choice for one agent, made as the keeper makes it."""

    def __init__(self, agent: Agent, project: Project, memory: BoardMemory, read: Read) -> None:
        self._agent = agent
        self._memory = memory
        self._now = read.now
        self._rules = selection.rules_of(project.settings, read.tasks.aging_s)
        self._seeker = selection.seeker_of(agent)
        self._reach = Reach(
            agent,
            Line(
                LockTable(read.tx.locks.of_project(project.id)),
                LockQueue(read.tx.lock_waits.of_project(project.id), aging_s=read.tasks.aging_s),
                memory.tasks.get,
            ),
            read.tx.quotas.levels(read.tx.costs, project.id, agent.agent_id),
            lambda: _tokens(agent, read),
            lambda files: _as_compared(files, project),
            read.now,
            read.tx.zones.map_of_project(project.id),
        )
        self._is_loaded = selection.is_loaded(memory.held_by(agent.agent_id), self._rules)
        self._ready = list(memory.ready.candidates(self._seeker, read.now, self._rules))
        self._number = {task.id: number for number, (_, task) in enumerate(self._ready, 1)}
        self._must_be_free = project.conflict_strategy in REFUSING
        self.chosen = selection.choose(
            in_time(self._ready), self._hindrance, lambda task, obstacle: None, must_be_free=self._must_be_free
        )

    def told(self) -> ops.ChosenTask | None:
        """Say what was chosen and why."""
        task = self.chosen
        if task is None:
            return None
        steps = selection.steps(task, self._now, self._rules)
        reasons = [*_merits(task, self._place(task), steps, self._reach), *self._lead(task)]
        return ops.ChosenTask(task_id=task.id, title=task.title, reasons=reasons)

    def others(self) -> list[ops.OtherTask]:
        """Tell of the first tasks that were not chosen: ready ones in their order, then ones that are not ready."""
        ready = [task for _, task in self._ready if task != self.chosen][:EACH]
        unready = (
            task
            for task in self._memory.tasks.values()
            if task.status is TaskStatus.PENDING and task.id not in self._number
        )
        return [self.other(task) for task in (*ready, *heapq.nsmallest(EACH, unready, key=self._place))]

    def other(self, task: Task) -> ops.OtherTask:
        """Say why a task was not chosen."""
        obstacle = self._obstacle(task)
        if obstacle is not None:
            sentence = obstacles.told(task, obstacle, self._agent, self._memory, self._reach, self._now).sentence
        elif self.chosen is not None and task.id in self._number:
            sentence = f"comes after {self.chosen.id}, which {_difference(self._place(self.chosen), self._place(task))}"
        else:
            by = f" by {task.holder}" if task.holder is not None and task.status in tasks.HELD else ""
            sentence = f"is {task.status}{by}"
        return ops.OtherTask(
            task_id=task.id, title=task.title, place=self._number.get(task.id), obstacle=obstacle, sentence=sentence
        )

    def _obstacle(self, task: Task) -> Obstacle | None:
        if task.status is not TaskStatus.PENDING:
            return None
        if task.id in self._number:
            found = self._hindrance(task)
            # Where overlaps are granted, leased files only let free tasks of the same weight go before.
            is_behind = self.chosen is not None and self._number[task.id] > self._number[self.chosen.id]
            return None if found is Obstacle.FILES_LEASED and is_behind and not self._must_be_free else found
        return selection.obstacle(
            task,
            self._seeker,
            self._now,
            self._rules,
            waits=self._memory.waits(task),
            has_open_children=bool(self._memory.open_children(task.id)),
        )

    def _hindrance(self, task: Task) -> Obstacle | None:
        return Obstacle.LOAD if self._is_loaded else self._reach.obstacle(task)

    def _lead(self, task: Task) -> list[str]:
        """Say by what the chosen task goes before the next one."""
        number = self._number[task.id]
        return [
            f"before {following.task_id}: it {_difference(self._place(task), following)}"
            for following, _ in self._ready[number : number + 1]
        ]

    def _place(self, task: Task) -> Place:
        return selection.place(task, self._seeker, self._now, self._rules)


def _merits(task: Task, place: Place, steps: int, reach: Reach) -> list[str]:
    """Say what speaks for a task by itself."""
    raised = f", raised {steps} step(s) by waiting" if steps else ""
    said = [f"priority {task.priority}{raised}"]
    if place.kept == 0:
        said.append(f"kept for {task.reserved_for}")
    if task.requires:
        needs = ", ".join(task.requires)
        lacks = f", {place.missing} of them missing, which this project allows" if place.missing else ", all there"
        said.append(f"requires {needs}{lacks}")
    if task.files:
        is_free = not reach.leases_in_the_way(task)
        said.append("its files are free" if is_free else "others lease its files, which this project allows")
    return said


def _difference(better: Place, worse: Place) -> str:
    """Say by what one place is better than another: the first criterion in which they differ."""
    if better.rank != worse.rank:
        return "matters more"
    if better.kept != worse.kept:
        return "is kept for the agent"
    if better.missing != worse.missing:
        return "misses fewer capabilities"
    if better.surplus != worse.surplus:
        return "matches the capabilities more closely"
    return "is older" if better.created_at != worse.created_at else "was made at the same time and sorts first"


def _agent(request: ops.ExplainTask, read: Read) -> Agent:
    name = request.agent_id or read.caller.agent_name
    step = NextStep("list_agents", {}, "see who is here")
    if name is None:
        raise errors.Invalid("Say for which agent with agent_id.", facts={"argument": "agent_id"}, next=[step])
    agent = read.tx.agents.get(read.project_id, name)
    if agent is None:
        raise errors.NotFound(
            f"No agent {name} in this project. See who is here with list_agents.",
            facts={"agent_id": name},
            next=[step],
        )
    if agent.role not in WORKERS:
        raise errors.Invalid(
            f"{name} is {agent.role}: only {' and '.join(sorted(WORKERS))} claim tasks. Ask for one of these.",
            facts={"argument": "agent_id", "role": agent.role.value},
            next=[step],
        )
    return agent


def _tokens(agent: Agent, read: Read) -> quotas.TokenBudget | None:
    if agent.token_budget is None:
        return None
    return quotas.TokenBudget(agent.token_budget, read.tx.costs.tokens_used(agent.project_id, agent.agent_id))


def _as_compared(files: Sequence[str], project: Project) -> tuple[str, ...]:
    """As LockManager.as_compared: a reopened task may be older than the folding."""
    if not project.settings.fold_case:
        return tuple(files)
    return tuple(sorted({paths.canonical(path, fold_case=True) for path in files}))
