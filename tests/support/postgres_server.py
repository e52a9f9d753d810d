"""The inside of a test PostgreSQL: fresh databases with the two roles that Conductor wants, and the URLs to them.

The server may be one that somebody else runs: nothing here starts or stops it (tests/support/postgres.py does).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql


class Url(str):
    """A database URL as users give it to CONDUCTOR_DATABASE_URL: `postgresql://...`."""

    __slots__ = ()

    @property
    def sqlalchemy(self) -> str:
        """The same for `sqlalchemy.create_engine`, with the driver named."""
        return self.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def role(self) -> str:
        """The role that it logs in as."""
        return unquote(urlsplit(self).username or "")

    def to(self, database: str, role: str | None = None, password: str | None = None) -> Url:
        """The same server and options, another database; and another role, when one is given."""
        parts = urlsplit(self)
        login, at, address = parts.netloc.rpartition("@")
        if role is not None:
            login, at = quote(role, safe="") + (f":{quote(password, safe='')}" if password else ""), "@"
        return Url(parts._replace(netloc=f"{login}{at}{address}", path=f"/{database}").geturl())


@dataclass(frozen=True, slots=True)
class Urls:
    """The ways into one database; no role of these is a superuser or passes row-level security.

    migration: the role that owns the schema. serving: a role that only uses what the other one makes.
    """

    database: str
    migration: Url
    serving: Url

    @property
    def single(self) -> Url:
        """One role for both, as with CONDUCTOR_DATABASE_URL alone: the owner, held by FORCE ROW LEVEL SECURITY."""
        return self.migration


class Server:
    """A PostgreSQL that lets us in as superuser, perhaps not ours to stop."""

    def __init__(self, superuser: str) -> None:
        self._superuser = Url(re.sub(r"^\w+(\+\w+)?://", "postgresql://", superuser))

    def superuser_url(self, database: str | None = None) -> Url:
        """For looking behind the scenes; the product must refuse this role. None: the URL's own database."""
        return self._superuser if database is None else self._superuser.to(database)

    def create_database(self, name: str) -> Urls:
        """Make an empty database and two roles of its own, `<name>_migrator` and `<name>_server`.

        name: lower case letters, digits and underscores, at most 50.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", name):
            raise ValueError(f"{name!r} cannot name a test database: use at most 50 of a-z, 0-9 and _, a letter first")
        migrator, server = f"{name}_migrator", f"{name}_server"
        password = secrets.token_hex(8)
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            for role in (migrator, server):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOBYPASSRLS").format(
                        sql.Identifier(role), sql.Literal(password)
                    )
                )
            connection.execute(
                sql.SQL(
                    "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
                ).format(sql.Identifier(name), sql.Identifier(migrator))
            )
        with psycopg.connect(self.superuser_url(name)) as connection:
            for statement in (
                "ALTER SCHEMA public OWNER TO {migrator}",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                "SET ROLE {migrator}",
                "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO {server}",
                "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {server}",
                "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO {server}",
            ):
                connection.execute(
                    sql.SQL(statement).format(migrator=sql.Identifier(migrator), server=sql.Identifier(server))
                )
        return Urls(
            name,
            migration=self._superuser.to(name, migrator, password),
            serving=self._superuser.to(name, server, password),
        )

    def clone_database(self, source: Urls, name: str) -> Urls:
        """Copy a database that nobody is connected to, tables and grants included; the roles are the source's."""
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(source.migration.role), sql.Identifier(source.database)
                )
            )
        return Urls(name, migration=source.migration.to(name), serving=source.serving.to(name))

    def drop_database(self, urls: Urls) -> None:
        """Drop a database, whoever is connected, and the roles that were made with it."""
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(urls.database)))
            for role in (f"{urls.database}_migrator", f"{urls.database}_server"):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
