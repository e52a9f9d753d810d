"""Commands written by hand that stand in a derived group: one command that is many calls, or files beside them."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

VERBS: Mapping[str, tuple[str, ...]] = {"bead": ("import", "export"), "org": ("export", "plans")}
"""Their verbs by group; help lists them without loading them."""

_FUNCTIONS = {
    ("bead", "import"): "conductor.cli.beads:import_beads",
    ("bead", "export"): "conductor.cli.beads:export_beads",
    ("org", "export"): "conductor.cli.export:export_organization",
    ("org", "plans"): "conductor.cli.plans:list_plans",
}


def function(group: str, verb: str) -> Callable[..., Any]:
    """Load one: it may bring HTTP with it, for which the help of other commands must not wait."""
    module, _, name = _FUNCTIONS[group, verb].partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
