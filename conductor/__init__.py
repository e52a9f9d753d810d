"""Conductor: a team server for coding agents.

What other people's code imports: `conductor.client` (a daemon over HTTP), `conductor.domain` (the rules, pure),
`conductor.operations` (the catalogue), and the two functions named here. They are loaded when first named, so that
`import conductor` costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conductor.domain.conflicts import detect_conflicts, handle_conflicts

__all__ = ["detect_conflicts", "handle_conflicts"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from conductor.domain import conflicts  # noqa: PLC0415

    return getattr(conflicts, name)
