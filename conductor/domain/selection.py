"""Which task an agent gets: what keeps it from one, which of the others is best, and why.

The keeper that gives a task and the reader that explains the choice ask these same rules, so that they agree.
Must never look at a store or a clock: tasks, leases, budgets and the time are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from conductor.domain import agents, errors, quotas
from conductor.domain.agents import Agent
from conductor.domain.locks import Lease, Mode, Wanted
from conductor.domain.organizations import ProjectSettings
from conductor.domain.tasks import RANK, Priority, Task
from conductor.domain.zones import ZoneMap


class Obstacle(StrEnum):
    """Why a pending task cannot be claimed by an agent now, in the order in which they are looked for."""

    DEPENDENCIES = "dependencies"
    RETRY_LATER = "retry_later"
    SUBTASKS = "subtasks"
    ASSIGNED_ELSEWHERE = "assigned_elsewhere"
    MISSING_CAPABILITY = "missing_capability"
    LOAD = "load"
    OUTSIDE_PATHS = "outside_paths"
    BUDGET = "budget"
    FILES_LEASED = "files_leased"


@dataclass(frozen=True, slots=True)
class Seeker:
    """An agent that looks for work."""

    agent_id: str
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a project chose.

    aging_s: seconds of waiting that raise a task by one step of priority. partial_match: an agent may get what
    requires more than it can. complete_parents: a task with open subtasks is not worked on, they are.
    max_held_tasks: of one agent at once; None: any number.
    """

    aging_s: float
    partial_match: bool = False
    complete_parents: bool = False
    max_held_tasks: int | None = None


class Place(NamedTuple):
    """The place of a ready task among others for one agent: the least is the best, and no two are equal.

    rank: of its priority, bettered by one for each step of waiting so that nothing starves. kept: 0 for tasks kept
    for this agent, else 1. missing: capabilities it lacks. surplus: capabilities it has and the task does not need.
    """

    rank: int
    kept: int
    missing: int
    surplus: int
    created_at: datetime
    task_id: str

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """What goes before the footprint; age and the id come after it."""
        return self[:4]


Candidate = tuple[Place, Task]


MOST_HELD = 500
"""Tasks an agent may hold where the project names no number: all it holds ends in one commit when it is lost."""


def rules_of(settings: ProjectSettings, aging_s: float) -> Rules:
    """Give what a project chose, with the installation's ageing."""
    return Rules(aging_s, settings.partial_match, settings.complete_parents, settings.max_held_tasks or MOST_HELD)


def seeker_of(agent: Agent) -> Seeker:
    """Give an agent as one that looks for work."""
    return Seeker(agent.agent_id, frozenset(agent.capabilities))


def kept_for(task: Task, now: datetime) -> str | None:
    """Tell who alone may claim a task; None: anybody, also when the time for which it was reserved is over."""
    if task.reserved_until is not None and now >= task.reserved_until:
        return None
    return task.reserved_for


def obstacle(
    task: Task,
    seeker: Seeker,
    now: datetime,
    rules: Rules,
    *,
    waits: Collection[str] = (),
    has_open_children: bool = False,
) -> Obstacle | None:
    """Tell what keeps an agent from a pending task, as far as the task itself knows; None: nothing.

    waits: what the task still waits for, see tasks.unfinished.
    """
    if waits:
        return Obstacle.DEPENDENCIES
    if task.retry_at is not None and now < task.retry_at:
        return Obstacle.RETRY_LATER
    if has_open_children and rules.complete_parents:
        return Obstacle.SUBTASKS
    if kept_for(task, now) not in (None, seeker.agent_id):
        return Obstacle.ASSIGNED_ELSEWHERE
    if not rules.partial_match and not seeker.capabilities.issuperset(task.requires):
        return Obstacle.MISSING_CAPABILITY
    return None


def place(task: Task, seeker: Seeker, now: datetime, rules: Rules) -> Place:
    """Give the place of a ready task among others for one agent."""
    required = frozenset(task.requires)
    missing = len(required - seeker.capabilities)
    surplus = len(seeker.capabilities) - (len(required) - missing)
    kept = 0 if kept_for(task, now) == seeker.agent_id else 1
    return Place(rank(task, now, rules), kept, missing, surplus, task.created_at, task.id)


def rank(task: Task, now: datetime, rules: Rules) -> int:
    """Give a task's priority as waiting has bettered it, by whole steps: within one the finer criteria decide."""
    return RANK[task.priority] - steps(task, now, rules)


def steps(task: Task, now: datetime, rules: Rules) -> int:
    """Count the steps of priority that a task has won by waiting."""
    return int(max((now - task.created_at) / timedelta(seconds=rules.aging_s), 0.0))


