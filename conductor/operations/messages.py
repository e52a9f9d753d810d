"""Operations on messages between the agents and people of a project."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from conductor.domain import errors
from conductor.domain.access import AGENTS, ALL, LONG_LISTS, MEMBER_UP
from conductor.operations.row import Keeper, Listing, Operation, ProjectRequest, ProjectWrite, Reply, Wire
from conductor.operations.words import Detail, Id, Line, Moment, Name, Reference, Text

Address = Annotated[
    str,
    Field(pattern=r"^(all|people|role:(lead|contributor|reviewer|observer)|(agent:)?[A-Za-z0-9][A-Za-z0-9._-]{0,62})$"),
]
"""Whom a message is for: an agent by name, `role:reviewer`, `all` agents, `people`, who read by list_messages."""

WAIT_MOST_S = 50
"""Clients and proxies cut a connection after a minute without a byte."""


class Message(Wire):
    """A message as its readers see it. to: `agent:ada`, `role:reviewer` or `all`."""

    id: str
    thread_id: str
    sender: str
    to: str
    subject: str | None = None
    text: str
    attachments: list[str]
    urgent: bool
    sent_at: datetime
    reply_to: str | None = None


class SendMessage(ProjectWrite):
    """Send a message to an agent, a role or all agents of the project."""

    to: Address = Field(description="agent name, role:reviewer, all, people")
    text: Text = Field(min_length=1, max_length=4_000)
    subject: Line | None = None
    reply_to: Id | None = Field(default=None, description="message id; same thread")
    urgent: bool = Field(default=False, description="shown with their next result")
    attachments: list[Reference] = Field(default=[], max_length=16, description="paths, URLs or ids")


class SentMessage(Reply):
    """A message on its way, its text cut. skipped: those it was also for, but too much waits for them already."""

    message: Message
    recipients: list[str]
    skipped: list[str]

    def line(self) -> str:
        names = ", ".join(self.recipients[:8]) + (" and others" if len(self.recipients) > 8 else "")
        return f"sent {self.message.id} to {len(self.recipients)} agent(s): {names}"


class ReadMessages(ProjectWrite):
    """Read your new messages, each once and in order; wait_s waits for one."""

    wait_s: int = Field(default=0, ge=0, le=WAIT_MOST_S)
    acknowledge: list[Id] = Field(default=[], max_length=200, description="ids you have dealt with")
    unacknowledged: bool = Field(default=False, description="instead those read and not acknowledged")
    limit: int = Field(default=20, ge=1, le=200)


class Mail(Reply):
    """What was waiting, the oldest first. more: there is more of it."""

    items: list[Message]
    more: bool

    def line(self) -> str:
        shown = "; ".join(
            " ".join(f"{each.sender}: {each.subject or each.text[:80]}".split()) for each in self.items[:5]
        )
        return f"{len(self.items)} message(s){': ' if shown else ''}{_printable(shown)}"


class MessageSeen(Message):
    """A message, and how many were sent it, were given it, have acknowledged it."""

    recipients: int
    delivered: int
    acknowledged: int


class ListMessages(ProjectRequest, Listing):
    """Find messages, the newest first; an agent finds what it sent or got."""

    thread_id: Id | None = None
    agent_id: Name | None = Field(default=None, description="sent or got by")
    text: Line | None = None
    unacknowledged: bool = False
    since: Moment | None = None
    detail: Detail = Detail.SHORT


class MessagePage(Reply):
    """A page of messages."""

    items: list[MessageSeen]
    next_cursor: str | None = None

    def line(self) -> str:
        shown = "; ".join(
            " ".join(f"{each.id} {each.sender} to {each.to}: {each.subject or each.text[:60]}".split())
            for each in self.items[:5]
        )
        return f"{len(self.items)} message(s){': ' if shown else ''}{_printable(shown)}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


SEND_MESSAGE = Operation(
    "send_message",
    SendMessage,
    SentMessage,
    Keeper.PROJECT,
    AGENTS | MEMBER_UP,
    ("message", "send"),
    ("to", "text"),
    writes=True,
    raises=(errors.RateLimited,),
    while_paused=True,
)
READ_MESSAGES = Operation(
    "read_messages",
    ReadMessages,
    Mail,
    Keeper.AGENT,
    AGENTS,
    ("message", "read"),
    writes=True,
    while_paused=True,
)
LIST_MESSAGES = Operation(
    "list_messages", ListMessages, MessagePage, Keeper.STORE, ALL, ("message", "list"), listed_for=LONG_LISTS
)

ROWS = (SEND_MESSAGE, READ_MESSAGES, LIST_MESSAGES)
