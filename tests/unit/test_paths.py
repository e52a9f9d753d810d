"""The rules of OPERATIONS.md, "Locks", about the one spelling of a path."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conductor.domain import paths
from conductor.domain.errors import PathInvalid

WORKTREES = ("/home/ada/shop", "/home/ada/shop/.worktrees/fix", "C:/code/shop")

hostile_texts = st.lists(
    st.sampled_from(
        ["a", "B", "é", "e\u0301", "ß", "İ", "ᾳ", "*", "**", "?", "/", "/", ".", "..", ".git", "C:", "\\", "[", " "]
    ),
    max_size=12,
).map("".join)


@given(st.one_of(hostile_texts, st.text(max_size=30), hostile_texts.map("/home/ada/shop/".__add__)), st.booleans())
@settings(deadline=None)
@example("a/../C:/x", False)
@example("./C:/", True)
@example("a/**/", False)
@example("**/x/../**", False)
@example("α\u0345/\u0345", True)
def test_a_canonical_path_is_its_own_canonical_form_and_keeps_every_rule(text: str, fold_case: bool) -> None:
    try:
        once = paths.canonical(text, fold_case=fold_case, roots=WORKTREES)
    except PathInvalid:
        return

    assert paths.canonical(once, fold_case=fold_case) == once
    segments = once.removesuffix("/").split("/")
    assert not {"", ".", "..", ".git"} & set(segments)
    assert len(once) <= paths.MAX_CHARACTERS
    assert not any("**" in segment and segment != "**" for segment in segments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("src/app.py", "src/app.py"),
        ("./src//./app.py", "src/app.py"),
        ("src/x/../app.py", "src/app.py"),
        ("src/", "src/"),
        ("src//", "src/"),
        ("src/.", "src/"),
        ("src/x/..", "src/"),
        ("app/[id]/page.tsx", "app/[id]/page.tsx"),
        ("app/(shop)/{a,b}/!x", "app/(shop)/{a,b}/!x"),
        ("src\\app.py", "src\\app.py"),
        ("~/x", "~/x"),
        ("C:", "C:"),
        (" a ", " a "),
        ("...", "..."),
        (".github/.gitignore", ".github/.gitignore"),
        (".git-blame-ignore-revs", ".git-blame-ignore-revs"),
        ("x.git/.gitx", "x.git/.gitx"),
        ("cafe\u0301.md", "café.md"),
        ("\u2764\ufe0f.md", "\u2764\ufe0f.md"),
        (".", "**"),
        ("./", "**"),
        ("a/..", "**"),
        ("**/", "**"),
        ("a/**/", "a/**"),
        ("a/**/**/b", "a/**/b"),
        ("a/**/**", "a/**"),
        ("a**b/***", "a*b/*"),
        ("*/../b", "b"),
    ],
)
def test_each_spelling_of_a_path_has_one_canonical_form(text: str, expected: str) -> None:
    assert paths.canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is empty"),
        ("..", "leaves the repository"),
        ("../x", "leaves the repository"),
        ("a/../../x", "leaves the repository"),
        ("a/**/../x", "`..` after `**`"),
        ("/etc/passwd", "is absolute"),
        ("//x", "is absolute"),
        ("C:/x", "is absolute"),
        ("C:\\x", "is absolute"),
        ("x/../C:/y", "Windows drive"),
        ("a\x00b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\x7f", "U+007F"),
        ("a\x85b", "U+0085"),
        ("a\u200bb", "ZERO WIDTH SPACE"),
        ("a\u200db", "ZERO WIDTH JOINER"),
        ("a\ufeffb", "ZERO WIDTH NO-BREAK SPACE"),
        ("a\u202eb", "RIGHT-TO-LEFT OVERRIDE"),
        ("a\u00adb", "SOFT HYPHEN"),
        ("a\u2028b", "LINE SEPARATOR"),
        ("a\u3164b", "HANGUL FILLER"),
        ("a\U000e0041b", "TAG LATIN CAPITAL LETTER A"),
        ("a\ud800b", "U+D800"),
        (".git", "git's own"),
        ("src/.git/hooks/pre-commit", "git's own"),
        (".GIT/config", "git's own"),
        (".git./config", "git's own"),
        (".git . /config", "git's own"),
        ("git~1/config", "git's own"),
        (".git::$INDEX_ALLOCATION/config", "git's own"),
        ("a\\.Git\\config", "git's own"),
        ("a" * 1025, "1025 characters"),
        ("a" * 5000, "longer than 4096"),
        ("a/" * 64 + "a", "65 segments"),
        ("*/" * 33, "33 wildcards"),
        ("**/a/" * 9 + "a", "9 `**` segments"),
        ("a" + "\u0301" * 31, "piles more than 30"),
    ],
)
def test_a_path_that_breaks_a_rule_is_refused_with_the_rule_and_a_way_out(text: str, rule: str) -> None:
    with pytest.raises(PathInvalid) as refused:
        paths.canonical(text)

    assert rule in refused.value.message
    assert refused.value.message.endswith(".")
    shown = refused.value.facts["path"]
    assert isinstance(shown, str)
    assert shown in refused.value.message


@pytest.mark.parametrize("text", ["a" * 1024, "a/" * 63 + "a", "?" * 32, "**/a/" * 8 + "a", "/".join(["**", "*"] * 8)])
def test_a_path_at_a_bound_is_accepted(text: str) -> None:
    assert paths.canonical(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ada/shop/src/app.py", "src/app.py"),
        ("/home/ada/./shop//src/*.py", "src/*.py"),
        ("/home/ada/shop", "**"),
        ("/home/ada/shop/", "**"),
        ("/home/ada/shop/src/", "src/"),
        ("/home/ada/shop/.worktrees/fix/src/app.py", "src/app.py"),
        ("/home/ada/other/../shop/a", "a"),
        ("C:/code/shop/a", "a"),
    ],
)
def test_an_absolute_path_below_a_worktree_becomes_relative_to_the_deepest_one(text: str, expected: str) -> None:
    assert paths.canonical(text, roots=WORKTREES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/home/ada/shopping/a",
        "/home/ada",
        "/home/ada/shop/../x",
        "/home/*/shop/a",
        "/HOME/ada/shop/a",
        "D:/code/shop/a",
    ],
)
def test_an_absolute_path_beside_the_worktrees_is_refused(text: str) -> None:
    with pytest.raises(PathInvalid, match="absolute"):
        paths.canonical(text, roots=WORKTREES)


def test_a_worktree_does_not_open_its_git_folder() -> None:
    with pytest.raises(PathInvalid, match="git's own"):
        paths.canonical("/home/ada/shop/.git/config", roots=WORKTREES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Src/App.PY", "src/app.py"),
        ("STRASSE/ẞ.md", "strasse/ss.md"),
        ("É.md", "é.md"),
        ("E\u0301.md", "é.md"),
        ("/Home/ADA/Shop/README.md", "readme.md"),
    ],
)
def test_case_is_folded_where_the_project_says_so_and_nowhere_else(text: str, expected: str) -> None:
    assert paths.canonical(text, fold_case=True, roots=WORKTREES) == expected
    assert paths.canonical("Src/App.PY") == "Src/App.PY"


def test_a_refused_text_is_shown_escaped_and_bounded() -> None:
    with pytest.raises(PathInvalid) as refused:
        paths.canonical("é\u202e\ud800\n" + "x" * 5000)

    shown = refused.value.facts["path"]
    assert isinstance(shown, str)
    assert shown.startswith("é\\u202e\\ud800\\nx")
    assert len(shown) < 300
    assert json.dumps(shown).isascii()
    assert shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"), [("a", False), ("a[1]", False), ("a/", True), ("a?", True), ("**", True)]
)
def test_a_pattern_is_told_from_a_path(text: str, expected: bool) -> None:
    assert paths.is_pattern(text) is expected
