"""The server's side of a set-up: a daemon that answers, the repository's project, and an agent for each client.

First it is looked at what there is, which changes nothing; what is missing is made after the person has seen it.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conductor import home
from conductor.cli import calling, probe, programs
from conductor.cli.setup.clients import Client as CodingAgent
from conductor.cli.setup.places import Checkout
from conductor.client import wire
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.domain.access import TokenKind
from conductor.home import Connection, Home
from conductor.operations.agents import Agent
from conductor.operations.projects import Project

_START_S = 90.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Team:
    """What is there, and what would be made. project: None when it is to be made, then by the name `new_project`.

    agents: each client's agent; to_renew: those that are known and whose token was lost here. own: the agent whose
    own token asks, which can make no other.
    """

    url: str | None
    project: Project | None
    new_project: str
    agents: Mapping[CodingAgent, str]
    to_register: tuple[CodingAgent, ...]
    to_renew: tuple[str, ...] = ()
    own: str | None = None


def look(
    checkout: Checkout,
    wishes: Mapping[CodingAgent, str | None],
    known: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    project: str | None,
    may_be_away: bool = False,
) -> Team:
    """See what the daemon knows; if it may be away, what would be made with a new one. known: the record's agents."""
    try:
        with _connected(environ) as (client, found):
            return _look(client, found, checkout, wishes, known, environ, project or found.project)
    except errors.Unavailable:
        if not may_be_away:
            raise
        agents = _names(wishes, known, _kept_names(environ), set())
        return Team(None, None, project or checkout.main_top().name, agents, tuple(agents))


def make(team: Team, checkout: Checkout, environ: Mapping[str, str]) -> Project:
    """Make what is missing, and put each new agent's token into the home; gives the project."""
    place = Home.locate(environ)
    with _connected(environ) as (client, _):
        if team.own is not None and team.project is not None:
            return team.project
        project = team.project or _create(client, team.new_project, checkout)
        for agent, name in team.agents.items():
            if agent not in team.to_register:
                continue
            given = client.register_agent(
                agent_id=name,
                name=f"{agent.title} in {checkout.top.name}"[:100],
                agent_type=agent.kind,
                project_id=project.id,
                supersede=name in team.to_renew,
            )
            if given.token is None:
                raise errors.Unavailable(f"The daemon gave no token for {name}: run this again.")
            path = place.path / "agents" / f"{name}.token"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.write_private(path, given.token)
            _note(name, environ).unlink(missing_ok=True)
        return project


def leave(tokens: Iterable[str], left: Mapping[str, str], checkout: Checkout, environ: Mapping[str, str]) -> None:
    """Take the tokens of a set-up out of the home; a note stays, by which the next one here takes its agents again.

    left: the client by the agent's name.
    """
    for name in tokens:
        token = _note(name, environ).with_suffix(".token")
        if name in left and token.exists():
            note = {"repository": str(checkout.common), "client": left[name]}
            home.write_private(token.with_suffix(".left"), json.dumps(note))
        token.unlink(missing_ok=True)


