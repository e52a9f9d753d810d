"""Who asks, and whom: the token and the daemon of a hook, a bridge or a gate.

An agent has a token of its own: in CONDUCTOR_TOKEN, or in `agents/<agent>.token` of the home. The owner's token is
never taken for an agent: what a hook does must be done, refused and recorded in the agent's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor import home
from conductor.domain import errors

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TOKEN = re.compile(r"[!-~]+")
_PERSON = "cdr_usr_"
_UNKNOWN = (
    "The token is unknown here or has ended. Have a person get a new one: `conductor init` in this repository "
    "makes an agent and keeps its token, or `conductor agent register NAME` shows one for CONDUCTOR_TOKEN."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller and its daemon."""

    url: str
    token: str

    @property
    def key(self) -> str:
        """The public part of the token: names the caller without letting anybody in."""
        parts = self.token.split("_")
        return parts[2] if len(parts) == 4 and parts[2].isalnum() else "unknown"


def explained(code: str, message: str) -> str:
    """Word what the daemon said for whoever reads it here: nobody does who could send it another header."""
    return _UNKNOWN if code == errors.Unauthenticated.code and "Authorization" in message else message


def environment(given: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """The environment as the options --home, --url and --agent change it."""
    names = {"home": "CONDUCTOR_HOME", "url": "CONDUCTOR_URL", "agent": "CONDUCTOR_AGENT"}
    return {**given, **{names[name]: value for name, value in options.items() if name in names}}


def find(environ: Mapping[str, str]) -> Identity:
    """Say who asks whom. Raises Unavailable when no daemon is known, Unauthenticated when no token is, Invalid."""
    return Identity(url_of(environ), token_of(environ))


def token_of(environ: Mapping[str, str]) -> str:
    """The token to ask with.

    CONDUCTOR_TOKEN; but the token of the named agent's file when the environment has none, or a person's: a person's
    shell must not turn an agent's hooks into the person's.
    """
    given = environ.get("CONDUCTOR_TOKEN", "").strip()
    agent = environ.get("CONDUCTOR_AGENT", "").strip()
    if agent and (not given or given.startswith(_PERSON)):
        given = _of_agent(agent, environ)
    if not given:
        raise errors.Unauthenticated(
            "It is not said who asks: name the agent with --agent NAME or CONDUCTOR_AGENT, or set CONDUCTOR_TOKEN. "
            "A token comes from `conductor init`, or from a person: `conductor agent register NAME`."
        )
    if not _TOKEN.fullmatch(given):
        raise errors.Unauthenticated("The token has characters that no token has: copy it again.")
    return given


def token_file(agent: str, environ: Mapping[str, str]) -> Path:
    """Where an agent's token is kept. Raises Invalid for what is no agent's name."""
    if not _NAME.fullmatch(agent):
        raise errors.Invalid("An agent's name has letters, digits, dots, dashes and underscores, at most 63.")
    return home.Home.locate(environ).path / "agents" / f"{agent}.token"


def url_of(environ: Mapping[str, str]) -> str:
    """The daemon to ask: CONDUCTOR_URL, else what the home's own daemon said. Raises Unavailable, Invalid."""
    given = environ.get("CONDUCTOR_URL", "").strip().rstrip("/")
    if given:
        return given
    place = home.Home.locate(environ)
    running = place.daemon()
    if running is None:
        raise errors.Unavailable(
            f"No daemon runs in {place.path}: start one with `conductor up`, or set CONDUCTOR_URL."
        )
    if not is_alive(running.pid):
        # Whoever listens on a dead daemon's port must not be handed a token.
        raise errors.Unavailable(f"The daemon of {place.path} is gone: start it again with `conductor up`.")
    return running.url.rstrip("/")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _of_agent(agent: str, environ: Mapping[str, str]) -> str:
    path = token_file(agent, environ)
    try:
        return home.read_private(path)
    except errors.NotFound:
        raise errors.Unauthenticated(
            f"There is no token for {agent} in {path}: `conductor init --agent CLIENT={agent}` makes one (CLIENT: "
            "claude, codex, gemini, cursor or opencode)."
        ) from None
