"""The coding agents that can be set up: how each is detected, and what stands in which of its files.

Formats are the clients' own, as tried with the versions in docs/clients.md. What names an agent goes where a client
keeps settings of one person, or into files that git is told to leave out; the text for everybody goes into the
instruction file. A hook that cannot be started refuses the tool: exit code 2 does that in all three clients.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conductor.cli.setup import guide
from conductor.cli.setup.entries import Entries, Entry
from conductor.cli.setup.files import Content, Wanted, look
from conductor.cli.setup.parts import Section
from conductor.cli.setup.program import Program
from conductor.domain import errors

_HOOK_S = 10
"""After which a client gives a hook up and lets the tool run; the hook itself answers within 2 s."""


@dataclass(frozen=True, slots=True)
class Client:
    """One coding agent. kind: as profiles know it. programs: on the PATH; marks: in a checkout; homes: in the home.

    instructions: the file that it reads by itself.
    """

    name: str
    title: str
    kind: str
    programs: tuple[str, ...]
    marks: tuple[str, ...]
    homes: tuple[str, ...]
    instructions: str
    has_hooks: bool = False


CLIENTS: Mapping[str, Client] = {
    client.name: client
    for client in (
        Client(
            "claude", "Claude Code", "claude-code", ("claude",), (".claude", "CLAUDE.md", ".mcp.json"),
            (".claude", ".claude.json"), "CLAUDE.md", has_hooks=True,
        ),
        Client("codex", "Codex", "codex", ("codex",), (".codex",), (".codex",), "AGENTS.md", has_hooks=True),
        Client(
            "gemini", "Gemini CLI", "gemini-cli", ("gemini",), (".gemini", "GEMINI.md"), (".gemini",), "GEMINI.md",
            has_hooks=True,
        ),
        Client("cursor", "Cursor", "cursor", ("cursor", "cursor-agent"), (".cursor",), (".cursor",), "AGENTS.md"),
        Client(
            "opencode", "OpenCode", "opencode", ("opencode",), ("opencode.json", "opencode.jsonc", ".opencode"),
            (".config/opencode",), "AGENTS.md",
        ),
    )
}  # fmt: skip
"""By the name that `--agent` and `conductor hook --client` take."""


def detect(top: Path, environ: Mapping[str, str]) -> tuple[Client, ...]:
    """The clients that are installed here, or that the checkout is prepared for."""
    home = Path(environ.get("HOME") or "/nonexistent")
    return tuple(
        client
        for client in CLIENTS.values()
        if any(shutil.which(program, path=environ.get("PATH")) for program in client.programs)
        or any((top / mark).exists() for mark in client.marks)
        or any((home / mark).exists() for mark in client.homes)
    )


def choose(asked: Sequence[str], detected: Sequence[Client]) -> dict[Client, str | None]:
    """The clients to set up, each with the agent's name where one was given.

    asked: `claude`, `claude=ada`, or only `ada` when there is one client. Raises Invalid.
    """
    chosen: dict[Client, str | None] = {}
    for one in asked:
        word, equals, name = one.partition("=")
        if equals and not name:
            raise errors.Invalid(f"--agent {one} gives no name: write --agent {word}=NAME.")
        if word in CLIENTS:
            chosen[CLIENTS[word]] = name or None
        elif equals:
            raise errors.Invalid(f"{word} is no client that can be set up; there are: {', '.join(CLIENTS)}.")
        elif len(asked) == 1 and len(detected) == 1:
            chosen[detected[0]] = word
        else:
            there = ", ".join(client.name for client in detected) or "none"
            raise errors.Invalid(
                f"{word} names an agent, but not whose (detected: {there}): write --agent CLIENT={word}, with one of "
                f"{', '.join(CLIENTS)}."
            )
    if not asked:
        chosen = dict.fromkeys(detected)
    if not chosen:
        raise errors.Invalid(f"No coding agent was detected here: say which with --agent, one of {', '.join(CLIENTS)}.")
    return chosen


def wanted(top: Path, agents: Mapping[Client, str], program: Program) -> Iterator[Wanted]:
    """What the chosen clients' files should hold. Files that several clients read come once."""
    for client, agent in agents.items():
        yield from _FILES[client.name](top, agent, program)
    seen: set[Path] = set()
    for client in agents:
        path = resolved(top / client.instructions, top)
        if path in seen or _imports(path, "AGENTS.md", agents):
            continue
        seen.add(path)
        yield Wanted(path, Section(guide.TEXT, "<!-- ", " -->"))


def resolved(path: Path, top: Path) -> Path:
    """Where links lead, which stay links. Raises Invalid when that is outside of the checkout."""
    real, root = path.resolve(), top.resolve()
    if not real.is_relative_to(root):
        raise errors.Invalid(f"{path} leads to {real}, outside of this checkout: put a file there instead of the link.")
    return top / real.relative_to(root)


def _imports(path: Path, name: str, agents: Mapping[Client, str]) -> bool:
    """Whether an instruction file takes in another one that is written to anyway."""
    there = look(path)
    if path.name == name or not isinstance(there, Content) or all(client.instructions != name for client in agents):
        return False
    return re.search(rf"^@(?:\./)?{re.escape(name)}\s*$".encode(), there.content, re.MULTILINE) is not None


