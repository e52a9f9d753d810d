"""One gate's questions: as whom, about which project, with how much patience.

Only questions that change nothing are asked, so a busy daemon is asked again.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping
from typing import Any

from conductor.cli.gate.asker import Asker
from conductor.cli.quick import asking
from conductor.domain import errors, ids

_TRIES = 3
_PROJECT = re.compile(rf"{ids.Kind.PROJECT}_[{ids.ALPHABET}]{{{ids.LENGTH}}}")


class Questions:
    """What a gate asks the daemon. answer_s: how long one answer may take."""

    def __init__(self, asker: Asker, answer_s: float) -> None:
        self._daemon = asking.Daemon(asker.caller, answer_s)
        self._answer_s = answer_s
        self._place: dict[str, object] = {}
        if asker.project:
            self._place["project_id"] = self._project_id(asker.project)

    def check_paths(self, **arguments: object) -> dict[str, Any]:
        """Ask for a verdict. Raises what the daemon raises, and Unavailable."""
        return self._call("check_paths", {**arguments, **self._place})

    @property
    def notices(self) -> list[str]:
        """What the daemon told with its answers: each is told once, so whoever asked must show it."""
        return self._daemon.notices

    def _call(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        for _ in range(_TRIES - 1):
            try:
                return self._once(operation, arguments)
            except (errors.RateLimited, errors.Unavailable) as error:
                # Without a time to come again nobody answered at all.
                if error.wait_s is None or error.wait_s > self._answer_s:
                    raise
                time.sleep(error.wait_s)
        return self._once(operation, arguments)

    def _once(self, operation: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        # A socket's own time begins anew with each byte that trickles in.
        former = signal.signal(signal.SIGALRM, _time_is_over)
        signal.setitimer(signal.ITIMER_REAL, self._answer_s)
        try:
            return self._daemon.call(operation, **arguments)
        except TimeoutError:
            raise errors.Unavailable(f"The daemon did not answer within {self._answer_s:g} s: try again.") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)

    def _project_id(self, named: str) -> str:
        if _PROJECT.fullmatch(named):
            return named
        cursor: dict[str, object] = {}
        while True:
            page = self._call("list_projects", {"limit": 200, **cursor})
            for project in page["items"]:
                if project["slug"] == named:
                    return str(project["id"])
            if not page.get("next_cursor"):
                raise errors.NotFound(f"There is no project {named!r} for this token: `conductor project list`.")
            cursor = {"cursor": page["next_cursor"]}


def _time_is_over(*_: object) -> None:
    raise TimeoutError
