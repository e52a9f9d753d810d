"""What a keeper is told besides the request: who calls, where, when, and the unit of work to write with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from conductor.domain import errors
from conductor.domain.access import MEMBER_UP, Caller, Role, TokenKind
from conductor.domain.quotas import Level
from storage.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Call:
    """One command at hand.

    project_id: '' for operations of an organisation. levels: the budgets that bound the caller. sight: what the daemon
    saw in the project's repository, as JSON; empty: it did not look. renewed: locks that this very call, as a sign of
    life, gave new life. wakes: who is to be woken once this is committed. waits: there is nothing yet for a caller that
    is willing to wait. ticket: its place in a queue. is_placed: which this call
    has taken. is_kept: the reply is kept for who asks again.
    """

    caller: Caller
    project_id: str
    now: datetime
    tx: UnitOfWork
    levels: tuple[Level, ...] = field(default=())
    sight: bytes = b""
    renewed: list[str] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)
    waits: bool = False
    ticket: str = ""
    is_placed: bool = False
    is_kept: bool = True

    @property
    def is_person(self) -> bool:
        """Tell whether a person calls."""
        return self.caller.kind is TokenKind.USER

    @property
    def may_lead(self) -> bool:
        """Tell whether the caller may change others' work: leads, and people from member up."""
        return self.caller.role in MEMBER_UP or self.caller.role is Role.LEAD

    @property
    def agent_name(self) -> str:
        """The calling agent's name.

        Raises Forbidden when no agent calls.
        """
        if self.caller.agent_name is None:
            raise errors.Forbidden(
                "Only an agent can do this: call with an agent's token, from register_agent or create_token.",
                facts={"kind": self.caller.kind.value},
            )
        return self.caller.agent_name
