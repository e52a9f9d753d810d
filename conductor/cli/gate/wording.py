"""What a gate says when it closes: which paths, why, and what to do next, in few lines."""

from __future__ import annotations

from collections.abc import Sequence

from conductor.cli.gate.judging import Refusal
from conductor.domain import paths

_MOST_SHOWN = 10

_NEXT = {
    "not_locked": "Acquire it, then try again: conductor lock acquire PATH (acquire_lock).",
    "locked_by_other": "Leave it to its holder, or wait for it (acquire_lock with wait_s) and look at what changed.",
    "stale_token": "Fetch what was done since, acquire the lock again, and make the change anew on top of it.",
    "zone_denied": "Ask an owner of the zone or a lead to make the change.",
    "path_denied": "Work elsewhere, or ask a lead to change your path rules.",
    "paused": "Wait until the work is resumed; nothing of yours is lost.",
    "budget_exceeded": "Ask a lead for a larger budget.",
}
"""What helps, by verdict."""


def refused(what: str, found: Sequence[Refusal]) -> str:
    """Say what is refused. what: `commit`, `push`."""
    lines = [f"conductor: this {what} is refused:"]
    for refusal in found[:_MOST_SHOWN]:
        where = f" in {refusal.commit[:12]}" if refusal.commit else ""
        lines.append(f"  {paths.shown(refusal.path)}{where}: {refusal.verdict}: {clean(refusal.because)}")
    if len(found) > _MOST_SHOWN:
        lines.append("  and more")
    steps = dict.fromkeys(_NEXT[refusal.verdict] for refusal in found if refusal.verdict in _NEXT)
    return "\n".join([*lines, *steps, ""])


def clean(said: str) -> str:
    """Make what a server said fit for a terminal, in one line."""
    return "".join(character if character.isprintable() else " " for character in said)
