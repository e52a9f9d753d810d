"""The project's keeper: its settings, what it tells its agents, and who is let in.

Agents are registered by people or ask for access and are approved; their tokens are made in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from actors import views
from actors.admission import Admission
from actors.call import Call
from actors.issuing import Issuer, revoke
from actors.roster import Roster
from conductor.domain import access, agents, errors, ids, paths
from conductor.domain.access import ADMIN_UP, AGENT_ROLES, Role
from conductor.domain.agents import Agent, AgentStatus, Health, RequestStatus
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
        self._admission = Admission(roster, issuer, request_expires_h, self._project)
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
        folds_anew = settings.fold_case != self.project.settings.fold_case
        if folds_anew:
            self._require_no_paths_in_use(call)
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
            if folds_anew:
                self._respell_rules(call)
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
        if before is not None:
            self._require_grant(call, before.role)
            if call.caller.agent_name is not None:
                raise errors.Forbidden(
                    f"Only a person supersedes an agent: its token would let you act as {before.agent_id}.",
                    facts={"agent_id": before.agent_id},
                )
        allowed, denied = self._paths(request.allowed_paths), self._paths(request.denied_paths)
        denied = self._require_within_own(call, allowed, denied)
        agent = replace(
            before or self._newcomer(request.agent_id, call),
            name=request.name,
            provider=request.provider,
            model=request.model,
            role=role,
            capabilities=tuple(dict.fromkeys(request.capabilities)),
            allowed_paths=allowed,
            denied_paths=denied,
            token_budget=request.token_budget,
            instructions_file=None if request.instructions_file is None else self._path(request.instructions_file),
            updated_at=call.now,
        )
        if before is not None:
            revoke(call.tx.tokens.live_of_agent(self.project.id, agent.agent_id, call.now), call.tx)
            self._admission.forget_delivery(agent.agent_id, call)
        self._keep_agent(agent, is_new=before is None, tx=call.tx)
        return agent_ops.RegisteredAgent(agent=self._view(agent, call), token=self._admission.issue(agent, call.tx))

    def request_access(self, request: access_ops.RequestAccess, call: Call) -> access_ops.AccessAnswer:
        """Take a request for access, or answer the poll of one."""
        return self._admission.ask(request, call)

    def approve_access(self, request: access_ops.ApproveAccess, call: Call) -> access_ops.ApprovedAccess:
        """Let an agent in that asked."""
        pending = self._admission.reviewable(request.request_id, call)
        role = request.role.role if request.role is not None else pending.requested_role
        self._require_grant(call, role)
        before = self._roster.find(pending.agent_id)
        if before is not None:
            self._require_grant(call, before.role)
        newcomer = before or self._newcomer(pending.agent_id, call)
        rules = request.allowed_paths
        agent = replace(
            newcomer,
            name=pending.name,
            provider=pending.provider,
            model=pending.model,
            role=role,
            capabilities=pending.capabilities,
            allowed_paths=newcomer.allowed_paths if rules is None else self._paths(rules),
            updated_at=call.now,
        )
        to_requester = request.deliver is access_ops.Delivery.REQUESTER
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
        asked_itself = pending.requested_by == f"agent:{agent.agent_id}"
        former = call.tx.tokens.live_of_agent(self.project.id, agent.agent_id, call.now)
        mightier = [token for token in former if AGENT_ROLES.index(token.role) < AGENT_ROLES.index(role)]
        revoke(mightier if asked_itself else former, call.tx)
        text = None
        if not to_requester:
            text, approved = self._admission.hand_over(approved, agent, call)
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
            project_id=self.project.id,
            agent_id=rejected.agent_id,
            reason=request.reason,
        )
        return access_ops.RejectedAccess(request=views.access_request(rejected, rejected.status))

    def _project(self) -> Project:
        return self.project

    def _newcomer(self, agent_id: str, call: Call) -> Agent:
        """Make an agent of which only the name is known."""
        return Agent(
            id=call.tx.make_id(ids.Kind.AGENT),
            project_id=self.project.id,
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

    def _view(self, agent: Agent, call: Call) -> agent_ops.Agent:
        return views.agent(agent, Health.LATE, call.tx.costs.spent_today(self.project.id).get(agent.agent_id, 0))

    def _require_no_paths_in_use(self, call: Call) -> None:
        """Refuse to spell paths anew while leases and open tasks hold them in the old spelling."""
        tx = call.tx
        if tx.locks.of_project(self.project.id) or any(task.files for task in tx.tasks.open_of(self.project.id)):
            raise errors.Invalid(
                "settings.fold_case cannot change while locks are held or open tasks name files: their paths were "
                "compared the old way. Release and close them first, or choose it when the project is made.",
                facts={"argument": "settings.fold_case"},
                next=[NextStep("list_locks", {}, "see what is leased")],
            )

    def _respell_rules(self, call: Call) -> None:
        for stored in call.tx.agents.of_project(self.project.id):
            agent = self._roster.get(stored.agent_id)
            spelt = replace(
                agent, allowed_paths=self._paths(agent.allowed_paths), denied_paths=self._paths(agent.denied_paths)
            )
            if spelt != agent:
                self._roster.save(spelt, call.tx)

    def _path(self, text: str) -> str:
        roots = [self.project.root_path] if self.project.root_path else []
        return paths.canonical(text, fold_case=self.project.settings.fold_case, roots=roots)

    def _paths(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({self._path(text) for text in texts}))
