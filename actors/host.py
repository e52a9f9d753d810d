"""A host: the process that carries many keepers and writes for them, a batch in one transaction.

It runs a batch, commits, then answers: what it answered is durable. A refusal writes nothing. If anything else goes
wrong, the transaction is rolled back, the memory of the touched keepers is dropped, and the commands run again one
by one, each in its own transaction, so that one command's failure never harms its neighbours.
Must never wait for anybody but the database, and must never write after another host has claimed its buckets.
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import orjson

from actors import replying
from actors.bells import EVERY_BELL, urgent_bell
from actors.buckets import bucket_for, buckets_of
from actors.call import Call
from actors.commands import OF_ONE_CALLER, Chore, Command, HostStats, Outcome
from actors.directory import Directory
from actors.housekeeping import Housekeeping
from actors.issuing import Issuer
from actors.quota_keeper import QuotaKeeper
from actors.room import Start
from actors.rooms import Rooms
from conductor import telemetry
from conductor.clock import Clock, SteadyClock
from conductor.domain import errors
from conductor.domain.access import Caller, TokenKind
from conductor.domain.messages import URGENT
from conductor.integrations import coding_agents
from conductor.integrations.prices import PriceBook, Prices
from conductor.log_file import LogFile
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Keeper, Operation, Reply, Request
from conductor.settings import Settings
from storage import outages
from storage.store import Fenced, Store
from storage.unit_of_work import UnitOfWork

log = telemetry.logger("host")

Placed = list[tuple[int, Command]]


def passes(place: str) -> None:
    """The probe of a real host: it lets everything pass. A test's may stop the process at a named place."""


@dataclass(frozen=True)
class HostSetup:
    """All a host needs to begin, also in another process.

    index, hosts: which of how many hosts this is. probe: called at named places, for tests that kill.
    """

    index: int
    hosts: int
    database_url: str
    settings: Settings
    pepper: bytes
    clock: Clock
    log_file: Path | None = None
    probe: Callable[[str], None] = passes


class BrokenPromise(Exception):
    """A command was refused after it had written: a defect; the batch is rolled back."""


