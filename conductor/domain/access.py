"""Who a caller is and what its role lets it do.

The caller is made from its token and from nothing else. What each role may is written in the catalogue's rows;
here are the roles themselves, the shape of tokens and the rules on who may hand out which role.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from conductor.domain import ids


class TokenKind(StrEnum):
    """What a token stands for."""

    USER = "usr"
    AGENT = "agt"
    ENROLMENT = "enr"
    SERVICE = "svc"


class Role(StrEnum):
    """Every role a caller can have; one caller has exactly one.

    The first is the owner of the installation (the first token made); then the roles of people in an organisation,
    of agents in a project, of a service and of an enrolment token.
    """

    ROOT = "root"
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
    LEAD = "lead"
    CONTRIBUTOR = "contributor"
    REVIEWER = "reviewer"
    OBSERVER = "observer"
    SERVICE = "service"
    ENROLMENT = "enrolment"


OWNER_UP = frozenset({Role.ROOT, Role.OWNER})
ADMIN_UP = OWNER_UP | {Role.ADMIN}
MEMBER_UP = ADMIN_UP | {Role.MEMBER}
PEOPLE = MEMBER_UP | {Role.VIEWER}
AGENTS = frozenset({Role.LEAD, Role.CONTRIBUTOR, Role.REVIEWER, Role.OBSERVER})
WORKERS = frozenset({Role.LEAD, Role.CONTRIBUTOR})
ALL = PEOPLE | AGENTS
EVERY = frozenset(Role)
LONG_LISTS = EVERY - {Role.CONTRIBUTOR, Role.REVIEWER}
"""Roles whose list of tools may be long: they plan and look around; who works needs the room for the work."""

MEMBER_ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER)
"""Roles of people, the mightiest first."""

AGENT_ROLES = (Role.LEAD, Role.CONTRIBUTOR, Role.REVIEWER, Role.OBSERVER)


class Caller(NamedTuple):
    """Who calls, as its token says. A tuple, because it travels with every command.

    project_id: the project the token is bound to, if any. agent_name: for agents. member_id: for people.
    is_local: this request came from the daemon's own machine, by no proxy; the door says so, nothing else may.
    """

    kind: TokenKind
    role: Role
    organization_id: str
    token_id: str
    project_id: str | None = None
    agent_name: str | None = None
    member_id: str | None = None
    expires_at: datetime | None = None
    is_local: bool = False

    @property
    def actor(self) -> str:
        """The caller as the audit log names it."""
        match self.kind:
            case TokenKind.USER:
                return f"member:{self.member_id}"
            case TokenKind.AGENT:
                return f"agent:{self.agent_name}"
            case TokenKind.SERVICE | TokenKind.ENROLMENT:
                return f"{self.role.value}:{self.token_id}"

    @property
    def scope_key(self) -> str:
        """What idempotency keys and rates are counted under: an agent's new token is the same caller."""
        if self.kind is TokenKind.AGENT:
            return f"agent:{self.project_id}:{self.agent_name}"
        return self.actor


def may_grant(giver: Role, given: Role) -> bool:
    """Tell whether a caller of one role may give another to somebody: nobody hands out more than they have.

    People from member up give agents any project role; a lead gives any but lead; the rest is for admins.
    """
    if given in AGENT_ROLES:
        return giver in MEMBER_UP or (giver is Role.LEAD and given is not Role.LEAD)
    if giver not in ADMIN_UP or given is Role.ROOT:
        return False
    return given is not Role.OWNER or giver in OWNER_UP


SECRET_LENGTH = 52
"""52 letters of base 32: 260 bits."""

_TOKEN = re.compile(rf"cdr_(usr|agt|enr|svc)_([{ids.ALPHABET}]{{{ids.LENGTH}}})_([{ids.ALPHABET}]{{{SECRET_LENGTH}}})")


@dataclass(frozen=True, slots=True)
class PlainToken:
    """A token as it is handed over, once: `cdr_<kind>_<key id>_<secret>`."""

    kind: TokenKind
    key_id: str
    secret: str

    def __str__(self) -> str:
        return f"cdr_{self.kind.value}_{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        return f"PlainToken({self.kind.value}, {self.key_id})"

    @property
    def token_id(self) -> str:
        """The id of the token's row."""
        return f"{ids.Kind.TOKEN}_{self.key_id}"


def make_token(kind: TokenKind, entropy: ids.Entropy) -> PlainToken:
    """Make a new token from entropy."""
    return PlainToken(kind, ids.letters(ids.LENGTH, entropy), ids.letters(SECRET_LENGTH, entropy))


def parse_token(text: str) -> PlainToken | None:
    """Read a token; None when the text is none."""
    shape = _TOKEN.fullmatch(text)
    return PlainToken(TokenKind(shape[1]), shape[2], shape[3]) if shape else None
