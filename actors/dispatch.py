"""Dispatch: from a call to its answer, the same way for every face.

Permission, place, budget, then the keeper's host or a read of the store. A host that was lost under a call is asked
again with the same batch name: its effect happened once or not at all, and the stored reply tells which.
Must never raise for what a caller did wrong: that is an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from actors import pauses
from actors.commands import Chore, Command, Outcome
from actors.fleet import Fleet
from actors.places import Places
from actors.reading.read import Read
from actors.reading.table import READERS
from actors.sights import Sights
from actors.waiting_calls import Progress, WaitingCalls
from conductor import telemetry
from conductor.domain import errors, ids
from conductor.domain.access import Caller, TokenKind
from conductor.domain.messages import URGENT
from conductor.domain.quotas import Level
from conductor.integrations.coding_agents import profiles
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.faults import Fault, fault_of
from conductor.operations.reading import read_request
from conductor.operations.row import Keeper, Operation, Request
from conductor.setting_groups import Leases, Repositories, Tasks
from storage import outages
from storage.store import Store

log = telemetry.logger("dispatch")

TOUCH_EVERY_S = 5.0
"""How often a write that reaches no project host is passed on to one as a sign of life."""

ResultT = TypeVar("ResultT")
Observe = Callable[[str, str | None, float, str], None]
"""Is told of each call: operation, error code or None, seconds, organisation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An operation's answer: the JSON of the reply or of the fault, a line of text, the error's code or None.

    notice: something urgent that the calling agent is told with it, once; '' is nothing.
    """

    body: bytes
    line: str
    code: str | None = None
    notice: str = ""


class Dispatcher:
    """Carries calls to hosts and to the store."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        leases: Leases,
        tasks: Tasks,
        observe: Observe,
        *,
        read_threads: int,
        repositories: Repositories | None = None,
        known_profiles: profiles.Profiles | None = None,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._leases = leases
        self._tasks = tasks
        self._observe = observe
        self._places = Places(store)
        self._gate = pauses.Gate()
        usual_file = (known_profiles or profiles.known()).instruction_file
        self._sights = Sights(self.read, repositories or Repositories(), usual_file, store.clock)
        self._waiting = WaitingCalls(fleet, self.read)
        self._readers = ThreadPoolExecutor(read_threads, thread_name_prefix="read")
        # Whoever asks for many slow reads waits for their own, and leaves the readers to everybody else.
        self._slow = asyncio.Semaphore(1)
        self._running_since: datetime = store.clock.now()
        self._touched: dict[str, float] = {}

    async def call(
        self,
        row: Operation[Any, Any],
        arguments: bytes,
        caller: Caller,
        *,
        tells: bool = True,
        progress: Progress | None = None,
    ) -> Answer:
        """Carry out a call; every outcome is an answer.

        tells: the caller gets to see what is urgent with it. progress: is told every few seconds how a call waits.
        """
        began = time.perf_counter()
        waited_s = 0.0
        try:
            outcome = await self._carry_out(row, arguments, caller, progress)
            waited_s = outcome.waited_s
            answer = Answer(outcome.body, outcome.line, outcome.code)
            if outcome.code is not None:
                answer = shown_to(Fault.model_validate_json(outcome.body), caller)
        except errors.ConductorError as error:
            answer = shown_to(fault_of(error), caller)
        except Exception as error:  # noqa: BLE001  # the one place where a defect becomes an answer
            answer = self._failed(row, error)
        self._observe(row.name, answer.code, time.perf_counter() - began - waited_s, caller.organization_id)
        if tells and not self._fleet.bells.is_quiet(caller):
            answer = replace(answer, notice=await self._urgent_notice(caller))
        return answer

    async def token_used(self, organization_id: str, token_id: str) -> None:
        """Keep that a token has reached its bearer. Raises Unavailable."""
        await self._fleet.run(Command(Chore.TOKEN_USED, organization_id, None, None, token_id.encode()))

    async def read(self, act: Callable[[Store], ResultT]) -> ResultT:
        """Run something that reads the store in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, act, self._store)

    def end_waits(self) -> None:
        """Answer all who wait, now, with what there is; from now on nobody waits."""
        self._fleet.bells.close()

    def close(self) -> None:
        """Let the readers go."""
        self._sights.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _carry_out(
        self, row: Operation[Any, Any], arguments: bytes, caller: Caller, progress: Progress | None
    ) -> Outcome:
        if caller.role not in row.allowed:
            raise errors.Forbidden(
                f"{row.name} is not for the role {caller.role}: it is for {', '.join(sorted(row.allowed))}.",
                facts={"operation": row.name, "role": caller.role.value},
            )
        request = read_request(row, arguments)
        if self._places.needs_store(row, request, caller):
            acting, project_id = await self.read(lambda _: self._place(row, request, caller))
        else:
            acting, project_id = self._place(row, request, caller)
        if row.keeper is Keeper.STORE:
            async with self._slow if row.is_slow else contextlib.nullcontext():
                return await self.read(lambda store: self._read(row, request, acting, project_id, store))
        await self._require_open(row, acting, project_id)
        return await self._write(row, request, arguments, acting, project_id, progress)

    async def _require_open(self, row: Operation[Any, Any], caller: Caller, project_id: str | None) -> None:
        """Refuse a call that stands still; that it came is a sign of life all the same. Raises Paused."""
        if not pauses.concerns(row, caller, project_id):
            return
        organization_id = caller.organization_id
        still = self._gate.known(organization_id)
        if still is None:
            still = await self.read(lambda store: self._gate.read(organization_id, store))
        try:
            draining = pauses.require_open(still, row, caller, project_id)
            if draining is not None:
                await self.read(lambda store: pauses.require_busy(draining, caller, store))
        except errors.Paused:
            self._pass_on_sign_of_life(caller)
            raise

    def _place(self, row: Operation[Any, Any], request: Request, caller: Caller) -> tuple[Caller, str | None]:
        acting = self._places.caller_in(request, caller)
        return acting, self._places.project_of(row, request, acting)

    def _read(
        self, row: Operation[Any, Any], request: Request, caller: Caller, project_id: str | None, store: Store
    ) -> Outcome:
        with store.reading(caller.organization_id) as tx:
            read = Read(caller, project_id or "", tx, store, self._leases, self._tasks, self._running_since)
            reply = READERS[row.name](request, read)
        return Outcome(reply.model_dump_json(exclude_none=True).encode(), reply.line())

    async def _write(
        self,
        row: Operation[Any, Any],
        request: Request,
        arguments: bytes,
        caller: Caller,
        project_id: str | None,
        progress: Progress | None,
    ) -> Outcome:
        organization_id = caller.organization_id
        if row.founds:
            organization_id = _new_organization(request, caller, self._store.entropy)
        levels: tuple[Level, ...] = ()
        if row.asks_budget:
            asked = await self._fleet.run(Command(Chore.LEVELS, organization_id, project_id, caller, b"{}"))
            if asked.code is not None:
                return asked
            levels = asked.levels
        sight = b""
        if row.looks and project_id is not None:
            sight = await self._sights.look(row, request, caller, project_id)
        command = Command(row.name, organization_id, project_id, caller, arguments, levels, sight)
        try:
            outcome = await self._waiting.carry(command, request, progress)
        finally:
            # Also when it is not known whether it took effect.
            if row.name in pauses.CHANGING:
                self._gate.forget(organization_id)
            self._places.changed(row, organization_id)
            if row.name == "update_project":
                self._sights.forget(organization_id, project_id)
        if row.name == "delete_organization" and outcome.code is None:
            await self._forget(organization_id)
        if not row.in_project and outcome.code is None:
            self._pass_on_sign_of_life(caller)
        return outcome

    async def _urgent_notice(self, caller: Caller) -> str:
        """Take what is urgent for an agent, so that it is told once; whatever goes wrong here spoils no answer."""
        self._fleet.bells.set_quiet(caller)
        is_done = False
        try:
            notice = ""
            if await self.read(lambda store: _has_urgent(store, caller)):
                command = Command(Chore.TAKE_URGENT, caller.organization_id, caller.project_id, caller, b"{}")
                outcome = await self._fleet.run(command)
                notice = outcome.line if outcome.code is None else ""
            is_done = True
            return notice
        except Exception as error:  # noqa: BLE001  # the call itself was answered; the notice comes with the next one
            log.warning("urgent_notice_not_taken", error=repr(error))
            return ""
        finally:
            if not is_done:
                self._fleet.bells.set_loud(caller)

    async def _forget(self, organization_id: str) -> None:
        """Let nothing in memory outlive an organisation that was deleted."""
        self._places.forget(organization_id)
        await self._fleet.tell_all(Command(Chore.FORGET, organization_id, None, None, b"{}"))

    def _pass_on_sign_of_life(self, caller: Caller) -> None:
        if caller.kind is not TokenKind.AGENT:
            return
        now = time.monotonic()
        if now - self._touched.get(caller.token_id, -TOUCH_EVERY_S) < TOUCH_EVERY_S:
            return
        if len(self._touched) > 10_000:
            self._touched.clear()
        self._touched[caller.token_id] = now
        command = Command(Chore.TOUCH, caller.organization_id, caller.project_id, caller, b"{}")
        self._fleet.run_aside(command)

    def _failed(self, row: Operation[Any, Any], error: Exception) -> Answer:
        outage = outages.outage_of(error)
        if outage is not None:
            log.warning("call_unavailable", operation=row.name, error=repr(error))
            fault = fault_of(outages.unavailable(outage))
        else:
            reference = hashlib.sha256(f"{time.time_ns()}/{id(error)}".encode()).hexdigest()[:12]
            log.error("call_failed", operation=row.name, reference=reference, exc_info=error)
            fault = fault_of(
                errors.Internal(
                    f"Conductor failed at {row.name}. The log has it under {reference}.", facts={"reference": reference}
                )
            )
        return Answer(fault.model_dump_json(exclude_none=True).encode(), fault.line(), fault.code)


def shown_to(fault: Fault, caller: Caller) -> Answer:
    """Leave only the next steps that this caller finds in its list of tools."""
    steps = [step for step in fault.next if CATALOGUE[step.tool].is_listed_for(caller.role)]
    shown = fault if len(steps) == len(fault.next) else fault.model_copy(update={"next": steps})
    return Answer(shown.model_dump_json(exclude_none=True).encode(), shown.line(), shown.code)


def _new_organization(request: Request, caller: Caller, entropy: ids.Entropy) -> str:
    """Make the id of an organisation to be: the same one for the same idempotency key, so that a replay finds it."""
    key = getattr(request, "idempotency_key", None)
    if key is None:
        return ids.make(ids.Kind.ORGANIZATION, entropy)
    seed = hashlib.sha256(f"{caller.scope_key}/{key}".encode()).digest()
    return ids.make(ids.Kind.ORGANIZATION, lambda count: seed[:count])


def _has_urgent(store: Store, caller: Caller) -> bool:
    with store.reading(caller.organization_id) as tx:
        return tx.notices.has(caller.project_id or "", caller.agent_name or "", URGENT)
