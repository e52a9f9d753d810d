"""The fleet: all hosts with their queues, and the clockwork that tells them when time has passed.

A host that is lost under a batch is waited for and asked again with the same batch name; what was committed answers
from its stored replies, the rest runs now.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Protocol

from actors.batcher import Batcher
from actors.bells import Bells
from actors.buckets import bucket_for, host_of
from actors.commands import Chore, Command, HostStats, Outcome
from actors.host_lost import HostFailed, HostLost
from conductor import telemetry
from conductor.domain import errors
from conductor.setting_groups import Batch, Leases, Limits

log = telemetry.logger("fleet")

BatchOf = tuple[str, bool, list[Command]]
"""A batch's name, whether it is sent again, and its commands."""

READY_S = 30.0
"""How long a lost host is waited for; Ray restarts one in a second or two."""


class Handle(Protocol):
    """A host as it is reached: a Ray actor, or in tests a thread."""

    async def many(self, batch: BatchOf) -> list[Outcome]:
        """Run a batch. Raises HostLost, HostFailed."""
        ...

    async def stats(self) -> HostStats:
        """Tell what the host has done. Raises HostLost."""
        ...

    async def ready(self, timeout_s: float) -> None:
        """Wait until the host answers. Raises HostLost, HostFailed."""
        ...


class Fleet:
    """The hosts of this installation."""

    def __init__(self, handles: Sequence[Handle], batch: Batch, leases: Leases, limits: Limits) -> None:
        self._handles = list(handles)
        self._batch = batch
        self._leases = leases
        self.bells = Bells()
        self.batchers = [
            Batcher(
                self._sender(index),
                most=batch.max_commands,
                linger_s=batch.linger_ms / 1000,
                bound=limits.waiting_per_host,
            )
            for index in range(len(self._handles))
        ]
        self._aside: set[asyncio.Task[Outcome]] = set()
        self._clockwork: list[asyncio.Task[None]] = []

    @property
    def hosts(self) -> int:
        """How many hosts there are."""
        return len(self._handles)

    def queued(self) -> list[int]:
        """How many commands wait before each host."""
        return [batcher.queued for batcher in self.batchers]

    async def run(self, command: Command) -> Outcome:
        """Carry a command to the host of its keeper.

        Raises Unavailable.
        """
        return await self.batchers[host_of(bucket_for(command), self.hosts)].run(command)

    async def tell_all(self, command: Command) -> None:
        """Carry a chore to every host; one that cannot be reached has lost, or will drop, what it should drop."""
        told = await asyncio.gather(*(batcher.run(command) for batcher in self.batchers), return_exceptions=True)
        for index, outcome in enumerate(told):
            if isinstance(outcome, BaseException):
                log.warning("host_not_told", host=index, chore=command.operation, error=repr(outcome))

    def run_aside(self, command: Command) -> None:
        """Carry a command without waiting for it; nobody hears of its failure but the log."""
        task = asyncio.get_running_loop().create_task(self.run(command))
        self._aside.add(task)
        task.add_done_callback(self._aside_done)

    async def start(self) -> None:
        """Wake all hosts and start the clockwork. Raises Unavailable when a host does not wake."""
        # Each host reads the last sign of life of the former run while it wakes: a new one may be given only then.
        await asyncio.gather(*(batcher.run(_chore(Chore.ELAPSE)) for batcher in self.batchers))
        await self.batchers[0].run(_chore(Chore.SIGN_OF_LIFE))
        loop = asyncio.get_running_loop()
        self._clockwork = [
            *[
                loop.create_task(self._every(self._leases.elapse_every_s, batcher, Chore.ELAPSE))
                for batcher in self.batchers
            ],
            loop.create_task(self._every(self._leases.sign_of_life_s, self.batchers[0], Chore.SIGN_OF_LIFE)),
        ]

    async def stats(self) -> list[HostStats]:
        """Ask the hosts what they have done; a host that does not answer is left out."""
        answers = await asyncio.gather(*(handle.stats() for handle in self._handles), return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, HostStats)]

    def give_up(self) -> None:
        """Answer all callers now: a host that does not answer must not hold up a stop."""
        for batcher in self.batchers:
            batcher.give_up()

    async def stop(self) -> None:
        """Stop the clockwork, give a last sign of life, stop the queues."""
        for task in self._clockwork:
            task.cancel()
        await asyncio.gather(*self._clockwork, return_exceptions=True)
        try:
            async with asyncio.timeout(0 if self.batchers[0].is_closed else 2.0):
                await self.batchers[0].run(_chore(Chore.SIGN_OF_LIFE))
        except (TimeoutError, errors.Unavailable) as error:
            log.warning("no_last_sign_of_life", error=repr(error))
        for batcher in self.batchers:
            await batcher.close()

    async def _every(self, seconds: float, batcher: Batcher, chore: Chore) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await batcher.run(_chore(chore))
            except errors.ConductorError as error:
                log.warning("chore_not_done", chore=chore.value, error=error.message)

    def _sender(self, index: int) -> _Sender:
        return _Sender(self._handles[index], self._batch, index, self.bells)

    def _aside_done(self, task: asyncio.Task[Outcome]) -> None:
        self._aside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("aside_not_done", error=repr(error))


class _Sender:
    """Sends batches to one host until it has answered, or the deadline has passed.

    It rings the bells itself: who sent a command may have hung up before the outcome came.
    """

    def __init__(self, handle: Handle, batch: Batch, index: int, bells: Bells) -> None:
        self._handle = handle
        self._batch = batch
        self._index = index
        self._bells = bells

    async def __call__(self, commands: list[Command]) -> list[Outcome]:
        is_known = False
        try:
            outcomes = await self._sent(commands)
            is_known = True
        finally:
            if not is_known:
                self._bells.doubt()
        for outcome in outcomes:
            if outcome.wakes:
                self._bells.ring(outcome.wakes)
        return outcomes

    async def _sent(self, commands: list[Command]) -> list[Outcome]:
        name = secrets.token_hex(8)
        for attempt in range(self._batch.retries + 1):
            try:
                async with asyncio.timeout(self._batch.deadline_s):
                    return await self._handle.many((name, attempt > 0, commands))
            except TimeoutError:
                raise _unknown("The host did not answer in time", self._index) from None
            except HostFailed as error:
                log.error("host_failed", host=self._index, error=str(error), trace=error.trace)
                raise _unknown("The host failed", self._index) from None
            except HostLost as error:
                log.warning("host_lost", host=self._index, attempt=attempt, error=str(error))
                # What it had committed and not told may have been somebody's turn.
                self._bells.doubt()
                await self._wait()
        raise _unknown("The host was lost again and again", self._index)

    async def _wait(self) -> None:
        try:
            await self._handle.ready(READY_S)
        except (HostLost, HostFailed) as error:
            log.error("host_not_back", host=self._index, error=str(error))
            raise _unknown("The host did not come back", self._index) from None


def _chore(chore: Chore) -> Command:
    return Command(chore, "", None, None, b"{}")


def _unknown(what: str, index: int) -> errors.Unavailable:
    return errors.Unavailable(
        f"{what}. Whether the call took effect is not known: repeat it with the same idempotency_key, or look first.",
        facts={"host": index},
        wait_s=1.0,
    )
