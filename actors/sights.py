"""Sights: what the daemon sees in a project's repository before a command goes to its host.

A host never waits for anything but the database, so git runs here: in threads of its own, with a deadline, no more
than a few at once for one organisation. What was seen travels with the command as JSON; when nothing could be seen it
says why, and the command goes on all the same. Must never raise for what is in a repository.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from actors import seen
from conductor import telemetry
from conductor.clock import Clock
from conductor.domain import briefing
from conductor.domain.access import Caller
from conductor.domain.agents import Agent
from conductor.domain.briefing import Instructions
from conductor.domain.organizations import Onboarding
from conductor.integrations.git import Repository, Unseen
from conductor.operations.row import Operation, Request
from conductor.operations.tasks import CompleteTask
from conductor.setting_groups import Repositories
from storage.store import Store

log = telemetry.logger("sights")

MOST_TEXT = 20_000
"""Characters of an instruction file that are read; a briefing rarely has room for as many."""

THREADS = 4
AT_ONCE = 2
"""Looks at once for one organisation: a repository that hangs must leave others their turn."""

KNOWN_S = 1.0
"""So long a project's root_path is remembered; a change of it through this daemon is seen at once."""

REST_S = 30.0
"""So long a repository that did not answer in time is not asked again."""

MOST_KNOWN = 10_000
MOST_TEXTS = 256

_ELSEWHERE = ("commondir", "objects/info/alternates")
"""Files by which a repository says that its objects lie with another."""

_NOT_HERE = "this organisation's repositories may not be looked into (setting repositories.folder)"

Reader = Callable[[Callable[[Store], Any]], Awaitable[Any]]
"""Runs something that reads the store in a thread."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An instruction file. is_chosen: somebody chose it; else it is what the agent's kind usually reads."""

    file: str
    is_chosen: bool


