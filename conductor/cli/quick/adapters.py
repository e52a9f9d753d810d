"""The coding agents' hooks: what each is asked with, and how each is answered so that it obeys.

Claude Code, Codex and Gemini CLI send JSON on the input and read JSON on the output; exit code 2 with a sentence on
the errors refuses a tool in all three, also where permissions are bypassed. The tools' names tell what is meant, so
one table serves all clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from conductor.cli.quick import patches
from conductor.domain import errors


class Client(StrEnum):
    """A coding agent's command line."""

    CLAUDE = "claude"
    CODEX = "codex"
    GEMINI = "gemini"


class Event(StrEnum):
    """When a hook is run."""

    PRE_TOOL = "pre-tool"
    POST_TOOL = "post-tool"
    SESSION_START = "session-start"
    STOP = "stop"
    SESSION_END = "session-end"


_EVENT_NAMES = {
    Client.CLAUDE: {Event.POST_TOOL: "PostToolUse", Event.SESSION_START: "SessionStart"},
    Client.CODEX: {Event.POST_TOOL: "PostToolUse", Event.SESSION_START: "SessionStart"},
    Client.GEMINI: {Event.POST_TOOL: "AfterTool", Event.SESSION_START: "SessionStart"},
}
_EDITS = {
    "Edit": "file_path",
    "Write": "file_path",
    "MultiEdit": "file_path",
    "NotebookEdit": "notebook_path",
    "write_file": "file_path",
    "replace": "file_path",
}
_PATCHES = frozenset({"apply_patch", "ApplyPatch"})
_SHELLS = frozenset({"Bash", "run_shell_command", "shell", "local_shell", "exec_command"})
_PATCH_TEXTS = ("command", "input", "patch")
_COMMAND_TEXTS = ("command", "cmd")
_FOLDERS = ("workdir", "dir_path", "directory")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that is about to be used. edits: paths it writes. command: what it has a shell do. folder: where."""

    name: str
    edits: tuple[str, ...] = ()
    command: str | None = None
    folder: str | None = None


def tool_of(said: Mapping[str, object]) -> Tool:
    """Read which tool is meant and what it would touch. Raises Invalid when it writes and does not say where."""
    name = said.get("tool_name")
    given = said.get("tool_input")
    if not isinstance(name, str) or not name:
        raise errors.Invalid("The client did not say which tool it is about to use")
    fields: Mapping[str, object] = given if isinstance(given, dict) else {}
    folder = _text(fields, _FOLDERS)
    if name in _EDITS:
        path = _text(fields, (_EDITS[name], "file_path", "path"))
        if not path:
            raise errors.Invalid(f"{name} does not say which file it would write")
        return Tool(name, (path,), folder=folder)
    if name in _PATCHES:
        named = patches.paths(_text(fields, _PATCH_TEXTS) or (given if isinstance(given, str) else ""))
        if not named:
            raise errors.Invalid(f"{name} names no file in its patch")
        return Tool(name, tuple(named), folder=folder)
    if name in _SHELLS:
        command = _text(fields, _COMMAND_TEXTS) or ""
        # Codex also applies a patch that a model puts into a command.
        named = patches.paths(command) if patches.MARK in command else []
        return Tool(name, tuple(named), command, folder)
    return Tool(name)


def refusal(client: Client, reason: str) -> dict[str, object]:
    """The answer that keeps a client from using the tool; the model is shown the reason."""
    if client is Client.GEMINI:
        return {"decision": "deny", "reason": reason}
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
    }


def context(client: Client, event: Event, text: str) -> dict[str, object]:
    """The answer with which the model is told something."""
    return {"hookSpecificOutput": {"hookEventName": _EVENT_NAMES[client][event], "additionalContext": text}}


def _text(fields: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    """The first of some fields that holds a text, or a list of words as Codex has it."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            # `["bash", "-lc", "the command"]`: the last word is the command.
            return value[-1] if len(value) == 3 and value[1] in {"-c", "-lc"} else " ".join(value)
    return None