def start(environ: Mapping[str, str]) -> str:
    """Start this home's daemon, to run on by itself; gives its address once it serves. Raises Unavailable."""
    program = programs.find_daemon()
    if program is None:
        raise errors.Unavailable(programs.NO_DAEMON)
    place = Home.locate(environ)
    place.prepare()
    log = place.logs / "started-by-init.log"
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            [str(program), "--home", str(place.path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and daemon.poll() is None:
        said = place.daemon()
        if said is not None and said.pid == daemon.pid and probe.look(said.url).is_ready:
            return said.url
        time.sleep(_LOOK_EVERY_S)
    how = f"was not ready within {_START_S:.0f} s" if daemon.poll() is None else f"stopped ({daemon.returncode})"
    raise errors.Unavailable(f"The daemon was started and {how}: {log} says why; `conductor doctor` may know more.")


def is_away(environ: Mapping[str, str]) -> bool:
    """Whether this home's own daemon is meant and does not run."""
    try:
        found = home.find_connection(environ)
    except errors.Unavailable:
        return not environ.get("CONDUCTOR_URL")
    return not environ.get("CONDUCTOR_URL") and not probe.look(found.url).is_alive


@contextmanager
def _connected(environ: Mapping[str, str]) -> Iterator[tuple[Client, Connection]]:
    found = home.find_connection(environ)
    with Client(found.url, found.token, patience=calling.PATIENCE) as client:
        yield client, found


def _look(
    client: Client,
    found: Connection,
    checkout: Checkout,
    wishes: Mapping[CodingAgent, str | None],
    known: Mapping[str, str],
    environ: Mapping[str, str],
    project: str | None,
) -> Team:
    caller = client.whoami()
    if caller.kind is TokenKind.AGENT and caller.agent_id is not None:
        if len(wishes) > 1:
            raise errors.Invalid(
                f"CONDUCTOR_TOKEN is that of the agent {caller.agent_id}, for one client: say which with --agent."
            )
        mine = client.get_project(project_id=caller.project_id)
        return Team(found.url, mine, mine.slug, dict.fromkeys(wishes, caller.agent_id), (), own=caller.agent_id)
    if caller.kind is not TokenKind.USER:
        raise errors.Forbidden(
            f"A token of kind {caller.kind} sets nothing up: use a member's, or an agent's own after "
            "`conductor access request`."
        )
    projects = client.projects()
    there = _project(projects, checkout, project)
    taken = {agent.agent_id for agent in _agents(client, there)} if there is not None else set()
    kept = _kept_names(environ)
    left = {(client, name) for name, client in _left(checkout, environ).items()}
    agents = _names(wishes, known, {*taken, *kept}, left)
    missing = tuple(agent for agent, name in agents.items() if name not in taken or name not in kept)
    for agent in missing:
        name = agents[agent]
        is_own = known.get(agent.name) == name or (agent.name, name) in left
        if there is not None and name in taken and not is_own:
            path = Home.locate(environ).path / "agents" / f"{name}.token"
            raise errors.AgentExists(
                f"{name} is an agent here already, and its token is not in this home: choose another name with --agent "
                f"{agent.name}=NAME. Or take it over, which ends the tokens that it has: put what `conductor agent "
                f"register {name} {name} --supersede --agent-type {agent.kind} --project {there.slug} --field token` "
                f"prints into {path} (mode 600) and run this again."
            )
        if name in kept and not is_own:
            raise errors.AgentExists(
                f"{name} is an agent of another project, whose token is in this home: choose another name with --agent "
                f"{agent.name}=NAME."
            )
    lost = tuple(agents[agent] for agent in missing if agents[agent] in taken)
    return Team(found.url, there, project or checkout.main_top().name, agents, missing, lost)


def _project(projects: list[Project], checkout: Checkout, asked: str | None) -> Project | None:
    """The project of this repository: the one asked for, else by its remote, else by its folder."""
    if asked is not None:
        named = next((one for one in projects if asked in {one.id, one.slug}), None)
        if named is None and wire.is_project_id(asked):
            raise errors.NotFound(f"There is no project {asked}.")
        return named
    remote = _same(checkout.remote())
    by_remote = next((one for one in projects if remote and _same(one.git_remote) == remote), None)
    top = str(checkout.main_top())
    return by_remote or next((one for one in projects if one.root_path == top), None)


def _create(client: Client, name: str, checkout: Checkout) -> Project:
    return client.create_project(name=name[:100], root_path=str(checkout.main_top()), git_remote=checkout.remote())


def _same(remote: str | None) -> str:
    """One spelling for the ways to write one remote."""
    if not remote:
        return ""
    plain = re.sub(r"^[a-z+]+://(?:[^@/]*@)?", "", remote.strip())
    plain = re.sub(r"^[^@/]*@", "", plain)
    return re.sub(r"^([^/:]+):(?:\d+/)?", r"\1/", plain).removesuffix("/").removesuffix(".git").lower()


def _agents(client: Client, project: Project) -> Iterator[Agent]:
    cursor = None
    while True:
        page = client.list_agents(limit=200, cursor=cursor, project_id=project.id)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _names(
    wishes: Mapping[CodingAgent, str | None], known: Mapping[str, str], taken: set[str], left: set[tuple[str, str]]
) -> dict[CodingAgent, str]:
    """Each client's agent: as wished, as it was, else the first number that is free or was left here."""
    names: dict[CodingAgent, str] = {}
    for client, wish in wishes.items():
        numbered = (f"{client.name}-{number}" for number in range(1, 10_000))
        free = (name for name in numbered if name not in taken or (client.name, name) in left)
        name = wish or known.get(client.name) or next(free)
        if name in names.values():
            raise errors.Invalid(f"Two clients cannot be the one agent {name}: give each a name of its own.")
        names[client] = name
    return names


def _left(checkout: Checkout, environ: Mapping[str, str]) -> dict[str, str]:
    """The clients by the names of the agents that an earlier set-up of this repository left behind."""
    found = {}
    for path in (Home.locate(environ).path / "agents").glob("*.left"):
        try:
            said = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(said, dict) and said.get("repository") == str(checkout.common):
            found[path.stem] = str(said.get("client"))
    return found


def _note(name: str, environ: Mapping[str, str]) -> Path:
    return Home.locate(environ).path / "agents" / f"{name}.left"


def _kept_names(environ: Mapping[str, str]) -> set[str]:
    """The agents whose token lies in the home."""
    return {path.stem for path in (Home.locate(environ).path / "agents").glob("*.token")}
