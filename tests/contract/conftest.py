"""What the contract ring shares: a furnished organisation over each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.furnished import Furnished, furnish
from tests.support.world import World


@pytest.fixture
def anyio_backend() -> str:
    """Coroutines run on asyncio, as in the daemon."""
    return "asyncio"


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Furnished]:
    """An organisation with one of everything."""
    world = World(database_url)
    yield await furnish(world)
    await world.close()
