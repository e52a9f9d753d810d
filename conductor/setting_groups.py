"""The groups of settings: each setting's unit, bounds, meaning and the reason of its default.

`conductor.settings` puts the groups together, reads them once and hands each part its own; nothing else reads the
environment or the file. Here are only the values and the rules inside a group, so that the list stays readable.
Each setting is read by somebody; a description is also its line in docs/configuration.md.
"""

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_POSTGRESQL = re.compile(r"postgresql(\+psycopg)?://")


class Group(BaseModel):
    """Frozen and closed: a misspelt setting is an error, and no error repeats its value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Server(Group):
    """What listens, and how much it takes in."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on; loopback, so that nothing is open by accident."
    )
    port: int = Field(8787, ge=0, le=65535, description="TCP port; 8787 is rarely taken; 0 takes any free one.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM file); with `server.tls_key` serves HTTPS.")
    tls_key: Path | None = Field(None, description="Private key (PEM file) of the certificate.")
    behind_proxy: bool = Field(
        False,
        description="A reverse proxy in front ends TLS and its forwarded headers are believed; off, because without "
        "one anybody forges them.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Further host names accepted in `Host` and `Origin`, besides loopback and the "
        "bound host; none, because each name opens a way for DNS rebinding. Separated by commas in the environment.",
    )
    body_limit_bytes: int = Field(
        1_048_576, ge=1024, le=67_108_864, description="Bytes one request body may have; 1 MiB holds any honest call."
    )
    request_timeout_s: float = Field(
        30,
        ge=0.1,
        le=600,
        description="Seconds one request may take; above `batch.deadline_s`, so that the caller gets an answer "
        "and not a cut connection.",
    )
    drain_s: float = Field(
        8, ge=0, le=300, description="Seconds that running requests get at a stop; 8, to be gone 10 s after SIGTERM."
    )
    max_connections: int = Field(
        1024, ge=1, le=65_536, description="Connections open at once; 1024 is the usual limit of open files."
    )

    @model_validator(mode="after")
    def _is_not_open_by_accident(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("server.tls_cert and server.tls_key belong together: give both or neither")
        if not (_is_loopback(self.host) or self.tls_cert or self.behind_proxy):
            raise ValueError(
                "server.host is not a loopback address and tokens would cross the network in clear: "
                "give --tls-cert FILE --tls-key FILE, or --behind-proxy when a reverse proxy in front ends TLS"
            )
        return self


class Storage(Group):
    """Where the truth is kept."""

    db: Path | None = Field(None, description="SQLite file; nothing to install; not used with `storage.database_url`.")
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL to use instead, `postgresql://USER:PASSWORD@HOST/NAME`; none: SQLite needs nothing.",
    )
    migration_url: SecretStr | None = Field(
        None,
        description="The same PostgreSQL as the role that owns the tables; by default the serving role migrates too.",
    )
    allow_superuser: bool = Field(
        False, description="Serve as a role that row-level security cannot hold; off: it parts the organisations."
    )
    pool_size: int = Field(
        4,
        ge=1,
        le=64,
        description="PostgreSQL connections a process keeps; 4, as a host commits few batches side by side.",
    )
    statement_timeout_s: float = Field(
        15,
        ge=0.1,
        le=600,
        description="Seconds one SQL statement may take; below `batch.deadline_s`, so that it ends first.",
    )

    @field_validator("database_url", "migration_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        address = url.get_secret_value()
        # Hosting platforms hand out the older spelling, which SQLAlchemy no longer knows.
        if address.startswith("postgres://"):
            address = address.replace("postgres://", "postgresql://", 1)
        if not _POSTGRESQL.match(address):
            raise ValueError("it must begin with postgresql://; the path of a SQLite file goes to CONDUCTOR_DB")
        return SecretStr(address)


class Ray(Group):
    """The processes that decide."""

    address: str | None = Field(
        None, min_length=1, description="Ray cluster to join, `HOST:PORT`; none: the daemon starts its own on loopback."
    )
    hosts: int = Field(
        1, ge=1, le=64, description="Host processes; 1, because SQLite has one writer; more need PostgreSQL."
    )
    object_store_mb: int = Field(
        80,
        ge=79,
        le=65_536,
        description="Megabytes of shared memory for Ray; 80, near Ray's least: no large objects are passed.",
    )


class Batch(Group):
    """How commands share commits."""

    max_commands: int = Field(
        256, ge=1, le=1024, description="Commands in one commit; 256 shares the fsync and keeps a commit short."
    )
    linger_ms: float = Field(
        3,
        ge=0,
        le=3,
        description="Milliseconds to wait at most for those just answered; 3 gave half as much again at 8 callers.",
    )
    deadline_s: float = Field(
        20, ge=0.1, le=600, description="Seconds until a command is answered `unavailable`; outlasts a host's restart."
    )
    retries: int = Field(
        3,
        ge=0,
        le=10,
        description="Times a command is sent again after its host was lost, with the same key; 3 outlasts a restart.",
    )


class Leases(Group):
    """How long silence is borne, and how often it is looked at."""

    lost_after_s: int = Field(
        900,
        ge=10,
        le=86_400,
        description="Seconds of silence after which an agent is lost: its tasks are requeued and its locks freed; "
        "900 outlasts a long build.",
    )
    late_after_s: int = Field(
        120, ge=1, le=86_400, description="Seconds of silence shown as late; four heartbeats missed."
    )
    critical_after_s: int = Field(
        300, ge=1, le=86_400, description="Seconds of silence shown as critical; a third of the way to lost."
    )
    restart_grace_s: float = Field(
        15,
        ge=0,
        le=3600,
        description="Seconds a live lease keeps at least after a restart; 15 lets its holder reconnect and renew.",
    )
    start_grace_s: float = Field(
        60,
        ge=0,
        le=3600,
        description="Seconds after a start in which no agent is lost: two heartbeats to be heard again.",
    )
    elapse_every_s: float = Field(
        1,
        ge=0.05,
        le=60,
        description="Seconds between looks at what has run out; 1, so that nothing is freed more than a second late.",
    )
    sign_of_life_s: float = Field(
        5, ge=0.1, le=60, description="Seconds between the daemon's signs of life; the last is taken for the stop."
    )
    last_seen_flush_s: float = Field(
        5, ge=0.1, le=60, description="Seconds between writes of when agents were seen; 5 keeps heartbeats cheap."
    )
    heartbeat_s: int = Field(
        30, ge=1, le=3600, description="Seconds that `heartbeat` replies as `next_heartbeat_s`; a quarter of late."
    )

    @model_validator(mode="after")
    def _grow(self) -> Self:
        if not self.late_after_s < self.critical_after_s < self.lost_after_s:
            raise ValueError(
                "leases.late_after_s must be below leases.critical_after_s, and that below leases.lost_after_s"
            )
        return self


class Tasks(Group):
    """How failed tasks come again and waiting ones rise."""

    backoff_s: float = Field(
        5,
        ge=0,
        le=86_400,
        description="Seconds before a failed task is ready again, doubled each time; 5 spares a blip.",
    )
    backoff_max_s: float = Field(
        600,
        ge=0,
        le=604_800,
        description="Seconds that the doubling ends at; 600, as people look again within minutes.",
    )
    aging_s: int = Field(
        3600,
        ge=1,
        le=2_592_000,
        description="Seconds of waiting that raise a task by one priority step; "
        "3600 lifts the lowest to the top in 3 hours.",
    )
    reservation_s: int = Field(
        900,
        ge=1,
        le=604_800,
        description="Seconds a reassigned task is kept for its new agent; 900, as a long turn is over by then.",
    )

    @model_validator(mode="after")
    def _grow(self) -> Self:
        if self.backoff_s > self.backoff_max_s:
            raise ValueError("tasks.backoff_s must not be above tasks.backoff_max_s")
        return self


class Limits(Group):
    """How much one caller may ask."""

    rate_per_s: int = Field(
        1000, ge=1, le=1_000_000, description="Calls per second one token may make; above any honest agent."
    )
    rate_burst: int = Field(
        2000, ge=1, le=1_000_000, description="Calls one token may make at once after a pause; two seconds' worth."
    )
    waiting_per_host: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="Commands queued for a host before `unavailable` is answered; 16 full batches.",
    )


