"""Operations on organisations, members and tokens."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from conductor.domain.access import ADMIN_UP, ALL, EVERY, LONG_LISTS, PEOPLE, Role, TokenKind
from conductor.operations.row import Keeper, Listing, Operation, Reply, Request, Wire, Write
from conductor.operations.words import Id, Label, Line, Name, Slug


class Organization(Reply):
    """A tenant."""

    id: str
    name: str
    slug: str
    plan: str

    def line(self) -> str:
        return f"{self.slug} ({self.id}), plan {self.plan}"


class CreateOrganization(Write):
    """Make an organisation: a tenant that sees nothing of the others."""

    name: Line
    slug: Slug | None = None
    plan: Label = Field(default="free", description="free, pro, enterprise: its first quota")


class ListOrganizations(Request, Listing):
    """List the organisations you can see."""


class OrganizationPage(Reply):
    """A page of organisations."""

    items: list[Organization]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} organisation(s): " + "; ".join(item.line() for item in self.items[:8])


class MemberRole(StrEnum):
    """Roles of people in an organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"

    @property
    def role(self) -> Role:
        """The role among all roles."""
        return Role(self.value)


class Member(Reply):
    """A person of an organisation."""

    id: str
    name: str
    email: str | None = None
    role: Role

    def line(self) -> str:
        return f"{self.name} ({self.id}), {self.role}"


class AddMember(Write):
    """Add a person; create_token with member_id then makes a token for them."""

    name: Line
    email: Line | None = None
    role: MemberRole = MemberRole.MEMBER


class ListMembers(Request, Listing):
    """List the people of the organisation."""


class MemberPage(Reply):
    """A page of members."""

    items: list[Member]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} member(s): " + "; ".join(item.line() for item in self.items[:8])


class InviteMember(Write):
    """Add a person and make their first token; it is shown once."""

    name: Line
    email: Line | None = None
    role: MemberRole = MemberRole.MEMBER
    expires_in_days: int = Field(default=7, ge=1, le=3650, description="of the token")


class InvitedMember(Reply):
    """The person and their token; absent in a replay: create_token with member_id makes another."""

    member: Member
    token: str | None = None

    def line(self) -> str:
        where = "the token is in `token`, shown once" if self.token else "the token was shown once"
        return f"invited {self.member.line()}; {where}"


class UpdateMember(Write):
    """Change a person; a new role holds for their tokens at once. The last owner stays one."""

    member_id: Id
    role: MemberRole | None = None
    name: Line | None = None
    email: Line | None = None


class RemoveMember(Write):
    """Remove a person and end their tokens; the last owner stays."""

    member_id: Id


class CreateToken(Write):
    """Make a token; it is shown once."""

    kind: TokenKind
    project_id: Id | None = Field(default=None, description="binds the token to it; with agt the agent's")
    role: Role | None = Field(default=None, description="with usr: of the new member; else it goes without saying")
    agent_id: Name | None = Field(default=None, description="with agt: whose")
    member_id: Id | None = Field(
        default=None, description="with usr: whose; without: a new member of that name and role"
    )
    name: Line | None = None
    expires_in_days: int | None = Field(default=None, ge=1, le=3650)


class NewToken(Reply):
    """A token, shown once; absent in a replay: rotate_token gives a new one."""

    id: str
    token: str | None = None
    kind: TokenKind
    expires_at: datetime | None = None

    def line(self) -> str:
        where = "it is in `token`, shown once" if self.token else "it was shown once: rotate_token gives a new one"
        return f"{self.kind} token {self.id}; {where}"


class TokenSeen(Wire):
    """A token without its secret."""

    id: str
    kind: TokenKind
    role: Role
    name: str | None = None
    project_id: str | None = None
    agent_id: str | None = None
    member_id: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class ListTokens(Request, Listing):
    """List tokens, never their secrets."""


class TokenPage(Reply):
    """A page of tokens."""

    items: list[TokenSeen]
    next_cursor: str | None = None

    def line(self) -> str:
        return f"{len(self.items)} token(s): " + "; ".join(f"{token.id} {token.kind}" for token in self.items[:8])


