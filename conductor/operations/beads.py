"""Operations that bring the issues of the Beads tracker in, and give them back."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from conductor.domain import errors
from conductor.domain.access import ALL, LONG_LISTS
from conductor.operations.row import Keeper, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.tasks import LEADS
from conductor.operations.words import Cursor, Id, Label, Line, Note, Text

MOST_BEADS = 500
MOST_CONVOYS = 200
MOST_FIELDS = 100
MOST_LINKS = 500
MOST_LABELS = 200
MOST_IN_CONVOY = 10_000


class Foreign(Wire):
    """Something that another program made: it may have fields that are not known here."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra={"maxProperties": MOST_FIELDS})

    @model_validator(mode="after")
    def _require_few_fields(self) -> Self:
        if len(self.model_extra or ()) + len(type(self).model_fields) > MOST_FIELDS:
            raise ValueError(f"it has more than {MOST_FIELDS} fields")
        return self


class BeadLink(Foreign):
    """What a bead depends on. type: blocks and the like order the work, parent-child names the parent."""

    issue_id: Id | None = None
    depends_on_id: Id
    type: Label = "blocks"


class Bead(Foreign):
    """An issue as Beads exports it; fields that are not here are left out and named in the reply."""

    id: Id
    title: Note
    description: Text | None = None
    design: Text | None = None
    acceptance_criteria: Text | None = None
    notes: Text | None = None
    status: Label = "open"
    priority: int = Field(default=2, ge=0, le=4)
    issue_type: Label = "task"
    assignee: Line | None = None
    labels: list[Line] | None = Field(default=None, max_length=MOST_LABELS)
    dependencies: list[BeadLink] | None = Field(default=None, max_length=MOST_LINKS)
    deps: list[Id] | None = Field(default=None, max_length=MOST_LINKS)
    close_reason: Text | None = None
    due_at: Label | None = None
    defer_until: Label | None = None
    created_at: Label | None = None
    updated_at: Label | None = None
    closed_at: Label | None = None


class Convoy(Foreign):
    """A named list of beads, by their ids."""

    name: Line
    beads: list[Id] = Field(max_length=MOST_IN_CONVOY)


class ImportBeads(ProjectWrite):
    """Bring beads and convoys in as tasks, in any order and as often as you like; a closed bead is a completed task."""

    beads: list[Bead] = Field(default=[], max_length=MOST_BEADS)
    convoys: list[Convoy] = Field(default=[], max_length=MOST_CONVOYS)


class ImportedBead(Wire):
    """A bead and its task."""

    bead_id: str
    task_id: str


class ImportedBeads(Reply):
    """What came of it. problems: what could not be taken as it was, a sentence each."""

    created: list[ImportedBead]
    updated: list[ImportedBead]
    unchanged: int
    problems: list[str]

    def line(self) -> str:
        remarks = f"; {len(self.problems)} remark(s), see problems" if self.problems else ""
        return f"{len(self.created)} created, {len(self.updated)} updated, {self.unchanged} unchanged{remarks}"


class ExportBeads(ProjectRequest):
    """Read the project's tasks as beads and convoys, the oldest first."""

    limit: int = Field(default=100, ge=1, le=500)
    cursor: Cursor | None = Field(default=None, description="next_cursor of the page before")


class ExportedBeads(Reply):
    """A page of beads, and the convoys that were met on it."""

    beads: list[Bead]
    convoys: list[Convoy]
    next_cursor: str | None = None

    def line(self) -> str:
        more = ", more with next_cursor" if self.next_cursor else ""
        return f"{len(self.beads)} bead(s), {len(self.convoys)} convoy(s){more}"


IMPORT_BEADS = Operation(
    "import_beads",
    ImportBeads,
    ImportedBeads,
    Keeper.TASKS,
    LEADS,
    ("bead", "push"),
    writes=True,
    raises=(errors.DependencyCycle,),
)
EXPORT_BEADS = Operation(
    "export_beads", ExportBeads, ExportedBeads, Keeper.STORE, ALL, ("bead", "pull"), listed_for=LONG_LISTS
)

ROWS = (IMPORT_BEADS, EXPORT_BEADS)
