"""What the daemon says when it is up: where it answers, who owns it, and the lines that connect each agent."""

from __future__ import annotations

from pathlib import Path

from conductor.domain import access


def greeting(url: str, owner_token: str | None, owner_file: Path, log_folder: Path) -> str:
    """Word the greeting; the owner's token is shown masked."""
    shown = masked(owner_token) if owner_token else "none"
    return f"""
Conductor is ready at {url}
  owner's token  {shown} in {owner_file}
  logs           {log_folder}

Connect an agent: make it known, then tell its client. Its token is shown once; for a new one add --supersede. In the
repository it works on:

  export CONDUCTOR_TOKEN=$(conductor agent register claude-1 "Claude 1" --field token)

  Claude Code  claude mcp add --scope project --transport http conductor {url}/mcp \\
                 --header 'Authorization: Bearer ${{CONDUCTOR_TOKEN}}'
  Codex        codex mcp add conductor --url {url}/mcp --bearer-token-env-var CONDUCTOR_TOKEN
  Gemini CLI   gemini mcp add --transport http --header 'Authorization: Bearer $CONDUCTOR_TOKEN' conductor {url}/mcp

See it work: conductor demo     Look around: conductor status     Stop: Ctrl-C
"""


def masked(token: str) -> str:
    """Show which token it is and nothing of its secret: `cdr_usr_7f3kq2m9xd_…`."""
    plain = access.parse_token(token)
    return f"cdr_{plain.kind}_{plain.key_id}_…" if plain is not None else "unreadable"
