"""What one run of a hook leaves for the next: the session of a client, and notices that nobody was shown yet.

Kept in `hooks/<the token's public part>/` of the home. Losing it loses a hint, never a lease: what cannot be written is
passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from conductor import home

_MOST_NOTICES = 20


class Memory:
    """The memory of one agent's hooks."""

    def __init__(self, place: home.Home, key: str) -> None:
        self._folder = place.path / "hooks" / key

    def keep_notices(self, texts: Sequence[str]) -> None:
        """Keep what was told with an answer that a model is not shown."""
        if not texts:
            return
        with contextlib.suppress(OSError):
            self._prepare()
            descriptor = os.open(self._notices, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write("".join(json.dumps(text) + "\n" for text in texts))

    def take_notices(self) -> list[str]:
        """Take what was kept; of two that take at once one gets it."""
        taken = self._notices.with_name(f"notices.{os.getpid()}")
        try:
            self._notices.rename(taken)
            lines = taken.read_text("utf-8").splitlines()
            taken.unlink()
        except OSError:
            return []
        told = []
        for line in lines[-_MOST_NOTICES:]:
            with contextlib.suppress(ValueError):
                told.append(str(json.loads(line)))
        return told

    def session(self, client_session: str) -> str | None:
        """Conductor's session that was begun for a session of the client."""
        try:
            return self._session(client_session).read_text("utf-8").strip() or None
        except (OSError, ValueError):
            return None

    def keep_session(self, client_session: str, session_id: str) -> None:
        """Keep which session was begun for a session of the client."""
        with contextlib.suppress(OSError):
            self._prepare()
            home.write_private(self._session(client_session), session_id)

    def forget_session(self, client_session: str) -> None:
        """Forget it: the session is over."""
        with contextlib.suppress(OSError):
            self._session(client_session).unlink(missing_ok=True)

    @property
    def _notices(self) -> Path:
        return self._folder / "notices"

    def _session(self, client_session: str) -> Path:
        return self._folder / f"session-{re.sub(r'[^A-Za-z0-9-]', '', client_session)[:64]}"

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
