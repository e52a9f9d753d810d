"""Plans: what a new organisation begins with.

The figures are data, in plans.toml beside this module; a plan says only what is written when the organisation is made,
so that changing the file changes nothing for those that exist.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from conductor.domain import errors, money
from conductor.domain.quotas import Quota, Scope, Window


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan by its name. quotas: the first limits of the organisation."""

    name: str
    title: str
    quotas: tuple[Quota, ...]


def read(text: str) -> Mapping[str, Plan]:
    """Read plans from TOML, by name. Raises ValueError, TypeError or KeyError when the file is not one of plans."""
    return {name: _plan(name, table) for name, table in tomllib.loads(text).items()}


def named(name: str) -> Plan:
    """Give a plan.

    Raises Invalid listing the plans when there is none of that name.
    """
    found = PLANS.get(name)
    if found is None:
        raise errors.Invalid(
            f"There is no plan {name}: take {', '.join(PLANS)}.",
            facts={"argument": "plan", "plans": list(PLANS)},
        )
    return found


def _plan(name: str, table: Mapping[str, Any]) -> Plan:
    unknown = table.keys() - {"title", "quotas"}
    if unknown:
        raise ValueError(f"plan {name} has no {', '.join(sorted(unknown))}")
    return Plan(name, str(table["title"]), tuple(_quota(**quota) for quota in table["quotas"]))


def _quota(*, limit_usd: str, window: str, hard: bool) -> Quota:
    return Quota(Scope.ORGANIZATION, None, None, money.parse_usd(limit_usd), Window(window), hard)


PLANS = read(resources.files(__package__).joinpath("plans.toml").read_text(encoding="utf-8"))
"""The plans of this release."""
