"""Operations on whose which part of a repository is: zones of a project, path rules of an agent."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from conductor.domain import errors
from conductor.domain.access import ALL, LONG_LISTS, MEMBER_UP, Role
from conductor.domain.zones import MOST_ZONES, ZoneMode
from conductor.operations.row import Keeper, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Line, Name, Number, RepoPath

Owner = Annotated[str, StringConstraints(pattern=r"^((role|team):)?[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""Who owns a zone: an agent's name, `role:lead`, or `team:` and a team's slug."""


class Zone(Wire):
    """A part of the repository. owners: agents' names, role:<role>, team:<slug>; they count in the mode owned."""

    pattern: RepoPath
    owners: list[Owner] = Field(default=[], max_length=32)
    mode: ZoneMode = ZoneMode.OWNED
    note: Line | None = None


class SetZones(ProjectWrite):
    """Say whose which part of the repository is; the first zone of the list that a path lies in decides about it."""

    zones: list[Zone] = Field(max_length=MOST_ZONES, description="all of them, the special before the general")
    version: Number = Field(description="the version you read; another means somebody was faster")


class GetZones(ProjectRequest):
    """Read whose which part of the repository is; outside of all zones everybody may work."""


class Zones(Reply):
    """The zones in their order."""

    zones: list[Zone]
    version: int
    changed_by: str | None = None
    changed_at: datetime | None = None

    def line(self) -> str:
        told = "; ".join(f"{zone.pattern} {zone.mode}" for zone in self.zones[:5])
        return f"zones version {self.version}: {told or 'none'}{' …' if len(self.zones) > 5 else ''}"


class SetPathRules(ProjectWrite):
    """Say which paths an agent may touch and which never; what is left out stays."""

    agent_id: Name
    allowed_paths: list[RepoPath] | None = Field(default=None, max_length=64, description="empty: all")
    denied_paths: list[RepoPath] | None = Field(default=None, max_length=64)


class PathRules(Reply):
    """The rules as they are kept. allowed_paths empty: everything that is not denied."""

    agent_id: str
    allowed_paths: list[str]
    denied_paths: list[str]

    def line(self) -> str:
        allowed = ", ".join(self.allowed_paths[:5]) or "everything"
        denied = ", ".join(self.denied_paths[:5]) or "nothing"
        return f"{self.agent_id} may touch {allowed}; denied: {denied}"


SET_ZONES = Operation(
    "set_zones",
    SetZones,
    Zones,
    Keeper.PROJECT,
    MEMBER_UP | {Role.LEAD},
    ("zone", "set"),
    writes=True,
    raises=(errors.VersionConflict, errors.PathInvalid),
    listed_for=LONG_LISTS,
)
GET_ZONES = Operation("get_zones", GetZones, Zones, Keeper.STORE, ALL, ("zone", "list"), listed_for=LONG_LISTS)
SET_PATH_RULES = Operation(
    "set_path_rules",
    SetPathRules,
    PathRules,
    Keeper.PROJECT,
    MEMBER_UP | {Role.LEAD},
    ("zone", "rules"),
    ("agent_id",),
    writes=True,
    raises=(errors.ZoneDenied, errors.PathInvalid),
    listed_for=LONG_LISTS,
)

ROWS = (SET_ZONES, GET_ZONES, SET_PATH_RULES)
