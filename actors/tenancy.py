"""Organisations as a whole: how one begins, what it may take along, and how it ends. Part of the directory."""

from __future__ import annotations

from datetime import timedelta

from actors import views
from actors.call import Call
from conductor.domain import errors, plans
from conductor.domain.access import Role
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.operations import admin as ops
from conductor.operations import tenancy as tenancy_ops

BELIEVED = timedelta(days=1)
"""So long an export goes on by the entry in the log with which it began."""

LOOKED_BACK = 20
"""Exports among which that of the caller is looked for; more at once are written down once more."""


def create(request: ops.CreateOrganization, call: Call) -> ops.Organization:
    """Make an organisation with nobody in it and its plan's quotas; the unit is already that of the new one."""
    if call.tx.organizations.get() is not None or call.tx.tenancy.tombstone() is not None:
        raise errors.IdempotencyMismatch(
            "This idempotency key made an organization long ago. Nothing was changed: take a new key for another.",
            facts={"idempotency_key": request.idempotency_key},
        )
    plan = plans.named(request.plan)
    organization = call.tx.organizations.create(request.name, slug=request.slug, plan=plan.name)
    for quota in plan.quotas:
        call.tx.quotas.set(quota)
    return views.organization(organization)


def export(request: tenancy_ops.ExportOrganization, call: Call) -> tenancy_ops.ExportedRows:
    """Read a page of all that the organisation has; where an export begins is written into the log."""
    page = call.tx.tenancy.page(request.cursor)
    if request.cursor is None or not _is_under_way(call):
        call.tx.record(EventKind.ORGANIZATION_EXPORTED, call.tx.organization_id)
    if request.cursor is not None:
        # What only reads is read again by who asks again: to keep every page would double the organisation.
        call.is_kept = False
    return tenancy_ops.ExportedRows(table=page.table, rows=page.rows, next_cursor=page.next_cursor)


def _is_under_way(call: Call) -> bool:
    """Tell whether the caller's export is in the log: anybody can make up a cursor and begin in the midst."""
    since = call.now - BELIEVED
    logged = call.tx.events.page(
        kinds=[EventKind.ORGANIZATION_EXPORTED], subject_id=call.tx.organization_id, limit=LOOKED_BACK
    )
    return any(each.event.actor == call.caller.actor and each.event.at > since for each in logged.items)


def delete(request: tenancy_ops.DeleteOrganization, call: Call) -> tenancy_ops.DeletedOrganization:
    """Delete the organisation with all it has; what is left is a tombstone that says who did it, and when."""
    # Nothing can be kept for who asks again: it would be the organisation's, which is gone. The tombstone answers.
    call.is_kept = False
    organization = call.tx.organizations.get()
    if organization is None:
        return _already(request, call)
    if request.confirm != organization.slug:
        raise errors.Invalid(
            f"confirm must be the slug of the organization that is to be deleted with all it has: {organization.slug}. "
            "Nothing was deleted; take its data along first with export_organization.",
            facts={"argument": "confirm", "slug": organization.slug},
            next=[NextStep("export_organization", {}, "take the data along")],
        )
    if any(owner.role is Role.ROOT for owner in call.tx.organizations.owners()):
        raise errors.Forbidden(
            f"{organization.slug} is the installation's own organization: its owner is in it, so it stays.",
            facts={"organization_id": organization.id},
        )
    call.tx.tenancy.dissolve(organization)
    return tenancy_ops.DeletedOrganization(id=organization.id, slug=organization.slug)


def _already(request: tenancy_ops.DeleteOrganization, call: Call) -> tenancy_ops.DeletedOrganization:
    """Answer who asks again after the organisation has gone: a lost answer is found in the tombstone."""
    tombstone = call.tx.tenancy.tombstone()
    if tombstone is None:
        raise errors.NotFound("This organization is not here.", facts={"organization_id": call.tx.organization_id})
    if request.confirm != tombstone.slug:
        raise errors.IdempotencyMismatch(
            f"{tombstone.slug} was deleted at {tombstone.deleted_at:%Y-%m-%d %H:%MZ}; this names another one.",
            facts={"slug": tombstone.slug},
        )
    return tenancy_ops.DeletedOrganization(id=tombstone.id, slug=tombstone.slug)
