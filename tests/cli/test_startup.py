"""The command line starts at once: it imports no more than it uses."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DAEMONS_OWN = {"ray", "sqlalchemy", "duckdb", "mcp", "starlette", "uvicorn", "psycopg", "structlog", "genai_prices"}
_RUN = (
    "import sys; sys.argv = ['conductor', *sys.argv[1:]]\n"
    "from conductor.cli.main import main\n"
    "code = main()\n"
    "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    "sys.exit(code)"
)


def run(*words: str, flags: tuple[str, ...] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-c", _RUN, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environ},
    )


@pytest.mark.parametrize("words", [("--help",), ("task", "list", "--help"), ("lock", "acquire", "--help")])
def test_help_imports_nothing_of_the_daemon_and_no_http(words: tuple[str, ...]) -> None:
    ran = run(*words)

    assert ran.returncode == 0
    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "typer" in loaded
    assert not loaded & {*DAEMONS_OWN, "httpx", "storage", "actors", "mcp_server"}


def test_a_call_imports_nothing_of_the_daemon(tmp_path: Path) -> None:
    ran = run("task", "list", CONDUCTOR_HOME=str(tmp_path), CONDUCTOR_URL="http://127.0.0.1:1", CONDUCTOR_TOKEN="t")

    assert ran.returncode == 8
    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "httpx" in loaded
    assert not loaded & {*DAEMONS_OWN, "storage", "actors", "mcp_server"}


def test_a_help_page_takes_less_than_a_second_of_processor() -> None:
    spent = []

    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("task", "list", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(spent) < 1.0


def test_importing_conductor_imports_nothing_else() -> None:
    lines = (
        "import sys, conductor; print(sum(name.startswith('conductor.') for name in sys.modules), conductor.__all__)"
    )

    said = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout

    assert said.strip() == "0 ['detect_conflicts', 'handle_conflicts']"


def test_the_conflict_rules_are_exported() -> None:
    import conductor

    assert conductor.detect_conflicts([], []) == []
    assert conductor.handle_conflicts([], "lock") == []
    with pytest.raises(AttributeError, match="nonsense"):
        conductor.nonsense  # noqa: B018


def test_up_becomes_the_daemon_beside_it_and_needs_no_installed_package(tmp_path: Path) -> None:
    program = tmp_path / "conductord"
    program.write_text('#!/bin/sh\necho "$$ $@"\n')
    program.chmod(0o755)
    start = f"import sys; sys.executable = {str(tmp_path / 'python')!r}; import os; print(os.getpid(), flush=True)\n"

    ran = subprocess.run(
        [sys.executable, "-S", "-c", start + _RUN, "up", "--port", "0", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )

    process, became = ran.stdout.splitlines()
    assert became == f"{process} --port 0 --help"


def test_up_without_a_daemon_says_what_to_install(tmp_path: Path) -> None:
    start = f"import sys; sys.executable = {str(tmp_path / 'python')!r}\n"

    ran = subprocess.run(
        [sys.executable, "-c", start + _RUN, "up"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
    )

    assert ran.returncode == 1
    assert "pip install" in ran.stderr
