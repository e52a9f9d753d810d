"""Messages between agents and people of a project.

A message is kept once, with one delivery for each recipient; a recipient's deliveries are numbered, and that is the
order in which it reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from conductor.domain.access import Role

EVERYBODY = "all"
"""The audience of a message to all agents of the project but its sender."""

PEOPLE = "people"
"""The audience of a message to the people of the project, who have no mailbox: they find it with list_messages."""

URGENT = "urgent"
"""The kind of notice that is shown with the next result of whatever its agent calls."""

MOST_UNREAD = 10_000
"""So many undelivered messages wait for one agent; who reads that many late reads none of them well."""

MOST_IN_NOTICE = 160
"""Characters of a notice: some forty tokens."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is kept.

    sender: as the audit log names it. sender_agent: the sending agent's name, if an agent sent it.
    audience: `agent:ada`, `role:reviewer` or `all`. thread_id: the id of the first message of its thread.
    attachments: references (paths, URLs, ids), never contents. number: its place among the organisation's messages.
    """

    id: str
    project_id: str
    thread_id: str
    sender: str
    sender_agent: str | None
    audience: str
    subject: str | None
    text: str
    attachments: tuple[str, ...]
    is_urgent: bool
    sent_at: datetime
    reply_to: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one agent. number: its place among that agent's messages, growing."""

    project_id: str
    agent_id: str
    number: int
    message_id: str
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None


def audience_of(to: str) -> str:
    """Give the form in which an address is kept: an agent's bare name becomes `agent:ada`."""
    return to if to in {EVERYBODY, PEOPLE} or ":" in to else f"agent:{to}"


def recipients(audience: str, here: Iterable[tuple[str, Role]], sender: str | None) -> list[str]:
    """List the agents that an audience means, by name.

    here: the names and roles of the project's agents. sender: the sending agent, which gets what it sends to
    itself by name, and no copy of what it sends to many.
    """
    kind, _, wanted = audience.partition(":")
    match kind:
        case "agent":
            found = [name for name, _ in here if name == wanted]
        case "role":
            found = [name for name, role in here if role.value == wanted and name != sender]
        case "people":
            found = []
        case _:
            found = [name for name, _ in here if name != sender]
    return sorted(found)


def urgent_notice(sender: str, text: str) -> str:
    """Word the notice of an urgent message: one line that says what it is about and how to read all of it."""
    end = " (read_messages)"
    said = " ".join(f"Urgent from {sender}: {text}".split())
    most = MOST_IN_NOTICE - len(end)
    return (said if len(said) <= most else said[: most - 1].rstrip() + "…") + end
