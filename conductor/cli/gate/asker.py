"""Who a gate asks as, and where: an agent or a person who commits, or the server that receives.

An agent is known by its token, or by its name (`--agent`, CONDUCTOR_AGENT, `git config conductor.agent`, else what
`conductor init` named the client that runs the gate). CONDUCTOR_AGENT set to nothing says: a person. A receiving gate
has a token of its own: what a pusher brings along in the environment must not become what the push is judged with.
Standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor import home
from conductor.cli.quick import identity
from conductor.domain import errors
from conductor.domain.access import TokenKind

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
"""What an agent's name looks like; no other is asked about or becomes the name of a file."""


_AGENTS = f"cdr_{TokenKind.AGENT}_"


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose token is shown where. project: id or slug, where one has to be named."""

    caller: identity.Identity
    project: str | None


def surroundings(environ: Mapping[str, str], settings: Mapping[str, str], agent: str | None) -> dict[str, str]:
    """The environment with the agent's name in it: by the option, the environment itself, or the repository."""
    name = agent or environ.get("CONDUCTOR_AGENT", settings.get("agent", ""))
    return {**environ, "CONDUCTOR_AGENT": name.strip()}


def is_agent(environ: Mapping[str, str]) -> bool:
    """Whether an agent works here, as `surroundings` says; known also when its daemon cannot be asked."""
    return bool(environ["CONDUCTOR_AGENT"]) or environ.get("CONDUCTOR_TOKEN", "").strip().startswith(_AGENTS)


def local(environ: Mapping[str, str], settings: Mapping[str, str], project: str | None) -> Asker:
    """Who commits or pushes here. Raises Unauthenticated, Unavailable, Invalid when it cannot be known or asked.

    project: which one this checkout was set up for, where no setting names another.
    """
    if is_agent(environ):
        # An agent's token is bound to its project.
        return Asker(identity.find(environ), None)
    found = home.find_connection(environ)
    return Asker(identity.Identity(found.url, found.token), settings.get("project") or project or found.project)


def receiving(environ: Mapping[str, str], settings: Mapping[str, str]) -> Asker:
    """The server that receives: by its repository's settings, then by its environment. Raises as `local`."""
    own = dict(environ)
    if settings.get("url"):
        own["CONDUCTOR_URL"] = settings["url"]
    if settings.get("token-file"):
        file = Path(os.path.expanduser(settings["token-file"]))
        own["CONDUCTOR_TOKEN"] = _token_in(file, "The receiving gate has no token (svc, or a member's): put it into")
    found = home.find_connection(own)
    if found.token.startswith(_AGENTS):
        raise errors.Unauthenticated(
            "The receiving gate needs a token of its own (svc, or a member's), and has an agent's: "
            "git config conductor.token-file FILE"
        )
    return Asker(identity.Identity(found.url, found.token), settings.get("project") or found.project)


def names_in(people: frozenset[str]) -> list[str]:
    """What could be an agent's name in a commit's author and committer: a name, or what stands before the @."""
    before = {said.partition("@")[0] for said in people}
    return sorted(name for name in before | {name.lower() for name in before} if _NAME.fullmatch(name))


def _token_in(file: Path, lacking: str) -> str:
    try:
        token = home.read_private(file)
    except errors.NotFound:
        token = ""
    # Without it the owner's would be taken.
    if not token:
        raise errors.Unauthenticated(f"{lacking} {file} (mode 600).")
    return token
