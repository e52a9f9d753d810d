"""The directory: an organisation's people, projects and tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from actors import members, teams, tenancy, views
from actors.call import Call
from actors.issuing import Issuer, revoke
from actors.members import People
from actors.pausing import Pausing
from actors.places import no_project, only_project
from conductor.domain import errors, organizations
from conductor.domain.access import ADMIN_UP, MEMBER_ROLES, Role, TokenKind
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Member, ProjectSettings, Token
from conductor.domain.pauses import PauseMode
from conductor.operations import admin as ops
from conductor.operations import audit as audit_ops
from conductor.operations import pausing as pausing_ops
from conductor.operations import projects as project_ops
from conductor.operations import teams as team_ops
from conductor.operations import tenancy as tenancy_ops


class Directory:
    """Keeps the people, projects and tokens of one organisation."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._people = People(issuer)
        self._pausing = Pausing()

    def create_organization(self, request: ops.CreateOrganization, call: Call) -> ops.Organization:
        """Make an organisation."""
        return tenancy.create(request, call)

    def export_organization(self, request: tenancy_ops.ExportOrganization, call: Call) -> tenancy_ops.ExportedRows:
        """Read a page of all that the organisation has."""
        return tenancy.export(request, call)

    def delete_organization(
        self, request: tenancy_ops.DeleteOrganization, call: Call
    ) -> tenancy_ops.DeletedOrganization:
        """Delete the organisation with all it has."""
        return tenancy.delete(request, call)

    def add_member(self, request: ops.AddMember, call: Call) -> ops.Member:
        """Add a person."""
        return self._people.add(request, call)

    def invite_member(self, request: ops.InviteMember, call: Call) -> ops.InvitedMember:
        """Add a person with their first token."""
        return self._people.invite(request, call)

    def update_member(self, request: ops.UpdateMember, call: Call) -> ops.Member:
        """Change a person."""
        return self._people.update(request, call)

    def remove_member(self, request: ops.RemoveMember, call: Call) -> ops.Member:
        """Remove a person and end their tokens."""
        return self._people.remove(request, call)

    def create_team(self, request: team_ops.CreateTeam, call: Call) -> team_ops.Team:
        """Make a team."""
        return teams.create(request, call)

    def update_team(self, request: team_ops.UpdateTeam, call: Call) -> team_ops.Team:
        """Change a team."""
        return teams.update(request, call)

    def delete_team(self, request: team_ops.DeleteTeam, call: Call) -> team_ops.Team:
        """Delete a team."""
        return teams.delete(request, call)

    def create_project(self, request: project_ops.CreateProject, call: Call) -> project_ops.Project:
        """Make a project."""
        chosen = request.settings.model_dump(exclude_none=True) if request.settings is not None else {}
        project = call.tx.projects.create(
            request.name,
            slug=request.slug,
            conflict_strategy=request.conflict_strategy,
            root_path=request.root_path,
            git_remote=request.git_remote,
            settings=organizations.changed_settings(ProjectSettings(), chosen),
        )
        return views.project(project, call.tx, call.caller)

    def create_token(self, request: ops.CreateToken, call: Call) -> ops.NewToken:
        """Make a token for a person, an agent, a service or enrolment."""
        project_id = request.project_id
        if project_id is not None and call.tx.projects.get(project_id) is None:
            raise no_project(project_id)
        if request.kind is TokenKind.AGENT and project_id is None:
            project_id = only_project(call.tx).id
        expires_at = None
        if request.expires_in_days is not None:
            expires_at = call.now + timedelta(days=request.expires_in_days)
        role, name, agent_name, member_id = self._bearer(request, project_id, call)
        token, text = self._issuer.issue(
            call.tx,
            request.kind,
            role,
            name=name,
            project_id=project_id,
            agent_name=agent_name,
            member_id=member_id,
            expires_at=expires_at,
        )
        return ops.NewToken(id=token.id, token=text, kind=token.kind, expires_at=expires_at)

    def rotate_token(self, request: ops.RotateToken, call: Call) -> ops.NewToken:
        """Replace a token; the former one lives on for the overlap.

        Asked again, as by who never got the answer, it ends the new token that nobody has used and makes another.
        """
        former = self._token(request.token_id or call.caller.token_id, call)
        if former.id != call.caller.token_id:
            members.require_grant(former.role, call)
        if not former.is_valid(call.now):
            raise errors.NotFound(
                f"Token {former.id} is over: make a new one with create_token.",
                facts={"token_id": former.id},
                next=[NextStep("list_tokens", {}, "see which are valid")],
            )
        lost = self._never_arrived(former, call)
        expires_at = lost.expires_at if lost is not None else former.expires_at
        if lost is not None:
            revoke([lost], call.tx)
        token, text = self._issuer.issue(
            call.tx,
            former.kind,
            former.role,
            name=former.name,
            project_id=former.project_id,
            agent_name=former.agent_name,
            member_id=former.member_id,
            expires_at=expires_at,
            event=EventKind.TOKEN_ROTATED,
            replaces=former.id,
        )
        ends_at = call.now + timedelta(seconds=request.overlap_s)
        if former.expires_at is not None:
            ends_at = min(ends_at, former.expires_at)
        call.tx.tokens.save(replace(former, expires_at=ends_at, replaced_by=token.id))
        return ops.NewToken(id=token.id, token=text, kind=token.kind, expires_at=token.expires_at)

    def revoke_token(self, request: ops.RevokeToken, call: Call) -> ops.RevokedToken:
        """End a token at once."""
        token = self._token(request.token_id, call)
        members.require_grant(token.role, call)
        if token.id == call.caller.token_id:
            raise errors.Forbidden(
                "That is the token you call with: rotate it with rotate_token, or have another admin revoke it.",
                facts={"token_id": token.id},
                next=[NextStep("rotate_token", {"overlap_s": 0}, "replace it at once")],
            )
        if token.revoked_at is None:
            revoke([token], call.tx)
        return ops.RevokedToken()

    def pause(self, request: pausing_ops.Pause, call: Call) -> pausing_ops.PauseSet:
        """Let agents stand still."""
        return self._pausing.set(request, PauseMode.PAUSED, call)

    def drain(self, request: pausing_ops.Drain, call: Call) -> pausing_ops.PauseSet:
        """Let agents finish what they hold."""
        return self._pausing.set(request, PauseMode.DRAINING, call)

    def resume(self, request: pausing_ops.Resume, call: Call) -> pausing_ops.PauseLifted:
        """Let agents go on."""
        return self._pausing.lift(request, call)

    def log_action(self, request: audit_ops.LogAction, call: Call) -> audit_ops.LoggedAction:
        """Write the caller's own entry into the audit log."""
        call.tx.flush()
        call.tx.record(
            EventKind.ACTION_LOGGED,
            request.resource_id,
            project_id=call.project_id or None,
            action=request.action,
            metadata=dict(request.metadata) or None,
        )
        number = call.tx.flush()
        if number is None:
            raise ValueError("an event was recorded and none was written")
        return audit_ops.LoggedAction(number=number)

    @staticmethod
    def _never_arrived(former: Token, call: Call) -> Token | None:
        """Find the token that an earlier rotation made and nobody has used; None: there was no rotation.

        Raises Forbidden when it is in use, or was ended: who shows the former token then may be its thief.
        """
        after = call.tx.tokens.get(former.replaced_by) if former.replaced_by is not None else None
        if after is None or (after.used_at is None and after.replaced_by is None and after.is_valid(call.now)):
            return after
        raise errors.Forbidden(
            f"Token {former.id} was replaced by {after.id}, which has been in use. Call with that one, or have an "
            "admin make a new one with create_token.",
            facts={"token_id": former.id, "replaced_by": after.id},
        )

    def _bearer(
        self, request: ops.CreateToken, project_id: str | None, call: Call
    ) -> tuple[Role, str | None, str | None, str | None]:
        """Find who the token stands for: role, name, agent, member."""
        self._require_fitting(request)
        match request.kind:
            case TokenKind.USER:
                member = self._member_for(request, call)
                return member.role, request.name or member.name, None, member.id
            case TokenKind.AGENT:
                if request.agent_id is None or project_id is None:
                    raise errors.Invalid(
                        "A token of an agent needs agent_id, the name of a registered agent.",
                        facts={"argument": "agent_id"},
                        next=[NextStep("list_agents", {}, "see who is here")],
                    )
                agent = call.tx.agents.get(project_id, request.agent_id)
                if agent is None:
                    raise errors.NotFound(
                        f"No agent {request.agent_id} in this project: register it with register_agent.",
                        facts={"agent_id": request.agent_id},
                    )
                if request.role not in (None, agent.role):
                    raise errors.Invalid(
                        f"{agent.agent_id} is {agent.role}; its role is changed with register_agent and supersede.",
                        facts={"argument": "role", "role": agent.role.value},
                    )
                return agent.role, request.name or agent.name, agent.agent_id, None
            case TokenKind.SERVICE:
                return Role.SERVICE, request.name, None, None
            case TokenKind.ENROLMENT:
                return Role.ENROLMENT, request.name, None, None

    @staticmethod
    def _require_fitting(request: ops.CreateToken) -> None:
        """Refuse an argument that a token of this kind has no use for: it would seem to be kept and is not."""
        given = {name for name in ("agent_id", "member_id", "role") if getattr(request, name) is not None}
        match request.kind:
            case TokenKind.USER:
                unfit = given - {"member_id", "role"}
            case TokenKind.AGENT:
                unfit = given - {"agent_id", "role"}
            case TokenKind.SERVICE:
                unfit = given - ({"role"} if request.role is Role.SERVICE else set())
            case TokenKind.ENROLMENT:
                unfit = given - ({"role"} if request.role is Role.ENROLMENT else set())
        if unfit:
            told = " and ".join(sorted(unfit))
            raise errors.Invalid(
                f"A token of the kind {request.kind} takes no {told}: leave it out.",
                facts={"argument": min(unfit), "kind": request.kind.value},
            )

    def _member_for(self, request: ops.CreateToken, call: Call) -> Member:
        if request.member_id is not None:
            member = members.found(request.member_id, call)
            if request.role not in (None, member.role):
                raise errors.Invalid(
                    f"{member.name} is {member.role}: leave role out, a token has its member's role.",
                    facts={"argument": "role", "role": member.role.value},
                )
            members.require_grant(member.role, call)
            return member
        if request.name is None or request.role is None:
            raise errors.Invalid(
                "A token of a person needs member_id, or name and role of a new member.",
                facts={"argument": "role" if request.name else "name"},
            )
        if request.role not in MEMBER_ROLES:
            raise errors.Invalid(
                f"{request.role} is no role of a person: take owner, admin, member or viewer.",
                facts={"argument": "role", "allowed": [role.value for role in MEMBER_ROLES]},
            )
        members.require_grant(request.role, call)
        return call.tx.organizations.add_member(request.name, role=request.role)

    def _token(self, token_id: str, call: Call) -> Token:
        token = call.tx.tokens.get(token_id)
        may_all = call.caller.role in ADMIN_UP and call.caller.project_id is None
        is_others = token is not None and token.id != call.caller.token_id and not may_all
        if token is None or is_others:
            raise errors.NotFound(
                f"No token {token_id} here. See the tokens with list_tokens.",
                facts={"token_id": token_id},
                next=[NextStep("list_tokens", {}, "see the tokens")],
            )
        return token
