"""Quick commands start at once: they import nothing but Python's own library and a little of ours."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli import workplace as workplaces
from tests.cli.workplace import Workplace
from tests.support.daemon import ROOT

OURS = ("conductor.cli", "conductor.cli.main", "conductor.cli.programs", "conductor.home", "conductor.domain")
FIRST_ANSWER_S = 0.3
_MODULES = "; ".join(
    [
        "import sys; sys.argv[0] = 'conductor'",
        "from conductor.cli.main import main",
        "code = main()",
        "print(*sys.modules, sep='\\n', file=sys.stderr)",
        "sys.exit(code)",
    ]
)


@pytest.mark.parametrize(
    "words",
    [("hook", "pre-tool"), ("hook", "post-tool"), ("hook", "session-start"), ("hook", "stop"), ("mcp",), ("prime",)],
)
def test_a_quick_command_does_its_work_with_the_standard_library_alone(
    workplace: Workplace, words: tuple[str, ...]
) -> None:
    said = workplace.tool("Edit", file_path=str(workplace.repository / "src/app.py"))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    ran = subprocess.run(
        # Without site there are no installed packages at all.
        [sys.executable, "-S", "-c", _MODULES, *words],
        input=json.dumps(call if words == ("mcp",) else said),
        capture_output=True,
        text=True,
        env=workplace.environ(PYTHONPATH=str(ROOT)),
        timeout=30,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stderr.split())
    ours = {name for name in loaded if name.partition(".")[0] == "conductor"}
    assert ours <= {"conductor", *OURS, "conductor.domain.errors"} | {
        name for name in ours if name.startswith("conductor.cli.quick")
    }
    strange = {name.partition(".")[0] for name in loaded - ours} - sys.stdlib_module_names - {"__main__"}
    assert not strange
    assert not loaded & {"argparse", "urllib.request", "http.client", "asyncio", "email", "ssl"}


def test_the_bridge_answers_first_within_three_tenths_of_a_second(workplace: Workplace) -> None:
    hello = _first_answers(workplace.environ())

    assert min(hello) < FIRST_ANSWER_S


def test_the_bridge_answers_at_once_also_when_the_daemon_says_nothing(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        away = _first_answers(workplace.environ(CONDUCTOR_URL=url))

    # What the daemon is given to answer comes on top of the start.
    assert min(away) < 2 * FIRST_ANSWER_S


def _first_answers(environ: dict[str, str], times: int = 5) -> list[float]:
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode() + b"\n"
    took = []
    for _ in range(times):
        began = time.monotonic()
        process = subprocess.Popen(
            [*workplaces.COMMAND, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        took.append(time.monotonic() - began)
        process.communicate()
    return took


@pytest.mark.parametrize("name", ["hook", "mcp", "prime"])
def test_help_is_there_without_a_daemon(name: str, tmp_path: Path) -> None:
    ran = workplaces.run(name, "--help", environ=workplaces.environment(CONDUCTOR_HOME=str(tmp_path)), cwd=tmp_path)

    assert ran.code == 0
    assert ran.out.startswith(f"conductor {name}")