class Host:
    """Carries the keepers of its buckets."""

    def __init__(self, setup: HostSetup) -> None:
        if setup.log_file is not None:
            telemetry.configure(
                setup.settings.log.format, setup.settings.log.level, cast(TextIO, LogFile(setup.log_file))
            )
        self._setup = setup
        self._settings = setup.settings
        self._clock = SteadyClock(setup.clock)
        self._issuer = Issuer(setup.pepper)
        book = setup.settings.prices.book
        self._quota_keeper = QuotaKeeper(Prices(PriceBook.from_toml(book) if book else None))
        self._directory = Directory(self._issuer)
        # Read now, not at the first call: a file that is wrong stops the start.
        coding_agents.known(setup.settings.agents.profiles)
        self._store: Store | None = None
        self._rooms: Rooms | None = None
        self._counts: dict[str, int] = {}
        self._batches = self._commands = self._alone = self._failures = self._largest = 0

    def many(self, batch: tuple[str, bool, list[Command]]) -> list[Outcome]:
        """Run a batch: its name, whether it is sent again, and its commands."""
        name, is_again, commands = batch
        store = self._store or self._wake()
        self._batches += 1
        self._commands += len(commands)
        self._largest = max(self._largest, len(commands))
        outcomes: list[Outcome | None] = [None] * len(commands)
        groups: dict[str | None, Placed] = {}
        for place, command in enumerate(commands):
            if command.operation in {Chore.ELAPSE, Chore.SIGN_OF_LIFE, Chore.FORGET}:
                outcomes[place] = self._chore(command)
            else:
                groups.setdefault(command.organization_id if store.guards_rows else None, []).append((place, command))
        for organization_id, placed in groups.items():
            for place, outcome in self._run(organization_id, placed, name, is_again, store).items():
                outcomes[place] = outcome
        missing = [place for place, outcome in enumerate(outcomes) if outcome is None]
        if missing:
            raise ValueError(f"commands without an outcome: {missing}")
        self._setup.probe("before_reply")
        return [outcome for outcome in outcomes if outcome is not None]

    def stats(self) -> HostStats:
        """Tell what this host has done; called from another thread, so it only reads."""
        return HostStats(
            f"host-{self._setup.index}",
            os.getpid(),
            self._batches,
            self._commands,
            self._alone,
            self._failures + (self._keeping.failures if self._store is not None else 0),
            len(self._rooms) if self._rooms is not None else 0,
            self._largest,
            dict(self._counts),
        )

    def _wake(self) -> Store:
        """Open the store, claim the buckets, and load what time can end."""
        setup = self._setup
        storage = setup.settings.storage
        store = Store(
            setup.database_url,
            clock=self._clock,
            pool_size=storage.pool_size,
            statement_timeout_s=storage.statement_timeout_s,
        )
        start = Start(self._clock.now(), store.alive_at())
        self._rooms = rooms = Rooms(setup.settings, self._issuer, start)
        self._fence = store.claim(buckets_of(setup.index, setup.hosts), f"host-{setup.index} pid {os.getpid()}")
        self._keeping = Housekeeping(store, self._fence, rooms, self._clock, setup.settings.leases)
        try:
            self._keeping.wake()
        except Fenced:
            # Another host was made for these buckets meanwhile: to claim them back would be to fight it.
            self._end_as_zombie()
        self._store = store
        # What is loaded by now stays: the collector need not walk it again and again while batches wait.
        gc.freeze()
        log.info("host_awake", index=setup.index, epoch=self._fence.epoch, rooms=len(self._rooms))
        return store

    def _run(
        self, organization_id: str | None, placed: Placed, batch: str, is_again: bool, store: Store
    ) -> dict[int, Outcome]:
        try:
            return self._together(organization_id, placed, batch, 0, is_again, store)
        except Fenced:
            self._end_as_zombie()
        except Exception as error:  # noqa: BLE001  # whatever failed, the commands run again one by one
            self._entered.roll_back()
            self._failures += 1
            log.warning("batch_failed", error=repr(error), commands=len(placed))
        outcomes = {}
        for place, command in placed:
            outcomes[place] = self._by_itself(organization_id, place, command, batch, is_again, store)
        return outcomes

    def _by_itself(
        self, organization_id: str | None, place: int, command: Command, batch: str, is_again: bool, store: Store
    ) -> Outcome:
        self._alone += 1
        try:
            # A batch whose commit was in doubt may have been committed: then its replies are there.
            return self._together(organization_id, [(place, command)], batch, place + 1, True, store)[place]
        except Fenced:
            self._end_as_zombie()
        except Exception as error:
            self._entered.roll_back()
            if (outage := outages.outage_of(error)) is not None:
                log.warning("command_unavailable", operation=command.operation, error=repr(error))
                return replying.refusal(outages.unavailable(outage))
            if self._is_gone(command, store):
                return replying.gone(command)
            reference = hashlib.sha256(f"{batch}/{place}".encode()).hexdigest()[:12]
            log.exception("command_failed", operation=command.operation, reference=reference)
            return replying.refusal(
                errors.Internal(
                    f"Conductor failed at {command.operation}; nothing was changed. The log has it under {reference}.",
                    facts={"reference": reference},
                )
            )

    @staticmethod
    def _is_gone(command: Command, store: Store) -> bool:
        """Tell whether a command failed because its organisation was deleted while it was on its way."""
        with store.reading(command.organization_id) as tx:
            return tx.tenancy.tombstone() is not None

    def _together(
        self, organization_id: str | None, placed: Placed, batch: str, part: int, is_again: bool, store: Store
    ) -> dict[int, Outcome]:
        """Run commands in one transaction, commit, and only then let their outcomes leave."""
        self._entered.begin()
        now = self._clock.now()
        buckets = {bucket_for(command) for _, command in placed}
        outcomes: dict[int, Outcome] = {}
        kept: dict[str, dict[int, str]] = {}
        with store.transaction(organization_id, self._fence.of(buckets)) as transaction:
            known: dict[int, str] = {}
            if is_again:
                for organization in {command.organization_id for _, command in placed}:
                    known.update(transaction.unit(organization).replies.of_batch(batch))
            for place, command in placed:
                if place in known:
                    outcomes[place] = replying.stored(known[place])._replace(wakes=(EVERY_BELL,))
                    continue
                tx = transaction.unit(command.organization_id)
                outcome, stored = self._one(command, tx, now)
                outcomes[place] = outcome._replace(wakes=(*outcome.wakes, *self._entered.take_rung()))
                if stored is not None:
                    kept.setdefault(command.organization_id, {})[place] = stored
            expires_at = now + timedelta(minutes=self._settings.keys.retry_min)
            for organization, replies in kept.items():
                transaction.unit(organization).replies.keep_batch(batch, part, replies, expires_at)
            self._setup.probe("before_commit")
        self._setup.probe("after_commit")
        self._keeping.note_stored(kept)
        self._entered.commit()
        return outcomes

    def _one(self, command: Command, tx: UnitOfWork, now: datetime) -> tuple[Outcome, str | None]:
        """Run one command; returns its outcome and, when it changed something, the form in which that is stored."""
        tx.now = now
        tx.actor = command.caller.actor if command.caller is not None else "conductor"
        writes = tx.writes
        call: Call | None = None
        try:
            if command.operation in OF_ONE_CALLER:
                return self._small_chore(command, tx, now)
            row = CATALOGUE[command.operation]
            request = row.request.model_validate_json(command.arguments, strict=True)
            caller = _caller_of(command)
            call = Call(caller, command.project_id or "", now, tx, command.levels, command.sight)
            if row.in_project:
                room = self._entered.enter(command.organization_id, _project_of(command), tx)
                if caller.kind is TokenKind.AGENT and caller.agent_name is not None:
                    call.renewed = room.touch(caller.agent_name, now, tx)
            writes = tx.writes
            answered = self._answer(row, request, call)
            if row.in_project:
                self._entered.present(command.organization_id, call.project_id).settle(now, tx)
            return answered
        except errors.ConductorError as error:
            if tx.writes != writes:
                raise BrokenPromise(f"{command.operation} wrote and then refused: {error.code}") from error
            self._count(command.operation, error.code)
            return replying.refusal(error), None

    def _answer(self, row: Operation[Any, Any], request: Request, call: Call) -> tuple[Outcome, str | None]:
        key = getattr(request, "idempotency_key", None) if row.name != "record_cost" else None
        if key is not None:
            body_hash = replying.hash_of(request)
            found = call.tx.replies.find(call.caller.scope_key, row.name, key)
            if found is not None:
                if found[0] != body_hash:
                    raise errors.IdempotencyMismatch(
                        f"The idempotency key {key} was used for another {row.name}. Nothing was changed: take a new "
                        "key for a new request.",
                        facts={"idempotency_key": key},
                    )
                return replying.stored(found[1]), None
        reply: Reply = getattr(self._keeper(row.keeper, call), row.name)(request, call)
        outcome = Outcome(
            reply.model_dump_json(exclude_none=True).encode(),
            reply.line(),
            wakes=tuple(dict.fromkeys(call.wakes)),
            waits=call.waits,
            ticket=call.ticket,
            is_placed=call.is_placed,
        )
        if not call.is_kept:
            self._count(row.name, "done")
            return outcome, None
        stored = replying.to_store(reply, outcome, row.carries_token)
        # Who waits asks again with the same key, and is not to be answered with what was not there the first time.
        if key is not None and not call.waits:
            expires_at = call.now + timedelta(hours=self._settings.keys.idempotency_h)
            call.tx.replies.keep(call.caller.scope_key, row.name, key, body_hash, stored, expires_at)
        self._count(row.name, "done")
        return outcome, stored

    def _keeper(self, keeper: Keeper, call: Call) -> object:
        match keeper:
            case Keeper.QUOTA:
                return self._quota_keeper
            case Keeper.DIRECTORY:
                return self._directory
            case Keeper.STORE:
                raise ValueError("reads do not come to a host")
        room = self._entered.present(call.tx.organization_id, call.project_id)
        match keeper:
            case Keeper.LOCKS:
                return room.locks
            case Keeper.TASKS:
                return room.board
            case Keeper.PROJECT:
                return room.keeper
            case Keeper.AGENT:
                return room.agent(call.agent_name)

    @property
    def _entered(self) -> Rooms:
        if self._rooms is None:
            raise ValueError("the host is not awake")
        return self._rooms

    def _small_chore(self, command: Command, tx: UnitOfWork, now: datetime) -> tuple[Outcome, str | None]:
        """Do a chore of one caller; returns its outcome and, where asking again must give the same, its stored form."""
        match command.operation:
            case Chore.LEVELS:
                call = Call(_caller_of(command), command.project_id or "", now, tx)
                return Outcome(b"{}", "", None, self._quota_keeper.levels(call)), None
            case Chore.TAKE_URGENT:
                return self._take_urgent(_caller_of(command), command.organization_id, _project_of(command), tx)
            case Chore.TOUCH | Chore.LEAVE_QUEUE:
                name = _caller_of(command).agent_name or ""
                room = self._entered.enter(command.organization_id, _project_of(command), tx)
                if command.operation == Chore.TOUCH:
                    room.touch(name, now, tx)
                else:
                    room.locks.leave_queue(command.arguments.decode(), name, now, tx)
            case _:
                token = tx.tokens.get(command.arguments.decode())
                if token is not None and token.used_at is None:
                    tx.tokens.mark_used(token, now)
        return Outcome(b"{}", ""), None

    def _take_urgent(
        self, caller: Caller, organization_id: str, project_id: str, tx: UnitOfWork
    ) -> tuple[Outcome, str | None]:
        agent_id = caller.agent_name or ""
        text, has_more = tx.notices.take(project_id, agent_id, URGENT)
        if text is None:
            return Outcome(b"{}", ""), None
        wakes = (urgent_bell(organization_id, project_id, agent_id),) if has_more else ()
        return Outcome(b"{}", text, wakes=wakes), orjson.dumps(["{}", text]).decode()

    def _chore(self, command: Command) -> Outcome:
        """Do what concerns the whole host: end what is due, write down who was seen, forget what is over or deleted."""
        try:
            if command.operation == Chore.FORGET:
                self._entered.forget(command.organization_id)
                self._keeping.forget(command.organization_id)
                return Outcome(b"{}", "")
            if command.operation == Chore.SIGN_OF_LIFE:
                self._keeping.sign_of_life()
                return Outcome(b"{}", "")
            self._keeping.elapse()
            return Outcome(b"{}", "", wakes=self._entered.take_rung())
        except Fenced:
            self._end_as_zombie()
        except Exception as error:  # noqa: BLE001  # a failing chore must not end the host
            self._entered.roll_back()
            self._failures += 1
            log.warning("chore_failed", chore=command.operation, error=repr(error))
            outage = outages.outage_of(error)
            return replying.refusal(
                outages.unavailable(outage) if outage else errors.Internal("A chore failed; see the log.")
            )
        return Outcome(b"{}", "")

    def _count(self, operation: str, outcome: str) -> None:
        name = f"{operation} {outcome}"
        self._counts[name] = self._counts.get(name, 0) + 1

    def _end_as_zombie(self) -> NoReturn:
        log.error("host_fenced", index=self._setup.index)
        os._exit(3)


def _caller_of(command: Command) -> Caller:
    if command.caller is None:
        raise ValueError(f"{command.operation} needs a caller")
    return command.caller


def _project_of(command: Command) -> str:
    if command.project_id is None:
        raise ValueError(f"{command.operation} needs a project")
    return command.project_id
