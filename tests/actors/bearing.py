"""Coming in with a token, through the real door: what a test's bearer may is what the daemon would let it."""

from __future__ import annotations

import pytest

from conductor.domain import errors
from mcp_server.auth import Authenticator
from mcp_server.tokens import TokenDesk
from tests.support.world import PEPPER, Who, World


async def enter(world: World, token: str) -> Who:
    """Show a token and give its bearer; the first use is noted, as the daemon does it. Raises Unauthenticated."""
    desk = TokenDesk(world.dispatcher)
    door = Authenticator(desk.find, PEPPER, world.clock, desk.mark_used)
    caller = await door.authenticate(b"Bearer " + token.encode())
    await desk.close()
    return Who(world, caller, token)


async def require_shut_out(world: World, token: str) -> None:
    """See that a token lets nobody in any more."""
    with pytest.raises(errors.Unauthenticated):
        await enter(world, token)
