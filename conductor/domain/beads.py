"""Beads, the issues of the Beads tracker, as tasks and back: what each of their words means here.

A bead `{id, title, status, priority 0-4, issue_type, labels, dependencies…}` becomes a task that remembers the bead's
id; what has no counterpart is left out and named. A convoy, a named list of beads, becomes a task above them that waits
for them. Formats: `.beads/issues.jsonl` of Beads, convoys of Gas Town.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from conductor.domain.tasks import CLOSED, Priority, Task, TaskStatus

MOST_TITLE = 300
MOST_DESCRIPTION = 20_000
MOST_TAG = 64
MOST_TAGS = 32

FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)
"""Until when a bead rests that was put on ice without a date."""

BACKLOG = "backlog"
"""The tag of priority 4, for which there is no word here."""

_TYPE = "type:"
_CONVOY = "convoy:"
_NO_WORK = frozenset({"message", "agent", "role", "event", "gate", "merge-request", "molecule", "slot", "wisp"})
_OPEN = frozenset({"", "open", "in_progress", "blocked", "pinned", "hooked"})
_WAITS = frozenset({"blocks", "conditional-blocks", "waits-for"})
_PARENT = "parent-child"
_TRACKS = "tracks"
_PRIORITIES = (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.LOW)
_SECTIONS = {"design": "Design", "acceptance_criteria": "Acceptance criteria", "notes": "Notes"}
_HEADING = re.compile(r"(?:\A|\n\n)## (Design|Acceptance criteria|Notes)\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Link:
    """A dependency of a bead: its target and its type."""

    target: str
    type: str = "blocks"


@dataclass(frozen=True, slots=True)
class Bead:
    """An issue of the other tracker. Times that only tell its history there are not kept."""

    id: str
    title: str
    description: str = ""
    design: str = ""
    acceptance_criteria: str = ""
    notes: str = ""
    status: str = "open"
    priority: int = 2
    issue_type: str = "task"
    assignee: str | None = None
    labels: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    close_reason: str | None = None
    due_at: str | None = None
    defer_until: str | None = None

    @property
    def is_deleted(self) -> bool:
        """Tell whether the bead was deleted there."""
        return self.status == "tombstone"

    @property
    def is_work(self) -> bool:
        """Tell whether the bead is something to do, and not mail, an identity or a template."""
        return self.issue_type not in _NO_WORK

    @property
    def is_convoy(self) -> bool:
        """Tell whether the bead is a list of others."""
        return self.issue_type == "convoy"


@dataclass(frozen=True, slots=True)
class Convoy:
    """A named list of beads. id: how the task above them is remembered."""

    id: str
    name: str
    beads: tuple[str, ...]

    @property
    def tag(self) -> str:
        """The tag of its beads."""
        return self.id if self.id.startswith(_CONVOY) else f"{_CONVOY}{self.name}"[:MOST_TAG]


@dataclass(frozen=True, slots=True)
class Image:
    """A bead as the task that it is to be here. waits_for, parent: ids of beads."""

    id: str
    title: str
    description: str | None
    priority: Priority
    tags: tuple[str, ...]
    status: TaskStatus
    result: str | None = None
    assignee: str | None = None
    due_at: datetime | None = None
    rests_until: datetime | None = None
    waits_for: tuple[str, ...] = ()
    parent: str | None = None


class LinkKind(StrEnum):
    """How two beads hang together: the source waits for, is a child of, is in the convoy of the target."""

    WAITS = "waits"
    PARENT = "parent"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link one end of which has not been imported yet."""

    project_id: str
    source: str
    kind: LinkKind
    target: str


@dataclass(slots=True)
class Remarks:
    """What an import could not take as it was: a sentence for each reason, with the beads that it is about."""

    _by_reason: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, reason: str, subject: str) -> None:
        """Note something about a bead, or about a field."""
        self._by_reason.setdefault(reason, {})[subject] = None

    def told(self, most: int = 10) -> list[str]:
        """Say it, each reason once."""
        return [_listed(reason, list(subjects), most) for reason, subjects in self._by_reason.items()]


def convoy(name: str, beads: Iterable[str]) -> Convoy:
    """Make the convoy of a name."""
    plain = _line(name)
    convoy_id = f"{_CONVOY}{plain}"
    if len(convoy_id) > MOST_TAG:
        digest = hashlib.sha256(plain.encode()).hexdigest()[:10]
        convoy_id = f"{convoy_id[: MOST_TAG - len(digest) - 1]}-{digest}"
    return Convoy(convoy_id, plain, tuple(dict.fromkeys(beads)))