class RotateToken(Write):
    """Replace a token; the former works on for the overlap. Repeated, it replaces a new one that was never used."""

    token_id: Id | None = Field(default=None, description="without it: your own")
    overlap_s: int = Field(default=86_400, ge=0, le=30 * 86_400)


class RevokeToken(Write):
    """End a token at once."""

    token_id: Id


class RevokedToken(Reply):
    """It is over."""

    revoked: bool = True

    def line(self) -> str:
        return "revoked"


class WhoAmI(Request):
    """Learn who the server takes you for."""


class Identity(Reply):
    """What the token says."""

    kind: TokenKind
    organization_id: str
    project_id: str | None = None
    role: Role
    agent_id: str | None = None
    member_id: str | None = None
    expires_at: datetime | None = None

    def line(self) -> str:
        return (
            f"{self.agent_id or self.member_id or self.kind} ({self.role}) in {self.project_id or self.organization_id}"
        )


CREATE_ORGANIZATION = Operation(
    "create_organization",
    CreateOrganization,
    Organization,
    Keeper.DIRECTORY,
    frozenset({Role.ROOT}),
    ("org", "create"),
    ("name",),
    writes=True,
    founds=True,
)
LIST_ORGANIZATIONS = Operation(
    "list_organizations", ListOrganizations, OrganizationPage, Keeper.STORE, PEOPLE, ("org", "list")
)
ADD_MEMBER = Operation(
    "add_member",
    AddMember,
    Member,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("member", "add"),
    ("name",),
    writes=True,
    of_organization=True,
)
LIST_MEMBERS = Operation(
    "list_members", ListMembers, MemberPage, Keeper.STORE, PEOPLE, ("member", "list"), of_organization=True
)
INVITE_MEMBER = Operation(
    "invite_member",
    InviteMember,
    InvitedMember,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("member", "invite"),
    ("name",),
    writes=True,
    carries_token=True,
    of_organization=True,
)
UPDATE_MEMBER = Operation(
    "update_member",
    UpdateMember,
    Member,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("member", "update"),
    ("member_id",),
    writes=True,
    of_organization=True,
)
REMOVE_MEMBER = Operation(
    "remove_member",
    RemoveMember,
    Member,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("member", "remove"),
    ("member_id",),
    writes=True,
    of_organization=True,
)
CREATE_TOKEN = Operation(
    "create_token",
    CreateToken,
    NewToken,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("token", "create"),
    ("kind",),
    writes=True,
    carries_token=True,
    of_organization=True,
)
LIST_TOKENS = Operation(
    "list_tokens", ListTokens, TokenPage, Keeper.STORE, ADMIN_UP, ("token", "list"), of_organization=True
)
ROTATE_TOKEN = Operation(
    "rotate_token",
    RotateToken,
    NewToken,
    Keeper.DIRECTORY,
    ALL,
    ("token", "rotate"),
    ("token_id",),
    writes=True,
    while_paused=True,
    carries_token=True,
    listed_for=LONG_LISTS,
)
REVOKE_TOKEN = Operation(
    "revoke_token",
    RevokeToken,
    RevokedToken,
    Keeper.DIRECTORY,
    ADMIN_UP,
    ("token", "revoke"),
    ("token_id",),
    writes=True,
    of_organization=True,
)
WHOAMI = Operation("whoami", WhoAmI, Identity, Keeper.STORE, EVERY, ("token", "whoami"), listed_for=LONG_LISTS)

ROWS = (
    CREATE_ORGANIZATION,
    LIST_ORGANIZATIONS,
    ADD_MEMBER,
    LIST_MEMBERS,
    INVITE_MEMBER,
    UPDATE_MEMBER,
    REMOVE_MEMBER,
    CREATE_TOKEN,
    LIST_TOKENS,
    ROTATE_TOKEN,
    REVOKE_TOKEN,
    WHOAMI,
)
