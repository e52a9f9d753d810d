"""Operations on the memory of who did what."""

from datetime import datetime
from typing import Any

from pydantic import Field

from conductor.domain.access import ALL, LONG_LISTS, MEMBER_UP, PEOPLE
from conductor.domain.events import EventKind
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Key, Label, Line, Metadatum, Moment, Number


class EventSeen(Wire):
    """One change: who did what to what, when. Numbers of an organisation grow by one."""

    number: int
    at: datetime
    kind: EventKind
    actor: str
    project_id: str | None = None
    subject_id: str | None = None
    facts: dict[str, Any]


class ListEvents(ProjectRequest, Listing):
    """Read what happened, in order; without since the newest first."""

    since: Number | Moment | None = Field(default=None, description="events after this number, or from this time on")
    kind: list[EventKind] = Field(default=[], max_length=40)
    subject_id: Key | None = None


class EventPage(Reply):
    """A page of events."""

    items: list[EventSeen]
    next_cursor: str | None = None

    def line(self) -> str:
        shown = "; ".join(f"#{event.number} {event.actor} {event.kind}" for event in self.items[:5])
        return f"{len(self.items)} event(s){': ' if shown else ''}{shown}"


class LogAction(ProjectWrite):
    """Write an entry of your own into the audit log."""

    action: Line
    resource_id: Key | None = None
    metadata: dict[Label, Metadatum] = Field(default={}, max_length=32)


class LoggedAction(Reply):
    """The entry's number."""

    number: int

    def line(self) -> str:
        return f"logged as event {self.number}"


LIST_EVENTS = Operation(
    "list_events",
    ListEvents,
    EventPage,
    Keeper.STORE,
    ALL,
    ("event", "list"),
    wide=MEMBER_UP,
    listed_for=LONG_LISTS,
)
LOG_ACTION = Operation(
    "log_action",
    LogAction,
    LoggedAction,
    Keeper.DIRECTORY,
    ALL,
    ("event", "log"),
    ("action",),
    writes=True,
    while_paused=True,
    wide=PEOPLE,
    listed_for=LONG_LISTS,
)

ROWS = (LIST_EVENTS, LOG_ACTION)
