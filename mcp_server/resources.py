"""MCP resources: a project, a task, the locks and the agent itself, as a page to read and as JSON.

What is read is what the caller could call: see `mcp_server.asking`. A resource shows only; it changes nothing, and
counts as no sign of life.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Resource, ResourceTemplate, TextResourceContents

from conductor.domain import tasks as task_rules
from conductor.domain.tasks import TaskStatus
from conductor.operations import admin, agents, locks, projects, tasks
from conductor.operations.locks import Lock
from conductor.operations.row import Operation, Reply
from conductor.operations.tasks import Task
from mcp_server.asking import Asking

MARKDOWN = "text/markdown"
JSON = "application/json"

SHOWN = 20
"""How many of each kind a page names; the lists have the rest."""

_OPEN = [TaskStatus.IN_PROGRESS, TaskStatus.CLAIMED, TaskStatus.BLOCKED, TaskStatus.IN_REVIEW]


@dataclass(frozen=True, slots=True)
class Page:
    """A resource as it was read. text: Markdown. parts: the replies that it was made of, by name."""

    text: str
    parts: Mapping[str, Reply]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource. template: its URI, with names of arguments. needs: the operations it is made of."""

    template: str
    name: str
    description: str
    needs: tuple[Operation[Any, Any], ...]
    read: Callable[[Asking, Mapping[str, str]], Awaitable[Page]]

    def arguments_of(self, uri: str) -> Mapping[str, str] | None:
        """Read the arguments out of a URI; None: it is another kind's."""
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[A-Za-z0-9_-]{1,64})", re.escape(self.template))
        found = re.fullmatch(pattern, uri)
        return found.groupdict() if found else None

    def uri(self, **arguments: str) -> str:
        """Give the URI of one resource of this kind."""
        return self.template.format(**arguments)


async def read(asking: Asking, uri: str) -> list[TextResourceContents]:
    """Read a resource: the page and the JSON. Raises MCPError for what there is not, and for a refusal."""
    for kind in KINDS:
        arguments = kind.arguments_of(uri)
        if arguments is not None:
            page = await kind.read(asking, arguments)
            whole = {name: part.model_dump(mode="json", exclude_none=True) for name, part in page.parts.items()}
            return [
                TextResourceContents(uri=uri, mime_type=MARKDOWN, text=page.text),
                TextResourceContents(uri=uri, mime_type=JSON, text=orjson.dumps(whole).decode()),
            ]
    known = ", ".join(kind.template for kind in KINDS)
    raise MCPError(INVALID_PARAMS, f"There is no such resource. There are: {known}.", {"uri": uri})


async def listed(asking: Asking) -> list[Resource]:
    """List the resources that the caller has without naming anything."""
    found = []
    caller = asking.caller
    if caller.agent_name is not None:
        found.append(_resource(ME, ME.uri(), ME.name))
    if caller.project_id is not None and asking.may(*STATUS.needs):
        found.append(_resource(LOCKS, LOCKS.uri(), LOCKS.name))
        found.append(_resource(STATUS, STATUS.uri(project_id=caller.project_id), STATUS.name))
    elif asking.may(projects.LIST_PROJECTS):
        page = await asking.ask(projects.LIST_PROJECTS, projects.ListProjects(limit=SHOWN))
        for project in page.items:
            for kind in (STATUS, PROJECT_LOCKS):
                found.append(_resource(kind, kind.uri(project_id=project.id), f"{project.slug}: {kind.name}"))
    return found


def templates(asking: Asking) -> list[ResourceTemplate]:
    """List the kinds of resources that take an argument."""
    return [
        ResourceTemplate(name=kind.name, uri_template=kind.template, description=kind.description, mime_type=MARKDOWN)
        for kind in KINDS
        if "{" in kind.template and asking.may(*kind.needs)
    ]


async def _status(asking: Asking, arguments: Mapping[str, str]) -> Page:
    project_id = arguments["project_id"]
    project = await asking.ask(projects.GET_PROJECT, projects.GetProject(project_id=project_id))
    work = await asking.ask(tasks.LIST_TASKS, tasks.ListTasks(project_id=project_id, status=_OPEN, limit=SHOWN))
    people = await asking.ask(agents.LIST_AGENTS, agents.ListAgents(project_id=project_id, limit=SHOWN))
    limit = f" of {project.budget.limit_usd}" if project.budget.limit_usd is not None else ""
    text = "\n".join([
        f"# {one_line(project.name)} ({project.slug})",
        f"Tasks: {_counted(project.counts.tasks)}. Agents: {_counted(project.counts.agents)}. "
        f"Locks: {project.counts.locks}. Spent: {project.budget.spent_usd}{limit} USD.",
        *_section("In hand", [task_line(task) for task in work.items], more=work.next_cursor),
        *_section("Agents", [agent_line(agent) for agent in people.items], more=people.next_cursor),
    ])  # fmt: skip
    return Page(text, {"project": project, "tasks": work, "agents": people})


