"""Calls that may wait: they are asked again when a bell rings, and leave the queue when their caller hangs up.

Nothing in a host waits. The daemon holds the caller, listens to the bell that a commit rings, and asks the keeper again
with the ticket that it gave. Must never take what nobody gets to see: a call that is cancelled before it was sent is
never sent, unless to find the place that it left.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson

from actors import bells
from actors.bells import Ear
from actors.commands import Chore, Command, Outcome
from actors.fleet import Fleet
from conductor import telemetry
from conductor.domain import errors
from conductor.operations.locks import ASK_AGAIN
from conductor.operations.row import Request
from storage.store import Store

log = telemetry.logger("waiting_calls")

PROGRESS_EVERY_S = 3.0
"""How often a caller that asked for it is told where it stands: often enough that no client thinks the call dead."""

Progress = Callable[[float, float, str], Awaitable[None]]
"""Is told how long a call has waited, how long it is willing to, and where it stands."""

ResultT = TypeVar("ResultT")
Read = Callable[[Callable[[Store], ResultT]], Awaitable[ResultT]]


class WaitingCalls:
    """Carries commands whose callers are willing to wait."""

    def __init__(self, fleet: Fleet, read: Callable[[Callable[[Store], Any]], Awaitable[Any]]) -> None:
        self._fleet = fleet
        self._read = read
        self._aside: set[asyncio.Task[None]] = set()

    async def carry(self, command: Command, request: Request, progress: Progress | None = None) -> Outcome:
        """Carry a command to its host; again when its bell rings, until there is something or the time is over.

        Raises Unavailable; Unauthenticated when the caller's token ended meanwhile.
        """
        wait_s = float(getattr(request, "wait_s", 0))
        if wait_s <= 0:
            return await self._fleet.run(command)
        if not self._fleet.bells.has_room(bells.awaited_by(command)):
            return await self._fleet.run(command)
        run = self._run_in_queue if "ticket" in type(request).model_fields else self._fleet.run
        with self._fleet.bells.listening(bells.awaited_by(command)) as ear:
            wait = _Wait(command, wait_s, ear)
            try:
                return await self._waited(wait, run, progress)
            except asyncio.CancelledError:
                # Whoever was told of a place keeps it; of this one, and of what it gave, nobody has heard.
                if wait.placed:
                    self._fleet.run_aside(_leaving(command, wait.placed))
                raise

    async def _waited(
        self, wait: _Wait, run: Callable[[Command], Awaitable[Outcome]], progress: Progress | None
    ) -> Outcome:
        while True:
            wait.ear.begin()
            if wait.waited_s > 0:
                await self._read(lambda store: _require_let_in(store, wait.command))
            outcome = await run(wait.asking())
            if outcome.code == errors.NotFound.code and wait.ticket:
                # The place that it was given meanwhile is gone: it goes to the end of the line.
                wait.ticket = ""
                continue
            wait.ticket = outcome.ticket
            if outcome.is_placed:
                wait.placed = outcome.ticket
            if not outcome.waits or self._fleet.bells.is_closed:
                return outcome._replace(waited_s=wait.waited_s)
            if progress is not None:
                # Whoever still waits has nothing to ask again.
                await progress(wait.waited_s, wait.most_s, outcome.line.partition(ASK_AGAIN)[0])
            is_over = not await wait.heard(PROGRESS_EVERY_S if progress is not None else math.inf)
            if is_over or self._fleet.bells.is_closed:
                return outcome._replace(waited_s=wait.waited_s)

    async def _run_in_queue(self, command: Command) -> Outcome:
        """Carry a command to its end, so that a place it takes can be given back when its caller has hung up."""
        carried = asyncio.get_running_loop().create_task(self._fleet.run(command))
        try:
            return await asyncio.shield(carried)
        except asyncio.CancelledError:
            self._set_aside(self._left(command, carried))
            raise

    async def _left(self, command: Command, carried: asyncio.Task[Outcome]) -> None:
        outcome = await carried
        if outcome.is_placed:
            await self._fleet.run(_leaving(command, outcome.ticket))

    def _set_aside(self, leaving: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(leaving)
        self._aside.add(task)
        task.add_done_callback(self._aside_done)

    def _aside_done(self, task: asyncio.Task[None]) -> None:
        self._aside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("queue_not_left", error=repr(error))


class _Wait:
    """One call that waits: what it asks, how long it has waited, and with which ticket it asks again.

    placed: the place that it took itself.
    """

    def __init__(self, command: Command, most_s: float, ear: Ear) -> None:
        self.command = command
        self.most_s = most_s
        self.ear = ear
        self.ticket = ""
        self.placed = ""
        self.waited_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + most_s

    def asking(self) -> Command:
        """Give the command as it is asked now: with the place it has, for the time that is left."""
        if not self.ticket:
            return self.command
        left_s = max(math.ceil(self._until - self._loop.time()), 1)
        arguments = {**orjson.loads(self.command.arguments), "ticket": self.ticket, "wait_s": left_s}
        return self.command._replace(arguments=orjson.dumps(arguments))

    async def heard(self, at_most_s: float) -> bool:
        """Wait for the bell or for so long; tells whether it is worth asking again: False when all time is over."""
        began = self._loop.time()
        slice_ends = min(self._until, began + at_most_s)
        has_rung = await self.ear.heard(slice_ends)
        now = self._loop.time()
        self.waited_s += now - began
        return has_rung or now < self._until


def _leaving(command: Command, ticket: str) -> Command:
    return command._replace(operation=Chore.LEAVE_QUEUE, arguments=ticket.encode(), levels=(), sight=b"")


def _require_let_in(store: Store, command: Command) -> None:
    """Refuse a caller whose token has ended while it waited. Raises Unauthenticated."""
    token_id = command.caller.token_id if command.caller is not None else ""
    with store.reading(command.organization_id) as tx:
        token = tx.tokens.get(token_id)
        if token is not None and not token.is_valid(tx.now):
            raise errors.Unauthenticated("This token has ended while the call waited. Ask for access anew.")
