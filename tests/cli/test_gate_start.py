"""`conductor gate` starts at once, says what it is, and takes nothing that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_startup import run

OTHERS = {
    "typer",
    "rich",
    "httpx",
    "pydantic",
    "anyio",
    "orjson",
    "storage",
    "actors",
    "mcp_server",
    "ray",
    "sqlalchemy",
}


def test_a_gate_needs_the_standard_library_alone(tmp_path: Path) -> None:
    ran = run("gate", "pre-receive", CONDUCTOR_HOME=str(tmp_path), flags=("-S",))

    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "conductor" in loaded
    assert not loaded & OTHERS
    assert ran.returncode == 0


def test_without_a_gate_it_tells_which_there_are() -> None:
    ran = run("gate")

    assert ran.returncode == 2
    for gate in ("pre-commit", "commit-msg FILE", "pre-push", "pre-receive"):
        assert f"conductor gate {gate}" in ran.stdout
    assert run("gate", "--help").returncode == 0


@pytest.mark.parametrize("words", [("post-receive",), ("commit-msg",), ("pre-commit", "--agent")])
def test_what_is_no_gate_is_refused(words: tuple[str, ...]) -> None:
    ran = run("gate", *words)

    assert ran.returncode == 2
    assert "conductor: " in ran.stderr
    assert "Traceback" not in ran.stderr
