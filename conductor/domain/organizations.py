"""Tenants: organisations, their members, projects and tokens as they are kept.

Everything else belongs to exactly one organisation, most of it to one project.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from conductor.domain import errors
from conductor.domain.access import Role, TokenKind

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


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project's people may choose.

    fold_case: paths that differ only in case are one (for repositories worked on under Windows or macOS).
    require_evidence: a completion must carry the evidence that the task names, or at least a commit.
    leads_approve: a lead may let agents in, not only people from admin up.
    lost_after_s: seconds of silence after which an agent is lost; None: the installation's setting.
    """

    fold_case: bool = False
    require_evidence: bool = False
    leads_approve: bool = False
    lost_after_s: int | None = None


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


def slug_of(name: str) -> str:
    """Make a slug from a name: `Acme & Söhne` becomes `acme-sohne`.

    Raises Invalid when nothing is left of the name.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = _NOT_SLUG.sub("-", plain).strip("-")[:SLUG_LENGTH].rstrip("-")
    if not slug:
        raise errors.Invalid(f"No slug can be made from the name {name!r}: give one with slug.", facts={"name": name})
    return slug
