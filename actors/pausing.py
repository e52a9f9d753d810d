"""Pausing: who may let whom stand still, and who is told.

A person's pause outranks an agent's: a lead neither lifts nor weakens what a person set, least of all on itself.
Must never touch what a paused agent holds.
"""

from __future__ import annotations

from actors import views
from actors.call import Call
from actors.places import no_project, only_project
from conductor.domain import errors, pauses
from conductor.domain.access import ADMIN_UP
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.pauses import Pause, PauseMode, PauseScope
from conductor.operations import pausing as ops


class Pausing:
    """Sets and lifts the pauses of one organisation."""

    def set(self, request: ops.Pause | ops.Drain, mode: PauseMode, call: Call) -> ops.PauseSet:
        """Let agents stand still, or drain; one set before for the same is replaced."""
        project_id, agent_id = self._whom(request, call)
        before = call.tx.pauses.get(project_id, agent_id)
        self._require_free(before, call)
        pause = Pause(project_id, agent_id, mode, request.reason, call.caller.actor, call.now)
        if before is not None and (before.mode, before.reason) == (mode, request.reason) and _stands(before, call):
            return views.paused(before)
        call.tx.pauses.set(pause)
        call.tx.record(
            EventKind.PAUSED,
            self._subject(pause, call),
            project_id=project_id or None,
            scope=pause.scope.value,
            mode=mode.value,
            reason=pause.reason,
            agent_id=agent_id or None,
        )
        told = "You may work no more" if mode is PauseMode.PAUSED else "Finish what you hold and take nothing new"
        self._tell(pause, mode.value, f"{told} ({pause.scope} {mode}): {pause.reason}", call)
        return views.paused(pause)

    def lift(self, request: ops.Resume, call: Call) -> ops.PauseLifted:
        """Lift the pause of exactly this scope; the reply says what still bears on the same agents."""
        project_id, agent_id = self._whom(request, call)
        before = call.tx.pauses.get(project_id, agent_id)
        self._require_free(before, call)
        others = [pause for pause in call.tx.pauses.of_organization() if _meets(pause, project_id, agent_id)]
        if before is not None:
            call.tx.pauses.lift(before)
            call.tx.record(
                EventKind.RESUMED,
                self._subject(before, call),
                project_id=project_id or None,
                scope=before.scope.value,
                mode=before.mode.value,
                agent_id=agent_id or None,
            )
            self._tell(before, "resumed", f"The {before.scope} is no longer {before.mode}: go on.", call)
        return ops.PauseLifted(
            scope=request.meant,
            project_id=project_id or None,
            agent_id=agent_id or None,
            lifted=before is not None,
            remaining=[views.paused(pause) for pause in others],
        )

    def _whom(self, request: ops.Scoped, call: Call) -> tuple[str, str]:
        """Give project and agent that are meant, '' where the scope is wider. Raises Invalid, Forbidden, NotFound."""
        self._require_fitting(request)
        if request.meant is PauseScope.ORGANIZATION:
            if call.caller.role not in ADMIN_UP or call.caller.project_id is not None:
                raise errors.Forbidden(
                    "Only people from admin up hold up the whole organization or let it go on: name a project or an "
                    "agent with scope.",
                    facts={"role": call.caller.role.value, "scope": request.meant.value},
                )
            return "", ""
        project = call.tx.projects.get(call.project_id) if call.project_id else only_project(call.tx)
        if project is None:
            raise no_project(call.project_id)
        if request.agent_id is None:
            return project.id, ""
        if call.tx.agents.get(project.id, request.agent_id) is None:
            raise errors.NotFound(
                f"No agent {request.agent_id} in this project. See who is here with list_agents.",
                facts={"agent_id": request.agent_id},
                next=[NextStep("list_agents", {}, "see who is here")],
            )
        return project.id, request.agent_id

    @staticmethod
    def _require_fitting(request: ops.Scoped) -> None:
        if (request.agent_id is not None) != (request.meant is PauseScope.AGENT):
            raise errors.Invalid(
                "The scope agent needs agent_id, and no other scope takes it.", facts={"argument": "agent_id"}
            )
        if request.meant is PauseScope.ORGANIZATION and request.project_id is not None:
            raise errors.Invalid(
                "The scope organization takes no project_id: leave it out, or say scope project.",
                facts={"argument": "project_id"},
            )

    @staticmethod
    def _require_free(before: Pause | None, call: Call) -> None:
        """Refuse an agent that would undo what a person set, or lift a pause that holds itself up."""
        if call.caller.agent_name is None:
            return
        own = pauses.bearing(call.tx.pauses.of_organization(), call.project_id, call.caller.agent_name)
        if own is not None and own.mode is PauseMode.PAUSED and own.paused_by != call.caller.actor:
            raise pauses.paused(own)
        if before is not None and not before.paused_by.startswith("agent:"):
            raise errors.Forbidden(
                f"A person set this pause ({before.reason}): a person changes or lifts it.",
                facts={"by": before.paused_by, "mode": before.mode.value},
            )

    @staticmethod
    def _subject(pause: Pause, call: Call) -> str:
        agent = call.tx.agents.get(pause.project_id, pause.agent_id) if pause.agent_id else None
        return agent.id if agent is not None else pause.project_id or call.tx.organization_id

    @staticmethod
    def _tell(pause: Pause, kind: str, text: str, call: Call) -> None:
        """Leave a notice for all whom it concerns but the caller; who was lost learns it from its first call."""
        if pause.agent_id:
            concerned = {pause.project_id: [pause.agent_id]}
        else:
            concerned = {}
            for agent in call.tx.agents.living(pause.project_id or None):
                concerned.setdefault(agent.project_id, []).append(agent.agent_id)
        for project_id, names in concerned.items():
            others = [name for name in names if name != call.caller.agent_name]
            if others:
                call.tx.notices.leave_all(project_id, others, kind, text)


def _stands(before: Pause, call: Call) -> bool:
    """Tell whether a pause is worth what the caller's would be: an agent's becomes a person's who repeats it."""
    return call.caller.agent_name is not None or not before.paused_by.startswith("agent:")


def _meets(pause: Pause, project_id: str, agent_id: str) -> bool:
    """Tell whether another pause bears on some of the same agents."""
    is_same = (pause.project_id, pause.agent_id) == (project_id, agent_id)
    is_near = "" in (project_id, pause.project_id) or project_id == pause.project_id
    return not is_same and is_near and ("" in (agent_id, pause.agent_id) or agent_id == pause.agent_id)