async def _task(asking: Asking, arguments: Mapping[str, str]) -> Page:
    task = await asking.ask(tasks.GET_TASK, tasks.GetTask(task_id=arguments["task_id"]))
    facts = {
        "Files": task.files,
        "Needs": task.requires,
        "Depends on": task.dependencies,
        "Waits for": task.blocked_by,
        "Tags": task.tags,
    }
    attempts = [
        f"{attempt.number}: {attempt.agent_id}, {attempt.outcome or 'going on'}"
        + (f": {one_line(attempt.error)}" if attempt.error else "")
        for attempt in task.attempts[-SHOWN:]
    ]
    texts = (("Description", task.description), ("Note", task.note), ("Error", task.error), ("Result", task.result))
    text = "\n".join([
        f"# {one_line(task.title)}",
        task_line(task),
        *(f"{name}: {', '.join(values)}" for name, values in facts.items() if values),
        *(line for name, told in texts if told for line in ("", f"## {name}", told)),
        *(_section("Attempts", attempts) if attempts else ()),
    ])  # fmt: skip
    return Page(text, {"task": task})


async def _locks(asking: Asking, arguments: Mapping[str, str]) -> Page:
    page = await asking.ask(locks.LIST_LOCKS, locks.ListLocks(limit=200, **arguments))
    waiting = [f"{place.position}. {place.agent_id}: {', '.join(place.paths)}" for place in page.waiting]
    text = "\n".join([
        "# Locks",
        *_section("Held", [lock_line(lock) for lock in page.items], more=page.next_cursor),
        *(_section("Waiting", waiting) if waiting else ()),
    ])  # fmt: skip
    return Page(text, {"locks": page})


async def _me(asking: Asking, _: Mapping[str, str]) -> Page:
    name = asking.caller.agent_name
    if name is None:
        raise MCPError(INVALID_PARAMS, "Only an agent has this: you call with a token that is no agent's.")
    identity = await asking.ask(admin.WHOAMI, admin.WhoAmI())
    held = await asking.ask(
        tasks.LIST_TASKS, tasks.ListTasks(assigned_to=name, status=sorted(task_rules.HELD), limit=SHOWN)
    )
    leased = await asking.ask(locks.LIST_LOCKS, locks.ListLocks(agent_id=name, limit=SHOWN))
    text = "\n".join([
        f"# {name}, {identity.role}",
        f"Project: {identity.project_id}.",
        *_section("Your tasks", [task_line(task) for task in held.items], more=held.next_cursor),
        *_section("Your locks", [lock_line(lock) for lock in leased.items], more=leased.next_cursor),
    ])  # fmt: skip
    return Page(text, {"identity": identity, "tasks": held, "locks": leased})


STATUS = Kind(
    "conductor://project/{project_id}/status",
    "project status",
    "A project now: its tasks, agents, locks and budget.",
    (projects.GET_PROJECT, tasks.LIST_TASKS, agents.LIST_AGENTS),
    _status,
)
TASK = Kind(
    "conductor://task/{task_id}",
    "task",
    "A task with what it waits for and all its attempts.",
    (tasks.GET_TASK,),
    _task,
)
PROJECT_LOCKS = Kind(
    "conductor://project/{project_id}/locks",
    "project locks",
    "Who has leased what in a project, until when.",
    (locks.LIST_LOCKS,),
    _locks,
)
LOCKS = Kind(
    "conductor://locks", "locks", "Who has leased what in your project, until when.", (locks.LIST_LOCKS,), _locks
)
ME = Kind(
    "conductor://agent/me",
    "me",
    "Who you are, the tasks you hold, the paths you have leased.",
    (admin.WHOAMI, tasks.LIST_TASKS, locks.LIST_LOCKS),
    _me,
)
KINDS = (STATUS, TASK, PROJECT_LOCKS, LOCKS, ME)


def task_line(task: Task) -> str:
    """A task in one line."""
    return one_line(task.line())


def agent_line(agent: agents.Agent) -> str:
    """An agent in one line, with what it can do."""
    work = f", on {agent.current_task}" if agent.current_task else ""
    can = f"; can {', '.join(agent.capabilities)}" if agent.capabilities else ""
    return one_line(f"{agent.agent_id}, {agent.role}: {agent.status}, {agent.health}{work}{can}")


def lock_line(lock: Lock) -> str:
    """A lock in one line."""
    task = f" for {lock.task_id}" if lock.task_id else ""
    reason = f" ({lock.reason})" if lock.reason else ""
    until = f"{lock.expires_at:%H:%M:%SZ}"
    return one_line(f"{lock.agent_id}: {', '.join(lock.paths)} ({lock.mode}) until {until}{task}{reason}")


def one_line(text: str, most: int = 300) -> str:
    """Text on one line, cut where it is long: what others wrote must not look like a page's own lines."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _resource(kind: Kind, uri: str, name: str) -> Resource:
    return Resource(name=name, uri=uri, description=kind.description, mime_type=MARKDOWN)


def _section(title: str, lines: Iterable[str], *, more: str | None = None) -> list[str]:
    items = [f"- {line}" for line in lines] or ["none"]
    return ["", f"## {title}", *items, *(["- and more"] if more else [])]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
