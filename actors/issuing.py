"""How tokens are made and ended: the secret leaves in the reply, only its hash is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from conductor import secrets_hash
from conductor.domain import access
from conductor.domain.access import Role, TokenKind
from conductor.domain.events import EventKind
from conductor.domain.organizations import Token
from storage.unit_of_work import UnitOfWork


class Issuer:
    """Makes tokens under an installation's pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def issue(
        self,
        tx: UnitOfWork,
        kind: TokenKind,
        role: Role,
        *,
        name: str | None = None,
        project_id: str | None = None,
        agent_name: str | None = None,
        member_id: str | None = None,
        expires_at: datetime | None = None,
        event: EventKind = EventKind.TOKEN_CREATED,
        replaces: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token; returns its row and the text to hand over."""
        plain = access.make_token(kind, tx.entropy)
        text = str(plain)
        token = Token(
            plain.token_id,
            kind,
            role,
            secrets_hash.token_hash(self._pepper, text),
            name,
            project_id,
            agent_name,
            member_id,
            tx.now,
            expires_at,
        )
        tx.tokens.add(token)
        tx.record(
            event,
            token.id,
            project_id=project_id,
            kind_of_token=kind.value,
            role=role.value,
            agent_id=agent_name,
            member_id=member_id,
            replaces=replaces,
            expires_at=expires_at.isoformat() if expires_at else None,
        )
        return token, text

    def hash(self, secret: str) -> str:
        """Hash another secret, such as the claim of a request, as it is kept."""
        return secrets_hash.token_hash(self._pepper, secret)


def revoke(tokens: Sequence[Token], tx: UnitOfWork) -> None:
    """End tokens at once."""
    for token in tokens:
        tx.tokens.save(replace(token, revoked_at=tx.now))
        tx.record(EventKind.TOKEN_REVOKED, token.id, project_id=token.project_id, agent_id=token.agent_name)
