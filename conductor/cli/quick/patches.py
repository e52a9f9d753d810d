"""The files that a patch names: in Codex's own format, and in unified diffs.

Only names are looked for; whether the patch applies is the client's matter.
"""

from __future__ import annotations

MARK = "*** Begin Patch"

_OWN = ("*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: ")
_UNIFIED = ("--- ", "+++ ")
_NOWHERE = "/dev/null"


def paths(text: str) -> list[str]:
    """List the files that a patch names, each once, in order."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if MARK in text:
        named = [line.strip().removeprefix(mark) for line in lines for mark in _OWN if line.strip().startswith(mark)]
    else:
        named = list(_unified(lines))
    return list(dict.fromkeys(name.strip() for name in named if name.strip()))


def _unified(lines: list[str]) -> list[str]:
    named = []
    for before, line in zip(["", *lines], lines, strict=False):
        # `--- ` may also be a removed line of text: the head of a file is the pair.
        if line.startswith(_UNIFIED[1]) and before.startswith(_UNIFIED[0]):
            sides = [side[4:].partition("\t")[0].strip().strip('"') for side in (before, line)]
            named += [_without_side(side) for side in sides if side != _NOWHERE]
        for mark in ("rename from ", "rename to "):
            if line.startswith(mark):
                named.append(line.removeprefix(mark))
    return named


def _without_side(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name
