"""One spelling for one file: leases, zones and task footprints are compared only after this.

Two agents that write `src/./app.py` and `src/app.py` mean one file; a lease that misses that protects nothing. The
rules are those of OPERATIONS.md, "Locks". A text is refused rather than mended when mending would be a guess.
Must never touch a disk: links, existence and a filesystem's own folding of case are unknown here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from conductor.domain.errors import PathInvalid

MAX_CHARACTERS = 1024
"""Of a canonical path: what macOS opens at all and PostgreSQL still indexes (under 2,704 bytes in ordinary text)."""

MAX_GIVEN_CHARACTERS = 4096
"""Of a text before anything is resolved: Linux's PATH_MAX, with room for a worktree's own path. Bounds all work."""

MAX_SEGMENTS = 64
"""Of a path: deeper than people nest folders; what deciding a conflict costs grows with its square."""

MAX_DEEP = 8
"""`**` segments of a pattern: each one multiplies what has to be tried when patterns are compared."""

MAX_WILDCARDS = 32
"""`*` and `?` of a pattern together: enough for a UUID written in `?`, small enough for the exact comparison."""

EVERYTHING = "**"
"""The pattern of the whole repository: what `.` and a worktree's own root become."""

MAX_MARKS = 30
"""Combining marks in a row, as Unicode's Stream-Safe Text Format has it: sorting them is quadratic, 13 ms for 4,096."""

_SHOWN_CHARACTERS = 200
_PLAIN_NAME = (
    r"(?:[A-Za-z0-9_@+(\[=-]|\.(?![Gg][Ii][Tt](?:[./]|\Z))(?=[A-Za-z0-9_-]))"  # .github is plain, .git and .. are not
    r"[A-Za-z0-9_@+()\[\]=,.-]*"
)
_PLAIN = re.compile(rf"{_PLAIN_NAME}(?:/{_PLAIN_NAME}){{0,{MAX_SEGMENTS - 1}}}")
_STARS = re.compile(r"\*{2,}")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:[/\\]")
_ASCII_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# What git itself refuses to check out because some filesystem would open `.git` for it (is_ntfs_dotgit in path.c, and
# fsck's look behind each backslash). The code points that HFS+ ignores are format characters, refused before.
_GIT_FOLDER = re.compile(r"(?:\A|\\)(?:\.git|git~1)[ .]*(?:\Z|[\\:])", re.IGNORECASE | re.ASCII)

_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (zero-width, bidi, soft hyphen, tags), lone surrogates, line and paragraph separators.

