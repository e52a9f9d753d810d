"""What a shell command names that it could change: best effort, for a command can always hide what it does.

Read without a shell: quoting is undone, `cd` is followed, a program in quotes is looked through. Programs that only
read are passed over, as another's lease does not forbid to look; so is what is run, tested or copied from. Every other
program's arguments count where they are files that exist, those of programs that move, remove or write also where they
are folders, patterns or not there yet.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MOST_CHARACTERS = 32_768
"""Of a command that is read with its quoting; the rest of a longer one is only looked through for names."""

_MOST_NAMED = 4096
_ENDS = frozenset({";", ";;", "&", "&&", "|", "||", "|&", "(", ")", "\n"})
_PUNCTUATION = ";&|()<>\n"
_PREFIXES = frozenset({"sudo", "env", "time", "nohup", "timeout", "command", "exec", "builtin", "nice", "xargs", "then",
                       "do", "else", "if", "while", "!", "{"})  # fmt: skip
_READERS = frozenset({"cat", "head", "tail", "less", "more", "bat", "grep", "egrep", "fgrep", "rg", "ag", "ls", "tree",
                      "wc", "diff", "cmp", "stat", "file", "echo", "printf", "pwd", "which", "du", "md5sum", "cd",
                      "sha256sum", "nl", "od", "xxd", "hexdump", "strings", "awk", "jq", "cut", "uniq", "column", "[",
                      "test", "basename", "dirname", "realpath", "readlink", "source", ".", "for",
                      "gh", "glab", "conductor", "tr", "comm", "paste", "cksum", "sha1sum", "zcat", "objdump",
                      "pytest", "py.test", "jest", "vitest", "mocha", "mypy", "pyright", "pylint", "flake8",
                      "shellcheck"})  # fmt: skip
_CHECKERS = {
    "ruff": ("--fix", "--add-noqa", "--unsafe-fixes", "--fix-only"),
    "eslint": ("--fix",),
    "stylelint": ("--fix",),
    "prettier": ("--write", "-w"),
    "find": ("-delete", "-exec", "-execdir", "-ok", "-okdir", "-fprint", "-fprintf", "-fprint0", "-fls"),
}
"""Programs that only look unless one of these is among their words."""

_FORMATTERS = {"black": ("--check", "--diff"), "isort": ("--check", "--check-only", "--diff", "-c")}
"""Programs that write unless one of these is among their words."""

_INTERPRETERS = re.compile(r"(?:python|pypy|ruby|perl|node|bash|sh|zsh|dash|deno|bun)[0-9.]*")
_CODE = re.compile(r"-[a-zA-Z]*[ceE]|-p|--eval|--print|-")
"""What says that code follows, or comes on the input."""

_WITH_VALUE = {
    "python": ("-W", "-X"),
    "pypy": ("-W", "-X"),
    "node": ("-r", "--require", "--import", "--loader"),
    "perl": ("-I",),
    "ruby": ("-I", "-r"),
    "bash": ("-o", "+o", "-O", "+O"),
    "sh": ("-o", "+o"),
    "zsh": ("-o", "+o"),
}
"""Options of interpreters whose value is the next word, and not yet what is run."""

_WRAPPERS = frozenset({"uv", "poetry", "pipenv", "pdm", "hatch", "pnpm", "bundle"})
_LAUNCHERS = frozenset({"npx", "bunx", "uvx", "pipx"})
_COPIERS = frozenset({"cp", "mv", "ln", "install", "rsync"})
_CHANGERS = frozenset({"rm", "touch", "truncate", "tee", "chmod", "chown", "mkdir", "rmdir", "patch", "shred",
                       "unlink"})  # fmt: skip
_MAKERS = frozenset({"touch", "truncate", "tee", "mkdir"})
_VALUES = {
    "touch": ("-d", "-t", "-r", "--date", "--reference"),
    "truncate": ("-s", "-r", "--size", "--reference"),
    "mkdir": ("-m", "--mode"),
    "install": ("-m", "-o", "-g", "-S", "--mode", "--owner", "--group"),
    "git": ("-b", "-B", "-s", "--source", "--orphan"),
}
"""Options whose value is the next word, and no path that is written."""
_GIT_READS = frozenset({"diff", "log", "show", "status", "blame", "grep", "ls-files", "rev-parse", "branch", "fetch",
                        "cat-file", "describe", "shortlog", "check-ignore", "ls-tree", "merge-base"})  # fmt: skip
_GIT_CHANGES = frozenset({"checkout", "restore", "rm", "mv", "clean", "apply", "reset", "stash"})
_GIT_OF_PATHS = frozenset({"restore", "rm", "mv", "clean"})
_SUFFIX = re.compile(r"\.[A-Za-z]\w*")
_MESSAGES = re.compile(r"-[a-zA-Z]*m|--message|-F|--file")
_TEXT = re.compile(
    r"(\b(?:cat|tee)\b[^\n;&|()]*)<<-?[ \t]*(['\"]?)(\w+)\2([^\n]*)\n.*?^[ \t]*\3[ \t]*$", re.MULTILINE | re.DOTALL
)
"""A here-document that is only written somewhere: what it names is text."""

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MOST_BRACED = 64
_PIECES = re.compile(r"[^\w./@+~\-]+")


class Named(NamedTuple):
    """A path as a command names it. folder: where it starts from; a path that ends with `/` is a folder.

    is_sure: it counts also when nothing is there. is_path: it can be nothing but a path; else, where nothing is
    there, it may as well be a branch, a mode or an expression.
    """

    path: str
    folder: str
    is_sure: bool
    is_path: bool = False


def named(command: str, folder: str) -> list[Named]:
    """List what a command names, each once. folder: where it is run."""
    found: dict[tuple[str, str], Named] = {}
    for each in _each_brace(_of_command(command, folder, depth=0)):
        known = found.get((each.path, each.folder))
        if known is None or (each.is_sure, each.is_path) > (known.is_sure, known.is_path):
            found[each.path, each.folder] = each
        if len(found) >= _MOST_NAMED:
            break
    return list(found.values())


def _each_brace(told: Iterator[Named]) -> Iterator[Named]:
    """Write out braces as a shell does: `src/{a,b}.py` names two."""
    for each in told:
        paths = [each.path]
        while (found := _BRACES.search(paths[0])) is not None and len(paths) < _MOST_BRACED:
            whole = paths.pop(0)
            paths += [whole[: found.start()] + part + whole[found.end() :] for part in found[1].split(",")]
        yield from (each._replace(path=path) for path in paths)


def _of_command(command: str, folder: str, depth: int) -> Iterator[Named]:
    if "<<" in command:
        command = _TEXT.sub(r"\1\4", command)
    for segment, targets in _segments(_words(command[:MOST_CHARACTERS])):
        for target in targets:
            yield Named(os.path.expanduser(target), folder, is_sure=True, is_path=True)
        first, words = _program(segment)
        program = os.path.basename(first)
        if program == "cd" and words:
            folder = os.path.join(folder, os.path.expanduser(words[0]))
        yield from _of_program(program, words, folder, depth)
        # To run a file does not change it; but in a here-document the line of another language stands where a
        # program would.
        yield from (Named(piece, folder, is_sure=False) for piece in _pieces(first) if piece != first)
    for piece in _pieces(command[MOST_CHARACTERS:]):
        yield Named(piece, folder, is_sure=False)


def _of_program(program: str, words: Sequence[str], folder: str, depth: int) -> Iterator[Named]:
    program, words = _unwrapped(program, words)
    if program == "git":
        folder, words = _git_folder(words, folder)
        if not words or words[0] in _GIT_READS:
            return
        what, words = words[0], _without_messages(words[1:])
        if what in _GIT_CHANGES:
            yield from _of_git(what, words, folder)
            return
    elif program in _COPIERS:
        yield from _copied(program, words, folder)
        return
    elif program == "dd":
        targets = [word.removeprefix("of=") for word in words if word.startswith("of=")]
        yield from (Named(os.path.expanduser(target), folder, is_sure=True, is_path=True) for target in targets)
        return
    elif program in _CHANGERS or (program in {"sed", "perl", "ruby"} and _edits_in_place(words)):
        for word in _operands(program, words):
            yield Named(os.path.expanduser(word), folder, is_sure=True, is_path=program in _MAKERS)
        return
    elif _only_looks(program, words):
        return
    elif _INTERPRETERS.fullmatch(program):
        module, words = _run_by(program.rstrip("0123456789."), words)
        if module is not None:
            yield from _of_program(module, words, folder, depth)
            return
    yield from _given(words, folder, depth)


def _given(words: Sequence[str], folder: str, depth: int) -> Iterator[Named]:
    """What a program is given of which nothing is known: files that exist may be changed by it."""
    for word in words:
        if word != os.path.basename(word) or not _PIECES.search(word):
            yield Named(os.path.expanduser(word), folder, is_sure=False)
        # What a program is given in quotes: another command, or a line of Python.
        if depth < 2 and _PIECES.search(word):
            if any(blank in word for blank in " \n"):
                yield from _of_command(word, folder, depth + 1)
            for piece in _pieces(word):
                yield Named(piece, folder, is_sure=False)


def _unwrapped(program: str, words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The program that another one only starts, as `uv run pytest` does."""
    if program == "coverage" and words[:1] == ["run"]:
        return "python", words[1:]
    rest = list(words)
    if program in _WRAPPERS and rest and rest[0] in {"run", "exec"}:
        rest.pop(0)
    elif program not in _LAUNCHERS:
        return program, words
    while rest and rest[0].startswith("-"):
        rest.pop(0)
    if not rest:
        return program, words
    inner, given = _program(rest)
    return os.path.basename(inner), given


