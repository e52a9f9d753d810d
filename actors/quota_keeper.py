"""The quota keeper: what an organisation may spend, what it has spent, and the ledger of every cost.

A cost is booked once for each key of its source, for ever, and in full, whatever the budgets say: budgets refuse
the next claim, never the record of what was spent.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import orjson

from actors import views
from actors.call import Call
from actors.places import no_project, only_project
from conductor.domain import errors, money, quotas
from conductor.domain.access import TokenKind
from conductor.domain.errors import NextStep
from conductor.domain.money import Usage
from conductor.domain.quotas import Level, Quota, Scope
from conductor.integrations import prices
from conductor.integrations.prices import Prices
from conductor.operations import costs as ops
from conductor.operations import words
from storage.costs import Entry

FUTURE_S = 300
"""A clock may be five minutes ahead of ours; what lies further in the future is a mistake."""

LEDGER_NANO = 9 * 10**18
"""What an organisation's ledger can sum up, 9 billion dollars: beyond it 64 bits end and every sum would be wrong."""


class QuotaKeeper:
    """Keeps the money of one organisation."""

    def __init__(self, price_list: Prices) -> None:
        self._prices = price_list

    def levels(self, call: Call) -> tuple[Level, ...]:
        """Give the limits that bound the calling agent, outermost first."""
        return tuple(call.tx.quotas.levels(call.tx.costs, call.project_id or None, call.caller.agent_name))

    def record_cost(self, request: ops.RecordCost, call: Call) -> ops.RecordedCost:
        """Book a cost, or answer as before when its key was booked."""
        project_id, agent_id = self._whose(request, call)
        source = self._source(request, call, agent_id)
        body_hash = self._hash(request, project_id, agent_id)
        booked = call.tx.costs.find(source, request.idempotency_key)
        if booked is not None:
            return self._again(booked, body_hash, request)
        occurred_at = request.occurred_at or call.now
        if occurred_at > call.now + timedelta(seconds=FUTURE_S):
            raise errors.Invalid(
                f"occurred_at lies in the future: it is {call.now.isoformat()} here. Nothing was booked.",
                facts={"argument": "occurred_at", "now": call.now.isoformat()},
            )
        usage = Usage(
            request.input_tokens,
            request.output_tokens,
            request.cache_read_tokens,
            request.cache_write_tokens,
            request.reasoning_tokens,
        )
        priced = self._prices.price(request.model, request.provider, usage, occurred_at)
        parts = money.normalise(prices.convention_of(request.model, request.provider), usage)
        reported = words.nano(request.cost_usd)
        cost = money.Cost(
            None if reported is None else money.UsdNano(reported), None if priced is None else priced.usd_nano
        )
        entry = Entry(
            source=source,
            key=request.idempotency_key,
            body_hash=body_hash,
            project_id=project_id,
            agent_id=agent_id,
            task_id=request.task_id,
            model=request.model,
            provider=request.provider,
            usage=usage,
            tokens=parts.total_tokens,
            reported_nano=cost.reported_nano,
            computed_nano=cost.computed_nano,
            cost_nano=money.settled(cost),
            price_ref=priced.model_ref if priced else None,
            occurred_at=occurred_at,
        )
        self._require_summable(entry, call)
        number = call.tx.costs.take_number()
        reply = self._reply(number, entry, call)
        call.tx.costs.book(number, entry, reply.model_dump_json(exclude_none=True))
        return reply

    def set_quota(self, request: ops.SetQuota, call: Call) -> ops.Quota:
        """Set a limit; it holds from the next claim on."""
        project_id, agent_id = self._limited_project(request, call), request.agent_id
        if project_id is not None and agent_id is not None and call.tx.agents.get(project_id, agent_id) is None:
            raise errors.NotFound(
                f"No agent {agent_id} in this project. See who is here with list_agents.",
                facts={"agent_id": agent_id},
                next=[NextStep("list_agents", {"project_id": project_id}, "see who is here")],
            )
        quota = Quota(
            request.scope,
            project_id,
            agent_id,
            money.parse_usd(request.limit_usd, "limit_usd"),
            request.window,
            request.hard,
        )
        spent = call.tx.costs.spent(quota.scope, quota.project_id, quota.agent_id, quota.window)
        call.tx.quotas.set(quota)
        return views.quota(Level(quota, spent), quotas.resets_at(quota.window, call.now))

    @staticmethod
    def _limited_project(request: ops.SetQuota, call: Call) -> str | None:
        """Find the project that is limited, or whose agent is: the named one, the token's own, or the only one."""
        bound, named = call.caller.project_id, request.project_id
        if named is not None:
            if bound not in (None, named) or call.tx.projects.get(named) is None:
                raise no_project(named)
            return named
        if request.scope is not Scope.ORGANIZATION:
            return bound or only_project(call.tx).id
        if bound is not None:
            raise errors.Forbidden(
                "This token is bound to one project: it limits that project and its agents, not the organization.",
                facts={"argument": "scope", "project_id": bound},
            )
        return None

    @staticmethod
    def _require_summable(entry: Entry, call: Call) -> None:
        booked = call.tx.costs.spent(Scope.ORGANIZATION, None, None, quotas.Window.TOTAL)
        if booked + (entry.cost_nano or 0) > LEDGER_NANO:
            raise errors.Invalid(
                f"cost_usd would bring the ledger above {money.format_usd(LEDGER_NANO)} USD, more than it can sum up. "
                "Nothing was booked: an amount so large is a mistake.",
                facts={"argument": "cost_usd", "booked_usd": money.format_usd(booked)},
            )

    def _reply(self, number: int, entry: Entry, call: Call) -> ops.RecordedCost:
        cost = entry.cost_nano or 0
        before = call.tx.quotas.levels(call.tx.costs, entry.project_id, entry.agent_id)
        levels = [
            Level(level.quota, level.spent_nano + cost, level.reserved_nano)
            for level in before
            if self._is_bound(level.quota, entry)
        ]
        scope = Scope.AGENT if entry.agent_id else Scope.PROJECT if entry.project_id else Scope.ORGANIZATION
        spent = call.tx.costs.spent(scope, entry.project_id, entry.agent_id, quotas.Window.MONTH) + cost
        left = views.budget(levels, spent)
        return ops.RecordedCost(
            id=f"cost_{number}",
            cost_usd=None if entry.cost_nano is None else money.format_usd(entry.cost_nano),
            reported_usd=None if entry.reported_nano is None else money.format_usd(entry.reported_nano),
            computed_usd=None if entry.computed_nano is None else money.format_usd(entry.computed_nano),
            spent_usd=left.spent_usd,
            remaining_usd=left.remaining_usd,
            exceeded=any(level.exceeded for level in levels),
        )

    @staticmethod
    def _is_bound(quota: Quota, entry: Entry) -> bool:
        return (quota.project_id in (None, entry.project_id)) and (quota.agent_id in (None, entry.agent_id))

    def _again(self, booked: tuple[str, str], body_hash: str, request: ops.RecordCost) -> ops.RecordedCost:
        if booked[0] != body_hash:
            raise errors.IdempotencyMismatch(
                f"The cost event {request.idempotency_key} is on the ledger with other figures. Nothing was booked: a "
                "correction is a new event with a key of its own.",
                facts={"idempotency_key": request.idempotency_key},
            )
        return ops.RecordedCost.model_validate_json(booked[1])

    def _whose(self, request: ops.RecordCost, call: Call) -> tuple[str | None, str | None]:
        if call.caller.kind is TokenKind.AGENT:
            if request.agent_id not in (None, call.caller.agent_name):
                raise errors.Forbidden(
                    "An agent records only its own costs: leave agent_id out. A service (kind svc) names the agent.",
                    facts={"argument": "agent_id"},
                )
            agent_id = call.caller.agent_name
        else:
            agent_id = request.agent_id
            if agent_id is not None and call.tx.agents.get(call.project_id, agent_id) is None:
                raise errors.NotFound(
                    f"No agent {agent_id} in this project: register it first, or name the project it works in.",
                    facts={"agent_id": agent_id},
                )
        if request.task_id is not None:
            task = call.tx.tasks.get(request.task_id)
            if task is None or task.project_id != call.project_id:
                raise errors.NotFound(
                    f"No task {request.task_id} here. Leave task_id out, or find the id with list_tasks.",
                    facts={"task_id": request.task_id},
                    next=[NextStep("list_tasks", {}, "find the id")],
                )
        return call.project_id or None, agent_id

    @staticmethod
    def _source(request: ops.RecordCost, call: Call, agent_id: str | None) -> str:
        # Without a source an agent's keys are its own. A named source's keys are one for each agent, whoever delivers
        # its events, the agent or a service by whichever token: so an event counts once, and nobody can take the keys
        # of another's events.
        if request.source is None and call.caller.kind is TokenKind.AGENT:
            return call.caller.scope_key
        return f"named:{request.source or 'service'}:{call.project_id}:{agent_id or ''}"

    @staticmethod
    def _hash(request: ops.RecordCost, project_id: str | None, agent_id: str | None) -> str:
        # What is booked counts, not how it was said: an agent that leaves its own name out says the same.
        body = request.model_dump(mode="json", exclude={"idempotency_key", "organization_id", "source", "cost_usd"})
        body |= {"project_id": project_id, "agent_id": agent_id, "cost_nano": words.nano(request.cost_usd)}
        return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
