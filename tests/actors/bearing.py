"""Coming in with a token, through the real door: what a test's bearer may is what the daemon would let it.

And looking at what is kept, as one tenant's rows.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from conductor.domain import errors
from conductor.domain.access import Caller, Role, TokenKind
from mcp_server.auth import Authenticator
from mcp_server.tokens import TokenDesk
from tests.support.world import PEPPER, Who, World


async def enter(world: World, token: str) -> Who:
    """Show a token and give its bearer; the first use is noted, as the daemon does it. Raises Unauthenticated."""
    desk = TokenDesk(world.dispatcher, world.store)
    door = Authenticator(desk.find, PEPPER, world.clock, desk.mark_used)
    caller = await door.authenticate(b"Bearer " + token.encode())
    await desk.close()
    return Who(world, caller, token)


async def require_shut_out(world: World, token: str) -> None:
    """See that a token lets nobody in any more."""
    with pytest.raises(errors.Unauthenticated):
        await enter(world, token)


def kept(world: World, table: str, organization_id: str | None = None) -> list[tuple[Any, ...]]:
    """Read all rows of a table that belong to one organisation, else to the world's first."""
    organization_id = organization_id or world.organization.id
    with world.store.reading(organization_id) as tx:
        statement = text(f"SELECT * FROM {table} WHERE organization_id = :organization_id")  # noqa: S608  # from tests
        return [tuple(row) for row in tx.rows(statement.bindparams(organization_id=organization_id))]


def stranger(world: World, number: int = 1) -> Who:
    """Somebody who holds an enrolment token and nothing else."""
    return Who(world, Caller(TokenKind.ENROLMENT, Role.ENROLMENT, world.organization.id, f"tok_enr000000{number}"))


async def ask(who: Who, agent_id: str = "ada", **particulars: Any) -> dict[str, Any]:
    """Ask to be let in."""
    answer: dict[str, Any] = await who.request_access(
        agent_id=agent_id, name=agent_id.title(), agent_type="claude-code", **particulars
    )
    return answer
