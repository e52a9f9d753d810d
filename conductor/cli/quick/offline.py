"""What was done while the daemon could not be asked and CONDUCTOR_OFFLINE=1 let it pass, to be recorded on return.

One line of JSON each in `offline.jsonl` of the home. Each carries its own idempotency key, so that an entry which was
sent and not struck off is not recorded twice. An agent sends its own entries, and those of nobody known.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from conductor import home
from conductor.cli.quick import asking
from conductor.domain import errors

MOST_SENT = 25
"""In one run: a hook has to end. The next sends more."""

_MOST_PATHS = 16
_COMMIT = "git commit"
_ONE_COMMIT_S = 60


def is_open(environ: Mapping[str, str]) -> bool:
    """Tell whether edits pass while the daemon cannot be asked."""
    return environ.get("CONDUCTOR_OFFLINE", "") not in {"", "0", "false"}


def keep(place: home.Home, key: str, tool: str, paths: Sequence[str], because: str) -> None:
    """Keep that something passed. Raises OSError: what cannot be recorded must not pass.

    A commit passes two hooks, which make one entry.
    """
    entry: dict[str, Any] = {
        "key": os.urandom(16).hex(),
        "agent": key,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tool": tool,
        "paths": list(paths[:_MOST_PATHS]),
        "because": because,
    }
    place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(place.path / "offline.jsonl", os.O_RDWR | os.O_CREAT, 0o600)
    with open(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if tool == _COMMIT:
            lines = file.read().splitlines(keepends=True)
            before = _entry(lines[-1].decode(errors="replace")) if lines else None
            if before is not None and _is_first_half(before, key):
                both = dict.fromkeys([*before.get("paths", []), *entry["paths"]])
                entry |= {"key": before.get("key"), "paths": list(both)[:_MOST_PATHS], "is_whole": True}
                file.seek(-len(lines[-1]), os.SEEK_END)
                file.truncate()
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(entry).encode() + b"\n")


def _is_first_half(entry: Mapping[str, Any], key: str) -> bool:
    """Tell whether an entry is of a commit's first hook, whose second has not been kept yet."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - _ONE_COMMIT_S))
    is_of_it = entry.get("agent") == key and entry.get("tool") == _COMMIT and not entry.get("is_whole")
    return is_of_it and isinstance(entry.get("paths"), list) and str(entry.get("at")) >= since


def replay(place: home.Home, key: str, daemon: asking.Daemon) -> int:
    """Record what passed meanwhile; gives how many entries. What cannot be sent now stays."""
    path = place.path / "offline.jsonl"
    try:
        if path.stat().st_size == 0:
            return 0
        with path.open("r+", encoding="utf-8", errors="replace") as file:
            # Another hook is at it, and will be done before anybody asks what was recorded.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lines = file.read().splitlines()
            kept, sent = _send(lines, key, daemon)
            if sent:
                file.seek(0)
                file.truncate()
                file.write("".join(f"{line}\n" for line in kept))
            return sent
    except OSError:
        return 0


def _send(lines: Sequence[str], key: str, daemon: asking.Daemon) -> tuple[list[str], int]:
    kept: list[str] = []
    sent = 0
    for place, line in enumerate(lines):
        entry = _entry(line)
        if entry is None:
            continue
        if entry.get("agent") not in {key, "unknown"} or sent >= MOST_SENT:
            kept.append(line)
            continue
        try:
            _record(entry, daemon)
        except errors.Invalid:
            # Somebody wrote into the file: it would be refused each time.
            continue
        except errors.ConductorError:
            return [*kept, *lines[place:]], sent
        sent += 1
    return kept, sent


def _record(entry: Mapping[str, Any], daemon: asking.Daemon) -> None:
    paths = entry.get("paths")
    named = ", ".join(map(str, paths)) if isinstance(paths, list) else ""
    metadata = {"at": entry.get("at"), "tool": entry.get("tool"), "paths": named, "because": entry.get("because")}
    daemon.call(
        "log_action",
        action="edited while the daemon could not be asked (CONDUCTOR_OFFLINE=1)",
        metadata={name: _printable(str(value)) for name, value in metadata.items()},
        idempotency_key=f"offline-{entry.get('key')}",
    )


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:500])


def _entry(line: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict):
            return entry
    return None