def convoy_of(bead: Bead) -> Convoy:
    """Read a convoy that is itself a bead: it tracks those that it is about."""
    tracked = (link.target for link in bead.links if link.type == _TRACKS or link.type in _WAITS)
    return Convoy(bead.id, _line(bead.title), tuple(dict.fromkeys(other for other in tracked if other != bead.id)))


def image_of_convoy(wanted: Convoy, bead: Bead | None, remarks: Remarks) -> Image:
    """Give the task above a convoy's beads; bead: the convoy itself, where it is one."""
    if bead is not None:
        own = image(replace(bead, links=()), remarks)
        return replace(own, tags=(*own.tags, wanted.tag), waits_for=wanted.beads)
    return Image(
        id=wanted.id,
        title=wanted.name[:MOST_TITLE],
        description=f"A convoy of {len(wanted.beads)} beads: done when they are, see the tasks below it.",
        priority=Priority.MEDIUM,
        tags=(f"{_TYPE}convoy", wanted.tag),
        status=TaskStatus.PENDING,
        waits_for=wanted.beads,
    )


def is_convoy(tags: Iterable[str]) -> bool:
    """Tell by its tags whether a task is the one above a convoy's beads."""
    return f"{_TYPE}convoy" in tags


def convoy_tags(tags: Iterable[str]) -> list[str]:
    """Pick the tag of a convoy out of its task's own."""
    return [tag for tag in tags if tag.startswith(_CONVOY)]


def image(bead: Bead, remarks: Remarks) -> Image:
    """Give the task that a bead is to be; what is lost on the way goes into the remarks."""
    title = _line(bead.title)
    if len(title) > MOST_TITLE:
        remarks.add(f"titles cut to {MOST_TITLE} characters", bead.id)
    waits, parents = [], []
    for link in bead.links:
        if link.target == bead.id:
            remarks.add("a bead cannot wait for itself: that dependency was left out", bead.id)
        elif link.type in _WAITS:
            waits.append(link.target)
        elif link.type == _PARENT:
            parents.append(link.target)
        else:
            remarks.add("dependencies of these types say nothing about the order of work and were left out", link.type)
    if len(parents) > 1:
        remarks.add("only the first parent was kept", bead.id)
    is_closed = bead.status == "closed"
    if not is_closed and bead.status not in _OPEN | {"deferred"}:
        remarks.add(f"the status {bead.status} is not known here: taken for open", bead.id)
    return Image(
        id=bead.id,
        title=title[:MOST_TITLE],
        description=_description(bead, remarks),
        priority=_PRIORITIES[min(max(bead.priority, 0), 4)],
        tags=_tags(bead, remarks),
        status=TaskStatus.COMPLETED if is_closed else TaskStatus.PENDING,
        result=(_text(bead.close_reason or "") or "Closed in Beads.")[:MOST_DESCRIPTION] if is_closed else None,
        assignee=bead.assignee or None,
        due_at=_moment(bead, "due_at", bead.due_at, remarks),
        rests_until=None if is_closed else _rest(bead, remarks),
        waits_for=tuple(dict.fromkeys(waits)),
        parent=parents[0] if parents else None,
    )


def updated(task: Task, wanted: Image, assigned_to: str | None) -> Task:
    """Give an open task as its bead is now; what Conductor's own people added to it stays."""
    kept = [tag for tag in task.tags if not _is_mark(tag)]
    tags = tuple(dict.fromkeys([*kept, *wanted.tags]))
    reserved_for = assigned_to if assigned_to is not None and task.holder is None else task.reserved_for
    rests = task.retry_at
    if wanted.rests_until is not None or task.retry_at == FOR_EVER:
        rests = wanted.rests_until
    return replace(
        task,
        title=wanted.title,
        description=wanted.description,
        priority=wanted.priority,
        tags=task.tags if set(tags) == set(task.tags) else tags,
        due_at=wanted.due_at if wanted.due_at is not None else task.due_at,
        reserved_for=reserved_for,
        retry_at=rests if task.status is TaskStatus.PENDING else task.retry_at,
    )


def bead_of(task: Task, names: Mapping[str, str]) -> Bead:
    """Give a task as a bead; names: what the beads call the tasks that it names, by the tasks' ids."""
    kind = next((tag.removeprefix(_TYPE) for tag in task.tags if tag.startswith(_TYPE)), "task")
    way = _TRACKS if kind == "convoy" else "blocks"
    links = [Link(names.get(other, other), way) for other in task.dependencies]
    parent = names.get(task.parent_id, task.parent_id) if task.parent_id is not None else None
    if parent is not None and not parent.startswith(_CONVOY):
        links.append(Link(parent, _PARENT))
    description, sections = _parted(task.description or "")
    priority = 4 if BACKLOG in task.tags else _PRIORITIES.index(task.priority)
    labels = [tag for tag in task.tags if not _is_mark(tag) and not tag.startswith(_CONVOY)]
    if task.status is TaskStatus.FAILED:
        labels.append("failed")
    return Bead(
        id=task.external_id or task.id,
        title=task.title,
        description=description,
        status=_status(task),
        priority=priority,
        issue_type=kind,
        assignee=task.assigned_to,
        labels=tuple(labels),
        links=tuple(links),
        close_reason=(task.result or task.error or task.status.value) if task.closed_at is not None else None,
        due_at=shown(task.due_at),
        defer_until=shown(task.retry_at) if _is_put_off(task) and task.retry_at != FOR_EVER else None,
        **sections,
    )


