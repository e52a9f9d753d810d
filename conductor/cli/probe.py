"""A look at a daemon from outside, without a token: is it there, does it serve, does its clock agree?"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from conductor.client import retries, wire

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen. problem: why it is not alive or not ready, as a sentence; mend: the command.

    version, started_at, clock_ahead_s: where the daemon tells them. clock_ahead_s: its clock minus ours.
    """

    is_alive: bool
    is_ready: bool
    problem: str | None = None
    mend: str = "conductor up"
    version: str | None = None
    started_at: datetime | None = None
    clock_ahead_s: float | None = None


def look(url: str) -> Probe:
    """Ask /readyz: 200 serves, 503 lives; anything else is not a Conductor daemon."""
    to = wire.Target(url, {})
    try:
        with httpx.Client(**wire.connecting(to, _TIMEOUT_S), mounts=wire.direct(to)) as http:
            answered = http.get("/readyz")
    except httpx.HTTPError as failure:
        mend = "conductor up" if retries.untrusted_because(failure) is None else "export SSL_CERT_FILE=FILE"
        return Probe(False, False, retries.explain(failure, url).message, mend)
    told = _json(answered.content)
    if answered.status_code == 200 and told.get("status") == "ready":
        return Probe(
            True,
            True,
            version=_text(told.get("version")),
            started_at=moment(_text(told.get("started_at"))),
            clock_ahead_s=_ahead(answered.headers.get("Date")),
        )
    if answered.status_code == 503 and "message" in told:
        return Probe(True, False, str(told["message"]))
    return Probe(
        False, False, f"What answers at {url} is not a Conductor daemon (HTTP {answered.status_code} on /readyz)."
    )


def moment(text: str | None) -> datetime | None:
    """Read a time with its zone; None for anything else."""
    try:
        read = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return read.astimezone(UTC) if read is not None and read.tzinfo is not None else None


def _json(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _ahead(date: str | None) -> float | None:
    if not date:
        return None
    try:
        return (parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None
