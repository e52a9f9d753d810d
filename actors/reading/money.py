"""Reads of costs and limits."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from actors import views
from actors.reading.read import Read
from actors.task_board import no_task
from conductor.domain import errors, quotas
from conductor.domain.money import format_usd
from conductor.operations import costs as ops
from storage.costs import CostFilter, CostSum

ROWS = 1000
"""So many groups are told, the dearest; finer questions are asked with filters."""


def get_costs(request: ops.GetCosts, read: Read) -> ops.Costs:
    """Sum costs of the project, or for people that name none of the whole organisation."""
    wanted = CostFilter(
        project_id=read.project_id or None,
        agent_id=request.agent_id,
        task_id=request.task_id,
        model=request.model,
        provider=request.provider,
        since=_moment(request.since),
        until=_moment(request.until),
    )
    if len(set(request.group_by)) != len(request.group_by):
        raise errors.Invalid("group_by names a group twice.", facts={"argument": "group_by"})
    if request.task_id is not None:
        task = read.tx.tasks.get(request.task_id)
        if task is None or read.project_id not in ("", task.project_id):
            raise no_task(request.task_id)
    total = read.tx.costs.sums(wanted)[0]
    names = [group.value for group in request.group_by]
    groups = read.tx.costs.sums(wanted, names, limit=ROWS + 1) if names else []
    rows = [ops.CostRow(**views.cost_keys(names, group.keys), **_figures(group)) for group in groups[:ROWS]]
    return ops.Costs(rows=rows, has_more=len(groups) > ROWS, total=ops.CostTotal(**_figures(total)))


def get_quota(request: ops.GetQuota, read: Read) -> ops.Quotas:
    """Show the limits that bound the caller, or for people all of the project or organisation."""
    caller = read.caller
    if caller.agent_name is not None and request.agent_id not in (None, caller.agent_name):
        raise errors.Forbidden(
            "An agent sees the limits that bound itself: leave agent_id out.", facts={"argument": "agent_id"}
        )
    agent = caller.agent_name or request.agent_id
    levels = read.tx.quotas.levels(read.tx.costs, read.project_id or None, agent)
    return ops.Quotas(items=[views.quota(level, quotas.resets_at(level.quota.window, read.now)) for level in levels])


def _figures(group: CostSum) -> dict[str, str | int]:
    return {
        "cost_usd": format_usd(group.cost_nano),
        "input_tokens": group.input_tokens,
        "output_tokens": group.output_tokens,
        "cache_read_tokens": group.cache_read_tokens,
        "cache_write_tokens": group.cache_write_tokens,
        "events": group.events,
        "unpriced_events": group.unpriced_events,
    }


def _moment(at: datetime | date | None) -> datetime | None:
    if at is None or isinstance(at, datetime):
        return at
    return datetime.combine(at, time(), UTC)
