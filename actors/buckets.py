"""Which host serves whom: keepers fall into buckets by their key, buckets are dealt to hosts at the start and stay."""

from __future__ import annotations

import zlib

from actors.commands import Chore, Command
from conductor.operations.catalogue import CATALOGUE
from storage.store import BUCKETS

_IN_PROJECT = {Chore.TOUCH, Chore.TAKE_URGENT}
"""Chores that concern one project."""


def bucket_of(organization_id: str, project_id: str | None) -> int:
    """Give the bucket of a project's keepers, or of an organisation's."""
    return zlib.crc32(f"{organization_id}/{project_id or ''}".encode()) % BUCKETS


def bucket_for(command: Command) -> int:
    """Give the bucket whose host carries a command out, and whose fence guards what it writes.

    The keeper decides, not what the command names: a cost of a project is booked by its organisation's keeper.
    """
    row = CATALOGUE.get(command.operation)
    in_project = row.in_project if row is not None else command.operation in _IN_PROJECT
    return bucket_of(command.organization_id, command.project_id if in_project else None)


def host_of(bucket: int, hosts: int) -> int:
    """Give the host that a bucket is dealt to."""
    return bucket % hosts


def buckets_of(host: int, hosts: int) -> tuple[int, ...]:
    """List the buckets of a host."""
    return tuple(bucket for bucket in range(BUCKETS) if host_of(bucket, hosts) == host)