class Sights:
    """Looks into repositories.

    read: reads the store. usual: gives the file that a kind of agent reads by itself.
    """

    def __init__(
        self, read: Reader, chosen: Repositories, usual: Callable[[str | None], str | None], clock: Clock
    ) -> None:
        self._read = read
        self._clock = clock
        self._chosen = chosen
        self._usual = usual
        self._eyes = ThreadPoolExecutor(THREADS, thread_name_prefix="sight")
        self._roots: dict[tuple[str, str], tuple[float, str | None]] = {}
        self._resting: dict[str, float] = {}
        self._turns: dict[str, tuple[asyncio.Semaphore, list[int]]] = {}
        self._texts: OrderedDict[tuple[str, str, str], Instructions | None] = OrderedDict()
        self._texts_lock = Lock()
        self._first: str | None = None
        self._told: dict[str, str] = {}

    async def look(self, row: Operation[Any, Any], request: Request, caller: Caller, project_id: str) -> bytes:
        """Look at what an operation needs to know of the project's repository; empty: there is nothing to look at."""
        commit = _named(request) if isinstance(request, CompleteTask) else ""
        if commit is None:
            return b""
        organization_id = caller.organization_id
        root = await self._root(organization_id, project_id)
        if root is None:
            return b""
        wanted = None
        if not commit:
            wanted = await self._read(lambda store: self._wanted(store, caller, project_id))
            if wanted is None:
                return b""
        if not await self._may_look(organization_id):
            return seen.unseen(_NOT_HERE)
        if self._resting.get(root, -REST_S) > self._clock.monotonic():
            return seen.unseen("git did not answer in time there a moment ago; it is asked again soon")
        return await self._in_turn(organization_id, root, lambda: self._see(organization_id, root, commit, wanted))

    @property
    def under_way(self) -> int:
        """How many looks are under way or wait for their turn."""
        return sum(users[0] for _, users in self._turns.values())

    def forget(self, organization_id: str, project_id: str | None) -> None:
        """Ask for the root_path of a project anew: it may have been changed."""
        if project_id is not None:
            self._roots.pop((organization_id, project_id), None)

    def close(self) -> None:
        """Let the threads go; one that a dead disk holds is left behind."""
        self._eyes.shutdown(wait=False, cancel_futures=True)

    async def _root(self, organization_id: str, project_id: str) -> str | None:
        known = self._roots.get((organization_id, project_id))
        now = self._clock.monotonic()
        if known is not None and now - known[0] < KNOWN_S:
            return known[1]
        root: str | None = await self._read(lambda store: _root_of(store, organization_id, project_id))
        if len(self._roots) >= MOST_KNOWN:
            self._roots.clear()
        self._roots[organization_id, project_id] = (now, root)
        return root

    async def _may_look(self, organization_id: str) -> bool:
        """Tell whether an organisation's repositories are looked into: the first one's always, others' in a folder."""
        if self._first is None:
            self._first = await self._read(_first_organization)
        return organization_id == self._first or self._chosen.folder is not None

    def _wanted(self, store: Store, caller: Caller, project_id: str) -> _Wanted | None:
        if caller.agent_name is None:
            return None
        with store.reading(caller.organization_id) as tx:
            agent = tx.agents.get(project_id, caller.agent_name)
            config = tx.projects.onboarding(project_id)
        return None if agent is None else self._file_for(agent, config)

    def _file_for(self, agent: Agent, config: Onboarding) -> _Wanted | None:
        chosen = briefing.instruction_file(agent, config)
        if chosen is not None:
            return _Wanted(chosen, is_chosen=True)
        usual = self._usual(agent.kind)
        return None if usual is None else _Wanted(usual, is_chosen=False)

    async def _in_turn(self, organization_id: str, root: str, see: Callable[[], bytes]) -> bytes:
        """Run a look in a thread when it is the organisation's turn; whoever waits too long sees nothing."""
        turn, users = self._turns.setdefault(organization_id, (asyncio.Semaphore(AT_ONCE), [0]))
        has_begun = False

        def begin() -> bytes:
            nonlocal has_begun
            has_begun = True
            return see()

        users[0] += 1
        try:
            async with asyncio.timeout(self._chosen.timeout_s + 1.0), turn:
                return await asyncio.get_running_loop().run_in_executor(self._eyes, begin)
        except TimeoutError:
            if not has_begun:
                return seen.unseen("the server looks into too many repositories at once")
            self._rest(root)
            return seen.unseen("git did not answer in time")
        finally:
            users[0] -= 1
            if users[0] == 0:
                self._turns.pop(organization_id, None)

    def _see(self, organization_id: str, root: str, commit: str, wanted: _Wanted | None) -> bytes:
        """Ask git; in a thread."""
        try:
            self._require_own(organization_id, root)
            repository = Repository(
                root, trusts_owner=self._chosen.any_owner, ends_at=time.monotonic() + self._chosen.timeout_s
            )
            if wanted is not None:
                return seen.written_instructions(self._instructions(repository, wanted))
            return seen.written_commit(repository.commit(commit))
        except Unseen as unseen:
            if unseen.is_slow:
                self._rest(root)
            if self._told.get(root) != unseen.why:
                # Once, not at each claim.
                self._told[root] = unseen.why
                log.info("repository_unseen", root=root, why=unseen.why, detail=unseen.detail)
            return seen.unseen(unseen.why)

    def _instructions(self, repository: Repository, wanted: _Wanted) -> Instructions | None:
        """Read an instruction file at the commit that is checked out; once for each commit."""
        head = repository.head()
        key = (repository.root, head, wanted.file)
        with self._texts_lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        text = repository.text(head, wanted.file, MOST_TEXT + 1)
        found = None
        if text is not None:
            found = Instructions(wanted.file, _plain(text[:MOST_TEXT]), head, is_whole=len(text) <= MOST_TEXT)
        with self._texts_lock:
            self._texts[key] = found
            while len(self._texts) > MOST_TEXTS:
                self._texts.popitem(last=False)
        return found

    def _rest(self, root: str) -> None:
        if len(self._resting) >= MOST_KNOWN:
            self._resting.clear()
            self._told.clear()
        self._resting[root] = self._clock.monotonic() + REST_S

    def _require_own(self, organization_id: str, root: str) -> None:
        """Refuse a repository outside of the folder of a further organisation, or one that leans on others.

        root_path is what a tenant's admin says: without this it could be anybody's repository. Raises Unseen.
        """
        if not os.path.isabs(root):
            raise Unseen("the project's root_path is not absolute")
        if self._chosen.folder is None or organization_id == self._first:
            return
        own = os.path.realpath(self._chosen.folder / organization_id)
        if not os.path.realpath(root).startswith(f"{own}{os.sep}") or not _stands_alone(root):
            raise Unseen(_NOT_HERE)


def _named(request: CompleteTask) -> str | None:
    return request.evidence.commit if request.evidence is not None else None


def _root_of(store: Store, organization_id: str, project_id: str) -> str | None:
    with store.reading(organization_id) as tx:
        project = tx.projects.get(project_id)
    return None if project is None else project.root_path


def _first_organization(store: Store) -> str | None:
    with store.cross_tenant() as everything:
        return everything.first_organization()


def _stands_alone(root: str) -> bool:
    """Tell whether a repository has its objects itself, and does not name another's."""
    git = os.path.join(root, ".git")
    try:
        if os.path.lexists(git) and not stat.S_ISDIR(os.lstat(git).st_mode):
            return False
        # Where `.git` turns out to be no repository, git takes the folder itself for one.
        return not any(_leans(place) for place in (git, root))
    except OSError:
        return False


def _leans(git: str) -> bool:
    """Tell whether a repository takes objects from elsewhere, because it says so or by a link."""
    objects = os.path.join(git, "objects")
    if os.path.islink(objects) or any(os.path.lexists(os.path.join(git, name)) for name in _ELSEWHERE):
        return True
    for folder in (objects, os.path.join(objects, "info"), os.path.join(objects, "pack")):
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                if any(entry.is_symlink() for entry in entries):
                    return True
    return False


def _plain(text: str) -> str:
    """Take out what drives terminals: the text is shown to people and models."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())
