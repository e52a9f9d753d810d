"""Hot statements do exactly what SQLAlchemy's own execution does, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage.columns import Json, UtcTime, Word
from storage.engine import open_engine
from storage.hot import Hot


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


things = Table(
    "things",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("at", UtcTime),
    Column("facts", Json),
    Column("color", Word(Color)),
    Column("is_on", Boolean),
    Column("share", Float),
    # A word of SQL, as a column may be called.
    Column("window", Text),
)

AT = datetime(2026, 11, 3, 8, 30, 0, 123456, tzinfo=UTC)


def thing(number: int = 1, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": "a", "number": number, "count": 0, "at": AT, "facts": {"a": [1, None]}, "color": Color.RED,
        "is_on": True, "share": 0.1, "window": "Ä'\"\\%s :x ?",
    }  # fmt: skip
    return row | values


def merge(connection: Connection) -> Any:
    """Make an upsert that adds up counts."""
    maker: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = maker(things)
    return statement.on_conflict_do_update(
        index_elements=list(things.primary_key),
        set_={"count": things.c.count + statement.excluded.count, "color": Color.BLUE},
    )


def kept(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute(select(things).order_by(things.c.id, things.c.number))
    return [dict(row._mapping) for row in rows]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = open_engine(database_url, read_only=False, pool_size=1, statement_timeout_s=10)
    with engine.connect() as connection:
        things.create(connection)
        yield connection
    engine.dispose()


@pytest.mark.parametrize("count", [1, 2, 300])
def test_rows_come_back_as_they_were_given(connection: Connection, count: int) -> None:
    rows = [thing(number) for number in range(count)]

    met = Hot(insert(things), connection.dialect).run(connection, rows)

    assert met == count
    assert kept(connection) == rows


def test_no_rows_are_no_statement(connection: Connection) -> None:
    assert Hot(insert(things), connection.dialect).run(connection, []) == 0


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_absent_stays_absent(connection: Connection, count: int) -> None:
    absent = dict.fromkeys(("at", "facts", "color", "is_on", "share", "window"))
    rows = [thing(number, **absent) for number in range(count)]

    Hot(insert(things), connection.dialect).run(connection, rows)

    assert kept(connection) == rows


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "count": st.integers(-(2**31), 2**31 - 1),
                "at": st.none() | st.datetimes(timezones=st.just(UTC)),
                "facts": st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text()),
                "is_on": st.none() | st.booleans(),
                "share": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "window": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_that_the_columns_can_hold_comes_back(connection: Connection, values: list[dict[str, Any]]) -> None:
    rows = [thing(number * 2**59, **value) for number, value in enumerate(values)]
    connection.execute(delete(things))

    Hot(insert(things), connection.dialect).run(connection, rows)

    assert kept(connection) == rows


def test_an_upsert_adds_new_rows_and_changes_old_ones(connection: Connection) -> None:
    hot = Hot(merge(connection), connection.dialect)
    hot.run(connection, [thing(1, count=1), thing(2, count=2)])

    hot.run(connection, [thing(2, count=10), thing(3, count=3)])

    assert [(row["number"], row["count"], row["color"]) for row in kept(connection)] == [
        (1, 1, Color.RED),
        (2, 12, Color.BLUE),
        (3, 3, Color.RED),
    ]


def test_an_upsert_may_meet_the_same_row_twice(connection: Connection) -> None:
    hot = Hot(merge(connection), connection.dialect)

    hot.run(connection, [thing(1, count=1), thing(1, count=2), thing(1, count=4)])

    assert [row["count"] for row in kept(connection)] == [7]


def test_an_update_takes_each_rows_values_and_keeps_its_own(connection: Connection) -> None:
    Hot(insert(things), connection.dialect).run(connection, [thing(number) for number in range(4)])
    statement = (
        update(things)
        .where(things.c.number == bindparam("key"), things.c.color == Color.RED, things.c.at == bindparam("then"))
        .values(facts=bindparam("facts"), color=bindparam("color"), count=things.c.count + 5, is_on=False)
    )

    met = Hot(statement, connection.dialect).run(
        connection,
        [
            {"key": 1, "then": AT, "facts": {"new": True}, "color": Color.BLUE},
            {"key": 2, "then": AT.replace(year=2000), "facts": {}, "color": Color.BLUE},
            {"key": 3, "then": AT, "facts": {"b": 1}, "color": None},
        ],
    )

    assert met == 2
    assert kept(connection) == [
        thing(0),
        thing(1, facts={"new": True}, color=Color.BLUE, count=5, is_on=False),
        thing(2),
        thing(3, facts={"b": 1}, color=None, count=5, is_on=False),
    ]


def test_a_delete_takes_out_the_named_rows(connection: Connection) -> None:
    Hot(insert(things), connection.dialect).run(connection, [thing(number) for number in range(5)])
    hot = Hot(delete(things).where(things.c.number == bindparam("number")), connection.dialect)

    met = hot.run(connection, [{"number": 1}, {"number": 3}, {"number": 77}])

    assert met == 2
    assert [row["number"] for row in kept(connection)] == [0, 2, 4]


def test_an_insert_with_values_of_its_own_takes_only_what_it_names(connection: Connection) -> None:
    statement = insert(things).values(id="fixed", number=bindparam("nth"), count=3, color=Color.BLUE)

    Hot(statement, connection.dialect).run(connection, [{"nth": 1}, {"nth": 2}])

    absent = dict.fromkeys(("at", "facts", "is_on", "share", "window"))
    assert kept(connection) == [thing(nth, id="fixed", count=3, color=Color.BLUE, **absent) for nth in (1, 2)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_that_lacks_a_value_is_refused(connection: Connection, count: int) -> None:
    rows = [thing(number) for number in range(count)]
    del rows[-1]["facts"]

    with pytest.raises(KeyError, match="facts"):
        Hot(insert(things), connection.dialect).run(connection, rows)


def test_a_statement_that_returns_rows_is_refused(connection: Connection) -> None:
    with pytest.raises(ValueError, match="returns no rows"):
        Hot(insert(things).returning(things.c.id), connection.dialect)


def test_a_statement_whose_text_depends_on_its_values_is_refused(connection: Connection) -> None:
    statement = delete(things).where(things.c.number.in_(bindparam("numbers", expanding=True)))

    with pytest.raises(ValueError, match="one text for all values"):
        Hot(statement, connection.dialect)
