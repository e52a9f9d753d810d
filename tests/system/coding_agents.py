"""The coding agents that the ring runs: how each is given its model, its connection to Conductor, and its order.

The connection is the file of configs/clients with nothing but the address replaced, the token in the environment; or
what `conductor init` wrote into a checkout, and nothing else. All other things here are what a machine without the
internet and without a person needs: a key, a model, and the person's yes to the folder and to what is set up in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.daemon import ROOT
from tests.support.model_servers import Call, Wire
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
    client: str
    """What `conductor init --agent` calls it."""

    def program(self) -> Path:
        """Where it is installed."""

    def work(self, connection: Connection) -> Ran:
        """Have it follow ORDER, to the end."""

    def work_in_checkout(self, place: Place, model_url: str, environment: Mapping[str, str]) -> Ran:
        """Have it follow ORDER with what is set up in the folder that it works in."""

    def edit(self, path: Path, before: str, after: str) -> Sequence[Call]:
        """What its model calls to replace a line of a file."""

    def shell(self, command: str) -> Call:
        """What its model calls to have a command run."""


class ClaudeCode:
    """`claude -p`. searches_tools: the model finds tools by a search of the client's, as it does by default.

    permissions: its mode in a checkout.
    """

    name = "claude-code"
    client = "claude"
    provider = "anthropic"
    prefix = "mcp__conductor__"
    wire: Wire = AnthropicMessages()

    def __init__(self, *, searches_tools: bool = False, permissions: str = "bypassPermissions") -> None:
        self._searches_tools = searches_tools
        self._permissions = permissions

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
        return connection.run(command, self._environment(connection.model_url))

    def work_in_checkout(self, place: Place, model_url: str, environment: Mapping[str, str]) -> Ran:
        """Run `claude -p` with the person's yes to the server `conductor` of the checkout's .mcp.json."""
        place.write(".claude/settings.json", json.dumps({"enabledMcpjsonServers": ["conductor"]}))
        allowed = (
            () if self._permissions == "bypassPermissions" else ("--allowedTools", "mcp__conductor,Read,Edit,Bash")
        )
        command: list[str | Path] = [
            self.program(), "-p", ORDER, "--permission-mode", self._permissions, *allowed,
            "--output-format", "stream-json", "--verbose", "--model", "claude-sonnet-4-5",
        ]  # fmt: skip
        return place.run(command, {**self._environment(model_url), **environment})

    def edit(self, path: Path, before: str, after: str) -> Sequence[Call]:
        """Read, without which it lets nothing be edited, and Edit."""
        change = {"file_path": str(path), "old_string": before, "new_string": after}
        return Call("Read", {"file_path": str(path)}, own=True), Call("Edit", change, own=True)

    def shell(self, command: str) -> Call:
        """Bash."""
        return Call("Bash", {"command": command, "description": "change a file"}, own=True)

    def _environment(self, model_url: str) -> dict[str, str]:
        return {
            "ANTHROPIC_BASE_URL": model_url,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            # Root may run it only where a mistake stays inside, as in a test.
            "IS_SANDBOX": "1",
            "MCP_CONNECTION_NONBLOCKING": "0",
            "ENABLE_TOOL_SEARCH": "true" if self._searches_tools else "false",
        }


class Codex:
    """`codex exec`. The model has a name that Codex does not know: it then offers every tool from the beginning."""

    name = "codex"
    client = "codex"
    provider = "openai"
    prefix = "mcp__conductor."
    wire: Wire = OpenaiResponses()

    def program(self) -> Path:
        """The script that finds the binary of this kind of machine."""
        return installed("programs/node_modules/.bin/codex")

    def work(self, connection: Connection) -> Ran:
        """Run `codex exec` with a provider of its own."""
        provider = self._provider("scripted", connection.model_url)
        connection.place.write(".codex/config.toml", provider + connection.config("codex.config.toml"))
        return connection.run([self.program(), "exec", "--json", "--skip-git-repo-check", ORDER], {})

    def work_in_checkout(self, place: Place, model_url: str, environment: Mapping[str, str]) -> Ran:
        """Run `codex exec` in a folder that is trusted, with hooks that are: without both it runs none of them.

        The model is one that Codex knows, for only to those does it offer apply_patch. What a person trusts with /hooks
        in the terminal is trusted for one run by a flag. Its own sandbox needs more of the kernel than a test has.
        """
        trust = f'[projects.{json.dumps(str(place.work))}]\ntrust_level = "trusted"\n'
        place.write(".codex/config.toml", self._provider("gpt-5.5", model_url) + trust)
        command: list[str | Path] = [
            self.program(), "exec", "--json", "--dangerously-bypass-hook-trust",
            "--dangerously-bypass-approvals-and-sandbox", ORDER,
        ]  # fmt: skip
        return place.run(command, environment)

    def edit(self, path: Path, before: str, after: str) -> Sequence[Call]:
        """apply_patch, in Codex's own format."""
        patch = f"*** Begin Patch\n*** Update File: {path}\n@@\n-{before}\n+{after}\n*** End Patch\n"
        return (Call("apply_patch", {"input": patch}, own=True),)

    def shell(self, command: str) -> Call:
        """exec_command."""
        return Call("exec_command", {"cmd": command}, own=True)

    def _provider(self, model: str, model_url: str) -> str:
        return f"""
model = "{model}"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "{model_url}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

"""


class GeminiCli:
    """`gemini -p`."""

    name = "gemini-cli"
    client = "gemini"
    provider = "google"
    prefix = "mcp_conductor_"
    wire: Wire = GeminiContents()

    def program(self) -> Path:
        """The script that node runs."""
        return installed("programs/node_modules/.bin/gemini")

    def work(self, connection: Connection) -> Ran:
        """Run `gemini -p` with an API key, which takes a person's choice when it is not in the settings."""
        settings = json.loads(connection.config("gemini.settings.json")) | self._key()
        connection.place.write(".gemini/settings.json", json.dumps(settings))
        return connection.run([*self._command(), "--skip-trust"], self._environment(connection.model_url))

    def work_in_checkout(self, place: Place, model_url: str, environment: Mapping[str, str]) -> Ran:
        """Run `gemini -p` in a folder that is trusted: else it reads nothing of what is set up there."""
        place.write(".gemini/settings.json", json.dumps(self._key()))
        trust = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
        return place.run(self._command(), {**self._environment(model_url), **trust, **environment})

    def edit(self, path: Path, before: str, after: str) -> Sequence[Call]:
        """replace."""
        change = {"file_path": str(path), "old_string": before, "new_string": after, "instruction": "change a line"}
        return (Call("replace", change, own=True),)

    def shell(self, command: str) -> Call:
        """run_shell_command."""
        return Call("run_shell_command", {"command": command, "description": "change a file"}, own=True)

    def _command(self) -> list[str | Path]:
        return [
            self.program(), "-p", ORDER, "-o", "stream-json", "-m", "gemini-2.5-flash", "--approval-mode", "yolo",
        ]  # fmt: skip

    def _environment(self, model_url: str) -> dict[str, str]:
        return {"GOOGLE_GEMINI_BASE_URL": model_url, "GEMINI_API_KEY": "none"}

    def _key(self) -> dict[str, object]:
        return {"security": {"auth": {"selectedType": "gemini-api-key"}}}


CODING_AGENTS: Sequence[CodingAgent] = (ClaudeCode(), Codex(), GeminiCli())
