"""`conductor org plans`: what a new organisation begins with, by its plan; no daemon is asked."""

import json
import sys
from typing import Annotated

import typer

from conductor.cli import show
from conductor.domain import money
from conductor.domain.plans import PLANS
from conductor.domain.quotas import Quota


def list_plans(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """List the plans of this release and the limits that a new organisation begins with."""
    if as_json:
        told = [
            {"plan": plan.name, "title": plan.title, "quotas": list(map(_facts, plan.quotas))}
            for plan in PLANS.values()
        ]
        sys.stdout.write(json.dumps(told) + "\n")
        return
    rows = [(plan.name, plan.title, "; ".join(map(_sentence, plan.quotas)) or "no limit") for plan in PLANS.values()]
    show.console().print(show.table(None, ("plan", "title", "limits"), rows))


def _facts(quota: Quota) -> dict[str, object]:
    return {"limit_usd": money.format_usd(quota.limit_nano), "window": quota.window.value, "hard": quota.hard}


def _sentence(quota: Quota) -> str:
    return f"{money.format_usd(quota.limit_nano)} USD a {quota.window}{'' if quota.hard else ' (told, not refused)'}"
