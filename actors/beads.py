"""Bringing beads in: a plan of them (see `actors.bead_plan`) becomes new tasks and changes of those that are here.

Everything is decided before anything is written. What agents work on is not taken out of their hands: where a bead says
otherwise, that is told as a remark. What Conductor's own people added to a task stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from actors.attempts import Attempts
from actors.bead_plan import BeadPlan, BeadPlanner
from actors.board_memory import BoardMemory
from actors.bulk import Bulk, NewTask
from actors.call import Call
from actors.subtasks import Subtasks
from conductor.domain import beads, dependencies, errors
from conductor.domain.events import EventKind
from conductor.domain.organizations import Project
from conductor.domain.tasks import CLOSED, Task, TaskStatus
from conductor.operations import beads as ops

_FIELDS = (
    "title", "description", "priority", "tags", "due_at", "reserved_for", "retry_at", "parent_id", "dependencies"
)  # fmt: skip
"""What an import can change of a task."""


class BeadImport:
    """Imports of one project's beads. is_agent: tells whether somebody is an agent of the project."""

    def __init__(
        self,
        memory: BoardMemory,
        is_agent: Callable[[str], bool],
        attempts: Attempts,
        subtasks: Subtasks,
        bulk: Bulk,
        project: Callable[[], Project],
    ) -> None:
        self._memory = memory
        self._planner = BeadPlanner(memory, is_agent)
        self._attempts = attempts
        self._subtasks = subtasks
        self._bulk = bulk
        self._project = project

    def run(self, request: ops.ImportBeads, call: Call) -> ops.ImportedBeads:
        """Import what a request brings. Raises DependencyCycle; then nothing was written."""
        plan = self._planner.plan(request, call)
        changed = {bead_id: self._changed(bead_id, plan) for bead_id in plan.touched}
        wanted = self._dependencies(plan)
        self._require_no_cycle(plan, wanted, call)
        made = self._make(plan, call)
        touched = self._apply(changed, wanted, made, plan, call) | self._close(plan, call)
        for link in plan.made_good:
            call.tx.beads.drop_link(link)
        for link in plan.kept:
            call.tx.beads.add_link(link)
        if made or touched:
            call.tx.record(
                EventKind.BEADS_IMPORTED, project_id=call.project_id, created=len(made), updated=len(touched)
            )
        return ops.ImportedBeads(
            created=[ops.ImportedBead(bead_id=bead_id, task_id=task.id) for bead_id, task in made.items()],
            updated=[ops.ImportedBead(bead_id=bead_id, task_id=task_id) for bead_id, task_id in touched.items()],
            unchanged=sum(bead_id in plan.known and bead_id not in touched for bead_id in plan.images),
            problems=plan.remarks.told(),
        )

    def _changed(self, bead_id: str, plan: BeadPlan) -> Task:
        """Give a task that is here as it is to be now, but for what it waits for."""
        task = plan.known[bead_id]
        if task.status in CLOSED:
            return task
        image = plan.images.get(bead_id)
        changed = task if image is None else beads.updated(task, image, self._planner.agent(image, plan))
        tags = tuple(dict.fromkeys((*changed.tags, *plan.tags.get(bead_id, ()))))
        if len(tags) > len(changed.tags):
            changed = replace(changed, tags=tags)
        if bead_id in plan.lacking and changed.status is TaskStatus.PENDING:
            return replace(changed, retry_at=beads.FOR_EVER)
        if bead_id in plan.waits and image is None and changed.retry_at == beads.FOR_EVER:
            # A convoy whose last beads have come rests no longer: it waits for them.
            return replace(changed, retry_at=None)
        return changed

    def _dependencies(self, plan: BeadPlan) -> dict[str, list[str]]:
        """Give what open tasks that are here are to wait for besides, by bead."""
        wanted: dict[str, list[str]] = {}
        for bead_id, targets in plan.waits.items():
            task = plan.known.get(bead_id)
            if task is None or task.status in CLOSED:
                continue
            waits = set(task.dependencies)
            if all(target in plan.known and plan.known[target].id in waits for target in targets):
                continue
            if task.status in {TaskStatus.PENDING, TaskStatus.BLOCKED}:
                wanted[bead_id] = targets
            else:
                plan.remarks.add("an agent works on it: what it waits for was not changed", bead_id)
        return wanted

    def _require_no_cycle(self, plan: BeadPlan, wanted: Mapping[str, list[str]], call: Call) -> None:
        """Refuse new waits of tasks that are here when they close a cycle; among new tasks Bulk looks."""

        def edges(bead_id: str) -> Iterable[str]:
            if bead_id in plan.images and bead_id not in plan.known:
                return plan.waits.get(bead_id, ())
            task_id = plan.known[bead_id].id if bead_id in plan.known else bead_id
            task = self._memory.tasks.get(task_id)
            # A closed task still leads on: it may be reopened.
            stored = (
                (*task.dependencies, *task.blocked_on)
                if task is not None
                else call.tx.tasks.dependencies_of(call.project_id, task_id)
            )
            return (*wanted.get(bead_id, ()), *(plan.names.get(other, other) for other in stored))

        # What is stored has none, so that one can only lead through what is new.
        cycle = dependencies.cycle_from(wanted, edges)
        if cycle is not None:
            raise errors.DependencyCycle(
                f"These beads would wait for each other: {' -> '.join(cycle)}. Nothing was imported; take out one "
                "of these dependencies.",
                facts={"cycle": list(cycle)},
            )

    def _make(self, plan: BeadPlan, call: Call) -> dict[str, Task]:
        """Make the new tasks; returns them by bead."""
        new = plan.new
        if not new:
            return {}
        made = dict(zip(new, self._bulk.create([self._draft(bead_id, plan) for bead_id in new], call), strict=True))
        for bead_id, task in made.items():
            rests_until = beads.FOR_EVER if bead_id in plan.lacking else plan.images[bead_id].rests_until
            if rests_until is not None and task.status is TaskStatus.PENDING:
                made[bead_id] = replace(task, retry_at=rests_until)
                self._attempts.keep(made[bead_id], call.tx)
        return made

    def _draft(self, bead_id: str, plan: BeadPlan) -> NewTask:
        """Describe a task to be made; others of the same list are named as beads, those that are here by id."""
        image = plan.images[bead_id]

        def named(other: str) -> str:
            return plan.known[other].id if other in plan.known else other

        return NewTask(
            title=image.title,
            name=bead_id,
            description=image.description,
            priority=image.priority,
            dependencies=[named(target) for target in plan.waits.get(bead_id, ())],
            parent_id=named(plan.parents[bead_id]) if bead_id in plan.parents else None,
            tags=[*image.tags, *plan.tags.get(bead_id, ())],
            assigned_to=self._planner.agent(image, plan),
            due_at=image.due_at,
            status=image.status,
            result=image.result,
            external_id=bead_id,
        )

    def _apply(
        self,
        changed: Mapping[str, Task],
        wanted: Mapping[str, list[str]],
        made: Mapping[str, Task],
        plan: BeadPlan,
        call: Call,
    ) -> dict[str, str]:
        """Write what changed of tasks that were here; returns them by bead."""
        tasks = {**plan.known, **made}
        touched: dict[str, str] = {}
        for bead_id, task in changed.items():
            before, after = plan.known[bead_id], task
            if bead_id in plan.parents and before.status not in CLOSED:
                after = replace(after, parent_id=tasks[plan.parents[bead_id]].id)
            if bead_id in wanted:
                named = (*before.dependencies, *(tasks[target].id for target in wanted[bead_id]))
                after = call.tx.tasks.replace_dependencies(after, list(dict.fromkeys(named)))
            if after == before:
                continue
            after = replace(after, updated_at=call.now)
            self._attempts.keep(after, call.tx)
            different = [name for name in _FIELDS if getattr(after, name) != getattr(before, name)]
            call.tx.record(
                EventKind.TASK_UPDATED, after.id, project_id=after.project_id, bead_id=bead_id, changed=list(different)
            )
            touched[bead_id] = after.id
        return touched

    def _takes_word_of(self, call: Call) -> bool:
        """Tell whether a task of this project is completed because the caller says that it was done elsewhere."""
        settings = self._project().settings
        is_checked = settings.require_review or settings.require_verification or settings.require_evidence
        return call.is_person or not is_checked

    def _close(self, plan: BeadPlan, call: Call) -> dict[str, str]:
        """Complete what was closed there, cancel what was deleted there; returns the tasks by bead."""
        touched: dict[str, str] = {}
        closed: list[Task] = []
        freed: list[str] = []
        gone = [bead_id for bead_id, image in plan.images.items() if image.status in CLOSED]
        for bead_id in (*gone, *plan.deleted):
            task = self._memory.tasks.get(plan.known[bead_id].id) if bead_id in plan.known else None
            if task is None:
                continue
            image = plan.images.get(bead_id)
            if task.status is not TaskStatus.PENDING:
                plan.remarks.add("closed or deleted there, but in hand or in review here: left to those", bead_id)
            elif image is not None and not self._takes_word_of(call):
                plan.remarks.add("closed there, but results are checked here: open until a person says so", bead_id)
            elif image is None:
                closed.extend(self._subtasks.cancel(task, "Deleted in Beads.", call))
                touched[bead_id] = task.id
            else:
                freed.extend(self._attempts.conclude(task, image.result or "Closed in Beads.", call.now, call.tx))
                closed.append(task)
                touched[bead_id] = task.id
        if closed:
            self._subtasks.conclude(closed, freed, call.now, call.tx)
        return touched