class Keys(Group):
    """How long a repeated request is known again."""

    idempotency_h: int = Field(
        24,
        ge=1,
        le=8760,
        description="Hours that a caller's idempotency key is honoured; a day covers a night's retry.",
    )
    retry_min: int = Field(
        10,
        ge=1,
        le=1440,
        description="Minutes that the daemon's own retry keys are kept; far above `batch.deadline_s`.",
    )


class Access(Group):
    """How agents ask to come in."""

    request_expires_h: int = Field(
        24, ge=1, le=8760, description="Hours that a request for access waits for a person; a day reaches somebody."
    )


class Agents(Group):
    """What is known of coding agents."""

    profiles: Path | None = Field(
        None, description="TOML file with profiles of coding agents, taken before the built-in ones; none."
    )


class Checkpoints(Group):
    """How long it is kept where agents stood."""

    keep_days: int = Field(
        30, ge=1, le=3650, description="Days that a checkpoint can be resumed; a month outlasts what is put aside."
    )


class Repositories(Group):
    """How the daemon looks into the projects' repositories (root_path) with git."""

    folder: Path | None = Field(
        None,
        description="Folder with a folder for each further organisation, named by its id, in which its repositories "
        "lie and only its people write; none: only the first organisation's repositories are looked into.",
    )
    any_owner: bool = Field(
        False, description="Look also into repositories of other users; off, as git itself refuses them."
    )
    timeout_s: float = Field(
        5, ge=0.1, le=60, description="Seconds one look may take; a healthy repository answers in milliseconds."
    )


class Prices(Group):
    """What models cost."""

    book: Path | None = Field(None, description="TOML file with your own prices, taken before the built-in ones; none.")


class Log(Group):
    """What is written about the work."""

    format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line for machines, or text for eyes."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is written; `info` tells each change of state, not each call."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