def _only_looks(program: str, words: Sequence[str]) -> bool:
    if program in _FORMATTERS:
        return any(word in _FORMATTERS[program] for word in words)
    if program in _CHECKERS:
        writes = any(word.partition("=")[0] in _CHECKERS[program] for word in words)
        return not writes and (program != "ruff" or words[:1] == ["check"])
    return program in _READERS or program == "sed"


def _run_by(program: str, words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """What an interpreter runs: a module to be read as a program, or None; and what that is given.

    A script that is run is not changed; what it is given may be.
    """
    rest = list(words)
    while rest and rest[0].startswith(("-", "+")):
        option = rest.pop(0)
        if option == "-m" and program in {"python", "pypy"} and rest:
            return rest[0], rest[1:]
        if _CODE.fullmatch(option):
            return None, rest
        if option in _WITH_VALUE.get(program, ()) and rest:
            rest.pop(0)
    return None, rest[1:]


def _of_git(what: str, words: Sequence[str], folder: str) -> Iterator[Named]:
    before = words[: words.index("--")] if "--" in words else words
    for word in _operands("git", before):
        is_path = what in _GIT_OF_PATHS or _SUFFIX.fullmatch(os.path.splitext(word)[1]) is not None
        yield Named(os.path.expanduser(word), folder, is_sure=True, is_path=is_path)
    for word in words[len(before) + 1 :]:
        yield Named(os.path.expanduser(word), folder, is_sure=True, is_path=True)


def _copied(program: str, words: Sequence[str], folder: str) -> Iterator[Named]:
    """What is written by a program that puts sources into a place: not the sources, unless they are moved."""
    into, rest = (None, list(words)) if program == "rsync" else _target_folder(words)
    names = _operands(program, rest)
    if program == "install" and ("-d" in rest or "--directory" in rest):
        yield from (Named(os.path.expanduser(name), folder, is_sure=True, is_path=True) for name in names)
        return
    if into is None:
        into = names.pop() if len(names) > 1 else "."
    if program == "mv" or "--remove-source-files" in rest:
        yield from (Named(os.path.expanduser(name), folder, is_sure=True) for name in names)
    into = os.path.expanduser(into)
    if program == "rsync" and ":" in into.partition("/")[0]:
        # It is on another machine.
        return
    is_inside = os.path.isdir(os.path.join(folder, into)) and not {"-T", "--no-target-directory"} & set(rest)
    for name in names:
        end = "/" if os.path.isdir(os.path.join(folder, os.path.expanduser(name))) else ""
        last = os.path.basename(name.rstrip("/"))
        if program == "rsync" or last in {"", ".", ".."} or not is_inside:
            yield Named(into + end, folder, is_sure=True, is_path=True)
        else:
            yield Named(os.path.join(into, last) + end, folder, is_sure=True, is_path=True)


def _target_folder(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The folder that `-t` names, and the other words."""
    into: str | None = None
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in {"-t", "--target-directory"} and rest:
            into = rest.pop(0)
        elif word.startswith("--target-directory="):
            into = word.partition("=")[2]
        else:
            others.append(word)
    return into, others


def _operands(program: str, words: Sequence[str]) -> list[str]:
    """A program's words that are neither options nor the values of some."""
    kept: list[str] = []
    before, are_all = "", False
    for word in words:
        if word == "--" and not are_all:
            are_all = True
        elif are_all or (not word.startswith("-") and before not in _VALUES.get(program, ())):
            kept.append(word)
        before = word
    return kept


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        # A quote that is not closed: an apostrophe in a here-document, most often.
        return [word.strip("'\"") for word in re.split(rf"([{_PUNCTUATION}]+)|[ \t\r]+", command) if word]


def _segments(words: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Part a command into simple commands: each one's words, and the files that it redirects to."""
    segment: list[str] = []
    targets: list[str] = []
    redirects = ""
    for word in words:
        if word in _ENDS or (word and not set(word) - set(_PUNCTUATION) and not set(word) & {"<", ">"}):
            yield segment, targets
            segment, targets, redirects = [], [], ""
        elif word and not set(word) - set(_PUNCTUATION):
            redirects = word
        elif redirects:
            if ">" in redirects and not word.startswith("&") and not word.isdigit():
                targets.append(word)
            redirects = ""
        else:
            segment.append(word)
    yield segment, targets


def _program(segment: Sequence[str]) -> tuple[str, list[str]]:
    """The program of a simple command, without what stands before it, and its arguments."""
    rest = list(segment)
    while rest and (os.path.basename(rest[0]) in _PREFIXES or re.match(r"\w+=", rest[0])):
        rest.pop(0)
        # What `nice -n 10`, `xargs -I {}` and `timeout 5` are given themselves.
        while rest and re.fullmatch(r"-.*|[0-9.]+[smhd]?", rest[0]):
            del rest[: 2 if rest[0] in {"-u", "-I"} else 1]
    return (rest[0], rest[1:]) if rest else ("", [])


def _git_folder(words: Sequence[str], folder: str) -> tuple[str, list[str]]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in {"-C", "-c", "--git-dir", "--work-tree"} and rest:
            value = rest.pop(0)
            folder = os.path.join(folder, value) if option == "-C" else folder
    return folder, rest


def _without_messages(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    before = ""
    for word in words:
        if not _MESSAGES.fullmatch(before) and not word.startswith("--message="):
            kept.append(word)
        before = word
    return kept


def _edits_in_place(words: Sequence[str]) -> bool:
    return any(re.match(r"-[a-zA-Z]*i|--in-place", word) for word in words)


def _pieces(text: str) -> list[str]:
    return [piece for piece in dict.fromkeys(_PIECES.split(text)) if piece and piece != "."]
