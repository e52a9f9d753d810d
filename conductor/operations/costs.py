"""Operations on money."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import ADMIN_UP, AGENTS, ALL, MEMBER_UP, Role
from conductor.domain.quotas import Scope, Window
from conductor.operations.row import Keeper, Operation, ProjectRequest, ProjectWrite, Reply, Wire, Write
from conductor.operations.words import Amount, Id, Key, Label, Moment, Name, Tokens


class RecordCost(ProjectWrite):
    """Put what a model call used on the ledger; a repeated key counts once, for ever."""

    model: Label
    provider: Label | None = None
    input_tokens: Tokens = Field(description="as the provider reports them")
    output_tokens: Tokens
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    cost_usd: Amount | None = Field(default=None, description="as the provider billed it; else it is priced here")
    task_id: Id | None = None
    agent_id: Name | None = Field(default=None, description="only a service names the agent")
    occurred_at: Moment | None = None
    source: Label | None = Field(default=None, description="what reports; an agent's keys are its own")
    idempotency_key: Key = Field(description="the event's own key")


class RecordedCost(Reply):
    """What was booked, and where the tightest budget stands. No cost_usd: the model has no price, an alert."""

    id: str
    cost_usd: str | None = None
    reported_usd: str | None = None
    computed_usd: str | None = None
    spent_usd: str
    remaining_usd: str | None = None
    exceeded: bool

    def line(self) -> str:
        cost = f"{self.cost_usd} USD" if self.cost_usd is not None else "unpriced"
        left = f", {self.remaining_usd} USD left" if self.remaining_usd is not None else ""
        return f"booked {cost}{left}{'; the budget is exceeded' if self.exceeded else ''}"


class CostGroup(StrEnum):
    """By what costs can be grouped."""

    DAY = "day"
    PROJECT = "project"
    AGENT = "agent"
    TASK = "task"
    MODEL = "model"
    PROVIDER = "provider"


class GetCosts(ProjectRequest):
    """See what was spent, grouped as you like."""

    group_by: list[CostGroup] = Field(default=[], max_length=6)
    since: Moment | date | None = Field(default=None, description="from this time on, UTC")
    until: Moment | date | None = Field(default=None, description="before this time, UTC")
    agent_id: Name | None = None
    task_id: Id | None = None
    model: Label | None = None
    provider: Label | None = None


class CostTotal(Wire):
    """Sums. events: model calls; tokens as reported."""

    cost_usd: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    events: int
    unpriced_events: int


class CostRow(CostTotal):
    """Sums of one group; the keys that were grouped by are present."""

    day: date | None = None
    project: str | None = None
    agent: str | None = None
    task: str | None = None
    model: str | None = None
    provider: str | None = None


class Costs(Reply):
    """Rows of groups, the dearest first, at most 1000, and the total of all. has_more: cheaper groups are left out."""

    rows: list[CostRow]
    has_more: bool
    total: CostTotal
    forecast_usd: str | None = None

    def line(self) -> str:
        return f"{self.total.cost_usd} USD in {self.total.events} call(s), {len(self.rows)} group(s)"


class SetQuota(Write):
    """Limit what an organisation, a project or an agent may spend; a hard limit refuses claims."""

    scope: Scope
    project_id: Id | None = None
    agent_id: Name | None = None
    limit_usd: Amount
    window: Window = Window.MONTH
    hard: bool = True


class Quota(Reply):
    """A limit and where it stands."""

    scope: Scope
    project_id: str | None = None
    agent_id: str | None = None
    limit_usd: str
    spent_usd: str
    reserved_usd: str
    remaining_usd: str
    exceeded: bool
    window: Window
    hard: bool
    resets_at: datetime | None = None

    def line(self) -> str:
        whose = self.agent_id or self.project_id or "the organisation"
        return f"{self.scope} {whose}: {self.spent_usd} of {self.limit_usd} USD a {self.window}"


class GetQuota(ProjectRequest):
    """See the limits that apply and what is left of them."""

    agent_id: Name | None = None


class Quotas(Reply):
    """The limits that apply."""

    items: list[Quota]

    def line(self) -> str:
        return "; ".join(quota.line() for quota in self.items[:5]) or "no limits are set"


RECORD_COST = Operation(
    "record_cost",
    RecordCost,
    RecordedCost,
    Keeper.QUOTA,
    AGENTS | {Role.SERVICE},
    ("cost", "record"),
    ("model",),
    writes=True,
    while_paused=True,
    raises=(errors.IdempotencyMismatch,),
    locate="task_id",
)
GET_COSTS = Operation(
    "get_costs", GetCosts, Costs, Keeper.STORE, ALL, ("cost", "show"), locate="task_id", wide=MEMBER_UP
)
SET_QUOTA = Operation(
    "set_quota", SetQuota, Quota, Keeper.QUOTA, ADMIN_UP, ("quota", "set"), ("scope", "limit_usd"), writes=True
)
GET_QUOTA = Operation("get_quota", GetQuota, Quotas, Keeper.STORE, ALL, ("quota", "show"), wide=MEMBER_UP)

ROWS = (RECORD_COST, GET_COSTS, SET_QUOTA, GET_QUOTA)
