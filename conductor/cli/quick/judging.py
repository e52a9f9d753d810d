"""Before a tool is used: may it? An edit leases what it writes; a command must not name what its agent may not change.

Nothing is said for what may be done, so that the client still asks its person as it always does.
Must never let an edit pass that could not be asked about, unless CONDUCTOR_OFFLINE says so and that is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence

from conductor import home
from conductor.cli.quick import adapters, asking, commands, ground, identity, memory, offline
from conductor.cli.quick.adapters import Client, Tool
from conductor.domain import errors

LEASE_S = 900
MOST_PATHS = 64
"""Of one call, see acquire_lock and check_paths."""

_MOST_NAMED = 256
"""Paths of a command that are asked about."""

_MOST_TOLD = 8
_PASSING = frozenset({"ok", "not_locked"})
_OF_RULES = frozenset({"zone_denied", "path_denied"})
_WITHOUT_IT = "Or write the command so that it does not name that path."
_PROJECT_FOLDERS = {Client.CLAUDE: "CLAUDE_PROJECT_DIR", Client.GEMINI: "GEMINI_PROJECT_DIR"}
_UNANSWERED = (errors.Unavailable, errors.Internal)


def judge(said: Mapping[str, object], client: Client, environ: Mapping[str, str], timeout_s: float) -> str | None:
    """Lease what a tool will write, or say why it may not be used; None: it may.

    said: what the client said of the tool. Raises Invalid for what says nothing, and what asking raises.
    """
    tool = adapters.tool_of(said)
    folder = _folder(said, tool)
    project = ground.of(environ.get(_PROJECT_FOLDERS.get(client, "")) or _given_folder(said))
    try:
        written = sorted({path for path in (ground.relative(each, folder, project) for each in tool.edits) if path})
        told = _named(tool.command, folder, project) if tool.command else iter(())
        named = {path: is_path for path, is_path in _first(told, _MOST_NAMED).items() if path not in written}
    except ValueError:
        raise errors.Invalid(f"{tool.name} names a file with characters that no file has in its name") from None
    if not written and not named:
        return None
    try:
        return _ask(tool, written, named, environ, timeout_s)
    except _UNANSWERED as unanswered:
        if not offline.is_open(environ):
            raise
        _let_pass(tool, written or list(named), environ, unanswered)
        return None


def _ask(
    tool: Tool, written: Sequence[str], named: Mapping[str, bool], environ: Mapping[str, str], timeout_s: float
) -> str | None:
    caller = identity.find(environ)
    daemon = asking.Daemon(caller, timeout_s)
    reason = None
    try:
        for paths in _batches(written):
            daemon.call("acquire_lock", paths=paths, ttl_s=LEASE_S, reason=f"{tool.name} by the client's hook")
        reason = _barred(named, daemon)
    except _UNANSWERED:
        raise
    except errors.ConductorError as refused:
        reason = _worded(refused, written)
    finally:
        daemon.close()
    if reason is None:
        # The model is shown nothing of what passes: what it is to be told is kept for the next that it is shown.
        memory.Memory(home.Home.locate(environ), caller.key).keep_notices(daemon.notices)
        return None
    return "\n".join([reason, *daemon.notices])


def _barred(named: Mapping[str, bool], daemon: asking.Daemon) -> str | None:
    """Say why a command may not be run, if one of its paths may not be changed.

    named: whether each can be nothing but a path; what else a word may be, no rule of paths bars it. A path that
    nobody leases passes: a command leases nothing.
    """
    for paths in _batches(list(named)):
        verdict = daemon.call("check_paths", paths=paths, intent="edit")
        reasons = verdict.get("reasons")
        if not isinstance(reasons, list) or len(reasons) != len(paths):
            raise errors.Unavailable("What answers is no Conductor daemon that knows check_paths.")
        for path, reason in zip(paths, reasons, strict=True):
            said = reason.get("verdict")
            if said in _PASSING or (said in _OF_RULES and not named[path]):
                continue
            because = str(reason.get("because") or f"{path} may not be changed now ({said})").rstrip(".")
            if said != "locked_by_other":
                return f"{because if path in because else f'{path}: {because}'}. {_WITHOUT_IT}"
            return f"{because}. {_elsewhere(_held(path, verdict.get('agent_id'), daemon))} {_WITHOUT_IT}"
    return None


def _held(path: str, agent: object, daemon: asking.Daemon) -> list[str]:
    """What to wait for where others lease something of a path: only that, when the path is a folder or a pattern."""
    from conductor.domain import globs  # noqa: PLC0415 (what passes need not wait for it)

    wanted = globs.parse(path)
    if wanted.is_literal:
        return [path]
    leases = daemon.call("list_locks", path=path, limit=200)["items"]
    held = {text: None for lease in leases if lease["agent_id"] != agent for text in lease["paths"]}
    inside = [text for text in held if globs.covers([wanted], globs.parse(text))]
    return inside[:_MOST_TOLD] or [path]


def _worded(refused: errors.ConductorError, written: Sequence[str]) -> str:
    if isinstance(refused, errors.LockHeld):
        return f"{_holding(refused)} {_elsewhere(written)}"
    words = [refused.message]
    for step in refused.next:
        words.append(f"{_call(step.tool, step.args)}{f': {step.because}' if step.because else ''}.")
    return " ".join(words)


def _holding(refused: errors.LockHeld) -> str:
    """Who is in the way, without the advice, which is another one for who edits with a tool."""
    path, holder, until = (refused.facts.get(name) for name in ("path", "holder", "expires_at"))
    waiting = refused.facts.get("waiting")
    if isinstance(path, str) and isinstance(holder, str) and isinstance(until, str):
        return f"{path} is leased by {holder} until {until[11:19]}Z, if it is not renewed or released before."
    if isinstance(waiting, list) and waiting and isinstance(waiting[0], dict):
        return f"{waiting[0].get('agent_id')} waits for {', '.join(waiting[0].get('paths', []))} before you."
    return refused.message


def _elsewhere(paths: Sequence[str]) -> str:
    wait = _call("acquire_lock", {"paths": list(paths[:MOST_PATHS]), "wait_s": 50})
    return f"Wait in line for it with {wait} and then edit, or take other work with conductor_claim_task."


def _call(tool: str, arguments: Mapping[str, object]) -> str:
    return f"conductor_{tool} {json.dumps(arguments, ensure_ascii=False)}" if arguments else f"conductor_{tool}"


def _let_pass(tool: Tool, paths: Sequence[str], environ: Mapping[str, str], unanswered: errors.ConductorError) -> None:
    place = home.Home.locate(environ)
    try:
        key = identity.Identity("", identity.token_of(environ)).key
        offline.keep(place, key, tool.name, paths, unanswered.message)
    except OSError as wrong:
        raise errors.Unavailable(
            f"{unanswered.message} CONDUCTOR_OFFLINE=1 is set, but {place.path} cannot be written ({wrong.strerror}), "
            "so the edit would leave no trace."
        ) from None


def _named(command: str, folder: str, project: ground.Ground) -> Iterator[tuple[str, bool]]:
    """The paths of the repository that a command names and could change, and whether each can only be a path."""
    for each in commands.named(command, folder):
        if not each.path or len(each.path) > 1024 or not each.path.isprintable():
            continue
        whole = os.path.join(each.folder, each.path)
        is_there = os.path.lexists(whole)
        is_folder = os.path.isdir(whole) or (each.is_sure and each.path.endswith("/"))
        if not each.is_sure and (is_folder or not is_there):
            continue
        path = ground.relative(whole, folder, project)
        if path is None and is_folder and f"{project.root}/".startswith(f"{os.path.realpath(whole).rstrip('/')}/"):
            # The repository lies in what is changed.
            path = "."
        if path is not None and ".git" not in path.split("/"):
            # What a variable holds is not known.
            is_path = (each.is_path and "$" not in each.path) or is_there or _begins_in_a_folder(whole)
            yield ("**" if path == "." else path + "/" * is_folder), is_path


def _begins_in_a_folder(pattern: str) -> bool:
    """Tell whether a word with wildcards starts out from a folder that is there: `src/*.py` does, `s/a*/b/` not."""
    fixed = min((at for at in map(pattern.find, "*?[") if at >= 0), default=-1)
    return fixed >= 0 and os.path.isdir(os.path.dirname(pattern[:fixed]))


def _first(told: Iterator[tuple[str, bool]], most: int) -> dict[str, bool]:
    """The first paths that are told, each once."""
    found: dict[str, bool] = {}
    for path, is_path in told:
        if path in found or len(found) < most:
            found[path] = found.get(path, False) or is_path
    return found


def _batches(paths: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), MOST_PATHS):
        yield list(paths[start : start + MOST_PATHS])


def _folder(said: Mapping[str, object], tool: Tool) -> str:
    return os.path.join(_given_folder(said), tool.folder or "")


def _given_folder(said: Mapping[str, object]) -> str:
    given = said.get("cwd")
    return given if isinstance(given, str) and os.path.isabs(given) else os.getcwd()
