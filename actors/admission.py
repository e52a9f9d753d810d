"""Admission: requests for access, who may decide them, and how the token of an approved one reaches its requester.

The requester proves itself by the claim of the first answer. Until it has used the token it was given it may fetch
another, which ends the one before: an answer can be lost on its way. Must never answer a token without the claim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from actors import views
from actors.call import Call
from actors.issuing import Issuer, revoke
from actors.roster import Roster
from conductor.domain import access, errors, ids, organizations
from conductor.domain.access import Role, TokenKind
from conductor.domain.agents import AccessRequest, Agent, RequestStatus
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project, Token
from conductor.operations import access as ops
from storage.unit_of_work import UnitOfWork

MOST_WAITING = 100
"""Requests that wait in one project: more than people read, and each is looked through by the others."""

MOST_BY_RULE = 500
"""Agents of a project beyond which no rule lets another in: a script that enrols for ever ends at a person."""


class Admission:
    """Keeps the requests of one project.

    request_expires_h: how long a request waits. project: gives the project as it is now. let_in: makes the agent of a
    request that a rule approved.
    """

    def __init__(
        self,
        roster: Roster,
        issuer: Issuer,
        request_expires_h: float,
        project: Callable[[], Project],
        let_in: Callable[[AccessRequest, Call], Agent],
    ) -> None:
        self._roster = roster
        self._issuer = issuer
        self._request_expires_h = request_expires_h
        self._project = project
        self._let_in = let_in

    def ask(self, request: ops.RequestAccess, call: Call) -> ops.AccessAnswer:
        """Take a request for access, or answer the poll of one."""
        latest = call.tx.access_requests.latest(self._project().id, request.agent_id)
        if latest is not None:
            status = self._status(latest, call)
            if request.claim is not None and self._issuer.hash(request.claim) == latest.claim_hash:
                return self._answer_poll(latest, status, call)
            if request.claim is not None or status is RequestStatus.PENDING or self._is_due(latest, call):
                return self._answer(latest, status, call)
        elif request.claim is not None:
            raise errors.NotFound(
                f"No request of {request.agent_id} is known here: ask for access without claim first.",
                facts={"agent_id": request.agent_id},
            )
        return self._new_request(request, latest, call)

    def require_reviewer(self, call: Call) -> None:
        """Refuse who may not decide on access here. Raises Forbidden."""
        if call.caller.role is Role.LEAD and not self._project().settings.leads_approve:
            raise errors.Forbidden(
                "In this project people from admin up decide on access: a lead may when settings.leads_approve is on.",
                facts={"role": call.caller.role.value, "setting": "leads_approve"},
            )

    def reviewable(self, request_id: str, call: Call) -> AccessRequest:
        """Give a request that the caller may decide and that waits. Raises Forbidden, NotFound, NotPending."""
        self.require_reviewer(call)
        request = call.tx.access_requests.get(request_id)
        if request is None or request.project_id != self._project().id:
            raise errors.NotFound(
                f"No request {request_id} here. See who waits with list_access_requests.",
                facts={"request_id": request_id},
                next=[NextStep("list_access_requests", {"status": ["pending"]}, "see who waits")],
            )
        status = self._status(request, call)
        if status is not RequestStatus.PENDING:
            raise errors.NotPending(
                f"Request {request_id} is {status} already. Nothing was changed; the agent can ask again.",
                facts={"request_id": request_id, "status": status.value},
                next=[NextStep("list_access_requests", {"status": ["pending"]}, "see who waits")],
            )
        return request

    def hand_over(self, request: AccessRequest, agent: Agent, call: Call) -> tuple[str, AccessRequest]:
        """Make the token of an approved request; the one made before, which never arrived, ends."""
        former = call.tx.tokens.get(request.token_id) if request.token_id else None
        if former is not None and former.is_valid(call.now):
            revoke([former], call.tx)
        token, text = self._token(agent, self._ends_at(request), call.tx)
        return text, replace(request, token_id=token.id)

    def forget_delivery(self, agent_id: str, call: Call) -> None:
        """Let nobody fetch a token for an agent that was since given to somebody else."""
        latest = call.tx.access_requests.latest(self._project().id, agent_id)
        if latest is not None and self._is_due(latest, call):
            call.tx.access_requests.save(replace(latest, deliver_to_requester=False))

    def issue(self, agent: Agent, tx: UnitOfWork) -> str:
        """Make a token for an agent that people let in; returns its text."""
        return self._token(agent, None, tx)[1]

    def _new_request(self, request: ops.RequestAccess, latest: AccessRequest | None, call: Call) -> ops.AccessAnswer:
        tx = call.tx
        is_approved = self._is_approved_by_rule(request, call)
        if not is_approved:
            self._require_patience(call)
        if latest is not None and latest.status is RequestStatus.PENDING:
            tx.access_requests.save(replace(latest, status=RequestStatus.EXPIRED))
            tx.record(EventKind.ACCESS_EXPIRED, latest.id, project_id=self._project().id, agent_id=latest.agent_id)
        claim = ids.letters(access.SECRET_LENGTH, tx.entropy)
        made = AccessRequest(
            id=tx.make_id(ids.Kind.ACCESS_REQUEST),
            project_id=self._project().id,
            agent_id=request.agent_id,
            name=request.name,
            agent_type=request.agent_type,
            provider=request.provider,
            model=request.model,
            capabilities=tuple(dict.fromkeys(request.capabilities)),
            requested_role=request.requested_role.role,
            reason=request.reason,
            status=RequestStatus.PENDING,
            requested_by=call.caller.actor,
            claim_hash=self._issuer.hash(claim),
            requested_at=call.now,
            expires_at=call.now + timedelta(hours=self._request_expires_h),
        )
        tx.record(
            EventKind.ACCESS_REQUESTED,
            made.id,
            project_id=self._project().id,
            agent_id=made.agent_id,
            role=made.requested_role.value,
            agent_type=made.agent_type,
        )
        if is_approved:
            return self._approved_by_rule(made, claim, call)
        tx.access_requests.add(made)
        return ops.AccessAnswer(
            request=views.access_request(made, made.status), claim=claim, position=self._position(made, call)
        )

    def _require_patience(self, call: Call) -> None:
        waiting = [
            other for other in call.tx.access_requests.pending(self._project().id) if other.expires_at > call.now
        ]
        if len(waiting) >= MOST_WAITING:
            raise errors.RateLimited(
                f"{len(waiting)} requests wait here already: somebody must decide on some before others can ask.",
                facts={"waiting": len(waiting)},
                wait_s=60,
            )

    def _is_approved_by_rule(self, request: ops.RequestAccess, call: Call) -> bool:
        """Tell whether the project's rule lets the agent in: never under a name that an agent has or had.

        Else who knows the name of an agent would become it, and who was put out would be back at once.
        """
        if self._roster.find(request.agent_id) is not None or len(self._roster.all()) >= MOST_BY_RULE:
            return False
        role = request.requested_role.role
        return organizations.approves(self._project().settings, call.caller, request.agent_id, role)

    def _approved_by_rule(self, made: AccessRequest, claim: str, call: Call) -> ops.AccessAnswer:
        """Let an agent in at once: the first answer carries its token beside the claim, in case it gets lost."""
        rule = self._project().settings.auto_approve
        approved = replace(
            made,
            status=RequestStatus.APPROVED,
            reviewed_at=call.now,
            reviewed_by=f"rule:{rule}",
            deliver_to_requester=True,
        )
        agent = self._let_in(approved, call)
        call.tx.record(
            EventKind.ACCESS_APPROVED,
            approved.id,
            project_id=approved.project_id,
            agent_id=agent.agent_id,
            role=agent.role.value,
            rule=rule.value,
        )
        text, approved = self.hand_over(approved, agent, call)
        call.tx.access_requests.add(approved)
        return ops.AccessAnswer(request=views.access_request(approved, approved.status), claim=claim, token=text)

    def _answer_poll(self, request: AccessRequest, status: RequestStatus, call: Call) -> ops.AccessAnswer:
        if not self._is_due(request, call):
            return self._answer(request, status, call)
        text, after = self.hand_over(request, self._roster.get(request.agent_id), call)
        call.tx.access_requests.save(after)
        return ops.AccessAnswer(request=views.access_request(after, status), token=text)

    def _answer(self, request: AccessRequest, status: RequestStatus, call: Call) -> ops.AccessAnswer:
        position = self._position(request, call) if status is RequestStatus.PENDING else None
        return ops.AccessAnswer(request=views.access_request(request, status), position=position)

    def _is_due(self, request: AccessRequest, call: Call) -> bool:
        """Tell whether the requester may fetch a token: it was approved for one, and none was used or ended since."""
        if request.status is not RequestStatus.APPROVED or not request.deliver_to_requester:
            return False
        if request.reviewed_at is None or call.now >= request.reviewed_at + timedelta(hours=self._request_expires_h):
            # Nobody came for it: the name must not stay blocked for whoever asks next.
            return False
        made = call.tx.tokens.get(request.token_id) if request.token_id else None
        ends_at = self._ends_at(request)
        is_over = ends_at is not None and ends_at <= call.now
        return not is_over and (made is None or (made.used_at is None and made.is_valid(call.now)))

    @staticmethod
    def _ends_at(request: AccessRequest) -> datetime | None:
        if request.token_expires_in_days is None or request.reviewed_at is None:
            return None
        return request.reviewed_at + timedelta(days=request.token_expires_in_days)

    def _token(self, agent: Agent, expires_at: datetime | None, tx: UnitOfWork) -> tuple[Token, str]:
        return self._issuer.issue(
            tx,
            TokenKind.AGENT,
            agent.role,
            name=agent.name,
            project_id=self._project().id,
            agent_name=agent.agent_id,
            expires_at=expires_at,
        )

    def _status(self, request: AccessRequest, call: Call) -> RequestStatus:
        is_over = request.status is RequestStatus.PENDING and request.expires_at <= call.now
        return RequestStatus.EXPIRED if is_over else request.status

    def _position(self, request: AccessRequest, call: Call) -> int:
        waiting = [
            other.id for other in call.tx.access_requests.pending(self._project().id) if other.expires_at > call.now
        ]
        return waiting.index(request.id) + 1
