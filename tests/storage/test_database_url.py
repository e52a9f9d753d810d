"""What people write as a database's address, and what a message may say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor.domain import errors
from storage.database_url import DatabaseUrl


@pytest.mark.parametrize("text", ["{path}", "sqlite:///{path}"])
def test_a_path_and_a_sqlite_url_name_the_same_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a b?c%20d#e.db"

    parsed = DatabaseUrl.parse(text.format(path=path))

    assert parsed.path == path


def test_a_relative_path_is_made_absolute_as_the_daemon_leaves_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    parsed = DatabaseUrl.parse("sqlite:///conductor.db")

    assert parsed.path == tmp_path / "conductor.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_spelling_of_postgresql_is_served_by_psycopg(scheme: str) -> None:
    parsed = DatabaseUrl.parse(f"{scheme}://anna:geheim@db.example:5433/conductor?sslmode=require")

    assert parsed.path is None
    assert parsed.address.drivername == "postgresql+psycopg"
    assert parsed.address.query == {"sslmode": "require"}


def test_a_database_in_words_never_holds_the_password() -> None:
    parsed = DatabaseUrl.parse("postgresql://anna:geheim@db.example:5433/conductor")

    assert str(parsed) == "PostgreSQL conductor on db.example:5433"
    assert "geheim" not in repr(parsed)


@pytest.mark.parametrize("text", ["mysql://root@localhost/x", "postgresql+asyncpg://a@b/c", "sqlite+aiosqlite:///x.db"])
def test_another_kind_of_database_is_refused_by_name(text: str) -> None:
    with pytest.raises(errors.Invalid, match="is not one that Conductor keeps its store in") as refused:
        DatabaseUrl.parse(text)

    assert text.partition("://")[0] in refused.value.message


@pytest.mark.parametrize("text", ["", ":memory:", "sqlite:///", "sqlite:///:memory:", "a\0b"])
def test_a_store_that_would_die_with_its_process_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid, match="outlives the process"):
        DatabaseUrl.parse(text)


@pytest.mark.parametrize("text", ["postgresql://anna:geheim@host:wort/x", "postgres://anna:ge@heim:wort@host:x/y"])
def test_an_unreadable_url_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(errors.Invalid, match="%40") as refused:
        DatabaseUrl.parse(text)

    assert not {"geheim", "heim", "wort"} & set(refused.value.message.replace("/", " ").split())
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
