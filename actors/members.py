"""The people of an organisation: who is added, what they may, and that somebody always owns it.

Nobody gives or takes a role that they could not give; what a person's tokens may changes in the commit that changes
the person. Part of the directory.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from actors import views
from actors.call import Call
from actors.issuing import Issuer, revoke
from conductor.domain import access, errors
from conductor.domain.access import ADMIN_UP, AGENT_ROLES, OWNER_UP, Role, TokenKind
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Member
from conductor.operations import admin as ops


class People:
    """Keeps the people of one organisation."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def add(self, request: ops.AddMember, call: Call) -> ops.Member:
        """Add a person, who has no token yet."""
        require_grant(request.role.role, call)
        return views.member(call.tx.organizations.add_member(request.name, email=request.email, role=request.role.role))

    def invite(self, request: ops.InviteMember, call: Call) -> ops.InvitedMember:
        """Add a person with their first token."""
        require_grant(request.role.role, call)
        member = call.tx.organizations.add_member(request.name, email=request.email, role=request.role.role)
        _, text = self._issuer.issue(
            call.tx,
            TokenKind.USER,
            member.role,
            name=member.name,
            member_id=member.id,
            expires_at=call.now + timedelta(days=request.expires_in_days),
        )
        return ops.InvitedMember(member=views.member(member), token=text)

    def update(self, request: ops.UpdateMember, call: Call) -> ops.Member:
        """Change a person; a new role is their tokens' role in the same commit."""
        before = found(request.member_id, call)
        require_grant(before.role, call)
        role = request.role.role if request.role is not None else before.role
        if role is not before.role:
            require_grant(role, call)
            _require_another_owner(before, role, call)
        after = replace(before, name=request.name or before.name, email=request.email or before.email, role=role)
        if after == before:
            return views.member(before)
        call.tx.organizations.save_member(after)
        for token in call.tx.tokens.live_of_member(after.id, call.now) if role is not before.role else ():
            call.tx.tokens.save(replace(token, role=role))
        changed = [name for name in ("name", "email", "role") if getattr(before, name) != getattr(after, name)]
        call.tx.record(
            EventKind.MEMBER_UPDATED, after.id, name=after.name, role=role.value, was=before.role.value, changed=changed
        )
        return views.member(after)

    def remove(self, request: ops.RemoveMember, call: Call) -> ops.Member:
        """Remove a person from the organisation and its teams, and end their tokens."""
        member = found(request.member_id, call)
        require_grant(member.role, call)
        _require_another_owner(member, None, call)
        removed = replace(member, removed_at=call.now)
        call.tx.organizations.save_member(removed)
        call.tx.teams.leave_all(member.id)
        call.tx.record(EventKind.MEMBER_REMOVED, member.id, name=member.name, role=member.role.value)
        revoke(call.tx.tokens.live_of_member(member.id, call.now), call.tx)
        return views.member(removed)


def found(member_id: str, call: Call) -> Member:
    """Give a person who has not been removed. Raises NotFound."""
    member = call.tx.organizations.member(member_id)
    if member is None:
        raise errors.NotFound(
            f"No member {member_id} here. See the people with list_members.",
            facts={"member_id": member_id},
            next=[NextStep("list_members", {}, "see the people")],
        )
    return member


def require_grant(role: Role, call: Call) -> None:
    """Refuse to give or take a role that the caller could not give. Raises Forbidden."""
    giver = call.caller.role
    is_root = giver is Role.ROOT
    if is_root or access.may_grant(giver, role) or (giver in ADMIN_UP and role in AGENT_ROLES):
        return
    raise errors.Forbidden(
        f"A {giver} cannot give or end the role {role}: that takes an owner.",
        facts={"role": giver.value, "given": role.value},
    )


def _require_another_owner(member: Member, role: Role | None, call: Call) -> None:
    """Refuse to leave the organisation, or the installation, without an owner; role None: the member goes."""
    if member.role is Role.ROOT:
        raise errors.Forbidden(f"{member.name} owns the installation and stays.", facts={"member_id": member.id})
    owners = call.tx.organizations.owners()
    if role not in OWNER_UP and [owner.id for owner in owners] == [member.id]:
        raise errors.Forbidden(
            f"{member.name} is the last owner of the organization and stays: make another owner first.",
            facts={"member_id": member.id},
            next=[NextStep("add_member", {"name": "New owner", "role": "owner"}, "then change this one")],
        )
