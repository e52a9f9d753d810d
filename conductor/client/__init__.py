"""The Python client: every operation as a typed method, asynchronous and synchronous.

    async with AsyncClient("http://127.0.0.1:8787", token) as client:
        grant = await client.acquire_lock(paths=["src/app.py"], ttl_s=600)

A refusal is raised as the domain's own error, such as `conductor.domain.errors.LockHeld`, with its facts. The classes
are loaded when first named: the command line's help needs this package's descriptions, but no HTTP library.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conductor.client.asynchronous import AsyncClient
    from conductor.client.retries import Patience
    from conductor.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "Patience"]

_HOMES = {"AsyncClient": "asynchronous", "Client": "synchronous", "Patience": "retries"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
