"""What a project tells its agents: changed version by version, so that nobody overwrites what he has not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from actors import views
from actors.call import Call
from conductor.domain import errors, paths
from conductor.domain.errors import NextStep
from conductor.domain.events import EventKind
from conductor.domain.organizations import Onboarding, Project
from conductor.operations import onboarding as ops

_LISTS = ("goals", "checkpoint_rules")


class OnboardingKeeper:
    """Keeps the onboarding of one project."""

    def __init__(self, project: Callable[[], Project]) -> None:
        self._project = project

    def update(self, request: ops.UpdateOnboardingConfig, call: Call) -> ops.OnboardingConfig:
        """Change what is given, leave the rest. Raises VersionConflict, PathInvalid."""
        project = self._project()
        before = call.tx.projects.onboarding(project.id)
        if request.version != before.version:
            raise _overtaken(before.version, request.version)
        given = self._given(request)
        after = replace(before, version=before.version + 1, **given)
        call.tx.projects.save_onboarding(project.id, after, before)
        call.tx.record(
            EventKind.ONBOARDING_UPDATED,
            project.id,
            project_id=project.id,
            version=after.version,
            changed=sorted(given),
        )
        return views.onboarding(after)

    def _given(self, request: ops.UpdateOnboardingConfig) -> Mapping[str, Any]:
        given = {
            name: tuple(value) if name in _LISTS else value
            for name in ("welcome", "focus", "goals", "style_guide", "checkpoint_rules", "remind_every_tasks")
            if (value := getattr(request, name)) is not None
        }
        if request.instruction_files is not None:
            project, files = self._project(), request.instruction_files
            given["instruction_files"] = {kind: named_file(path, project) for kind, path in files.items()}
        return given


def named_file(text: str | None, project: Project) -> str | None:
    """Spell the path of a file that git is asked for: as it is named there, so never folded. Raises PathInvalid."""
    if text is None:
        return None
    return paths.canonical(text, roots=[project.root_path] if project.root_path else [])


def of_version(config: Onboarding, version: int) -> Onboarding:
    """Give a version of which nothing else is kept: none yet, or the present one. Raises NotFound for another."""
    if version == 0:
        return Onboarding()
    if config.version != version:
        raise errors.NotFound(
            f"There is no version {version} of the onboarding: leave version out to read the present one.",
            facts={"version": version},
            next=[NextStep("get_onboarding_config", {}, "read the present version")],
        )
    return config


def _overtaken(present: int, given: int) -> errors.VersionConflict:
    return errors.VersionConflict(
        f"The onboarding is at version {present}, you changed version {given}. Nothing was changed: read it again and "
        "apply your change to that.",
        facts={"version": present, "given": given},
        next=[NextStep("get_onboarding_config", {}, "read the present version")],
    )
