"""Pauses: who may do nothing more for now, and why.

A pause is set for one agent, a project, or an organisation. A paused agent keeps what it holds; a draining one
finishes it and takes nothing new. An archived project stands still for everybody. Only agents are held up by a
pause: people act on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conductor.domain import errors

COME_AGAIN_S = 60.0
"""Seconds after which a paused agent may ask again; what ends a pause is a person, so often is of no use."""


class PauseMode(StrEnum):
    """How much stands still."""

    PAUSED = "paused"
    DRAINING = "draining"


class PauseScope(StrEnum):
    """Who stands still; the narrowest first."""

    AGENT = "agent"
    PROJECT = "project"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause as it is kept. project_id and agent_id '': of the whole organisation, of the whole project."""

    project_id: str
    agent_id: str
    mode: PauseMode
    reason: str
    paused_by: str
    paused_at: datetime

    @property
    def scope(self) -> PauseScope:
        """Who stands still."""
        if self.agent_id:
            return PauseScope.AGENT
        return PauseScope.PROJECT if self.project_id else PauseScope.ORGANIZATION

    def bears_on(self, project_id: str, agent_id: str) -> bool:
        """Tell whether an agent of a project is among those that stand still."""
        return self.project_id in ("", project_id) and self.agent_id in ("", agent_id)


def bearing(pauses: Iterable[Pause], project_id: str, agent_id: str) -> Pause | None:
    """Give the pause that an agent is to be told of; None: it may go on.

    What is paused weighs more than what only drains; among equals the narrowest says best why.
    """
    found = [pause for pause in pauses if pause.bears_on(project_id, agent_id)]
    return min(found, key=_weight, default=None)


def _weight(pause: Pause) -> tuple[bool, int]:
    return pause.mode is PauseMode.DRAINING, list(PauseScope).index(pause.scope)


def paused(pause: Pause) -> errors.Paused:
    """Word the refusal of a call that a pause does not allow."""
    whose = {
        PauseScope.AGENT: "You are",
        PauseScope.PROJECT: "This project is",
        PauseScope.ORGANIZATION: "The whole organization is",
    }[pause.scope]
    if pause.mode is PauseMode.PAUSED:
        advice = "You keep what you hold: stop editing, and go on with heartbeat; a notice tells you when it is over."
    else:
        advice = "Finish or release what you hold; take nothing new. A notice tells you when it is over."
    return errors.Paused(
        f"{whose} {pause.mode} since {pause.paused_at:%Y-%m-%d %H:%MZ}: {_sentence(pause.reason)} {advice}",
        facts={
            "scope": pause.scope.value,
            "mode": pause.mode.value,
            "reason": pause.reason,
            "by": pause.paused_by,
            "since": pause.paused_at.isoformat(),
        },
        next=[errors.NextStep("heartbeat", {"status": "blocked"}, "stay alive and hear when it goes on")],
        wait_s=COME_AGAIN_S,
    )


def archived(project_id: str, archived_at: datetime) -> errors.Paused:
    """Word the refusal of a change in a project that was archived."""
    return errors.Paused(
        "The project is archived: it can be read, and nothing in it changes. A person from admin up can bring it back "
        "with restore_project.",
        facts={
            "scope": PauseScope.PROJECT.value,
            "mode": PauseMode.PAUSED.value,
            "reason": "the project is archived",
            "project_id": project_id,
            "since": archived_at.isoformat(),
        },
    )


def _sentence(reason: str) -> str:
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
