"""What an import of beads comes to, before anything is written: images of beads, who waits for whom, and the tree.

What a bead names and has not come yet becomes an open link, which the call that brings it makes good: ten files come to
the same in whatever order. Must never write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from actors.board_memory import BoardMemory
from actors.bulk import MOST_DEPTH
from actors.call import Call
from conductor.domain import beads
from conductor.domain.beads import Bead, Convoy, Image, LinkKind, OpenLink, Remarks
from conductor.domain.tasks import CLOSED, Task
from conductor.operations import beads as ops


@dataclass(slots=True)
class BeadPlan:
    """One import. Everything is named as beads are.

    images: what came, as tasks. deleted: beads that were deleted there. known: tasks that are here already; names:
    what they are called there, by their ids. waits, parents: edges both ends of which are here or come now. tags: of
    convoys, by member. lacking: convoys some beads of which have not come. made_good, kept: links that waited, and that
    wait from now on.
    """

    images: dict[str, Image] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    known: dict[str, Task] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    waits: dict[str, list[str]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)
    made_good: list[OpenLink] = field(default_factory=list)
    kept: list[OpenLink] = field(default_factory=list)
    remarks: Remarks = field(default_factory=Remarks)

    @property
    def new(self) -> list[str]:
        """The beads that become new tasks, in their order."""
        return [bead_id for bead_id in self.images if bead_id not in self.known]

    @property
    def touched(self) -> list[str]:
        """The beads that are here already and that this import says something of."""
        named = (*self.images, *self.waits, *self.parents, *self.tags)
        return [bead_id for bead_id in dict.fromkeys(named) if bead_id in self.known]


class BeadPlanner:
    """Plans imports of one project's beads."""

    def __init__(self, memory: BoardMemory, is_agent: Callable[[str], bool]) -> None:
        self._memory = memory
        self._is_agent = is_agent

    def plan(self, request: ops.ImportBeads, call: Call) -> BeadPlan:
        """Plan what a request brings."""
        plan, convoys = BeadPlan(), dict[str, Convoy]()
        for told in request.beads:
            self._read(told, plan, convoys)
        for listed in request.convoys:
            for name in listed.model_extra or ():
                plan.remarks.add("fields of convoys that have no counterpart here were left out", name[:64])
            convoy = beads.convoy(listed.name, listed.beads)
            convoys[convoy.id] = convoy
            plan.images[convoy.id] = beads.image_of_convoy(convoy, None, plan.remarks)
        wanted = self._links(plan, convoys, call.project_id)
        waiting = call.tx.beads.open_links(call.project_id, [*plan.images, *plan.deleted])
        self._look_up(plan, [*wanted, *waiting], call)
        # A bead that comes again says itself what it waits for now; what was deleted there is waited for by nobody.
        said = set(wanted)
        wanted += [link for link in waiting if link not in said and _own(link) not in plan.images]
        self._settle(plan, wanted, waiting, call)
        return plan

    def agent(self, image: Image, plan: BeadPlan) -> str | None:
        """Give the agent that a bead is assigned to, if it is one of this project."""
        if image.assignee is None or image.status in CLOSED:
            return None
        if not self._is_agent(image.assignee):
            plan.remarks.add("assigned to somebody who is no agent here: anybody may take it", image.id)
            return None
        return image.assignee

    def _read(self, told: ops.Bead, plan: BeadPlan, convoys: dict[str, Convoy]) -> None:
        for name in told.model_extra or ():
            plan.remarks.add("fields that have no counterpart here were left out", name[:64])
        bead = _bead(told)
        if bead.id in plan.images or bead.id in plan.deleted:
            plan.remarks.add("given twice: the first one counts", bead.id)
        elif bead.is_deleted:
            plan.deleted.append(bead.id)
        elif not bead.title.strip():
            plan.remarks.add("without a title: left out", bead.id)
        elif bead.is_convoy:
            convoys[bead.id] = beads.convoy_of(bead)
            plan.images[bead.id] = beads.image_of_convoy(convoys[bead.id], bead, plan.remarks)
        elif bead.is_work:
            plan.images[bead.id] = beads.image(bead, plan.remarks)
        else:
            plan.remarks.add(f"beads of the type {bead.issue_type} are no work: left out", bead.id)

    @staticmethod
    def _links(plan: BeadPlan, convoys: dict[str, Convoy], project_id: str) -> list[OpenLink]:
        found: dict[OpenLink, None] = {}
        for bead_id, image in plan.images.items():
            for target in image.waits_for:
                if bead_id in convoys:
                    found[OpenLink(project_id, target, LinkKind.MEMBER, bead_id)] = None
                else:
                    found[OpenLink(project_id, bead_id, LinkKind.WAITS, target)] = None
            if image.parent is not None:
                found[OpenLink(project_id, bead_id, LinkKind.PARENT, image.parent)] = None
        return list(found)

    def _look_up(self, plan: BeadPlan, links: Iterable[OpenLink], call: Call) -> None:
        named = {*plan.images, *plan.deleted}
        for link in links:
            named.update((link.source, link.target))
        found = call.tx.beads.of(call.project_id, named)
        plan.known = {bead_id: self._memory.tasks.get(task.id, task) for bead_id, task in found.items()}
        plan.names = {task.id: bead_id for bead_id, task in plan.known.items()}

    def _settle(self, plan: BeadPlan, wanted: list[OpenLink], waiting: list[OpenLink], call: Call) -> None:
        """Sort the links into those that can be made now and those that stay open."""
        joining: list[OpenLink] = []
        kept: list[OpenLink] = []
        for link in wanted:
            ends = (link.source, link.target)
            missing = [end for end in ends if end not in plan.known and end not in plan.images]
            if missing and any(end in plan.deleted for end in missing):
                continue
            if missing:
                plan.remarks.add("named, but not here yet: linked when they are imported", missing[0])
                kept.append(link)
                if link.kind is LinkKind.MEMBER:
                    plan.lacking.add(link.target)
            elif link.kind is LinkKind.WAITS:
                plan.waits.setdefault(link.source, []).append(link.target)
            elif link.kind is LinkKind.PARENT:
                self._place(link.source, link.target, plan, call)
            else:
                plan.waits.setdefault(link.target, []).append(link.source)
                joining.append(link)
        # A bead's own parent goes before the convoys that it is in.
        has_own = set(plan.parents)
        for link in joining:
            tags = (plan.images.get(link.target) or plan.known[link.target]).tags
            plan.tags.setdefault(link.source, []).extend(beads.convoy_tags(tags))
            if link.source not in has_own and self._goes_before(link.target, link.source, plan, call):
                self._place(link.source, link.target, plan, call)
        still_open, waited = set(kept), set(waiting)
        plan.made_good = [link for link in waiting if link not in still_open]
        plan.kept = [link for link in kept if link not in waited]
        self._find_lacking(plan, [link.target for link in joining], call)

    @staticmethod
    def _find_lacking(plan: BeadPlan, convoys: list[str], call: Call) -> None:
        """Note the convoys that came with an earlier call and still lack beads after this one."""
        earlier = [convoy for convoy in convoys if convoy not in plan.images]
        gone = set(plan.made_good)
        for link in call.tx.beads.open_links(call.project_id, earlier) if earlier else ():
            if link.kind is LinkKind.MEMBER and link not in gone:
                plan.lacking.add(link.target)

    def _goes_before(self, convoy_id: str, bead_id: str, plan: BeadPlan, call: Call) -> bool:
        """Tell whether a convoy's task is to be above a bead: of several the first by id, whichever came first."""
        before = plan.parents.get(bead_id)
        task = plan.known.get(bead_id)
        if before is None and task is not None and task.parent_id is not None:
            parent = self._memory.tasks.get(task.parent_id) or call.tx.tasks.get(task.parent_id)
            is_convoy = parent is not None and beads.is_convoy(parent.tags)
            before = (parent.external_id or "") if parent is not None and is_convoy else ""
        return before is None or convoy_id < before

    def _place(self, bead_id: str, parent: str, plan: BeadPlan, call: Call) -> None:
        """Note a parent, unless the tree would be none or an open task would lie below a closed one."""
        before = plan.known[bead_id].parent_id if bead_id in plan.known else None
        if before is not None and parent in plan.known and plan.known[parent].id == before:
            return
        if self._is_closed(parent, plan) and not self._is_closed(bead_id, plan):
            plan.remarks.add("open, but its parent is closed: it stands by itself", bead_id)
        elif not self._may_lie_below(bead_id, parent, plan, call):
            plan.remarks.add("its parent lies below it, or the tree is too deep: it stands by itself", bead_id)
        else:
            plan.parents[bead_id] = parent

    @staticmethod
    def _is_closed(bead_id: str, plan: BeadPlan) -> bool:
        # A bead may close a task that is here, and never opens one.
        closed = (found.status in CLOSED for found in (plan.known.get(bead_id), plan.images.get(bead_id)) if found)
        return any(closed)

    def _may_lie_below(self, bead_id: str, parent: str, plan: BeadPlan, call: Call) -> bool:
        current: str | None = parent
        for _ in range(MOST_DEPTH - 1):
            if current is None or current == bead_id:
                break
            task = plan.known.get(current) or self._memory.tasks.get(current)
            if task is None and current not in plan.images:
                task = call.tx.tasks.get(current)
            above = task.parent_id if task is not None else None
            current = plan.parents.get(current) or (plan.names.get(above, above) if above is not None else None)
        return current is None


def _own(link: OpenLink) -> str:
    """The bead that says that there is a link."""
    return link.target if link.kind is LinkKind.MEMBER else link.source


def _bead(told: ops.Bead) -> Bead:
    links = [beads.Link(link.depends_on_id, link.type) for link in told.dependencies or ()]
    links += [beads.Link(target) for target in told.deps or ()]
    return Bead(
        id=told.id,
        title=told.title,
        description=told.description or "",
        design=told.design or "",
        acceptance_criteria=told.acceptance_criteria or "",
        notes=told.notes or "",
        status=told.status or "open",
        priority=told.priority,
        issue_type=told.issue_type or "task",
        assignee=told.assignee,
        labels=tuple(told.labels or ()),
        links=tuple(links),
        close_reason=told.close_reason,
        due_at=told.due_at,
        defer_until=told.defer_until,
    )
