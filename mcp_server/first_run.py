"""What a start prepares: that the packages are our own, that the store is there, that somebody can log in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from conductor import secrets_hash
from conductor.domain import access, errors, ids
from conductor.domain.access import Role, TokenKind
from conductor.domain.events import EventKind
from conductor.domain.organizations import Organization, Token
from conductor.home import Home
from storage.store import Store
from storage.unit_of_work import UnitOfWork

PACKAGES = ("conductor", "storage", "actors", "mcp_server")

Progress = Callable[[str], None]


def require_own_packages() -> None:
    """Refuse to run with a `storage` or `actors` that was loaded from somebody else's folder.

    Raises Invalid naming the foreign package and how to install in an environment of its own.
    """
    ours = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found is not None and found.origin else None
        if origin is None or origin.parent.parent != ours:
            raise errors.Invalid(
                f"The package {name} was found at {origin or 'no file'}, not beside Conductor's own at {ours}: another "
                "program's folder is on Python's path. Install Conductor into an environment of its own "
                "(python3 -m venv …) and start it with PYTHONPATH unset.",
                facts={"package": name, "found": str(origin)},
            )


def prepare_store(store: Store, home: Home, *, new_owner_token: bool, progress: Progress) -> None:
    """Make the first organisation, project and owner, or a new token for the owner.

    The owner's token goes to owner.token in the home and nowhere else.
    """
    with store.cross_tenant() as everything:
        is_new = not everything.has_organizations()
    if is_new:
        home.write_owner_token(_found(store, home.pepper()))
        progress(f"Made organization default, project default and the owner's token in {home.owner_token_file}")
    elif new_owner_token:
        home.write_owner_token(_renew_owner(store, home.pepper()))
        progress(f"The owner's former tokens have ended; the new one is in {home.owner_token_file}")
    elif home.owner_token() is None:
        progress(f"There is no {home.owner_token_file}; to make a new one start once with --new-owner-token")


def _found(store: Store, pepper: bytes) -> str:
    organization_id = ids.make(ids.Kind.ORGANIZATION, store.entropy)
    with store.transaction(organization_id) as transaction:
        tx = transaction.unit(organization_id)
        tx.organizations.create("Default", slug="default")
        owner = tx.organizations.add_member("Owner", role=Role.ROOT)
        tx.projects.create("Default", slug="default")
        return _token(tx, owner.id, pepper)


def _renew_owner(store: Store, pepper: bytes) -> str:
    """End all tokens of the owners of the installation and make one for the first of them."""
    for organization in _organizations(store):
        with store.transaction(organization.id) as transaction:
            tx = transaction.unit(organization.id)
            roots = [member for member in tx.organizations.owners() if member.role is Role.ROOT]
            if not roots:
                continue
            for member in roots:
                for token in tx.tokens.live_of_member(member.id, tx.now):
                    tx.tokens.save(replace(token, revoked_at=tx.now))
                    tx.record(EventKind.TOKEN_REVOKED, token.id, member_id=member.id)
            return _token(tx, roots[0].id, pepper)
    raise errors.NotFound("No organization has an owner of the installation: this is not a store of ours.")


def _organizations(store: Store) -> Iterator[Organization]:
    cursor = None
    while True:
        with store.cross_tenant() as everything:
            page = everything.organizations(limit=200, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _token(tx: UnitOfWork, member_id: str, pepper: bytes) -> str:
    plain = access.make_token(TokenKind.USER, tx.entropy)
    text = str(plain)
    tx.tokens.add(
        Token(
            plain.token_id,
            TokenKind.USER,
            Role.ROOT,
            secrets_hash.token_hash(pepper, text),
            "owner of the installation",
            None,
            None,
            member_id,
            tx.now,
        )
    )
    tx.record(EventKind.TOKEN_CREATED, plain.token_id, member_id=member_id, role=Role.ROOT.value)
    return text
