"""The catalogue: every operation, once. Faces, permissions and reference pages are derived from here."""

from collections.abc import Mapping
from typing import Any

from conductor.domain.access import Role
from conductor.operations import (
    access,
    admin,
    agents,
    audit,
    beads,
    checkpoints,
    checks,
    costs,
    explaining,
    gates,
    locks,
    messages,
    onboarding,
    pausing,
    projects,
    tasks,
    teams,
    tenancy,
    work,
    zones,
)
from conductor.operations.row import Face, Operation

SEED = (
    "create_task",
    "claim_task",
    "update_task",
    "complete_task",
    "list_tasks",
    "acquire_lock",
    "release_lock",
    "list_locks",
    "register_agent",
    "request_access",
    "heartbeat",
    "list_agents",
    "get_project",
    "list_projects",
    "record_cost",
    "get_costs",
    "approve_access",
    "reject_access",
    "list_access_requests",
    "get_onboarding_config",
    "update_onboarding_config",
)
"""The 21 operations that agents and scripts know by name since the first Conductor; their order in lists."""

_ROWS: Mapping[str, Operation[Any, Any]] = {
    row.name: row
    for subject in (
        tasks,
        work,
        beads,
        explaining,
        locks,
        gates,
        zones,
        agents,
        pausing,
        messages,
        checkpoints,
        checks,
        projects,
        costs,
        access,
        onboarding,
        audit,
        admin,
        teams,
        tenancy,
    )
    for row in subject.ROWS
}

CATALOGUE: Mapping[str, Operation[Any, Any]] = {
    name: _ROWS[name] for name in (*SEED, *(name for name in _ROWS if name not in SEED))
}
"""Every operation by its name, the seed names first."""

PERMISSIONS: Mapping[str, frozenset[Role]] = {name: row.allowed for name, row in CATALOGUE.items()}
"""Who may call what, before the keeper looks at the object."""


def allowed(role: Role, face: Face = Face.ALL) -> list[Operation[Any, Any]]:
    """List the operations that a role may call on any of the given faces."""
    return [row for row in CATALOGUE.values() if role in row.allowed and row.faces & face]


def listed(role: Role) -> list[Operation[Any, Any]]:
    """List the operations whose tools a role is shown; it may call others of `allowed` that it knows by name."""
    return [row for row in allowed(role, Face.MCP) if row.is_listed_for(role)]


def require_complete() -> None:
    """Stop a start with a broken catalogue: an operation that nobody may call, or a subject's row that is missing.

    Raises ValueError.
    """
    nobody = [name for name, row in CATALOGUE.items() if not row.allowed]
    if nobody:
        raise ValueError(f"operations without an entry in the permission table: {', '.join(nobody)}")
    hidden = [name for name in SEED if CATALOGUE[name].listed_for is not None]
    if hidden:
        raise ValueError(f"the first 21 are in the list of everybody who may call them: {', '.join(hidden)}")
