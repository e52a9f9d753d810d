"""The project's keeper: its settings, what it tells its agents, and who is let in.

Agents are registered by people or ask for access and are approved; their tokens are made in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from actors import views
from actors.call import Call
from actors.issuing import Issuer, revoke
from actors.roster import Roster
from conductor.domain import access, errors, ids, paths
from conductor.domain.access import ADMIN_UP, Role, TokenKind
from conductor.domain.agents import AccessRequest, Agent, AgentStatus, Health, RequestStatus
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.operations import access as access_ops
from conductor.operations import agents as agent_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import projects as project_ops
from storage.unit_of_work import UnitOfWork


class ProjectKeeper:
    """Keeps a project.

    changed: is told of the project's new state. request_expires_h: how long a request for access waits.
    """

    def __init__(
        self,
        project: Project,
        roster: Roster,
        issuer: Issuer,
        request_expires_h: float,
        changed: Callable[[Project], None],
    ) -> None:
        self.project = project
        self._roster = roster
        self._issuer = issuer
        self._request_expires_h = request_expires_h
        self._changed = changed

    def update_project(self, request: project_ops.UpdateProject, call: Call) -> project_ops.Project:
        """Change what is given, leave the rest."""
        names = ("name", "slug", "conflict_strategy", "root_path", "git_remote")
        given = {name: value for name in names if (value := getattr(request, name)) is not None}
        if request.slug is not None and request.slug != self.project.slug:
            call.tx.projects.require_free_slug(request.slug)
        settings = self.project.settings
        if request.settings is not None:
            chosen = request.settings.model_dump(exclude_none=True)
            settings = replace(settings, **chosen)
        if settings.fold_case != self.project.settings.fold_case and call.tx.locks.of_project(self.project.id):
            raise errors.Invalid(
                "settings.fold_case cannot change while locks are held: their paths were compared the old way. "
                "Release them first with release_lock, all and force.",
                facts={"argument": "settings.fold_case"},
                next=[NextStep("list_locks", {}, "see what is leased")],
            )
        after = replace(self.project, **given, settings=settings)
        if after != self.project:
            after = replace(after, updated_at=call.now)
            call.tx.projects.save(after)
            facts = {name: str(value) for name, value in given.items()}
            call.tx.record(
                EventKind.PROJECT_UPDATED,
                after.id,
                project_id=after.id,
                **facts,
                settings=request.settings.model_dump(exclude_none=True) if request.settings else None,
            )
            self.project = after
            self._changed(after)
        return views.project(after, call.tx, call.caller)

    def update_onboarding_config(
        self, request: onboarding_ops.UpdateOnboardingConfig, call: Call
    ) -> onboarding_ops.OnboardingConfig:
        """Change what the project tells its agents, unless somebody was faster."""
        before = call.tx.projects.onboarding(self.project.id)
        if request.version != before.version:
            raise errors.VersionConflict(
                f"The onboarding is at version {before.version}, you changed version {request.version}. Nothing was "
                "changed: read it again and apply your change to that.",
                facts={"version": before.version, "given": request.version},
                next=[NextStep("get_onboarding_config", {}, "read the present version")],
            )
        files = request.instruction_files
        changed = {
            "welcome": request.welcome,
            "focus": request.focus,
            "goals": None if request.goals is None else tuple(request.goals),
            "style_guide": request.style_guide,
            "instruction_files": None if files is None else {kind: self._path(path) for kind, path in files.items()},
            "checkpoint_rules": None if request.checkpoint_rules is None else tuple(request.checkpoint_rules),
            "remind_every_tasks": request.remind_every_tasks,
        }
        given = {name: value for name, value in changed.items() if value is not None}
        after = replace(before, version=before.version + 1, **given)  # type: ignore[arg-type]  # fields by their names
        call.tx.projects.save_onboarding(self.project.id, after)
        call.tx.record(
            EventKind.ONBOARDING_UPDATED,
            self.project.id,
            project_id=self.project.id,
            version=after.version,
            changed=sorted(given),
        )
        return views.onboarding(after)

    def register_agent(self, request: agent_ops.RegisterAgent, call: Call) -> agent_ops.RegisteredAgent:
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
        agent = Agent(
            id=before.id if before else call.tx.make_id(ids.Kind.AGENT),
            project_id=self.project.id,
            agent_id=request.agent_id,
            name=request.name,
            provider=request.provider,
            model=request.model,
            role=role,
            capabilities=tuple(dict.fromkeys(request.capabilities)),
            allowed_paths=self._paths(request.allowed_paths),
            denied_paths=self._paths(request.denied_paths),
            token_budget=request.token_budget,
            instructions_file=None if request.instructions_file is None else self._path(request.instructions_file),
            status=before.status if before else AgentStatus.OFFLINE,
            created_at=before.created_at if before else call.now,
            updated_at=call.now,
            last_seen_at=before.last_seen_at if before else None,
            lost_at=before.lost_at if before else None,
            current_task_id=before.current_task_id if before else None,
        )
        if before is not None:
            revoke(call.tx.tokens.live_of_agent(self.project.id, agent.agent_id, call.now), call.tx)
        text = self._admit(agent, is_new=before is None, tx=call.tx)
        return agent_ops.RegisteredAgent(agent=self._view(agent, call), token=text)

    def request_access(self, request: access_ops.RequestAccess, call: Call) -> access_ops.AccessAnswer:
        """Take a request for access, or answer the poll of one."""
        latest = call.tx.access_requests.latest(self.project.id, request.agent_id)
        if latest is not None:
            status = self._status(latest, call)
            if request.claim is not None and self._issuer.hash(request.claim) == latest.claim_hash:
                return self._answer_poll(latest, status, call)
            waits_for_poll = status is RequestStatus.APPROVED and not self._has_arrived(latest, call)
            if status is RequestStatus.PENDING or waits_for_poll or request.claim is not None:
                return self._answer(latest, status, call)
        elif request.claim is not None:
            raise errors.NotFound(
                f"No request of {request.agent_id} is known here: ask for access without claim first.",
                facts={"agent_id": request.agent_id},
            )
        return self._new_request(request, latest, call)

    def approve_access(self, request: access_ops.ApproveAccess, call: Call) -> access_ops.ApprovedAccess:
        """Let an agent in that asked."""
        pending = self._reviewable(request.request_id, call)
        role = request.role.role if request.role is not None else pending.requested_role
        self._require_grant(call, role)
        to_requester = request.deliver is access_ops.Delivery.REQUESTER
        before = self._roster.find(pending.agent_id)
        agent = Agent(
            id=before.id if before else call.tx.make_id(ids.Kind.AGENT),
            project_id=self.project.id,
            agent_id=pending.agent_id,
            name=pending.name,
            provider=pending.provider,
            model=pending.model,
            role=role,
            capabilities=pending.capabilities,
            allowed_paths=self._paths(request.allowed_paths),
            denied_paths=before.denied_paths if before else (),
            token_budget=before.token_budget if before else None,
            instructions_file=before.instructions_file if before else None,
            status=before.status if before else AgentStatus.OFFLINE,
            created_at=before.created_at if before else call.now,
            updated_at=call.now,
            last_seen_at=before.last_seen_at if before else None,
            lost_at=before.lost_at if before else None,
            current_task_id=before.current_task_id if before else None,
        )
        approved = replace(
            pending,
            status=RequestStatus.APPROVED,
            reviewed_at=call.now,
            reviewed_by=call.caller.actor,
            token_expires_in_days=request.expires_in_days,
            deliver_to_requester=to_requester,
        )
        self._keep_agent(agent, is_new=before is None, tx=call.tx)
        text = None
        if not to_requester:
            text, approved = self._hand_over(approved, agent, call)
        call.tx.access_requests.save(approved)
        call.tx.record(
            EventKind.ACCESS_APPROVED,
            approved.id,
            project_id=self.project.id,
            agent_id=agent.agent_id,
            role=role.value,
            allowed_paths=list(agent.allowed_paths),
            expires_in_days=request.expires_in_days,
        )
        return access_ops.ApprovedAccess(
            request=views.access_request(approved, approved.status), agent=self._view(agent, call), token=text
        )

    def reject_access(self, request: access_ops.RejectAccess, call: Call) -> access_ops.RejectedAccess:
        """Turn an agent away that asked."""
        pending = self._reviewable(request.request_id, call)
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
            project_id=self.project.id,
            agent_id=rejected.agent_id,
            reason=request.reason,
        )
        return access_ops.RejectedAccess(request=views.access_request(rejected, rejected.status))

    def _new_request(
        self, request: access_ops.RequestAccess, latest: AccessRequest | None, call: Call
    ) -> access_ops.AccessAnswer:
        tx = call.tx
        if latest is not None and latest.status is RequestStatus.PENDING:
            tx.access_requests.save(replace(latest, status=RequestStatus.EXPIRED))
            tx.record(EventKind.ACCESS_EXPIRED, latest.id, project_id=self.project.id, agent_id=latest.agent_id)
        claim = ids.letters(access.SECRET_LENGTH, tx.entropy)
        made = AccessRequest(
            id=tx.make_id(ids.Kind.ACCESS_REQUEST),
            project_id=self.project.id,
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
        tx.access_requests.add(made)
        tx.record(
            EventKind.ACCESS_REQUESTED,
            made.id,
            project_id=self.project.id,
            agent_id=made.agent_id,
            role=made.requested_role.value,
            agent_type=made.agent_type,
        )
        return access_ops.AccessAnswer(
            request=views.access_request(made, made.status), claim=claim, position=self._position(made, call)
        )

    def _answer_poll(self, request: AccessRequest, status: RequestStatus, call: Call) -> access_ops.AccessAnswer:
        is_due = status is RequestStatus.APPROVED and request.deliver_to_requester
        if not is_due or self._has_arrived(request, call):
            return self._answer(request, status, call)
        text, after = self._hand_over(request, self._roster.get(request.agent_id), call)
        call.tx.access_requests.save(after)
        return access_ops.AccessAnswer(request=views.access_request(after, status), token=text)

    def _answer(self, request: AccessRequest, status: RequestStatus, call: Call) -> access_ops.AccessAnswer:
        position = self._position(request, call) if status is RequestStatus.PENDING else None
        return access_ops.AccessAnswer(request=views.access_request(request, status), position=position)

    def _hand_over(self, request: AccessRequest, agent: Agent, call: Call) -> tuple[str, AccessRequest]:
        """Make the token of an approved request; the one made before, which never arrived, ends."""
        former = call.tx.tokens.get(request.token_id) if request.token_id else None
        if former is not None and former.is_valid(call.now):
            revoke([former], call.tx)
        expires_at = None
        if request.token_expires_in_days is not None and request.reviewed_at is not None:
            expires_at = request.reviewed_at + timedelta(days=request.token_expires_in_days)
        token, text = self._issuer.issue(
            call.tx,
            TokenKind.AGENT,
            agent.role,
            name=agent.name,
            project_id=self.project.id,
            agent_name=agent.agent_id,
            expires_at=expires_at,
        )
        return text, replace(request, token_id=token.id)

    def _has_arrived(self, request: AccessRequest, call: Call) -> bool:
        token = call.tx.tokens.get(request.token_id) if request.token_id else None
        return token is not None and (token.used_at is not None or not request.deliver_to_requester)

    def _admit(self, agent: Agent, *, is_new: bool, tx: UnitOfWork) -> str:
        self._keep_agent(agent, is_new=is_new, tx=tx)
        _, text = self._issuer.issue(
            tx, TokenKind.AGENT, agent.role, name=agent.name, project_id=self.project.id, agent_name=agent.agent_id
        )
        return text

    def _keep_agent(self, agent: Agent, *, is_new: bool, tx: UnitOfWork) -> None:
        if is_new:
            self._roster.add(agent, tx)
        else:
            self._roster.save(agent, tx)
        tx.record(
            EventKind.AGENT_REGISTERED if is_new else EventKind.AGENT_UPDATED,
            agent.id,
            project_id=self.project.id,
            agent_id=agent.agent_id,
            role=agent.role.value,
            allowed_paths=list(agent.allowed_paths),
            denied_paths=list(agent.denied_paths),
            token_budget=agent.token_budget,
        )

    def _reviewable(self, request_id: str, call: Call) -> AccessRequest:
        if call.caller.role is Role.LEAD and not self.project.settings.leads_approve:
            raise errors.Forbidden(
                "In this project people from admin up decide on access: a lead may when settings.leads_approve is on.",
                facts={"role": call.caller.role.value, "setting": "leads_approve"},
            )
        request = call.tx.access_requests.get(request_id)
        if request is None or request.project_id != self.project.id:
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

    def _require_grant(self, call: Call, role: Role) -> None:
        if call.caller.role in ADMIN_UP or access.may_grant(call.caller.role, role):
            return
        raise errors.Forbidden(
            f"A {call.caller.role} cannot give the role {role}: a person from member up can.",
            facts={"role": call.caller.role.value, "given": role.value},
        )

    def _status(self, request: AccessRequest, call: Call) -> RequestStatus:
        is_over = request.status is RequestStatus.PENDING and request.expires_at <= call.now
        return RequestStatus.EXPIRED if is_over else request.status

    def _position(self, request: AccessRequest, call: Call) -> int:
        waiting = [
            other.id for other in call.tx.access_requests.pending(self.project.id) if other.expires_at > call.now
        ]
        return waiting.index(request.id) + 1

    def _view(self, agent: Agent, call: Call) -> agent_ops.Agent:
        return views.agent(agent, Health.LATE, call.tx.costs.spent_today(self.project.id).get(agent.agent_id, 0))

    def _path(self, text: str) -> str:
        return paths.canonical(text, fold_case=self.project.settings.fold_case)

    def _paths(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({self._path(text) for text in texts}))