def convoy_shown(task: Task, names: Mapping[str, str]) -> Convoy | None:
    """Give the convoy that a task was made for; None: it is a bead itself, or none of this."""
    if task.external_id is None or not task.external_id.startswith(_CONVOY):
        return None
    # Its task may have been renamed here; it is still the convoy of its first name.
    is_renamed = convoy(task.title, ()).id != task.external_id
    name = task.external_id.removeprefix(_CONVOY) if is_renamed else task.title
    return Convoy(task.external_id, name, tuple(names.get(other, other) for other in task.dependencies))


def shown(at: datetime | None) -> str | None:
    """Write a time as beads do."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _status(task: Task) -> str:
    if task.status is TaskStatus.PENDING:
        return "deferred" if _is_put_off(task) else "open"
    if task.status is TaskStatus.FAILED:
        # Nobody goes on with it by himself, and it is not done.
        return "blocked"
    if task.status in CLOSED:
        return "closed"
    return "blocked" if task.status is TaskStatus.BLOCKED else "in_progress"


def _is_put_off(task: Task) -> bool:
    # A task that failed rests as well, but of itself.
    return task.status is TaskStatus.PENDING and task.retry_at is not None and task.failures == 0


def _is_mark(tag: str) -> bool:
    return tag == BACKLOG or tag.startswith(_TYPE)


def _tags(bead: Bead, remarks: Remarks) -> tuple[str, ...]:
    labels = [_line(label) for label in bead.labels]
    if any(len(label) > MOST_TAG for label in labels) or len(labels) > MOST_TAGS - 4:
        remarks.add(f"labels cut to {MOST_TAG} characters, {MOST_TAGS - 4} of them", bead.id)
    tags = [label[:MOST_TAG] for label in labels if label and not _is_mark(label)][: MOST_TAGS - 4]
    kind = _line(bead.issue_type)[: MOST_TAG - len(_TYPE)]
    if kind and kind != "task":
        tags.append(f"{_TYPE}{kind}")
    if bead.priority >= len(_PRIORITIES) - 1:
        tags.append(BACKLOG)
    return tuple(dict.fromkeys(tags))


def _description(bead: Bead, remarks: Remarks) -> str | None:
    parts = [_text(bead.description)]
    for name, heading in _SECTIONS.items():
        told = _text(getattr(bead, name))
        if told:
            parts.append(f"## {heading}\n{told}")
    whole = "\n\n".join(part for part in parts if part)
    if len(whole) > MOST_DESCRIPTION:
        remarks.add(f"descriptions cut to {MOST_DESCRIPTION:,} characters", bead.id)
    return whole[:MOST_DESCRIPTION] or None


def _parted(description: str) -> tuple[str, dict[str, str]]:
    """Take a description apart into what it says itself and the sections that came from a bead's other texts."""
    pieces = _HEADING.split(description)
    by_heading = {heading: name for name, heading in _SECTIONS.items()}
    sections: dict[str, str] = {}
    for heading, told in zip(pieces[1::2], pieces[2::2], strict=True):
        name = by_heading[heading]
        sections[name] = f"{sections[name]}\n\n{told}" if name in sections else told
    return pieces[0], sections


def _rest(bead: Bead, remarks: Remarks) -> datetime | None:
    until = _moment(bead, "defer_until", bead.defer_until, remarks)
    return (until or FOR_EVER) if bead.status == "deferred" else until


def _moment(bead: Bead, name: str, text: str | None, remarks: Remarks) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        remarks.add(f"{name} is no time", bead.id)
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    if not 2000 <= at.year < FOR_EVER.year:
        remarks.add(f"{name} is no time", bead.id)
        return None
    return at.astimezone(UTC)


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub("", text).split())


def _text(text: str) -> str:
    return _CONTROL.sub("", text).strip()


def _listed(reason: str, subjects: Sequence[str], most: int) -> str:
    more = f" and {len(subjects) - most} more" if len(subjects) > most else ""
    return f"{reason}: {', '.join(subjects[:most])}{more}"
