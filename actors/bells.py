"""Bells: who waits for what another call will commit, and which agents may have something urgent to hear.

A host names with each outcome whose bell it rings (Outcome.wakes); whoever listens asks again, so a bell that rings
for nothing costs a call and one that is missed would cost a message. Where it is not known what was committed, all
ring. Lives in the daemon's event loop; must never carry anything but names.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from actors.commands import Command
from conductor.domain.access import Caller

EVERY_BELL = "*"
"""What a host names when it does not know any more whose bells an effect rang."""

MOST_EARS = 16
"""So many listen to one bell at once; an agent has a session or a few, and each that waits holds a connection."""

MOST_QUIET = 100_000
"""So many agents are remembered as having nothing urgent to hear; forgotten ones are looked up again."""


def mail_bell(organization_id: str, project_id: str, agent_id: str) -> str:
    """Name the bell that rings when an agent was sent a message."""
    return f"mail/{organization_id}/{project_id}/{agent_id}"


def urgent_bell(organization_id: str, project_id: str, agent_id: str) -> str:
    """Name the bell that rings when an agent has an urgent notice to be told."""
    return f"urgent/{organization_id}/{project_id}/{agent_id}"


def lock_bell(organization_id: str, project_id: str, agent_id: str) -> str:
    """Name the bell that rings when an agent was granted what it waits for, or has lost its place."""
    return f"lock/{organization_id}/{project_id}/{agent_id}"


_AWAITED: Mapping[str, Callable[[str, str, str], str]] = {"read_messages": mail_bell, "acquire_lock": lock_bell}


def awaited_by(command: Command) -> str:
    """Name the bell that a caller of this command waits for, when it is willing to wait."""
    caller, bell = command.caller, _AWAITED.get(command.operation)
    if bell is None or caller is None or command.project_id is None or caller.agent_name is None:
        raise ValueError(f"nobody waits for {command.operation}")
    return bell(command.organization_id, command.project_id, caller.agent_name)


class Ear:
    """Listens to one bell. `begin` before asking: a ring from then on is heard, also while the answer is under way."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def begin(self) -> None:
        """Forget what rang before."""
        self._rung.clear()

    def ring(self) -> None:
        """Hear the bell."""
        self._rung.set()

    async def heard(self, until: float) -> bool:
        """Wait for the bell, at most until a time of the event loop; tells whether it rang."""
        try:
            async with asyncio.timeout_at(until):
                await self._rung.wait()
        except TimeoutError:
            return False
        return True


class Bells:
    """All bells of this daemon."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = {}
        self._quiet: set[str] = set()
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(len(ears) for ears in self._ears.values())

    @property
    def is_closed(self) -> bool:
        """Tell whether nobody is to wait any more."""
        return self._is_closed

    def has_room(self, name: str) -> bool:
        """Tell whether one more may listen to a bell."""
        return len(self._ears.get(name, ())) < MOST_EARS

    @contextlib.contextmanager
    def listening(self, name: str) -> Iterator[Ear]:
        """Listen to a bell for as long as the context lasts."""
        ear = Ear()
        self._ears.setdefault(name, set()).add(ear)
        try:
            yield ear
        finally:
            ears = self._ears[name]
            ears.discard(ear)
            if not ears:
                del self._ears[name]

    def ring(self, names: Iterable[str]) -> None:
        """Ring bells; those to which nobody listens too, since an urgent notice waits for its agent's next call."""
        for name in names:
            if name == EVERY_BELL:
                self.doubt()
                continue
            self._quiet.discard(name)
            for ear in self._ears.get(name, ()):
                ear.ring()

    def doubt(self) -> None:
        """Ring everything: something may have been committed without a word of it."""
        self._quiet.clear()
        for ears in self._ears.values():
            for ear in ears:
                ear.ring()

    def close(self) -> None:
        """Let everybody go who waits; from now on nobody waits."""
        self._is_closed = True
        self.doubt()

    def is_quiet(self, caller: Caller) -> bool:
        """Tell whether it is known that nothing urgent waits for a caller. Only agents are told notices."""
        if caller.agent_name is None or caller.project_id is None:
            return True
        return urgent_bell(caller.organization_id, caller.project_id, caller.agent_name) in self._quiet

    def set_quiet(self, caller: Caller) -> None:
        """Take it that nothing urgent waits for an agent until its bell rings; said before looking, not after."""
        if len(self._quiet) >= MOST_QUIET:
            self._quiet.clear()
        self._quiet.add(urgent_bell(caller.organization_id, caller.project_id or "", caller.agent_name or ""))

    def set_loud(self, caller: Caller) -> None:
        """Take it that something urgent may wait for an agent."""
        self.ring([urgent_bell(caller.organization_id, caller.project_id or "", caller.agent_name or "")])
