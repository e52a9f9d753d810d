"""Profiles of coding agents: what one may be expected to do, hold and read, told by the kind of its program.

A profile fills in what an agent did not say of itself, and never outranks what it did. The list is data,
profiles.toml beside this module; an operator's file adds kinds and changes single entries.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from conductor.domain import errors, paths

MOST_CAPABILITIES = 64
MOST_LETTERS = 64
"""A kind, an alias, a provider and a capability are labels: as long as callers may send them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of coding agent. context_limit: tokens; None: it depends on the model that its people chose."""

    kind: str
    title: str
    provider: str | None = None
    capabilities: tuple[str, ...] = ()
    context_limit: int | None = None
    instruction_file: str | None = None
    aliases: tuple[str, ...] = ()


class Profiles:
    """The profiles of one installation."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._by_name = {alias: profile for profile in profiles.values() for alias in profile.aliases}
        self._by_name |= profiles
        self.kinds = tuple(profiles)

    def find(self, kind: str | None) -> Profile | None:
        """Find the profile of a kind, by any of its names; None: nothing is known of it."""
        return None if kind is None else self._by_name.get(kind.strip().lower())

    def kind(self, name: str) -> str:
        """Give the kind that a name means; a name that nobody knows is a kind of its own."""
        profile = self.find(name)
        return profile.kind if profile is not None else name

    def instruction_file(self, kind: str | None) -> str | None:
        """Give the file that a kind reads by itself, relative to the repository."""
        profile = self.find(kind)
        return profile.instruction_file if profile is not None else None

    def context_limit(self, kind: str | None) -> int | None:
        """Give how many tokens fit into the context of a kind's usual model."""
        profile = self.find(kind)
        return profile.context_limit if profile is not None else None

    def capabilities(self, kind: str | None) -> tuple[str, ...]:
        """Give what a kind can do; nothing where nothing is known of it."""
        profile = self.find(kind)
        return profile.capabilities if profile is not None else ()

    def provider(self, kind: str | None) -> str | None:
        """Give whose models a kind uses, where it uses only theirs."""
        profile = self.find(kind)
        return profile.provider if profile is not None else None


@lru_cache(maxsize=8)
def known(own: Path | None = None) -> Profiles:
    """Give the built-in profiles with the operator's before them; read once.

    own: a TOML file of the form of profiles.toml; what an entry leaves out stays as built in.
    Raises Invalid naming the file and the entry that is wrong.
    """
    built_in = resources.files(__package__).joinpath("profiles.toml").read_text(encoding="utf-8")
    profiles = _changed({}, tomllib.loads(built_in))
    if own is None:
        return Profiles(profiles)
    try:
        return Profiles(_changed(profiles, tomllib.loads(own.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as why:
        raise errors.Invalid(f"The profiles {own} cannot be read: {why}", facts={"path": str(own)}) from why
    except errors.ConductorError as why:
        raise errors.Invalid(f"The profiles {own}: {why.message}", facts={**why.facts, "path": str(own)}) from why


def _changed(profiles: Mapping[str, Profile], entries: Mapping[str, Any]) -> dict[str, Profile]:
    changed = dict(profiles)
    for name, entry in entries.items():
        kind = _label(name, "its name", name).lower()
        changed[kind] = replace(changed.get(kind) or Profile(kind, title=name), **_fields(kind, entry))
    return changed


def _fields(kind: str, entry: Any) -> dict[str, Any]:
    names = ("title", "provider", "capabilities", "context_limit", "instruction_file", "aliases")
    if not isinstance(entry, Mapping) or not entry.keys() <= set(names):
        raise errors.Invalid(
            f'"{kind}" must be a table of {", ".join(names)}; all of them may be left out.',
            facts={"entry": kind, "allowed": list(names)},
        )
    fields: dict[str, Any] = {}
    for name, value in entry.items():
        match name:
            case "capabilities" | "aliases":
                fields[name] = _labels(kind, name, value)
            case "context_limit":
                if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1_000_000_000:
                    raise errors.Invalid(
                        f'"{kind}" context_limit must be a number of tokens.', facts={"entry": kind, "argument": name}
                    )
                fields[name] = value
            case "instruction_file":
                fields[name] = paths.canonical(_label(kind, name, value, most=1024), fold_case=False)
            case _:
                fields[name] = _label(kind, name, value)
    return fields


def _labels(kind: str, name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_CAPABILITIES:
        raise errors.Invalid(
            f'"{kind}" {name} must be a list of at most {MOST_CAPABILITIES} words.',
            facts={"entry": kind, "argument": name},
        )
    labels = (_label(kind, name, each) for each in value)
    return tuple(dict.fromkeys(label.lower() if name == "aliases" else label for label in labels))


def _label(kind: str, name: str, value: Any, most: int = MOST_LETTERS) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= most or not value.isprintable():
        raise errors.Invalid(
            f'"{kind}" {name} must be a text of at most {most} characters.', facts={"entry": kind, "argument": name}
        )
    return value.strip()
