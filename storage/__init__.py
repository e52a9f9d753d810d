"""Storage: the only SQL. `open_store` is for programs that run without the daemon."""

from storage.store import open_store

__all__ = ["open_store"]
