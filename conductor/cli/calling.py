"""Carrying a command out: connect, find the project that is meant, call, show the answer."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import typer

from conductor import home
from conductor.cli import arguments, show
from conductor.client import wire
from conductor.client.retries import Patience
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.domain.access import TokenKind
from conductor.domain.quotas import Scope
from conductor.operations.gates import PathsChecked
from conductor.operations.locks import GrantStatus, LockGrant
from conductor.operations.row import Operation, Reply

PATIENCE = Patience(tries=3, longest_wait_s=5.0, refused_connections=False)
"""A person waits a little for a busy daemon, and not at all for one that is not there."""

_USUAL_PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The options that say where and how. project: as --project gave it."""

    url: str | None = None
    home: str | None = None
    project: str | None = None
    all_projects: bool = False
    organization: str | None = None
    field: str | None = None
    json: bool = False


def environment(url: str | None, home_folder: str | None) -> dict[str, str]:
    """The environment as the options --url and --home change it."""
    changed = {"CONDUCTOR_URL": url, "CONDUCTOR_HOME": home_folder}
    return {**os.environ, **{name: value for name, value in changed.items() if value is not None}}


def carry_out(row: Operation[Any, Any], body: dict[str, object], options: Mapping[str, Any]) -> None:
    """Call an operation and print its reply. Raises Exit with another code than 0 for a reply that is no yes."""
    around = Surroundings(**options)
    if around.organization is not None:
        body["organization_id"] = around.organization
    # Wrong arguments are said first, before a daemon is looked for.
    wire.request_of(row, body)
    if around.field is not None and around.field.partition(".")[0] not in row.reply.model_fields:
        raise _no_field(around.field, row.reply.model_fields)
    with connected(row, around, body) as (client, place):
        content = client.answer(row, wire.request_of(row, {**body, **place}))
    if around.field is not None:
        sys.stdout.write(_field(content, around.field) + "\n")
    elif around.json:
        sys.stdout.write(content.decode() + "\n")
    else:
        show.reply(wire.reply_of(row, content, client.url))
    if row.reply in _MAY_BE_NO:
        code = exit_code(wire.reply_of(row, content, client.url))
        if code:
            raise typer.Exit(code)


_MAY_BE_NO = (LockGrant, PathsChecked)


def exit_code(answer: Reply) -> int:
    """Give the code of a reply: that of the refusal which a no would be, so that `… && edit` does not edit."""
    match answer:
        case LockGrant(status=GrantStatus.QUEUED):
            return errors.LockHeld.exit_code
        case PathsChecked(allowed=False):
            return errors.Forbidden.exit_code
        case _:
            return 0


@contextmanager
def connected(
    row: Operation[Any, Any], around: Surroundings, body: Mapping[str, object] = MappingProxyType({})
) -> Iterator[tuple[Client, dict[str, object]]]:
    """Connect for calls of an operation; gives the client, and the fields that say where the calls are meant."""
    found = home.find_connection(environment(around.url, around.home))
    with Client(found.url, found.token, patience=PATIENCE) as client:
        place: dict[str, object] = {}
        if around.organization is not None:
            place["organization_id"] = around.organization
        project_id = _project_id(client, row, body, around, found)
        if project_id is not None:
            place["project_id"] = project_id
        try:
            yield client, place
        finally:
            # Beside the answer, so that a script that reads it is not disturbed.
            for notice in client.take_notices():
                sys.stderr.write(f"{show.clean(notice)}\n")


def _field(content: bytes, name: str) -> str:
    """One field of a reply: text as it is, so that a script can use it, anything else as JSON; absent is empty."""
    value = json.loads(content)
    for part in name.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            raise _no_field(name, value if isinstance(value, dict) else ())
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _no_field(name: str, there: Iterable[str]) -> errors.Invalid:
    return errors.Invalid(f"The reply has no field {name!r}; it has: {', '.join(there) or 'nothing below that'}.")


def _project_id(
    client: Client, row: Operation[Any, Any], body: Mapping[str, object], around: Surroundings, found: home.Connection
) -> str | None:
    """The project to name: the one given; none where the daemon knows it or means all; the only one; or `default`."""
    if around.project:
        return _looked_up(client, around.project, around, found)
    is_scoped = arguments.is_scoped(row)
    is_for_all = is_scoped and body.get("scope") == Scope.ORGANIZATION
    if not (row.takes_project or is_scoped) or is_for_all or around.all_projects:
        return None
    if found.project:
        return _looked_up(client, found.project, around, found)
    is_located = row.locate is not None and body.get(row.locate) is not None
    if is_located or (row.wide and not is_scoped) or not found.token.startswith(f"cdr_{TokenKind.USER}_"):
        return None
    projects = client.projects(around.organization)
    if len(projects) == 1:
        return projects[0].id
    try:
        return wire.choose_project(projects, _USUAL_PROJECT)
    except errors.NotFound as missing:
        slugs = missing.facts["projects"]
        there = f"one of {', '.join(map(str, slugs))}" if isinstance(slugs, list) and slugs else "none is there yet"
        raise errors.Invalid(
            f"Say which project is meant with --project or CONDUCTOR_PROJECT: {there}.", facts=missing.facts
        ) from None


def _looked_up(client: Client, project: str, around: Surroundings, found: home.Connection) -> str:
    if found.token.startswith(f"cdr_{TokenKind.ENROLMENT}_") and not wire.is_project_id(project):
        raise errors.Invalid(
            f"An enrolment token looks up no projects: give the id of {project}, prj_…, with --project or "
            "CONDUCTOR_PROJECT, or ask for a token that is made for this project."
        )
    return client.project_id(project, around.organization)
