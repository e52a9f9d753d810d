"""The registrar: which agents may work in a project, and how they come in and go out.

Agents are registered by people, or ask for access and are approved by somebody or by a rule of the project; their
tokens are made and ended in the same commit. Part of the project's keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from actors import views
from actors.admission import Admission
from actors.call import Call
from actors.issuing import Issuer, revoke
from actors.onboarding import named_file
from actors.roster import Roster
from conductor.domain import access, agents, errors, ids, zones
from conductor.domain.access import ADMIN_UP, AGENT_ROLES, Role
from conductor.domain.agents import AccessRequest, Agent, AgentStatus, Health, RequestStatus
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.integrations.coding_agents import Profiles
from conductor.operations import access as access_ops
from conductor.operations import agents as agent_ops
from conductor.operations import zones as zone_ops
from storage.unit_of_work import UnitOfWork

EndAll = Callable[[Agent, datetime, UnitOfWork], tuple[list[str], list[str]]]
"""Ends all that an agent does and holds; gives its tasks, which wait for others again, and its locks."""


class Registrar:
    """Keeps who may work in a project.

    path: brings a path into the project's spelling. end_all: ends what an agent holds.
    """

    def __init__(
        self,
        project: Callable[[], Project],
        roster: Roster,
        issuer: Issuer,
        request_expires_h: float,
        profiles: Profiles,
        path: Callable[[str], str],
        end_all: EndAll,
    ) -> None:
        self._project = project
        self._roster = roster
        self._profiles = profiles
        self._path = path
        self._end_all = end_all
        self._admission = Admission(roster, issuer, request_expires_h, project, self._let_in)

    def register(self, request: agent_ops.RegisterAgent, call: Call) -> agent_ops.RegisteredAgent:
        """Let an agent in at once; an existing one only when the caller says supersede."""
        role = request.role.role
        self._require_grant(call, role)
        before = self._roster.find(request.agent_id)
        if before is not None and not request.supersede:
            raise errors.AgentExists(
                f"An agent {request.agent_id} is registered here since {before.created_at:%Y-%m-%d %H:%MZ}. "
                "Nothing was changed: choose another agent_id, or say supersede to change it and end its old tokens.",
                facts={"agent_id": request.agent_id, "role": before.role.value},
                next=[NextStep("list_agents", {}, "see who is here")],
            )
        if before is not None:
            self._require_grant(call, before.role)
            self._require_person(call, before)
        allowed, denied = self._paths(request.allowed_paths), self._paths(request.denied_paths)
        denied = self._require_within_own(call, allowed, denied)
        agent = replace(
            before or self._newcomer(request.agent_id, call),
            name=request.name,
            model=request.model,
            role=role,
            **self._profiled(request.agent_type, request.provider, request.capabilities),
            allowed_paths=allowed,
            denied_paths=denied,
            token_budget=request.token_budget,
            instructions_file=named_file(request.instructions_file, self._project()),
            updated_at=call.now,
        )
        if before is not None:
            revoke(call.tx.tokens.live_of_agent(self._project().id, agent.agent_id, call.now), call.tx)
            self._admission.forget_delivery(agent.agent_id, call)
        self._keep_agent(agent, is_new=before is None, tx=call.tx)
        return agent_ops.RegisteredAgent(agent=self._view(agent, call), token=self._admission.issue(agent, call.tx))

    def ask(self, request: access_ops.RequestAccess, call: Call) -> access_ops.AccessAnswer:
        """Take a request for access, or answer the poll of one."""
        return self._admission.ask(request, call)

    def approve(self, request: access_ops.ApproveAccess, call: Call) -> access_ops.ApprovedAccess:
        """Let an agent in that asked."""
        pending = self._admission.reviewable(request.request_id, call)
        role = request.role.role if request.role is not None else pending.requested_role
        self._require_grant(call, role)
        before = self._roster.find(pending.agent_id)
        asked_itself = pending.requested_by == f"agent:{pending.agent_id}"
        to_requester = request.deliver is access_ops.Delivery.REQUESTER
        if before is not None:
            self._require_grant(call, before.role)
            if not (asked_itself and to_requester):
                self._require_person(call, before)
        newcomer = before or self._newcomer(pending.agent_id, call)
        rules = request.allowed_paths
        agent = replace(
            newcomer,
            name=pending.name,
            model=pending.model,
            role=role,
            **self._profiled(pending.agent_type, pending.provider, pending.capabilities),
            allowed_paths=newcomer.allowed_paths if rules is None else self._paths(rules),
            updated_at=call.now,
        )
        approved = replace(
            pending,
            status=RequestStatus.APPROVED,
            reviewed_at=call.now,
            reviewed_by=call.caller.actor,
            token_expires_in_days=request.expires_in_days,
            deliver_to_requester=to_requester,
        )
        agent = replace(agent, denied_paths=self._require_within_own(call, agent.allowed_paths, agent.denied_paths))
        self._keep_agent(agent, is_new=before is None, tx=call.tx)
        # Who is let in under the name is the agent from now on, and nobody else may go on as it; an agent that asked
        # by itself goes on until it has its new token, but not with a mightier role than it was given.
        former = call.tx.tokens.live_of_agent(self._project().id, agent.agent_id, call.now)
        mightier = [token for token in former if AGENT_ROLES.index(token.role) < AGENT_ROLES.index(role)]
        revoke(mightier if asked_itself else former, call.tx)
        text = None
        if not to_requester:
            text, approved = self._admission.hand_over(approved, agent, call)
        call.tx.access_requests.save(approved)
        call.tx.record(
            EventKind.ACCESS_APPROVED,
            approved.id,
            project_id=self._project().id,
            agent_id=agent.agent_id,
            role=role.value,
            allowed_paths=list(agent.allowed_paths),
            expires_in_days=request.expires_in_days,
        )
        return access_ops.ApprovedAccess(
            request=views.access_request(approved, approved.status), agent=self._view(agent, call), token=text
        )

    def reject(self, request: access_ops.RejectAccess, call: Call) -> access_ops.RejectedAccess:
        """Turn an agent away that asked."""
        pending = self._admission.reviewable(request.request_id, call)
        rejected = replace(
            pending,
            status=RequestStatus.REJECTED,
            reviewed_at=call.now,
            reviewed_by=call.caller.actor,
            review_reason=request.reason,
        )
        call.tx.access_requests.save(rejected)
        call.tx.record(
            EventKind.ACCESS_REJECTED,
            rejected.id,
            project_id=self._project().id,
            agent_id=rejected.agent_id,
            reason=request.reason,
        )
        return access_ops.RejectedAccess(request=views.access_request(rejected, rejected.status))

    def revoke(self, request: access_ops.RevokeAccess, call: Call) -> access_ops.RevokedAccess:
        """Put an agent out: its tokens end, its tasks wait for others, its locks are free, in one commit."""
        self._admission.require_reviewer(call)
        agent = self._roster.get(request.agent_id)
        self._require_grant(call, agent.role)
        live = call.tx.tokens.live_of_agent(self._project().id, agent.agent_id, call.now)
        # A token that was approved and not fetched yet would let it in again.
        self._admission.forget_delivery(agent.agent_id, call)
        revoke(live, call.tx)
        tasks, released = self._end_all(agent, call.now, call.tx)
        call.tx.record(
            EventKind.ACCESS_REVOKED,
            agent.id,
            project_id=self._project().id,
            agent_id=agent.agent_id,
            reason=request.reason,
            tokens=len(live),
            tasks=tasks,
            released=released,
        )
        return access_ops.RevokedAccess(
            agent=self._view(self._roster.get(agent.agent_id), call),
            tokens_ended=len(live),
            tasks=tasks,
            released=released,
        )

    def set_rules(self, request: zone_ops.SetPathRules, call: Call) -> zone_ops.PathRules:
        """Say which paths an agent may touch; what is left out stays. A lead gives no more than it has itself."""
        before = self._roster.get(request.agent_id)
        self._require_grant(call, before.role)
        allowed, denied = before.allowed_paths, before.denied_paths
        if request.allowed_paths is not None:
            allowed = self._paths(request.allowed_paths)
        if request.denied_paths is not None:
            denied = self._paths(request.denied_paths)
        denied = self._require_within_own(call, allowed, denied)
        if (allowed, denied) != (before.allowed_paths, before.denied_paths):
            agent = replace(before, allowed_paths=allowed, denied_paths=denied, updated_at=call.now)
            self._keep_agent(agent, is_new=False, tx=call.tx)
            call.tx.notices.leave(
                agent.project_id,
                agent.agent_id,
                "path_rules",
                "Which paths you may touch was changed: ask check_paths before your next edit.",
            )
        return zone_ops.PathRules(agent_id=before.agent_id, allowed_paths=list(allowed), denied_paths=list(denied))

    def _let_in(self, approved: AccessRequest, call: Call) -> Agent:
        """Make the agent of a request that a rule of the project approved; nobody has its name yet."""
        agent = replace(
            self._newcomer(approved.agent_id, call),
            name=approved.name,
            model=approved.model,
            role=approved.requested_role,
            **self._profiled(approved.agent_type, approved.provider, _without_teams(approved.capabilities)),
        )
        self._keep_agent(agent, is_new=True, tx=call.tx)
        return agent

    def _newcomer(self, agent_id: str, call: Call) -> Agent:
        """Make an agent of which only the name is known."""
        return Agent(
            id=call.tx.make_id(ids.Kind.AGENT),
            project_id=self._project().id,
            agent_id=agent_id,
            name=agent_id,
            provider=None,
            model=None,
            role=Role.OBSERVER,
            capabilities=(),
            allowed_paths=(),
            denied_paths=(),
            token_budget=None,
            instructions_file=None,
            status=AgentStatus.OFFLINE,
            created_at=call.now,
            updated_at=call.now,
        )

    def _profiled(self, kind: str | None, provider: str | None, capabilities: Sequence[str]) -> dict[str, Any]:
        """Give what an agent said of itself, and what is known of its kind where it said nothing."""
        said: dict[str, Any] = {} if kind is None else {"kind": self._profiles.kind(kind)}
        said["provider"] = provider or self._profiles.provider(kind)
        said["capabilities"] = tuple(dict.fromkeys(capabilities)) or self._profiles.capabilities(kind)
        return said

    def _keep_agent(self, agent: Agent, *, is_new: bool, tx: UnitOfWork) -> None:
        if is_new:
            self._roster.add(agent, tx)
        else:
            self._roster.save(agent, tx)
        tx.record(
            EventKind.AGENT_REGISTERED if is_new else EventKind.AGENT_UPDATED,
            agent.id,
            project_id=self._project().id,
            agent_id=agent.agent_id,
            role=agent.role.value,
            allowed_paths=list(agent.allowed_paths),
            denied_paths=list(agent.denied_paths),
            token_budget=agent.token_budget,
        )

    def _require_within_own(self, call: Call, allowed: tuple[str, ...], denied: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse an agent that lets another further in than itself; gives the denied paths, its own among them."""
        if call.caller.agent_name is None:
            return denied
        own = self._roster.get(call.caller.agent_name)
        agents.require_allowed(replace(own, denied_paths=()), allowed or ("**",))
        return tuple(sorted({*denied, *own.denied_paths}))

    def _require_grant(self, call: Call, role: Role) -> None:
        if call.caller.role in ADMIN_UP or access.may_grant(call.caller.role, role):
            return
        raise errors.Forbidden(
            f"A {call.caller.role} cannot give or take the role {role}: a person from member up can.",
            facts={"role": call.caller.role.value, "given": role.value},
        )

    @staticmethod
    def _require_person(call: Call, before: Agent) -> None:
        """Refuse an agent that would give the name of another to somebody, to itself above all."""
        if call.caller.agent_name is not None:
            raise errors.Forbidden(
                f"Only a person supersedes an agent: its token would let you act as {before.agent_id}.",
                facts={"agent_id": before.agent_id},
            )

    def _view(self, agent: Agent, call: Call) -> agent_ops.Agent:
        return views.agent(agent, Health.LATE, call.tx.costs.spent_today(self._project().id).get(agent.agent_id, 0))

    def _paths(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({self._path(text) for text in texts}))


def _without_teams(capabilities: Sequence[str]) -> list[str]:
    """Leave out the teams that an agent says it belongs to: they own zones, and only people put it into one."""
    return [capability for capability in capabilities if not capability.startswith(zones.TEAM)]
