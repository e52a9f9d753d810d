"""The lines that `conductor up` prints connect the real clients, as they stand, in a shell."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.support.daemon import DaemonProcess
from tests.system.coding_agents import ClaudeCode, Codex, CodingAgent, Connection, GeminiCli
from tests.system.conftest import Project
from tests.system.programs import Place, Ran

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def connection(project: Project, place: Place) -> Connection:
    """What a new agent is given; no model is needed to be connected."""
    return Connection(place, project.daemon.url, project.register("newcomer"), model_url="")


def test_the_line_for_claude_code_writes_the_file_of_configs(daemon: DaemonProcess, connection: Connection) -> None:
    ran = _run_line(connection, ClaudeCode(), "claude", _printed(daemon, "Claude Code"))

    assert ran.code == 0, ran
    written = json.loads((connection.place.work / ".mcp.json").read_text())
    assert written == json.loads(connection.config("claude-code.mcp.json"))


def test_the_line_for_codex_writes_the_file_of_configs(daemon: DaemonProcess, connection: Connection) -> None:
    ran = _run_line(connection, Codex(), "codex", _printed(daemon, "Codex"))

    assert ran.code == 0, ran
    written = tomllib.loads((connection.place.home / ".codex/config.toml").read_text())
    assert written["mcp_servers"] == tomllib.loads(connection.config("codex.config.toml"))["mcp_servers"]


def test_the_line_for_gemini_cli_connects_it(daemon: DaemonProcess, connection: Connection) -> None:
    line = _printed(daemon, "Gemini CLI")

    ran = _run_line(connection, GeminiCli(), "gemini", f"{line} && gemini mcp list")

    assert ran.code == 0, ran
    assert re.search(r"conductor: .*/mcp \(http\) - Connected", ran.output + ran.errors), ran


def _printed(daemon: DaemonProcess, client: str) -> str:
    """Find the line for a client in what the daemon printed; it may go on after a backslash."""
    found = re.search(rf"^  {client}\s+((?:.*\\\n)*.*)$", daemon.output.read_text(), re.MULTILINE)
    assert found, daemon.output.read_text()
    return found[1]


def _run_line(connection: Connection, agent: CodingAgent, command: str, line: str) -> Ran:
    bin_folder = connection.place.folder / "bin"
    bin_folder.mkdir()
    (bin_folder / command).symlink_to(agent.program())
    # A folder that nobody trusts yet is asked about before its servers are spoken to.
    environment = {"IS_SANDBOX": "1", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return connection.run(["bash", "-c", f'PATH="{bin_folder}:$PATH"; {line}'], environment)
