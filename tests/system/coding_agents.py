"""The coding agents that the ring runs: how each is given its model, its connection to Conductor, and its order.

The connection is the file of configs/clients with nothing but the address replaced; the token is in the environment.
Everything else here is what a machine without the internet and without a person needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.daemon import ROOT
from tests.support.model_servers import Wire
from tests.system.model_wires import AnthropicMessages, GeminiContents, OpenaiResponses
from tests.system.programs import Place, Ran, installed

ORDER = "Take a task and finish it."

_ADDRESS = "http://127.0.0.1:8787"


@dataclass(frozen=True, slots=True)
class Connection:
    """What a coding agent is given: where it runs, the daemon, its token there, its model."""

    place: Place
    daemon_url: str
    token: str
    model_url: str

    def config(self, name: str) -> str:
        """Read a file of configs/clients, with this daemon's address."""
        text = (ROOT / "configs" / "clients" / name).read_text()
        assert _ADDRESS in text
        return text.replace(_ADDRESS, self.daemon_url)

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Ran:
        """Run the agent."""
        return self.place.run(command, {"CONDUCTOR_TOKEN": self.token, **environment})


class CodingAgent(Protocol):
    """A coding agent's command line."""

    name: str
    provider: str
    prefix: str
    """What stands before our tools' names where the model is offered them."""
    wire: Wire

    def program(self) -> Path:
        """Where it is installed."""

    def work(self, connection: Connection) -> Ran:
        """Have it follow ORDER, to the end."""


class ClaudeCode:
    """`claude -p`. searches_tools: the model finds tools by a search of the client's, as it does by default."""

    name = "claude-code"
    provider = "anthropic"
    prefix = "mcp__conductor__"
    wire: Wire = AnthropicMessages()

    def __init__(self, *, searches_tools: bool = False) -> None:
        self._searches_tools = searches_tools

    def program(self) -> Path:
        """The binary of this kind of machine: the script beside it would be put in place by an install script."""
        return installed("programs/node_modules/@anthropic-ai/claude-code-*/claude")

    def work(self, connection: Connection) -> Ran:
        """Run `claude -p` with nothing but the one MCP server."""
        config = connection.place.write("claude-code.mcp.json", connection.config("claude-code.mcp.json"))
        command: list[str | Path] = [
            self.program(), "-p", ORDER, "--mcp-config", config, "--strict-mcp-config",
            "--allowedTools", "mcp__conductor,ToolSearch", "--output-format", "stream-json", "--verbose",
            "--model", "claude-sonnet-4-5",
        ]  # fmt: skip
        environment = {
            "ANTHROPIC_BASE_URL": connection.model_url,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            # Root may run it only where a mistake stays inside, as in a test.
            "IS_SANDBOX": "1",
            "MCP_CONNECTION_NONBLOCKING": "0",
            "ENABLE_TOOL_SEARCH": "true" if self._searches_tools else "false",
        }
        return connection.run(command, environment)


class Codex:
    """`codex exec`. The model has a name that Codex does not know: it then offers every tool from the beginning."""

    name = "codex"
    provider = "openai"
    prefix = "mcp__conductor."
    wire: Wire = OpenaiResponses()

    def program(self) -> Path:
        """The script that finds the binary of this kind of machine."""
        return installed("programs/node_modules/.bin/codex")

    def work(self, connection: Connection) -> Ran:
        """Run `codex exec` with a provider of its own."""
        provider = f"""
model = "scripted"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "{connection.model_url}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

"""
        connection.place.write(".codex/config.toml", provider + connection.config("codex.config.toml"))
        return connection.run([self.program(), "exec", "--json", "--skip-git-repo-check", ORDER], {})


class GeminiCli:
    """`gemini -p`."""

    name = "gemini-cli"
    provider = "google"
    prefix = "mcp_conductor_"
    wire: Wire = GeminiContents()

    def program(self) -> Path:
        """The script that node runs."""
        return installed("programs/node_modules/.bin/gemini")

    def work(self, connection: Connection) -> Ran:
        """Run `gemini -p` with an API key, which takes a person's choice when it is not in the settings."""
        key = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
        settings = json.loads(connection.config("gemini.settings.json")) | key
        connection.place.write(".gemini/settings.json", json.dumps(settings))
        command: list[str | Path] = [
            self.program(), "-p", ORDER, "-o", "stream-json", "-m", "gemini-2.5-flash",
            "--skip-trust", "--approval-mode", "yolo",
        ]  # fmt: skip
        return connection.run(command, {"GOOGLE_GEMINI_BASE_URL": connection.model_url, "GEMINI_API_KEY": "none"})


CODING_AGENTS: Sequence[CodingAgent] = (ClaudeCode(), Codex(), GeminiCli())
