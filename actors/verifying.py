"""Verified completion: what the server itself can see of a result, put together for the rule that judges it.

What is in the repository the daemon saw before the command came (`call.sight`); leases, grants and reported checks
are here. Must never look into a repository itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from actors import seen
from actors.call import Call
from actors.lock_manager import LockManager
from conductor.domain import evidence as rules
from conductor.domain.evidence import Check, Granted, Known, Sight
from conductor.domain.locks import Mode
from conductor.domain.organizations import Project
from conductor.domain.tasks import Evidence, Task, Verification
from conductor.operations import checks as ops


class Verifying:
    """Judges completions of one project."""

    def __init__(self, locks: LockManager, project: Callable[[], Project]) -> None:
        self._locks = locks
        self._project = project

    def judged(self, task: Task, shown: Evidence | None, call: Call) -> tuple[Task, Evidence | None]:
        """Give the task with what its result is worth, and the evidence with the commit's whole id.

        Raises EvidenceMissing when the project takes only what is verified.
        """
        is_required = self._project().settings.require_verification
        if shown is None and not is_required:
            # Nobody claimed anything that could be looked at.
            return replace(task, verification=Verification.REPORTED, problems=()), None
        sight = seen.commit_seen(call.sight)
        problems = rules.problems(task, shown, self._known(task, shown, sight, call))
        if is_required:
            rules.require_none(task, problems)
        worth = Verification.REPORTED if problems else Verification.VERIFIED
        if shown is not None and sight is not None and sight.commit is not None:
            shown = replace(shown, commit=sight.commit.id)
        return replace(task, verification=worth, problems=problems), shown

    def _known(self, task: Task, shown: Evidence | None, sight: Sight | None, call: Call) -> Known:
        tx, project = call.tx, self._project()
        attempt = tx.tasks.attempt(task.id, task.attempt)
        held = [
            Granted(lease.agent_id, lease.paths, lease.mode is Mode.EXCLUSIVE, rules.granted_at(lease))
            for lease in self._locks.table.of_agent(call.agent_name)
            if lease.is_live(call.now)
        ]
        checks = {}
        if shown is not None and sight is not None and sight.commit is not None and rules.checks_named(task, shown):
            checks = tx.checks.of_commit(project.id, sight.commit.id)
        return Known(
            agent_id=call.agent_name,
            sight=sight,
            began_at=attempt.started_at if attempt is not None else call.now,
            held=held,
            log=lambda: tx.checks.grants_since_claim(project.id, task.id),
            checks=checks,
            fold_case=project.settings.fold_case,
        )


def reported(project_id: str, request: ops.ReportCheck, call: Call) -> ops.ReportedCheck:
    """Keep a check's result on a commit, in the place of an earlier one of its name."""
    check = Check(request.name, request.passed, request.details, call.caller.actor, call.now)
    commit = request.commit.lower()
    call.tx.checks.report(project_id, commit, check)
    return ops.ReportedCheck(
        commit=commit,
        name=check.name,
        passed=check.passed,
        details=check.details,
        reported_by=check.reported_by,
        at=check.at,
    )
