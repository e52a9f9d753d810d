"""Reads of tasks and locks."""

from __future__ import annotations

from itertools import islice

from actors import views
from actors.reading.read import Read
from actors.task_board import no_task
from conductor.domain import globs, paths
from conductor.domain.lock_queue import LockQueue
from conductor.operations import locks as lock_ops
from conductor.operations import tasks as ops
from storage.tasks import TaskFilter

HISTORY = 20
"""The newest events of a task that are shown with it; list_events has the rest."""


def list_tasks(request: ops.ListTasks, read: Read) -> ops.TaskPage:
    """List tasks, the newest first."""
    wanted = TaskFilter(
        request.status,
        request.priority,
        request.assigned_to,
        request.tags,
        request.ready,
        request.text,
        request.parent_id,
        request.due_before,
        subtasks_first=request.ready is not None and _completes_parents(read),
    )
    page = read.tx.tasks.page(read.project_id, wanted, limit=request.limit, cursor=request.cursor)
    waits = read.tx.tasks.waits(page.items)
    show = views.task if request.detail == "full" else views.brief
    return ops.TaskPage(items=[show(task, waits[task.id]) for task in page.items], next_cursor=page.next_cursor)


def get_task(request: ops.GetTask, read: Read) -> ops.TaskSeen:
    """Look at one task, its attempts and its history."""
    task = read.tx.tasks.get(request.task_id)
    if task is None or task.project_id != read.project_id:
        raise no_task(request.task_id)
    history = read.tx.events.page(project_id=task.project_id, subject_id=task.id, limit=HISTORY).items
    return views.task_seen(task, read.tx.tasks.waits([task])[task.id], read.tx.tasks.attempts(task.id), history)


def _completes_parents(read: Read) -> bool:
    project = read.tx.projects.get(read.project_id)
    return project is not None and project.settings.complete_parents


def list_locks(request: lock_ops.ListLocks, read: Read) -> lock_ops.LockPage:
    """List live locks, the oldest first."""
    path = None
    if request.path is not None:
        project = read.tx.projects.get(read.project_id)
        fold = project is not None and project.settings.fold_case
        roots = [project.root_path] if project is not None and project.root_path else []
        path = paths.canonical(request.path, fold_case=fold, roots=roots)
    page = read.tx.locks.page(
        read.project_id, agent_id=request.agent_id, path=path, limit=request.limit, cursor=request.cursor
    )
    waiting = _waiting(request, path, read) if request.cursor is None else []
    return lock_ops.LockPage(
        items=[views.lock(lease) for lease in page.items], waiting=waiting, next_cursor=page.next_cursor
    )


def _waiting(request: lock_ops.ListLocks, path: str | None, read: Read) -> list[lock_ops.Waiting]:
    """List who waits, the first in line first; as many as there may be locks on a page."""
    queue = LockQueue(read.tx.lock_waits.of_project(read.project_id), aging_s=read.tasks.aging_s)
    wanted = globs.parse(path) if path is not None else None
    shown = (
        ticket
        for ticket in queue.waiting(read.now)
        if request.agent_id in (None, ticket.agent_id)
        and (wanted is None or any(globs.overlapping(globs.parse(asked), wanted) for asked in ticket.paths))
    )
    return [views.waiting(ticket, queue.position(ticket, read.now)) for ticket in islice(shown, request.limit)]
