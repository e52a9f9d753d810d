"""Tenants: organisations, their members, projects and tokens as they are kept.

Everything else belongs to exactly one organisation, most of it to one project.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

from conductor.domain import errors
from conductor.domain.access import Caller, Role, TokenKind

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
SLUG_LENGTH = 63
"""As long as a DNS label, so that a slug may become one."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant."""

    id: str
    name: str
    slug: str
    plan: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an organisation. Removed members stay, for the log; their tokens end."""

    id: str
    name: str
    email: str | None
    role: Role
    created_at: datetime
    removed_at: datetime | None = None


class ConflictStrategy(StrEnum):
    """How a project treats agents that would edit the same thing."""

    LOCK = "lock"
    ZONE = "zone"
    MERGE = "merge"
    REVIEW = "review"


class AutoApprove(StrEnum):
    """Whose requests for access are approved without a person: nobody's, those of the same machine, or listed ones."""

    NONE = "none"
    SAME_MACHINE = "same_machine"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class Team:
    """People of an organisation who are given projects together."""

    id: str
    name: str
    slug: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project's people may choose.

    fold_case: paths that differ only in case are one (for repositories worked on under Windows or macOS).
    require_evidence: a completion must carry the evidence that the task names, or at least a commit.
    leads_approve: a lead may let agents in, not only people from admin up.
    late_after_s, critical_after_s, lost_after_s: seconds of silence after which an agent is late, critical, lost;
    None: the installation's setting.
    require_verification: a completion must carry a commit that the server could check.
    require_review: a completion waits for somebody else's review before it frees what depends on it.
    complete_parents: a task with subtasks is not claimed; it completes with the last of them.
    partial_match: an agent may be given a task although it lacks some of the capabilities that it requires.
    max_held_tasks: tasks that one agent may hold at once; None: as many as selection.MOST_HELD.
    auto_approve, auto_approve_listed: whose requests for access need no person; listed: agents' names or ids of
    enrolment tokens.
    team_only: only people of its teams, and people from admin up, see the project.
    """

    fold_case: bool = False
    require_evidence: bool = False
    leads_approve: bool = False
    lost_after_s: int | None = None
    late_after_s: int | None = None
    critical_after_s: int | None = None
    require_verification: bool = False
    require_review: bool = False
    complete_parents: bool = False
    partial_match: bool = False
    max_held_tasks: int | None = None
    auto_approve: AutoApprove = AutoApprove.NONE
    auto_approve_listed: tuple[str, ...] = ()
    team_only: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """A codebase that agents share."""

    id: str
    name: str
    slug: str
    conflict_strategy: ConflictStrategy
    root_path: str | None
    git_remote: str | None
    settings: ProjectSettings
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: its hash, what it stands for, and how long.

    role: of a person in the organisation or of an agent in its project; for the other kinds their own.
    member_id: whose it is (usr). agent_name: whose it is (agt). used_at: when it was first shown to us.
    replaced_by: the token that a rotation made in its stead; it lives on for the overlap.
    """

    id: str
    kind: TokenKind
    role: Role
    secret_hash: str
    name: str | None
    project_id: str | None
    agent_name: str | None
    member_id: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    replaced_by: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Tell whether the token lets its bearer in at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What a project tells its agents. version grows by one with each change."""

    version: int = 0
    welcome: str | None = None
    focus: str | None = None
    goals: tuple[str, ...] = ()
    style_guide: str | None = None
    instruction_files: Mapping[str, str] = field(default_factory=dict)
    checkpoint_rules: tuple[str, ...] = ()
    remind_every_tasks: int = 0


def changed_settings(settings: ProjectSettings, chosen: Mapping[str, Any]) -> ProjectSettings:
    """Give a project's settings with some of them chosen anew; lists become tuples.

    Raises Invalid when the silences do not grow from late over critical to lost.
    """
    given_anew: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()
    }
    changed = replace(settings, **given_anew)
    silences = [changed.late_after_s, changed.critical_after_s, changed.lost_after_s]
    given = [seconds for seconds in silences if seconds is not None]
    if given != sorted(set(given)):
        raise errors.Invalid(
            "settings.late_after_s must be below critical_after_s, and that below lost_after_s. Nothing was changed.",
            facts={"argument": "settings", "late_critical_lost": silences},
        )
    return changed


def approves(settings: ProjectSettings, caller: Caller, agent_id: str, role: Role) -> bool:
    """Tell whether a project's rule lets an agent in that nobody has looked at.

    Only the bearers of enrolment tokens, who were given them for that: an agent could let in another that may more than
    itself. Only as contributor or observer: leads decide, and reviewers judge others' work.
    """
    if caller.kind is not TokenKind.ENROLMENT or role not in {Role.CONTRIBUTOR, Role.OBSERVER}:
        return False
    match settings.auto_approve:
        case AutoApprove.NONE:
            return False
        case AutoApprove.SAME_MACHINE:
            return caller.is_local
        case AutoApprove.LISTED:
            return not {agent_id, caller.token_id}.isdisjoint(settings.auto_approve_listed)
        case _ as never:
            assert_never(never)


def slug_of(name: str) -> str:
    """Make a slug from a name: `Acme & Söhne` becomes `acme-sohne`.

    Raises Invalid when nothing is left of the name.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = _NOT_SLUG.sub("-", plain).strip("-")[:SLUG_LENGTH].rstrip("-")
    if not slug:
        raise errors.Invalid(f"No slug can be made from the name {name!r}: give one with slug.", facts={"name": name})
    return slug