def _claude(top: Path, agent: str, program: Program) -> Iterator[Wanted]:
    server = {"type": "stdio", "command": program.name, "args": program.arguments("mcp", "--agent", agent)}
    yield _entries(top, ".mcp.json", _server(("mcpServers",), server))
    hooks = _hooks("claude", agent, program, "Edit|Write|MultiEdit|NotebookEdit|Bash", _CLAUDE_EVENTS, _HOOK_S)
    # What it runs knows by this whose commits its commits are.
    name = Entry(("env",), "CONDUCTOR_AGENT", agent, _exactly(agent))
    yield _entries(top, ".claude/settings.local.json", *hooks, name)


def _codex(top: Path, agent: str, program: Program) -> Iterator[Wanted]:
    path = resolved(top / ".codex/config.toml", top)
    # A server of that name that a person wrote is left alone; two tables of one name would break the file.
    if not _has_own_server(path):
        section = Section(_codex_table(path, agent, program))
        there = look(path)
        _read_toml(path, section.put(there.content if isinstance(there, Content) else b"", force=True))
        yield Wanted(path, section)
    hooks = _hooks("codex", agent, program, "apply_patch|Bash", _CLAUDE_EVENTS, _HOOK_S)
    yield _entries(top, ".codex/hooks.json", *hooks)


def _gemini(top: Path, agent: str, program: Program) -> Iterator[Wanted]:
    matcher = "write_file|replace|run_shell_command"
    hooks = _hooks("gemini", agent, program, matcher, _GEMINI_EVENTS, _HOOK_S * 1000)
    server = {"command": program.name, "args": program.arguments("mcp", "--agent", agent)}
    yield _entries(top, ".gemini/settings.json", _server(("mcpServers",), server), *hooks)


def _cursor(top: Path, agent: str, program: Program) -> Iterator[Wanted]:
    server = {"command": program.name, "args": program.arguments("mcp", "--agent", agent)}
    yield _entries(top, ".cursor/mcp.json", _server(("mcpServers",), server))


def _opencode(top: Path, agent: str, program: Program) -> Iterator[Wanted]:
    server = {"type": "local", "command": [program.name, *program.arguments("mcp", "--agent", agent)], "enabled": True}
    name = "opencode.jsonc" if (top / "opencode.jsonc").exists() else "opencode.json"
    yield _entries(top, name, _server(("mcp",), server))


_FILES = {"claude": _claude, "codex": _codex, "gemini": _gemini, "cursor": _cursor, "opencode": _opencode}

_CLAUDE_EVENTS = {
    "PreToolUse": "pre-tool",
    "PostToolUse": "post-tool",
    "SessionStart": "session-start",
    "Stop": "stop",
    "SessionEnd": "session-end",
}
_GEMINI_EVENTS = {
    "BeforeTool": "pre-tool",
    "AfterTool": "post-tool",
    "SessionStart": "session-start",
    "AfterAgent": "stop",
    "SessionEnd": "session-end",
}
_OF_TOOLS = frozenset({"pre-tool", "post-tool"})


def _hooks(
    client: str, agent: str, program: Program, matcher: str, events: Mapping[str, str], timeout: int
) -> Iterator[Entry]:
    for event, ours in events.items():
        command = program.line("hook", ours, "--client", client, "--agent", agent)
        # Also when it cannot be started at all. For the others any code but 1 would make Gemini CLI begin its turn
        # again, without end.
        command += " || exit 2" if ours == "pre-tool" else " || exit 1"
        group: dict[str, object] = {"hooks": [{"type": "command", "command": command, "timeout": timeout}]}
        if ours in _OF_TOOLS:
            group = {"matcher": matcher, **group}
        yield Entry(("hooks", event), None, group, rf"conductor'? hook {ours} ")


def _server(container: tuple[str, ...], server: object) -> Entry:
    return Entry(container, "conductor", server, r"conductor mcp(?: |$)")


def _exactly(value: str) -> str:
    return rf"^{re.escape(value)}$"


def _entries(top: Path, name: str, *entries: Entry) -> Wanted:
    return Wanted(resolved(top / name, top), Entries(entries))


def _codex_table(path: Path, agent: str, program: Program) -> str:
    lines = [
        "[mcp_servers.conductor]",
        f"command = {json.dumps(program.name)}",
        f"args = {json.dumps(program.arguments('mcp', '--agent', agent))}",
    ]
    if "shell_environment_policy" not in _toml(path):
        lines += ["", "[shell_environment_policy.set]", f"CONDUCTOR_AGENT = {json.dumps(agent)}"]
    return "\n".join(lines) + "\n"


def _has_own_server(path: Path) -> bool:
    servers = _toml(path).get("mcp_servers")
    return isinstance(servers, dict) and "conductor" in servers


def _toml(path: Path) -> dict[str, object]:
    """What others wrote there; ours is cut out first."""
    there = look(path)
    if not isinstance(there, Content):
        return {}
    return _read_toml(path, Section("").cut(there.content, force=True))


def _read_toml(path: Path, content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.removeprefix(b"\xef\xbb\xbf").decode())
    except ValueError as wrong:
        raise errors.Invalid(f"{path} is not TOML to which tables can be added ({wrong}): mend it first") from wrong
