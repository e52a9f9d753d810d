"""The batcher: gathers the commands of one host into batches, fairly over organisations, one batch in flight.

There is no fixed timer: the next batch is what queued while the last one was under way. After an answer it waits up
to a few milliseconds for those who were just answered, when several were, because they are about to ask again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from actors.commands import Command, Outcome
from conductor.domain import errors

WORTH_LINGERING = 16
"""For at most so many it is worth to wait: beyond, a commit is shared by enough."""

LAST_S = 1.0
"""What is under way when the queue closes gets so many seconds more."""

WORTH_A_SECOND = 24
"""So many waiting commands are sent while another batch is under way: the host then goes on without a pause."""


@dataclass(slots=True)
class _Waiting:
    command: Command
    answer: asyncio.Future[Outcome]


Send = Callable[[list[Command]], Awaitable[list[Outcome]]]
"""Sends a batch and gives its outcomes in order; raises when the host cannot be reached in time."""


class Batcher:
    """The queue in front of one host.

    most: commands a batch. linger_s: longest wait for those just answered. bound: commands queued before new ones
    are refused.
    """

    def __init__(self, send: Send, *, most: int, linger_s: float, bound: int) -> None:
        self._send = send
        self._most = most
        self._linger_s = linger_s
        self._bound = bound
        self._queues: dict[str, deque[_Waiting]] = {}
        self._order: deque[str] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._enough = 1
        self._answered = 0
        self._in_flight = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def queued(self) -> int:
        """How many commands wait."""
        return self._queued

    async def run(self, command: Command) -> Outcome:
        """Queue a command and wait for its outcome.

        Raises Unavailable when too many wait already.
        """
        if self._is_closed:
            raise errors.Unavailable("The server is stopping. Nothing was changed.", wait_s=1.0)
        if self._queued >= self._bound:
            raise errors.Unavailable(
                "Too many calls wait for this server. Nothing was changed: try again in a second.",
                facts={"queued": self._queued},
                wait_s=1.0,
            )
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        waiting = _Waiting(command, asyncio.get_running_loop().create_future())
        queue = self._queues.get(command.organization_id)
        if queue is None:
            queue = self._queues[command.organization_id] = deque()
            self._order.append(command.organization_id)
        queue.append(waiting)
        self._queued += 1
        if self._queued >= self._enough:
            self._arrived.set()
        return await waiting.answer

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing more is carried."""
        return self._is_closed

    async def close(self) -> None:
        """Stop working: what is under way gets a last second, what waits is refused."""
        if self._sending and not self._is_closed:
            await asyncio.wait(self._sending, timeout=LAST_S)
        self.give_up()

    def give_up(self) -> None:
        """Stop working at once, whatever is under way: its callers hear that its outcome is not known."""
        self._is_closed = True
        for task in (self._task, *self._sending):
            if task is not None:
                task.cancel()
        for waiting in self._take(self._queued):
            if not waiting.answer.done():
                waiting.answer.set_exception(errors.Unavailable("The server is stopping. Nothing was changed."))

    async def _work(self) -> None:
        while True:
            await self._wait_until_worth_it()
            batch = [waiting for waiting in self._take(self._most) if not waiting.answer.done()]
            if not batch:
                continue
            self._in_flight += 1
            task = asyncio.get_running_loop().create_task(self._carry(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _carry(self, batch: list[_Waiting]) -> None:
        """Send one batch and hand out its outcomes."""
        try:
            outcomes = await self._send([waiting.command for waiting in batch])
        except asyncio.CancelledError:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(_unknown())
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the callers hear of it and the queue goes on
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(outcome)
        finally:
            self._answered = len(batch)
            self._in_flight -= 1
            self._arrived.set()

    async def _wait_until_worth_it(self) -> None:
        """Wait for the first command; then, if few were just answered, a little for as many again.

        While one batch is under way another is sent only when it is large, so that the host never idles under load
        and small batches share their commits; a third never.
        """
        while True:
            if self._in_flight == 0 and self._queued > 0:
                await self._linger()
                return
            if self._in_flight == 1 and self._queued >= WORTH_A_SECOND:
                return
            self._enough = WORTH_A_SECOND if self._in_flight else 1
            self._arrived.clear()
            await self._arrived.wait()

    async def _linger(self) -> None:
        wanted = min(self._answered, WORTH_LINGERING)
        if wanted < 2 or self._queued >= wanted or self._linger_s <= 0:
            return
        self._enough = wanted
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await self._arrived.wait()

    def _take(self, most: int) -> list[_Waiting]:
        """Take commands in turn from the organisations that wait."""
        taken: list[_Waiting] = []
        while self._order and len(taken) < most:
            organization_id = self._order.popleft()
            queue = self._queues[organization_id]
            taken.append(queue.popleft())
            self._queued -= 1
            if queue:
                self._order.append(organization_id)
            else:
                del self._queues[organization_id]
        return taken


def _unknown() -> errors.Unavailable:
    return errors.Unavailable(
        "The server stopped before the host answered. Whether the call took effect is not known: repeat it with the "
        "same idempotency_key, or look first.",
        wait_s=1.0,
    )
