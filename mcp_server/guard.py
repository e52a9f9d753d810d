"""The first guard: a web page must not reach the daemon through somebody's browser.

A page of another site can make the browser send requests to a loopback address, and by DNS rebinding even read the
answers; then `Host` or `Origin` carries the other site's name. Checked before every route, those without a token too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from conductor.domain import errors
from mcp_server.serving import Headers

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

_PROXIES = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"fly-client-ip",
    }
)
"""Headers that only a proxy adds; beside these, whatever begins with x-forwarded."""

_WILDCARDS = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 (compared with, never bound)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::[0-9]{1,5})?")
_ONCE = frozenset({b"host", b"origin", b"authorization", b"content-length", b"content-type"})
_PASSED_AT_MOST = 64


class HostGuard:
    """Lets a request in when the names in it are ours."""

    def __init__(self, bound_host: str, allowed_hosts: Iterable[str]) -> None:
        bound = set() if bound_host in _WILDCARDS else {_canonical(bound_host)}
        self._names = LOOPBACK | bound | {_canonical(host) for host in allowed_hosts}
        # Values that passed before: a client sends the same one each time.
        self._passed: set[bytes] = set()

    def read(self, given: Sequence[tuple[bytes, bytes]]) -> Headers:
        """Read a request's headers and check the names in them. Raises Forbidden, Invalid."""
        headers = dict(given)
        if len(headers) != len(given):
            _require_once(given)
        host = headers.get(b"host", b"")
        if host not in self._passed:
            self._check_host(host)
        if b"origin" in headers:
            self._check_origin(headers[b"origin"])
        return headers

    def _check_host(self, host: bytes) -> None:
        if not self._is_ours(host.decode("latin-1")):
            raise errors.Forbidden(
                "The Host header names a server that this one is not. Use the address that `conductor status` prints, "
                "or add the name to server.allowed_hosts."
            )
        if len(self._passed) < _PASSED_AT_MOST:
            self._passed.add(host)

    def _check_origin(self, origin: bytes) -> None:
        scheme, _, authority = origin.decode("latin-1").partition("://")
        if scheme not in {"http", "https"} or not self._is_ours(authority):
            raise errors.Forbidden(
                "The request comes from a web page of another site. If that page is yours, add its host name to "
                "server.allowed_hosts."
            )

    def _is_ours(self, authority: str) -> bool:
        shape = _AUTHORITY.fullmatch(authority.lower())
        return shape is not None and shape[1] in self._names


def is_local(client: tuple[str, int] | None, headers: Headers) -> bool:
    """Tell whether a request came from this very machine, and not through a proxy on it.

    client: the other end of the connection. A proxy that hides itself still asks under a name of its own, or under
    the loopback's; who runs one of the latter kind must not trust the machine (see settings.auto_approve).
    """
    if client is None or not _is_loopback(client[0]):
        return False
    shape = _AUTHORITY.fullmatch(headers.get(b"host", b"").decode("latin-1").lower())
    if shape is None or shape[1] not in LOOPBACK:
        return False
    return not any(name in _PROXIES or name.startswith(b"x-forwarded") for name in headers)


def _is_loopback(address: str) -> bool:
    try:
        told = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = told.ipv4_mapped if isinstance(told, ipaddress.IPv6Address) else None
    return (mapped or told).is_loopback


def _canonical(host: str) -> str:
    host = host.lower().rstrip(".")
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _require_once(given: Iterable[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    for name, _ in given:
        if name in _ONCE and name in seen:
            # Two readers would take different ones, and one of them would be the guard.
            raise errors.Invalid(f"The header {name.decode()} came twice: send it once.")
        seen.add(name)