Private use (Co) is allowed: macOS and SMB write characters that Windows forbids so. Unassigned (Cn) is allowed: next
year's emoji are unassigned in this year's Python.
"""

_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0")
"""Drawn as nothing at all although their category says mark or letter (Unicode's Default_Ignorable_Code_Point).

Variation selectors are of that kind too, but belong to names that people really use (an emoji, a Japanese name).
"""


def canonical(text: str, *, fold_case: bool = False, roots: Sequence[str] = ()) -> str:
    """Give the one spelling of a repository-relative path or pattern; canonical(canonical(x)) == canonical(x).

    roots: absolute paths of registered worktrees; an absolute text below one becomes relative to the deepest such.
    Kept: `/` at the end (the folder and all below). Made equal: Unicode NFC, `.` and empty segments, `..`, runs of `*`
    inside a segment (`a**b` is `a*b`), `**/**`, `a/**/` (is `a/**`), and the root folder, which is `**`. A text that
    ends in `.` or `..` can only be a folder and gets the `/`. fold_case: Unicode case folding, then NFC again.
    Raises PathInvalid with the rule that is broken.
    """
    if len(text) <= MAX_CHARACTERS and _PLAIN.fullmatch(text):
        return text.lower() if fold_case else text
    if not text:
        raise _invalid(text, "is empty", "Name a file, a folder such as `src/`, or `**` for the whole repository.")
    if len(text) > MAX_GIVEN_CHARACTERS:
        raise _invalid(text, f"is longer than {MAX_GIVEN_CHARACTERS} characters", "Lease a folder above it.")
    _refuse_unreadable(text)
    normal = _normal(text, fold_case)
    segments = _resolved(text, normal)
    if _ABSOLUTE.match(normal):
        segments = _below_a_root(text, segments, [_normal(root, fold_case) for root in roots])
    return _assembled(text, segments, is_folder=normal.rpartition("/")[2] in {"", ".", ".."})


def weight(text: str) -> int:
    """Tell how dear a canonical pattern is to compare: segments times deep wildcards, where there are several.

    0 for whatever people write; up to MAX_SEGMENTS * MAX_DEEP for what is made to be dear.
    """
    deep = text.count("**")
    return 0 if deep < 2 else deep * (text.count("/") + 1)


def is_pattern(text: str) -> bool:
    """Say whether a canonical text can stand for more than one path."""
    return "*" in text or "?" in text or text.endswith("/")


def shown(text: str) -> str:
    """Make any text fit for a message or a log line: invisible characters escaped, at most 200 characters of it."""
    visible = "".join(
        character
        if character.isprintable() and character not in _BLANKS
        else character.encode("unicode_escape").decode("ascii")
        for character in text[:_SHOWN_CHARACTERS]
    )
    return visible if len(text) <= _SHOWN_CHARACTERS else visible + "…"


def _normal(text: str, fold_case: bool) -> str:
    composed = unicodedata.normalize("NFC", text)
    # Folding can undo the composition, and folds a form that only a second composition brings out.
    return unicodedata.normalize("NFC", composed.casefold()) if fold_case else composed


def _refuse_unreadable(text: str) -> None:
    if text.isascii():
        found = _ASCII_CONTROL.search(text)
        refused = found.group() if found else None
    else:
        refused = next((c for c in text if unicodedata.category(c) in _REFUSED_CATEGORIES or c in _BLANKS), None)
        _refuse_piled_marks(text)
    if refused is not None:
        name = unicodedata.name(refused, "a control character or half a surrogate pair")
        raise _invalid(
            text,
            f"holds U+{ord(refused):04X} ({name}), and control or invisible characters are refused",
            "Rename the file, or lease the folder above it.",
        )


def _refuse_piled_marks(text: str) -> None:
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > MAX_MARKS:
            raise _invalid(text, f"piles more than {MAX_MARKS} accents on one letter", "Lease the folder above it.")


def _resolved(text: str, normal: str) -> list[str]:
    kept: list[str] = []
    for given in normal.split("/"):
        if given in {"", "."}:
            continue
        if given == "..":
            if not kept:
                raise _invalid(text, "leaves the repository by `..`", "Give the path from the repository's root down.")
            if kept[-1] == EVERYTHING:
                raise _invalid(text, "has `..` after `**`, which names no folder", "Write the pattern without `..`.")
            kept.pop()
            continue
        segment = given if given == EVERYTHING else _STARS.sub("*", given)
        # Zero or more of zero or more is the same again, also at the end, where the last one means one or more.
        if segment != EVERYTHING or not kept or kept[-1] != EVERYTHING:
            kept.append(segment)
    return kept


def _below_a_root(text: str, segments: list[str], roots: Sequence[str]) -> list[str]:
    depth = -1
    for root in roots:
        above = [segment for segment in root.split("/") if segment not in {"", "."}]
        # The deepest wins: a worktree is often kept in a folder of the main one.
        if _ABSOLUTE.match(root) and segments[: len(above)] == above:
            depth = max(depth, len(above))
    if depth < 0:
        raise _invalid(
            text,
            "is absolute and not below a registered worktree",
            "Give the path relative to the repository's root, with `/` between folders, such as `src/app.py`.",
        )
    return segments[depth:]


def _assembled(text: str, segments: list[str], *, is_folder: bool) -> str:
    if not segments:
        return EVERYTHING
    for segment in segments:
        if _GIT_FOLDER.search(segment):
            raise _invalid(text, "goes into `.git`, which is git's own", "Lease the files of the working tree instead.")
    result = "/".join(segments)
    if is_folder and segments[-1] != EVERYTHING:
        result += "/"
    # What `..` or a worktree's root left over must not look absolute, or the same text would be refused next time.
    if _ABSOLUTE.match(result):
        raise _invalid(text, "names a Windows drive", "Give the path relative to the repository's root.")
    deep = segments.count(EVERYTHING)
    wild = result.count("*") - 2 * deep + result.count("?")
    for what, is_so_many, limit in (
        ("characters", len(result), MAX_CHARACTERS),
        ("segments", len(segments), MAX_SEGMENTS),
        ("`**` segments", deep, MAX_DEEP),
        ("wildcards `*` and `?`", wild, MAX_WILDCARDS),
    ):
        if is_so_many > limit:
            raise _invalid(text, f"has {is_so_many} {what}, and {limit} are allowed", "Lease a folder above it.")
    return result


def _invalid(text: str, broken: str, remedy: str) -> PathInvalid:
    path = shown(text)
    return PathInvalid(f"The path `{path}` {broken}. {remedy}", facts={"path": path})
