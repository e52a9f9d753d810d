"""Which function answers which read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.reading import beads, explain, gates, mail, money, people, places, work

READERS: Mapping[str, Callable[..., Any]] = {
    reader.__name__: reader
    for reader in (
        work.list_tasks,
        work.get_task,
        work.list_locks,
        explain.explain_task,
        gates.check_paths,
        gates.get_zones,
        gates.detect_conflicts,
        beads.export_beads,
        people.list_agents,
        people.list_sessions,
        people.list_access_requests,
        people.list_members,
        people.list_tokens,
        people.whoami,
        mail.list_messages,
        mail.list_checkpoints,
        places.list_organizations,
        places.get_project,
        places.list_projects,
        places.list_teams,
        places.get_onboarding_config,
        places.list_events,
        money.get_costs,
        money.get_quota,
    )
}
"""Readers by the names of their operations."""
