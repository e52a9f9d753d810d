"""Operations by which an organisation takes what is its own with it, and by which it ends."""

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from conductor.domain.access import OWNER_UP
from conductor.operations.row import Keeper, Operation, Reply, Write
from conductor.operations.words import Label

PlaceInTables = Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[A-Za-z0-9_=-]+$")]
"""A cursor over all tables; the keys of some are longer than any list's."""


class ExportOrganization(Write):
    """Read all that the organisation has, table by table and without secrets; repeat it with next_cursor."""

    cursor: PlaceInTables | None = Field(default=None, description="next_cursor of the page before")


class ExportedRows(Reply):
    """Rows of one table; with next_cursor there is more."""

    table: str
    rows: list[dict[str, JsonValue]]
    next_cursor: str | None = None

    def line(self) -> str:
        more = "; more with next_cursor" if self.next_cursor else "; that was all"
        return f"{len(self.rows)} row(s) of {self.table}{more}"


class DeleteOrganization(Write):
    """Delete the organisation with all it has, for good; export it first."""

    confirm: Label = Field(description="the organisation's slug")


class DeletedOrganization(Reply):
    """What is left of an organisation: that it was there."""

    id: str
    slug: str
    deleted: bool = True

    def line(self) -> str:
        return f"{self.slug} ({self.id}) is deleted with all it had"


EXPORT_ORGANIZATION = Operation(
    "export_organization",
    ExportOrganization,
    ExportedRows,
    Keeper.DIRECTORY,
    OWNER_UP,
    ("org", "export-page"),
    writes=True,
    of_organization=True,
)
DELETE_ORGANIZATION = Operation(
    "delete_organization",
    DeleteOrganization,
    DeletedOrganization,
    Keeper.DIRECTORY,
    OWNER_UP,
    ("org", "delete"),
    ("confirm",),
    writes=True,
    of_organization=True,
)

ROWS = (EXPORT_ORGANIZATION, DELETE_ORGANIZATION)
"""Deletion is the last row of the catalogue: tests go through it in this order, and nothing is there after it."""
