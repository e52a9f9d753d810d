"""Which host serves whom: keepers fall into buckets by their key, buckets are dealt to hosts at the start and stay."""

from __future__ import annotations

import zlib

from storage.store import BUCKETS


def bucket_of(organization_id: str, project_id: str | None) -> int:
    """Give the bucket of a project's keepers, or of an organisation's."""
    return zlib.crc32(f"{organization_id}/{project_id or ''}".encode()) % BUCKETS


def host_of(bucket: int, hosts: int) -> int:
    """Give the host that a bucket is dealt to."""
    return bucket % hosts


def buckets_of(host: int, hosts: int) -> tuple[int, ...]:
    """List the buckets of a host."""
    return tuple(bucket for bucket in range(BUCKETS) if host_of(bucket, hosts) == host)
