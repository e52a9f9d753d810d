"""Row-level security on PostgreSQL: a statement that forgets its organisation finds nothing instead of everything.

Every table with an organization_id carries one policy with two doors: the organisation that the transaction entered,
and the one for the named work across tenants (storage/cross_tenant.py opens it, nothing else may). FORCE holds the
tables' owner too, so one role can both migrate and serve. On SQLite there is no such guard and all this does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from conductor.domain import errors

POLICY = "one_organization"

_ORGANIZATION, _CROSS_TENANT = "app.organization_id", "app.cross_tenant"

# A subquery is worked out once a statement, a bare call once a row: 12 ms against 27 for 200,000 rows.
_DOORS = (
    f"organization_id = (SELECT nullif(current_setting('{_ORGANIZATION}', true), ''))"
    f" OR (SELECT current_setting('{_CROSS_TENANT}', true) = 'on')"
)

_TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def guard_sql(table: str) -> tuple[str, ...]:
    """Give the statements that guard a new table with an organization_id."""
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {POLICY} ON {table} USING ({_DOORS}) WITH CHECK ({_DOORS})",
    )


def guard(connection: Connection, *tables: str) -> None:
    """Guard new tables; the revisions call it. Another policy needs a revision that puts it on every table."""
    if connection.dialect.name == "postgresql":
        for statement in (each for table in tables for each in guard_sql(table)):
            connection.exec_driver_sql(statement)


def enter_organization(connection: Connection, organization_id: str) -> None:
    """Let the rest of this transaction see and change the rows of one organisation, and of no other."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"SELECT set_config('{_ORGANIZATION}', %s, true), set_config('{_CROSS_TENANT}', '', true)",
            (organization_id,),
        )


def enter_cross_tenant(connection: Connection) -> None:
    """Let the rest of this transaction see all organisations' rows: for the named work of storage/cross_tenant.py."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT set_config('{_CROSS_TENANT}', 'on', true)")


def unguarded(connection: Connection, tables: Iterable[str]) -> list[str]:
    """List the tables that our policy does not hold; on SQLite none can be."""
    if connection.dialect.name != "postgresql":
        return []
    rows = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.oid = to_regclass(c.relname::text) AND c.relrowsecurity AND c.relforcerowsecurity AND p.polname = %s",
        (POLICY,),
    )
    return sorted(set(tables) - set(rows.scalars()))


def require_rights(connection: Connection, tables: Sequence[str]) -> None:
    """Refuse a serving role that may not use what the migrating role made.

    Raises Invalid with the SQL that mends it.
    """
    if connection.dialect.name != "postgresql":
        return
    lacking = connection.exec_driver_sql(
        "SELECT name, current_user, current_database(), pg_get_userbyid(c.relowner)"
        " FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name)"
        " WHERE NOT (SELECT bool_and(has_table_privilege(c.oid, kind)) FROM unnest(%s::text[]) AS kind) ORDER BY name",
        (list(tables), list(_TABLE_RIGHTS)),
    ).all()
    if lacking:
        _, role, database, owner = lacking[0]
        raise errors.Invalid(
            f"The PostgreSQL role {role} may not use the tables of {owner}. As {owner} or a superuser, connected to "
            f"{database}, run:\n{rights_sql(owner, role)}",
            facts={"role": role, "owner": owner, "tables": [row[0] for row in lacking]},
        )


def rights_sql(owner: str, server: str) -> str:
    """Give the SQL that lets a serving role use what the migrating role made and will make."""
    rights = ", ".join(_TABLE_RIGHTS)
    owner, server = _quoted(owner), _quoted(server)
    return (
        f"GRANT USAGE ON SCHEMA public TO {server};\n"
        f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {server};\n"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT {rights} ON TABLES TO {server};"
    )


def role_sql(database: str) -> str:
    """Give the SQL that makes one ordinary role which migrates and serves; choose the password yourself."""
    return (
        "CREATE ROLE conductor LOGIN PASSWORD 'choose one' NOSUPERUSER NOBYPASSRLS;\n"
        f"GRANT CONNECT ON DATABASE {_quoted(database)} TO conductor;\n"
        "GRANT USAGE, CREATE ON SCHEMA public TO conductor;"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
