"""The store: opens the database, hands out units of work, keeps a second writer away.

The daemon's host writes through `transaction`, everybody reads through `reading`. Programs without a daemon use
`open_store` and `unit`: reading always, writing only while no daemon holds the store.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from sqlalchemy import Connection, select, update

from conductor.clock import Clock, SystemClock
from conductor.domain import errors, ids
from conductor.domain.organizations import Organization
from storage import data_lock, engine, migrate, row_security, tables
from storage.cross_tenant import CrossTenant
from storage.statements import Statements
from storage.unit_of_work import UnitOfWork

SPARE_READERS = 3
"""Connections beside those of the readers: for letting callers in, and for looking after the daemon."""

BUCKETS = 64
"""Keepers are dealt to hosts by bucket; more hosts than buckets would stand idle."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A host's right to write for its buckets: gone as soon as another host has claimed them."""

    buckets: tuple[int, ...]
    epoch: int

    def of(self, buckets: Iterable[int]) -> Fence:
        """Give the part of the right that a transaction needs."""
        return Fence(tuple(sorted(buckets)), self.epoch)


class Fenced(Exception):
    """Another host has claimed these buckets: this one must write nothing more and end."""


class Transaction:
    """One transaction of the writer; its units go out together at its end."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self.connection = connection
        self._units: dict[str, UnitOfWork] = {}

    def unit(self, organization_id: str) -> UnitOfWork:
        """Give the organisation's part of this transaction."""
        found = self._units.get(organization_id)
        if found is None:
            found = self._units[organization_id] = self._store.make_unit(self.connection, organization_id)
        return found

    def flush(self) -> None:
        """Send out all that the units keep back."""
        for unit in self._units.values():
            unit.flush()


