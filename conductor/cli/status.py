"""`conductor status`: does the daemon run, where, since when, and what does it hold?"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from conductor import home
from conductor.cli import calling, probe, show
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.operations.projects import Project


def run(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Show the daemon; gives the exit code: 0 when it serves, 8 when it does not."""
    told = _look(environ)
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        _print(told)
    return 0 if told["is_ready"] else errors.Unavailable.exit_code


def _look(environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = home.find_connection(environ)
    except errors.Unavailable as unknown:
        return {**_NOWHERE, "problem": unknown.message}
    running = home.Home.locate(environ).daemon()
    is_own = running is not None and running.url.rstrip("/") == found.url
    seen = probe.look(found.url)
    started_at = seen.started_at or (probe.moment(running.started_at) if running and is_own else None)
    told: dict[str, Any] = {
        **_NOWHERE,
        "is_up": seen.is_alive,
        "is_ready": seen.is_ready,
        "url": found.url,
        "version": seen.version or (running.version if running and is_own else None),
        "started_at": started_at.isoformat() if started_at else None,
        "uptime_s": round((datetime.now(UTC) - started_at).total_seconds()) if started_at and seen.is_alive else None,
        "problem": seen.problem,
    }
    if seen.is_ready:
        with Client(found.url, found.token, patience=calling.PATIENCE) as client:
            told["caller"] = client.whoami().model_dump(mode="json", exclude_none=True)
            told["projects"] = [_counts(project) for project in client.projects()]
    return told


_NOWHERE: Mapping[str, Any] = {
    "is_up": False,
    "is_ready": False,
    "url": None,
    "version": None,
    "started_at": None,
    "uptime_s": None,
    "problem": None,
    "caller": None,
    "projects": [],
}
"""What is said when there is nothing to ask."""


def _counts(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "slug": project.slug,
        "agents": project.counts.agents,
        "tasks": project.counts.tasks,
        "locks": project.counts.locks,
        "budget": project.budget.model_dump(exclude_none=True),
    }


def _print(told: Mapping[str, Any]) -> None:
    out = show.console()
    if not told["is_ready"]:
        state = "is there but does not serve" if told["is_up"] else "is not running"
        show.console(to_errors=True).print(f"The daemon {state}. {told['problem']}", style="bold", soft_wrap=True)
        return
    out.print(f"Conductor {told['version'] or ''} serves at {told['url']}", style="bold", soft_wrap=True)
    if told["uptime_s"] is not None:
        out.print(f"  up for {_span(told['uptime_s'])}, since {told['started_at'][:19]}Z")
    caller = told["caller"]
    who = caller.get("agent_id") or caller.get("member_id") or caller["kind"]
    out.print(f"  you are {who}, {caller['role']} in {caller['organization_id']}\n", soft_wrap=True)
    rows = [
        (one["slug"], _listed(one["agents"]), _listed(one["tasks"]), one["locks"], _money(one["budget"]))
        for one in told["projects"]
    ]
    out.print(
        show.table(None, ("project", "agents", "tasks", "locks", "budget: spent (USD)"), rows)
        if rows
        else "no project yet"
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def _money(budget: Mapping[str, str]) -> str:
    limit = f" of {budget['limit_usd']}, {budget.get('remaining_usd')} left" if "limit_usd" in budget else ""
    return budget["spent_usd"] + limit


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
