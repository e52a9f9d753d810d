"""The project's keeper: its settings, what it tells its agents, and who is let in.

Agents are registered by people or ask for access and are approved; their tokens are made in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from actors import verifying, views
from actors.call import Call
from actors.issuing import Issuer
from actors.mailbox import Mailbox
from actors.onboarding import OnboardingKeeper
from actors.registrar import EndAll, Registrar
from actors.roster import Roster
from actors.zoning import Zoning
from conductor.domain import errors, organizations, paths
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.integrations.coding_agents import Profiles
from conductor.operations import access as access_ops
from conductor.operations import agents as agent_ops
from conductor.operations import checks as check_ops
from conductor.operations import messages as message_ops
from conductor.operations import onboarding as onboarding_ops
from conductor.operations import projects as project_ops
from conductor.operations import zones as zone_ops


class ProjectKeeper:
    """Keeps a project.

    changed: is told of the project's new state. request_expires_h: how long a request for access waits. profiles: what
    is known of kinds of agents. end_all: ends what an agent holds. zoning: the project's zones.
    """

    def __init__(
        self,
        project: Project,
        roster: Roster,
        issuer: Issuer,
        request_expires_h: float,
        changed: Callable[[Project], None],
        profiles: Profiles,
        mailbox: Mailbox,
        end_all: EndAll,
        zoning: Zoning,
    ) -> None:
        self.project = project
        self._roster = roster
        self._registrar = Registrar(self._project, roster, issuer, request_expires_h, profiles, self._path, end_all)
        self._changed = changed
        self._onboarding = OnboardingKeeper(self._project)
        self._mailbox = mailbox
        self._zoning = zoning

    def update_project(self, request: project_ops.UpdateProject, call: Call) -> project_ops.Project:
        """Change what is given, leave the rest."""
        names = ("name", "slug", "conflict_strategy", "root_path", "git_remote")
        given = {name: value for name in names if (value := getattr(request, name)) is not None}
        if request.slug is not None and request.slug != self.project.slug:
            call.tx.projects.require_free_slug(request.slug)
        settings = self.project.settings
        if request.settings is not None:
            chosen = request.settings.model_dump(exclude_none=True)
            settings = organizations.changed_settings(settings, chosen)
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

    def archive_project(self, request: project_ops.ArchiveProject, call: Call) -> project_ops.Project:
        """Put the project away; one that is archived stays as it is."""
        if self.project.archived_at is None:
            self._keep(replace(self.project, archived_at=call.now), EventKind.PROJECT_ARCHIVED, call)
        return views.project(self.project, call.tx, call.caller)

    def restore_project(self, request: project_ops.RestoreProject, call: Call) -> project_ops.Project:
        """Take the project up again; one that is not archived stays as it is."""
        if self.project.archived_at is not None:
            self._keep(replace(self.project, archived_at=None), EventKind.PROJECT_RESTORED, call)
        return views.project(self.project, call.tx, call.caller)

    def update_onboarding_config(
        self, request: onboarding_ops.UpdateOnboardingConfig, call: Call
    ) -> onboarding_ops.OnboardingConfig:
        """Change what the project tells its agents, unless somebody was faster."""
        return self._onboarding.update(request, call)

    def report_check(self, request: check_ops.ReportCheck, call: Call) -> check_ops.ReportedCheck:
        """Keep what somebody found out about a commit."""
        return verifying.reported(self.project.id, request, call)

    def register_agent(self, request: agent_ops.RegisterAgent, call: Call) -> agent_ops.RegisteredAgent:
        """Let an agent in at once; an existing one only when the caller says supersede."""
        return self._registrar.register(request, call)

    def request_access(self, request: access_ops.RequestAccess, call: Call) -> access_ops.AccessAnswer:
        """Take a request for access, or answer the poll of one."""
        return self._registrar.ask(request, call)

    def approve_access(self, request: access_ops.ApproveAccess, call: Call) -> access_ops.ApprovedAccess:
        """Let an agent in that asked."""
        return self._registrar.approve(request, call)

    def reject_access(self, request: access_ops.RejectAccess, call: Call) -> access_ops.RejectedAccess:
        """Turn an agent away that asked."""
        return self._registrar.reject(request, call)

    def revoke_access(self, request: access_ops.RevokeAccess, call: Call) -> access_ops.RevokedAccess:
        """Put an agent out."""
        return self._registrar.revoke(request, call)

    def set_zones(self, request: zone_ops.SetZones, call: Call) -> zone_ops.Zones:
        """Say whose which part of the repository is."""
        reply = self._zoning.set(request, self._path, call)
        self._changed(self.project)
        return reply

    def set_path_rules(self, request: zone_ops.SetPathRules, call: Call) -> zone_ops.PathRules:
        """Say which paths an agent may touch."""
        reply = self._registrar.set_rules(request, call)
        self._changed(self.project)
        return reply

    def send_message(self, request: message_ops.SendMessage, call: Call) -> message_ops.SentMessage:
        """Send a message."""
        return self._mailbox.send(request, call)

    def _keep(self, after: Project, event: EventKind, call: Call) -> None:
        after = replace(after, updated_at=call.now)
        call.tx.projects.save(after)
        call.tx.record(event, after.id, project_id=after.id, name=after.name)
        self.project = after
        self._changed(after)

    def _project(self) -> Project:
        return self.project

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
        self._zoning.respell(self._path, call.tx)

    def _path(self, text: str) -> str:
        roots = [self.project.root_path] if self.project.root_path else []
        return paths.canonical(text, fold_case=self.project.settings.fold_case, roots=roots)

    def _paths(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({self._path(text) for text in texts}))
