"""Budgets: how much may be spent, in which window, and whether a claim may still be admitted.

A hard quota refuses what would pass it; a soft one only shows that it was passed. What really was spent is always
recorded in full: these rules stop the next claim, never the record of the last one.
Must never read a clock or a store: levels and the time are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import assert_never

from conductor.domain import errors
from conductor.domain.money import UsdNano, format_usd


class Scope(StrEnum):
    """Whose spending a quota bounds."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    AGENT = "agent"


class Window(StrEnum):
    """The stretch of time over which spending is summed; all begin at midnight UTC."""

    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    TOTAL = "total"


BEGINNING = date(1970, 1, 1)
"""Where the window `total` begins: before anything that Conductor can have recorded."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit on spending: an organisation's names nobody, a project's its project, an agent's both.

    limit_nano: >= 0; 0 stops all spending. Raises Invalid when the names do not fit the scope.
    """

    scope: Scope
    project_id: str | None
    agent_id: str | None
    limit_nano: UsdNano
    window: Window = Window.MONTH
    hard: bool = True

    def __post_init__(self) -> None:
        needs_project, needs_agent = self.scope is not Scope.ORGANIZATION, self.scope is Scope.AGENT
        if (self.project_id is not None) != needs_project or (self.agent_id is not None) != needs_agent:
            raise errors.Invalid(
                "A quota of an organization takes neither project_id nor agent_id, one of a project takes project_id, "
                f"one of an agent takes both; this one has the scope {self.scope}.",
                facts={"scope": self.scope.value, "project_id": self.project_id, "agent_id": self.agent_id},
            )
        if self.limit_nano < 0:
            raise errors.Invalid("limit_usd must not be negative.", facts={"limit_usd": format_usd(self.limit_nano)})


def window_start(window: Window, now: datetime) -> date:
    """Find the first day, in UTC, of the window that `now` lies in; a week begins on Monday."""
    today = now.astimezone(UTC).date()
    match window:
        case Window.MONTH:
            return today.replace(day=1)
        case Window.WEEK:
            return today - timedelta(days=today.weekday())
        case Window.DAY:
            return today
        case Window.TOTAL:
            return BEGINNING
        case _ as never:
            assert_never(never)


def resets_at(window: Window, now: datetime) -> datetime | None:
    """Find when the next window begins, so that what was spent counts no longer; None: never."""
    start = window_start(window, now)
    match window:
        case Window.MONTH:
            # Every month has ended 31 days after its first; the day is set back to the first of the one reached.
            following = (start + timedelta(days=31)).replace(day=1)
        case Window.WEEK:
            following = start + timedelta(days=7)
        case Window.DAY:
            following = start + timedelta(days=1)
        case Window.TOTAL:
            return None
        case _ as never:
            assert_never(never)
    return datetime.combine(following, time(), UTC)


@dataclass(frozen=True, slots=True)
class Level:
    """A quota with what its current window holds: spent is settled, reserved is set aside for running work."""

    quota: Quota
    spent_nano: int
    reserved_nano: int = 0

    @property
    def remaining_nano(self) -> int:
        """What may still be reserved; below 0 when more was spent than was allowed."""
        return self.quota.limit_nano - self.spent_nano - self.reserved_nano

    @property
    def exceeded(self) -> bool:
        """The limit is used up, by settled spending alone; true of soft quotas too."""
        return self.spent_nano >= self.quota.limit_nano


def admit(levels: Sequence[Level], estimate_nano: int, now: datetime) -> None:
    """Let work begin that is estimated to cost so much, or refuse it.

    levels: outermost first, for the refusal names the first that stands in the way. estimate_nano: >= 0.
    Raises BudgetExceeded when a hard quota is used up or spent + reserved + estimate would pass it.
    """
    if estimate_nano < 0:
        raise errors.Invalid("An estimate of cost must not be negative.", facts={"estimate_nano": estimate_nano})
    for level in levels:
        if level.quota.hard and (level.exceeded or estimate_nano > level.remaining_nano):
            raise _refusal(level, estimate_nano, now)


def headroom(levels: Sequence[Level]) -> int | None:
    """Say how many nano-dollars may still be reserved under every hard quota; None when none is hard."""
    return min((level.remaining_nano for level in levels if level.quota.hard), default=None)


def _refusal(level: Level, estimate_nano: int, now: datetime) -> errors.BudgetExceeded:
    quota, reset = level.quota, resets_at(level.quota.window, now)
    limit, spent = format_usd(quota.limit_nano), format_usd(level.spent_nano)
    reserved, estimate = format_usd(level.reserved_nano), format_usd(estimate_nano)
    facts: dict[str, errors.Fact] = {
        "scope": quota.scope.value,
        "window": quota.window.value,
        "limit_usd": limit,
        "spent_usd": spent,
        "reserved_usd": reserved,
        "estimate_usd": estimate,
    }
    if quota.project_id is not None:
        facts["project_id"] = quota.project_id
    if quota.agent_id is not None:
        facts["agent_id"] = quota.agent_id
    if reset is not None:
        facts["resets_at"] = reset.isoformat().replace("+00:00", "Z")
    # Waiting helps only when an empty window would admit the work.
    helps = reset is not None and quota.limit_nano > 0 and estimate_nano <= quota.limit_nano
    gap = f"{estimate} USD more would not fit" if estimate_nano else "nothing more fits"
    ending = f"It resets at {facts['resets_at']}: wait, or ask" if helps else "Waiting does not help: ask"
    return errors.BudgetExceeded(
        f"{_whose(quota)} is {limit} USD ({quota.window}): {spent} USD spent, {reserved} USD reserved, and {gap}. "
        f"{ending} whoever sets the quota for more.",
        facts=facts,
        next=[errors.NextStep("get_quota", because="it shows every budget that bounds you")],
        wait_s=(reset - now).total_seconds() if reset is not None and helps else None,
    )


def _whose(quota: Quota) -> str:
    match quota.scope:
        case Scope.ORGANIZATION:
            return "The budget of the organization"
        case Scope.PROJECT:
            return f"The budget of project {quota.project_id}"
        case Scope.AGENT:
            return f"The budget of agent {quota.agent_id}"
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """How many tokens one agent may use in its life, read and written together, and how many it has used."""

    limit_tokens: int
    used_tokens: int

    @property
    def remaining_tokens(self) -> int:
        """What is left; below 0 when more was used than was allowed."""
        return self.limit_tokens - self.used_tokens

    @property
    def exceeded(self) -> bool:
        """The limit is used up."""
        return self.used_tokens >= self.limit_tokens


def admit_tokens(budget: TokenBudget, agent_id: str, estimate_tokens: int = 0) -> None:
    """Let an agent begin work that is estimated to use so many tokens, or refuse it.

    estimate_tokens: >= 0. Raises BudgetExceeded when the budget is used up or would be passed. It never resets.
    """
    if estimate_tokens < 0:
        raise errors.Invalid("An estimate of tokens must not be negative.", facts={"estimate_tokens": estimate_tokens})
    if not budget.exceeded and estimate_tokens <= budget.remaining_tokens:
        return
    gap = f"{estimate_tokens} more would not fit" if estimate_tokens else "nothing more fits"
    raise errors.BudgetExceeded(
        f"The token budget of agent {agent_id} is {budget.limit_tokens}: {budget.used_tokens} used, and {gap}. "
        "It never resets: ask whoever registered the agent for more.",
        facts={
            "scope": Scope.AGENT.value,
            "agent_id": agent_id,
            "limit_tokens": budget.limit_tokens,
            "used_tokens": budget.used_tokens,
            "estimate_tokens": estimate_tokens,
        },
    )
