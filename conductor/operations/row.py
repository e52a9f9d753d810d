"""The row: one definition of an operation, from which every face is derived.

A request's docstring is the MCP description, the CLI help and the REST summary; its fields are the arguments on all
of them. A row adds who may call it, which keeper answers, and how the command line names it.
"""

from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from conductor.domain.access import Role
from conductor.domain.errors import ConductorError
from conductor.operations.words import Cursor, Id, Key


class Wire(BaseModel):
    """Whatever crosses a face. Unknown fields are refused; nothing is coerced when read with strict=True."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(Wire):
    """An operation's arguments. organization_id: only the owner of the installation may name one."""

    organization_id: Id | None = Field(default=None, description="organisation (installation owner only)")


class ProjectRequest(Request):
    """A request in a project; a token bound to one project may leave project_id out."""

    project_id: Id | None = None


class Write(Request):
    """A request that changes something."""

    idempotency_key: Key | None = None


class ProjectWrite(ProjectRequest):
    """A request that changes something in a project."""

    idempotency_key: Key | None = None


class Listing(Wire):
    """What every list takes."""

    limit: int = Field(default=20, ge=1, le=200)
    cursor: Cursor | None = Field(default=None, description="next_cursor of the page before")


class Reply(Wire):
    """An operation's answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def line(self) -> str:
        """Say the answer in one line that a person or a model reads."""
        raise TypeError(f"{type(self).__name__} has no line: it is only a part of replies")


class Keeper(Enum):
    """Who answers: the class of the keeper, and by what it is keyed. STORE: a read straight from the store."""

    LOCKS = "LockManager"
    TASKS = "TaskBoard"
    PROJECT = "ProjectKeeper"
    AGENT = "Agent"
    QUOTA = "QuotaKeeper"
    DIRECTORY = "Directory"
    STORE = "reading"

    @property
    def in_project(self) -> bool:
        """Tell whether the keeper is keyed by a project, else by an organisation."""
        return self in {Keeper.LOCKS, Keeper.TASKS, Keeper.PROJECT, Keeper.AGENT}


class Face(Flag):
    """Where an operation can be called."""

    MCP = auto()
    REST = auto()
    CLI = auto()
    ALL = MCP | REST | CLI


RequestT = TypeVar("RequestT", bound=Request)
ReplyT = TypeVar("ReplyT", bound=Reply)


@dataclass(frozen=True, slots=True)
class Operation(Generic[RequestT, ReplyT]):
    """One row of the catalogue.

    raises: the errors beyond invalid, not_found, forbidden and paused. allowed: the roles that may call it, before
    the keeper looks at the object. command: group and verb on the command line. positional: fields given there
    without an option. locate: the field whose id tells the project when the caller names none.
    carries_token: the reply may hold a token, which is never stored for a replay. founds: makes an organisation, so
    it is carried out in the new one. wide: roles that, without naming a project, act in the whole organisation.
    asks_budget: the budgets that bound the caller are asked first. of_organization: it concerns more than one
    project, so that a token bound to a project may not. looks: the daemon looks into the project's repository first.
    while_paused: a paused agent may still call it. is_slow: a read that goes through all of a project, so that only one
    is answered at a time. listed_for: the roles whose list of tools shows it, among those
    that may call it; None: all of them. Who is not shown it may call it all the same.
    """

    name: str
    request: type[RequestT]
    reply: type[ReplyT]
    keeper: Keeper
    allowed: frozenset[Role]
    command: tuple[str, str]
    positional: tuple[str, ...] = ()
    writes: bool = False
    raises: tuple[type[ConductorError], ...] = ()
    faces: Face = Face.ALL
    locate: str | None = None
    carries_token: bool = False
    founds: bool = False
    wide: frozenset[Role] = frozenset()
    asks_budget: bool = False
    of_organization: bool = False
    looks: bool = False
    while_paused: bool = False
    is_slow: bool = False
    listed_for: frozenset[Role] | None = None
    takes_project: bool = field(init=False)
    in_project: bool = field(init=False)

    def __post_init__(self) -> None:
        # Asked on every call, so reckoned once: carried out in a project; answered by a keeper of a project.
        object.__setattr__(self, "takes_project", issubclass(self.request, ProjectRequest | ProjectWrite))
        object.__setattr__(self, "in_project", self.keeper.in_project)

    @property
    def description(self) -> str:
        """The request's docstring on one line."""
        return " ".join((self.request.__doc__ or "").split())

    def is_listed_for(self, role: Role) -> bool:
        """Tell whether the tool is in a role's list: only then it is also named as a next step."""
        return role in self.allowed and (self.listed_for is None or role in self.listed_for)

    @property
    def tool(self) -> str:
        """The operation's name as an MCP tool."""
        return f"conductor_{self.name}"