def is_loaded(held: Sequence[Task], rules: Rules) -> bool:
    """Tell whether an agent holds as much as the project lets one agent hold."""
    return rules.max_held_tasks is not None and len(held) >= rules.max_held_tasks


class Held(Protocol):
    """What others hold, or wait for, of what an agent asks for."""

    def conflicts(self, wanted: Wanted, now: datetime) -> list[Lease]:
        """List what keeps a request from being granted, the first to end first."""
        ...


class Reach:
    """What an agent may take just now: inside its paths, within every budget, on files that others do not lease.

    One choice asks about many tasks, so that what was found out about files and amounts is kept as long.
    levels: the budgets that bound the agent. tokens: gives its own budget of tokens, asked for at most once.
    as_compared: brings a task's paths into the form in which leases are compared. zones: those of the project.
    """

    def __init__(
        self,
        agent: Agent,
        held: Held,
        levels: Sequence[quotas.Level],
        tokens: Callable[[], quotas.TokenBudget | None],
        as_compared: Callable[[Sequence[str]], tuple[str, ...]],
        now: datetime,
        zones: ZoneMap | None = None,
    ) -> None:
        self._zones = zones or ZoneMap()
        self._agent = agent
        self._held = held
        self._levels = levels
        self._ask_tokens = tokens
        self._tokens: quotas.TokenBudget | None = None
        self._as_compared = as_compared
        self.now = now
        self._is_allowed: dict[tuple[str, ...], bool] = {}
        self._leased: dict[tuple[tuple[str, ...], Priority], list[Lease]] = {}
        self._refusals: dict[int, errors.BudgetExceeded | None] = {}

    def obstacle(self, task: Task) -> Obstacle | None:
        """Tell what keeps the agent from a task that is ready for it; None: nothing."""
        if not self.is_allowed(task):
            return Obstacle.OUTSIDE_PATHS
        if self.refusal(task) is not None:
            return Obstacle.BUDGET
        if self.leases_in_the_way(task):
            return Obstacle.FILES_LEASED
        return None

    def is_allowed(self, task: Task) -> bool:
        """Tell whether all files of a task lie inside the agent's paths, and in no zone that bars it."""
        if task.files not in self._is_allowed:
            try:
                files = self._as_compared(task.files)
                agents.require_allowed(self._agent, files)
                self._zones.require_allowed(self._agent, files, changes=True)
                self._is_allowed[task.files] = True
            except errors.ZoneDenied:
                self._is_allowed[task.files] = False
        return self._is_allowed[task.files]

    def refusal(self, task: Task) -> errors.BudgetExceeded | None:
        """Give the refusal of the first budget that a task's estimate would pass."""
        estimate_nano = task.estimated_cost_nano or 0
        if estimate_nano not in self._refusals:
            self._refusals[estimate_nano] = self._refuse(estimate_nano)
        return self._refusals[estimate_nano]

    def leases_in_the_way(self, task: Task) -> list[Lease]:
        """List the leases of others on a task's files, the first to end first."""
        key = (task.files, task.priority)
        if key not in self._leased:
            wanted = Wanted(self._agent.agent_id, self._as_compared(task.files), Mode.EXCLUSIVE, 0, task.id)
            self._leased[key] = self._held.conflicts(wanted, self.now)
        return self._leased[key]

    def first_end(self) -> datetime | None:
        """Give the time at which the first of the leases that were in the way ends."""
        return min((lease.expires_at for leases in self._leased.values() for lease in leases), default=None)

    def _refuse(self, estimate_nano: int) -> errors.BudgetExceeded | None:
        if not self._refusals:
            self._tokens = self._ask_tokens()
        try:
            quotas.admit(self._levels, estimate_nano, self.now)
            if self._tokens is not None:
                quotas.admit_tokens(self._tokens, self._agent.agent_id)
        except errors.BudgetExceeded as error:
            return error
        return None


def choose(
    candidates: Iterable[Candidate],
    hindrance: Callable[[Task], Obstacle | None],
    passed: Callable[[Task, Obstacle], None],
    *,
    must_be_free: bool,
) -> Task | None:
    """Take the best task that nothing keeps the agent from; None: there is none.

    candidates: the best first, looked at no further than needed. passed: is told what was passed over and why.
    must_be_free: a task whose files others lease is not taken. Where it may be, a free one of the same weight goes
    before it.
    """
    second: Candidate | None = None
    for where, task in candidates:
        if second is not None and second[0].weight != where.weight:
            break
        found = hindrance(task)
        if found is None:
            return task
        if found is Obstacle.FILES_LEASED and not must_be_free:
            second = second or (where, task)
            continue
        passed(task, found)
    return second[1] if second is not None else None
