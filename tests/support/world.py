"""A whole server without its processes: real store, real hosts in threads, the real dispatcher, a clock that is set.

Tests of keepers call operations as callers would; nothing of ours is replaced but the process boundary.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.commands import Chore, Command, HostStats, Outcome
from actors.dispatch import Answer, Dispatcher
from actors.fleet import BatchOf, Fleet
from actors.host import Host, HostSetup, passes
from conductor import settings
from conductor.domain.access import Caller, Role, TokenKind
from conductor.domain.organizations import Member, Organization, Project
from conductor.operations.catalogue import CATALOGUE
from storage import migrate
from storage.store import Store
from tests.support.clocks import HandClock

PEPPER = b"p" * 32


class ThreadHandle:
    """A host in a thread of this process, as the fleet reaches it."""

    def __init__(self, make: Callable[[], Host]) -> None:
        self._make = make
        self._executor = ThreadPoolExecutor(1)
        self.host = make()

    async def many(self, batch: BatchOf) -> list[Outcome]:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.host.many, batch)

    async def stats(self) -> HostStats:
        return self.host.stats()

    async def ready(self, timeout_s: float) -> None:
        return None

    def restart(self) -> None:
        """Forget everything in memory, as a process that was killed."""
        self.host = self._make()

    def close(self) -> None:
        self._executor.shutdown()


class Refused(Exception):
    """An operation answered with an error."""

    def __init__(self, fault: dict[str, Any]) -> None:
        super().__init__(f"{fault['code']}: {fault['message']}")
        self.fault = fault
        self.code: str = fault["code"]
        self.facts: dict[str, Any] = fault["facts"]


@dataclass
class Who:
    """Somebody who calls: `await ada.claim_task(task_id=…)`."""

    world: World
    caller: Caller
    token: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name not in CATALOGUE:
            raise AttributeError(name)

        async def call(**arguments: Any) -> dict[str, Any]:
            answer = await self.world.answer(name, self.caller, arguments)
            reply: dict[str, Any] = json.loads(answer.body)
            if answer.code is not None:
                raise Refused(reply)
            CATALOGUE[name].reply.model_validate_json(answer.body, strict=True)
            return reply

        return call


class World:
    """One installation with one organisation and one project, more on request."""

    def __init__(self, url: str, *, hosts: int = 1, probe: Callable[[str], None] = passes, **environment: str) -> None:
        self.clock = HandClock()
        self.settings = settings.load({}, environment, home=Path("/nonexistent")).settings
        migrate.migrate(url)
        self.store = Store(url, clock=self.clock)
        self._numbers = itertools.count(1)
        self.outcomes: list[tuple[str, str | None]] = []
        self.organization, self.project, self.owner_member = self.found("acme")
        self.handles = [
            ThreadHandle(
                lambda index=index: Host(  # type: ignore[misc]  # a default keeps the index
                    HostSetup(index, hosts, url, self.settings, PEPPER, self.clock, probe=probe)
                )
            )
            for index in range(hosts)
        ]
        self.open()

    def open(self) -> None:
        """Make fleet and dispatcher over the handles, as a daemon does at its start."""
        self.fleet = Fleet(self.handles, self.settings.batch, self.settings.leases, self.settings.limits)
        self.dispatcher = Dispatcher(
            self.store,
            self.fleet,
            self.settings.leases,
            self.settings.tasks,
            lambda name, code, *_: self.outcomes.append((name, code)),
            read_threads=2,
            repositories=self.settings.repositories,
        )

    def found(self, slug: str, *projects: str) -> tuple[Organization, Project, Member]:
        """Make an organisation with an owner and projects; returns the first project."""
        organization_id = (
            f"org_{slug:0<10}"[:14].replace("-", "0").replace("i", "1").replace("l", "1").replace("o", "0")
        )
        organization_id = "org_" + organization_id[4:].replace("u", "v")
        with self.store.transaction(organization_id) as transaction:
            tx = transaction.unit(organization_id)
            organization = tx.organizations.create(slug.title(), slug=slug)
            member = tx.organizations.add_member("Olga", role=Role.OWNER)
            made = [tx.projects.create(name.title(), slug=name) for name in (projects or ("default",))]
        return organization, made[0], member

    async def answer(self, name: str, caller: Caller, arguments: dict[str, Any]) -> Answer:
        """Call an operation and give its answer as it is."""
        return await self.dispatcher.call(CATALOGUE[name], json.dumps(arguments).encode(), caller)

    def person(
        self, role: Role = Role.OWNER, organization: Organization | None = None, member: str | None = None
    ) -> Who:
        """Give a person of the organisation."""
        home = organization or self.organization
        caller = Caller(
            TokenKind.USER,
            role,
            home.id,
            f"tok_person{next(self._numbers):04d}",
            member_id=member or self.owner_member.id,
        )
        return Who(self, caller)

    async def agent(
        self, name: str, role: Role = Role.CONTRIBUTOR, project: Project | None = None, **particulars: Any
    ) -> Who:
        """Register an agent and give it."""
        place = project or self.project
        made = await self.person().register_agent(
            agent_id=name, name=name.title(), role=role.value, project_id=place.id, **particulars
        )
        caller = Caller(
            TokenKind.AGENT, role, self.organization.id, f"tok_agent{next(self._numbers):05d}", place.id, name
        )
        return Who(self, caller, made["token"])

    async def elapse(self, seconds: float) -> None:
        """Let time pass and tell the hosts."""
        self.clock.move(seconds)
        for batcher in self.fleet.batchers:
            await batcher.run(Command(Chore.ELAPSE, "", None, None, b"{}"))

    async def restart(self, after_s: float = 0.0) -> None:
        """Stop and start everything, with time between."""
        for batcher in self.fleet.batchers:
            await batcher.run(Command(Chore.SIGN_OF_LIFE, "", None, None, b"{}"))
        await self.fleet.stop()
        self.clock.move(after_s)
        for handle in self.handles:
            handle.restart()
        self.open()

    async def close(self) -> None:
        """Let go of everything."""
        await self.fleet.stop()
        self.dispatcher.close()
        for handle in self.handles:
            handle.close()
        self.store.close()
