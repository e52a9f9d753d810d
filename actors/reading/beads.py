"""Reads of tasks as beads."""

from __future__ import annotations

from actors.reading.read import Read
from conductor.domain import beads
from conductor.domain.beads import MOST_DESCRIPTION
from conductor.domain.tasks import Task
from conductor.operations import beads as ops


def export_beads(request: ops.ExportBeads, read: Read) -> ops.ExportedBeads:
    """Read a page of tasks as beads, the oldest first; a convoy is given with the page that its task is on."""
    page = read.tx.beads.page(read.project_id, limit=request.limit, cursor=request.cursor)
    named = {
        other for task in page.items for other in (*task.dependencies, *([task.parent_id] if task.parent_id else ()))
    }
    names = read.tx.beads.names(read.project_id, named)
    shown, convoys = [], []
    for task in page.items:
        convoy = beads.convoy_shown(task, names)
        if convoy is None:
            shown.append(_shown(task, beads.bead_of(task, names)))
        else:
            convoys.append(ops.Convoy(name=convoy.name, beads=list(convoy.beads[: ops.MOST_IN_CONVOY])))
    return ops.ExportedBeads(beads=shown, convoys=convoys, next_cursor=page.next_cursor)


def _shown(task: Task, bead: beads.Bead) -> ops.Bead:
    return ops.Bead(
        id=bead.id,
        title=bead.title,
        description=bead.description or None,
        design=bead.design or None,
        acceptance_criteria=bead.acceptance_criteria or None,
        notes=bead.notes or None,
        status=bead.status,
        priority=bead.priority,
        issue_type=bead.issue_type,
        assignee=bead.assignee,
        labels=list(bead.labels[: ops.MOST_LABELS]),
        dependencies=[ops.BeadLink(issue_id=bead.id, depends_on_id=link.target, type=link.type) for link in bead.links],
        close_reason=bead.close_reason[:MOST_DESCRIPTION] if bead.close_reason is not None else None,
        due_at=bead.due_at,
        defer_until=bead.defer_until,
        created_at=beads.shown(task.created_at),
        updated_at=beads.shown(task.updated_at),
        closed_at=beads.shown(task.closed_at),
    )
