"""Which database a URL names: a SQLite file or a PostgreSQL server, nothing else.

People write the path of a file, `sqlite:///path`, or what their hosting platform gives them (`postgres://`,
`postgresql://`, `postgresql+psycopg://`); all else is refused with a sentence. Must never show a password.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from conductor.domain import errors

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql+psycopg://", "postgresql://", "postgres://")
_DRIVER = "postgresql+psycopg"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A parsed URL. path: of the SQLite file, absolute; None: the database is a PostgreSQL.

    address: for SQLAlchemy; it may hold a password, so it is neither shown nor logged.
    """

    path: Path | None
    address: URL = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """Read what a person wrote. Raises Invalid, without repeating what may be a password."""
        if text.startswith(_POSTGRESQL):
            return cls(None, _postgresql(text))
        if "://" in text and not text.startswith(_SQLITE):
            kind = text.partition("://")[0]
            raise errors.Invalid(
                f"A database of kind {kind} is not one that Conductor keeps its store in. Give the path of a SQLite "
                "file, or postgresql://USER:PASSWORD@HOST/NAME."
            )
        return cls(path := _file(text.removeprefix(_SQLITE)), URL.create("sqlite", database=str(path)))

    def __str__(self) -> str:
        """The database in words fit for a message: the file, or the server and the name of the database."""
        if self.path is not None:
            return str(self.path)
        host = self.address.host or self.address.query.get("host") or "localhost"
        port = f":{self.address.port}" if self.address.port else ""
        return f"PostgreSQL {self.address.database or self.address.username} on {host}{port}"


def _file(name: str) -> Path:
    if not name or name == ":memory:" or "\0" in name:
        raise errors.Invalid(
            "The store needs a file that outlives the process: give the path of one, such as sqlite:///conductor.db "
            "or /var/lib/conductor/conductor.db."
        )
    return Path(os.path.abspath(os.path.expanduser(name)))


def _postgresql(text: str) -> URL:
    scheme = next(scheme for scheme in _POSTGRESQL if text.startswith(scheme))
    try:
        # The error repeats parts of what it could not read, and those may be of a password.
        address = make_url(f"{_DRIVER}://{text.removeprefix(scheme)}")
    except (ArgumentError, ValueError):
        address = None
    if address is None:
        raise errors.Invalid(
            "The PostgreSQL URL cannot be read. It must look like postgresql://USER:PASSWORD@HOST:5432/NAME; in user "
            "and password write @ as %40, : as %3A, / as %2F and % as %25."
        )
    return address
