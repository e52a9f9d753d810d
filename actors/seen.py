"""A sight as it travels: JSON that the daemon writes beside a command and the keeper reads."""

from __future__ import annotations

from datetime import datetime

import orjson

from conductor.domain.briefing import Instructions
from conductor.domain.evidence import MOST_FILES, Commit, Sight


def commit_seen(sight: bytes) -> Sight | None:
    """Read what was seen of a completion's commit; None: the daemon had nothing to look into."""
    if not sight:
        return None
    seen = orjson.loads(sight)
    if "why" in seen:
        return Sight(why=seen["why"])
    found = seen["commit"]
    if found is None:
        return Sight()
    at = datetime.fromisoformat(found["committed_at"])
    return Sight(Commit(found["id"], tuple(found["files"]), found["is_whole"], at))


def instructions_seen(sight: bytes) -> Instructions | None:
    """Read the instructions that were seen; None: there are none to be read."""
    if not sight:
        return None
    seen = orjson.loads(sight)
    return Instructions(**seen["instructions"]) if seen.get("instructions") else None


def written_commit(commit: Commit | None) -> bytes:
    """Write down the commit that was found; None: there is none of its name."""
    if commit is None:
        return orjson.dumps({"commit": None})
    files = list(commit.files[:MOST_FILES])
    return orjson.dumps(
        {
            "commit": {
                "id": commit.id,
                "files": files,
                "is_whole": commit.is_whole,
                "committed_at": commit.committed_at.isoformat(),
            }
        }
    )


def written_instructions(found: Instructions | None) -> bytes:
    """Write down the instructions that were read; None: there are none."""
    return orjson.dumps({"instructions": found})


def unseen(why: str) -> bytes:
    """Write down why nothing could be seen."""
    return orjson.dumps({"why": why})
