"""The unit of work with its subjects: `tx.tasks`, `tx.locks`, `tx.costs` and the others."""

from __future__ import annotations

from typing import Any

from storage.agents import AccessRequests, Agents
from storage.beads import Beads
from storage.checkpoints import Checkpoints
from storage.checks import Checks
from storage.costs import Costs, Quotas
from storage.events import Events
from storage.lock_waits import LockWaits
from storage.locks import Locks
from storage.messages import Messages
from storage.notices import Notices
from storage.organizations import Organizations, Projects, Tokens
from storage.pauses import Pauses
from storage.replies import Replies
from storage.sessions import Sessions
from storage.tasks import Tasks
from storage.teams import Teams
from storage.tenancy import Tenancy
from storage.unit import Unit
from storage.zones import Zones


class UnitOfWork(Unit):
    """One organisation's part of a transaction, with everything that can be read and written in it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.organizations = Organizations(self)
        self.projects = Projects(self)
        self.tokens = Tokens(self)
        self.teams = Teams(self)
        self.tenancy = Tenancy(self)
        self.agents = Agents(self)
        self.access_requests = AccessRequests(self)
        self.tasks = Tasks(self)
        self.locks = Locks(self)
        self.lock_waits = LockWaits(self)
        self.costs = Costs(self)
        self.quotas = Quotas(self)
        self.events = Events(self)
        self.notices = Notices(self)
        self.pauses = Pauses(self)
        self.sessions = Sessions(self)
        self.replies = Replies(self)
        self.checkpoints = Checkpoints(self)
        self.checks = Checks(self)
        self.messages = Messages(self)
        self.beads = Beads(self)
        self.zones = Zones(self)
