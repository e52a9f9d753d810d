"""The schema: what is kept, with the tenant in every key.

Primary keys and foreign keys begin with organization_id, so that a link across tenants cannot exist. Rows that say
what is live now (locks, open tasks) are kept apart by index from what is history; nothing on a hot path scans history.
Private to storage. A change here needs a migration; a test compares both.
"""

from __future__ import annotations

from storage.tables.agents import access_requests, agents, notices, onboarding, onboarding_versions
from storage.tables.costs import costs, quotas, spend
from storage.tables.locks import fences, lock_paths, lock_waits, locks
from storage.tables.memory import batches, counters, events, idempotency
from storage.tables.schema import metadata
from storage.tables.tasks import attempts, task_dependencies, tasks
from storage.tables.tenants import (
    epochs,
    installation,
    members,
    organizations,
    projects,
    team_members,
    team_projects,
    teams,
    tokens,
    tombstones,
)
from storage.tables.work import bead_links, checkpoints, checks, deliveries, messages, pauses, sessions
from storage.tables.zones import zones

__all__ = [
    "TENANT_TABLES",
    "access_requests",
    "agents",
    "attempts",
    "batches",
    "bead_links",
    "checkpoints",
    "checks",
    "costs",
    "counters",
    "deliveries",
    "epochs",
    "events",
    "fences",
    "idempotency",
    "installation",
    "lock_paths",
    "lock_waits",
    "locks",
    "members",
    "messages",
    "metadata",
    "notices",
    "onboarding",
    "onboarding_versions",
    "organizations",
    "pauses",
    "projects",
    "quotas",
    "sessions",
    "spend",
    "task_dependencies",
    "tasks",
    "team_members",
    "team_projects",
    "teams",
    "tokens",
    "tombstones",
    "zones",
]

TENANT_TABLES = tuple(table for table in metadata.sorted_tables if "organization_id" in table.c)
"""Every table that row-level security guards."""