class Store:
    """An open database."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        entropy: ids.Entropy = secrets.token_bytes,
        pool_size: int = 4,
        statement_timeout_s: float = 15.0,
        actor: str = "conductor",
    ) -> None:
        self.url = url
        self.clock = clock or SystemClock()
        self.entropy = entropy
        self._actor = actor
        self._writer = engine.open_engine(
            url, read_only=False, pool_size=pool_size, statement_timeout_s=statement_timeout_s
        )
        self._reader = engine.open_engine(
            url, read_only=True, pool_size=pool_size + SPARE_READERS, statement_timeout_s=statement_timeout_s
        )
        self._statements = Statements(self._writer.dialect)

    @property
    def guards_rows(self) -> bool:
        """Tell whether the database guards rows by organisation, so that a transaction serves just one."""
        return self._writer.dialect.name == "postgresql"

    def make_unit(self, connection: Connection, organization_id: str, *, read_only: bool = False) -> UnitOfWork:
        """Make a unit over an open transaction."""
        return UnitOfWork(
            connection,
            self._statements,
            organization_id,
            now=self.clock.now(),
            actor=self._actor,
            entropy=self.entropy,
            read_only=read_only,
        )

    @contextmanager
    def transaction(self, organization_id: str | None, fence: Fence | None = None) -> Iterator[Transaction]:
        """Open a transaction of the writer; it commits when the block ends well.

        organization_id: whose rows; None for all, only where the database does not guard rows.
        Raises Fenced when the fence's buckets were claimed by another.
        """
        with self._writer.begin() as connection:
            if organization_id is not None:
                row_security.enter_organization(connection, organization_id)
            if fence is not None:
                self._require_fence(connection, fence)
            transaction = Transaction(self, connection)
            yield transaction
            transaction.flush()

    @contextmanager
    def reading(self, organization_id: str) -> Iterator[UnitOfWork]:
        """Open a unit that only reads what is committed."""
        with self._reader.begin() as connection:
            row_security.enter_organization(connection, organization_id)
            yield self.make_unit(connection, organization_id, read_only=True)

    @contextmanager
    def cross_tenant(self) -> Iterator[CrossTenant]:
        """Open the named reads that cross tenants."""
        with self._reader.begin() as connection:
            row_security.enter_cross_tenant(connection)
            yield CrossTenant(connection)

    def widened(self, tx: UnitOfWork) -> CrossTenant:
        """Open the named reads that cross tenants for the rest of a unit's own transaction.

        A second connection would wait for those who hold one and want a second, too.
        """
        row_security.enter_cross_tenant(tx.connection)
        return CrossTenant(tx.connection)

    def claim(self, buckets: Sequence[int], claimed_by: str) -> Fence:
        """Claim buckets for a host: whoever held them writes nothing from now on."""
        table = tables.epochs
        with self._writer.begin() as connection:
            chosen = table.c.bucket.in_(list(buckets))
            rows = connection.execute(select(table.c.bucket, table.c.epoch).where(chosen).with_for_update()).all()
            epoch = max((row[1] for row in rows), default=0) + 1
            now = self.clock.now()
            connection.execute(update(table).where(chosen).values(epoch=epoch, claimed_by=claimed_by, claimed_at=now))
            known = {row[0] for row in rows}
            missing = [
                {"bucket": bucket, "epoch": epoch, "claimed_by": claimed_by, "claimed_at": now}
                for bucket in buckets
                if bucket not in known
            ]
            if missing:
                connection.execute(table.insert(), missing)
        return Fence(tuple(buckets), epoch)

    def sign_of_life(self, fence: Fence) -> None:
        """Keep that the daemon runs: what ended before its last sign of life had really ended."""
        with self._writer.begin() as connection:
            self._require_fence(connection, fence)
            table = tables.installation
            connection.execute(update(table).where(table.c.id == 1).values(alive_at=self.clock.now()))

    def alive_at(self) -> datetime | None:
        """Read the last sign of life."""
        with self._reader.begin() as connection:
            return connection.execute(select(tables.installation.c.alive_at)).scalar()

    def ping(self) -> None:
        """Read something, to see that the database answers."""
        with self._reader.begin() as connection:
            connection.execute(select(tables.installation.c.id))

    def require_durable(self, *, allow_superuser: bool = False) -> None:
        """Refuse a database that would lose what it acknowledged, or a role that no policy binds."""
        engine.require_durable(self._writer)
        engine.require_plain_role(self._writer, allow_superuser)
        if self.guards_rows:
            with self._reader.begin() as connection:
                row_security.require_rights(connection, [table.name for table in tables.metadata.sorted_tables])
                bare = row_security.unguarded(connection, [table.name for table in tables.TENANT_TABLES])
            if bare and not allow_superuser:
                raise errors.Invalid(
                    f"Row-level security is off for {', '.join(bare)}: nothing there parts the organizations. Restore "
                    "it with ALTER TABLE … ENABLE ROW LEVEL SECURITY and FORCE ROW LEVEL SECURITY, then start again.",
                    facts={"tables": bare},
                )

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()
        self._reader.dispose()

    def _require_fence(self, connection: Connection, fence: Fence) -> None:
        buckets = ", ".join(str(int(bucket)) for bucket in fence.buckets)
        # SQLite's writer has the whole file by now; PostgreSQL must keep a claimer waiting until this transaction ends.
        share = " FOR SHARE" if self.guards_rows else ""
        held = connection.exec_driver_sql(
            f"SELECT bucket FROM epochs WHERE bucket IN ({buckets}) AND epoch = {int(fence.epoch)}{share}"  # noqa: S608  # integers
        ).all()
        if len(held) != len(fence.buckets):
            raise Fenced(f"epoch {fence.epoch} is over for buckets {fence.buckets}")


class Opened:
    """A store opened by a program: `store.unit(organization_id)` gives units of work.

    While a daemon holds the store, units only read; a write raises Unavailable.
    """

    def __init__(self, url: str, *, actor: str) -> None:
        self._stack = ExitStack()
        self._locked = False
        lock = data_lock.for_url(url)
        try:
            self._stack.enter_context(lock)
            self._locked = True
        except errors.Unavailable:
            migrate.require_current(url)
        else:
            migrate.migrate(url)
        self._store = Store(url, actor=actor)
        self._stack.callback(self._store.close)

    @property
    def may_write(self) -> bool:
        """Tell whether units of this store can write: no daemon holds it."""
        return self._locked

    def create_organization(self, name: str, *, slug: str | None = None, plan: str = "free") -> Organization:
        """Make an organisation."""
        with self.unit(ids.make(ids.Kind.ORGANIZATION, secrets.token_bytes)) as tx:
            return tx.organizations.create(name, slug=slug, plan=plan)

    def organizations(self) -> list[Organization]:
        """List the organisations by slug, at most 200."""
        with self._store.cross_tenant() as everything:
            return everything.organizations(limit=200).items

    @contextmanager
    def unit(self, organization_id: str) -> Iterator[UnitOfWork]:
        """Open a unit of work; it is committed when the block ends well, rolled back when it raises."""
        if not self._locked:
            with self._store.reading(organization_id) as tx:
                yield tx
            return
        with self._store.transaction(organization_id) as transaction:
            yield transaction.unit(organization_id)

    def close(self) -> None:
        """Close the store and let others write."""
        self._stack.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(url: str, *, actor: str = "program") -> Opened:
    """Open a store for a program that runs without the daemon.

    url: a SQLite path or `sqlite:///…`, or `postgresql://…`; a new SQLite file is made and set up.
    actor: who the events of this program's changes name.
    """
    return Opened(url, actor=actor)
