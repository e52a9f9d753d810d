"""git, asked about a folder that may be hostile: agents write in it, its `.git/config` included.

Only object reads (rev-parse, cat-file, diff-tree of trees) are asked for: none looks at the working tree, so no
filter, textconv, hook or fsmonitor has a reason to run; each is switched off all the same. No network, no prompt, no
lock, no replaced object; an empty environment; a deadline for all questions together, and a bound on every answer.
Must never raise anything but Unseen for what it finds, and never write.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from conductor.domain.evidence import MOST_FILES, Commit

try:
    import resource
except ImportError:  # pragma: no cover  # Windows has no limits of processes
    resource = None  # type: ignore[assignment]

TIMEOUT_S = 5.0
"""For all questions of one look: a healthy repository answers in milliseconds, also a very large one."""

MOST_BYTES = 1_048_576
"""Of one answer; what is longer is cut, and said to be."""

MOST_TEXT_BYTES = 1_048_576
"""Of a file that is read as text: nobody instructs agents at greater length."""

MOST_MEMORY_BYTES = 1 << 29
"""That git may take for its own data: an object can claim any size."""

_HARDENED = (
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    *(
        word
        for setting in (
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "core.attributesFile=/dev/null",
            "core.pager=cat",
            "core.sshCommand=false",
            "core.askPass=false",
            "core.alternateRefsCommand=false",
            # Above this, blobs are streamed, not held in memory.
            "core.bigFileThreshold=1m",
            "core.packedGitWindowSize=32m",
            "core.packedGitLimit=256m",
            "credential.helper=",
            "diff.external=",
            "diff.orderFile=/dev/null",
            "gpg.program=false",
            "log.showSignature=false",
            "protocol.allow=never",
            "gc.auto=0",
            "maintenance.auto=false",
        )
        for word in ("-c", setting)
    ),
)

_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C",
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    # A repository can claim to lack objects and name a "remote" that is a command: no way of fetching is allowed.
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "GIT_FLUSH": "0",
}

_COMMIT_NAME = re.compile(r"[0-9a-f]{4,64}")
_FULL_NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_COMMITTER = re.compile(rb"^committer .*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_PARENT = re.compile(rb"^parent ([0-9a-f]{40,64})$", re.MULTILINE)

_MOST_SECONDS = 220_000_000_000
"""Since 1970: the year 8941. Whoever reckons with a time must not come to the end of the calendar."""

_REASONS = (
    (b"not a git repository", "the project's root_path is not the top of a git repository"),
    (b"dubious ownership", "the repository belongs to another user than the server runs as"),
    (b"unsafe repository", "the repository belongs to another user than the server runs as"),
    (b"cannot change to", "the project's root_path is no folder that the server can enter"),
    (b"bad object", "the repository lacks what the commit is compared with: it is a shallow or partial clone"),
    (b"unable to read", "the repository lacks what the commit is compared with: it is a shallow or partial clone"),
    (b"Permission denied", "the server may not read the repository"),
)


class Unseen(Exception):
    """The repository could not be looked into. why: the reason as half a sentence, without a path.

    is_slow: git did not answer in time. detail: more of it, for the log and for nobody else.
    """

    def __init__(self, why: str, *, is_slow: bool = False, detail: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.is_slow = is_slow
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Said:
    """What git answered. is_whole: nothing was cut off."""

    out: bytes
    code: int
    is_whole: bool


@dataclass(slots=True)
class Repository:
    """One look into a repository.

    root: absolute path of its top. trusts_owner: look also when it belongs to another user. ends_at: monotonic time by
    which all has been answered.
    """

    root: str
    trusts_owner: bool = False
    ends_at: float = field(default_factory=lambda: time.monotonic() + TIMEOUT_S)

    def head(self) -> str:
        """Give the full id of the commit that is checked out. Raises Unseen."""
        found = self._resolve("HEAD")
        if found is None:
            raise Unseen("the repository has no commit yet")
        return found

    def commit(self, name: str) -> Commit | None:
        """Look at a commit by its id or the beginning of it; None: there is none, or more than one. Raises Unseen.

        A branch that is called like an id is no commit. A merge is compared with its first parent.
        """
        name = name.lower()
        if not _COMMIT_NAME.fullmatch(name):
            return None
        full = self._resolve(name)
        if full is None or not full.startswith(name):
            return None
        # git answers about the object itself here: grafts, shallow borders and replacements change nothing in it.
        header = self._ask("cat-file", "commit", full).out.partition(b"\n\n")[0]
        committed = _COMMITTER.search(header)
        if committed is None:
            raise Unseen("the commit has no committer that can be read")
        parents = _PARENT.findall(header)
        sides = [parents[0].decode(), full] if parents else ["--root", full]
        said = self._ask(
            "diff-tree", "-r", "-z", "--name-only", "--no-commit-id", "--no-renames", "--no-ext-diff", "--no-textconv",
            "--ignore-submodules=none", *sides,
        )  # fmt: skip
        # What was cut off ends in the middle of a name; so does nothing else.
        names = said.out.split(b"\0")[:-1]
        return Commit(
            id=full,
            files=tuple(sorted(name.decode("utf-8", "replace") for name in names[:MOST_FILES])),
            is_whole=said.is_whole and len(names) <= MOST_FILES,
            committed_at=_moment(int(committed[1])),
        )

    def text(self, commit: str, path: str, most: int) -> str | None:
        """Read a file as it is in a commit, at most so many characters; None: there is no such file.

        A link is followed only within the commit, never on the disk. Raises Unseen.
        """
        if "\n" in path or not _FULL_NAME.fullmatch(commit):
            return None
        asked = f"{commit}:{path}\n".encode("utf-8", "replace")
        answer = self._ask("cat-file", "--batch-check", "--follow-symlinks", given=asked).out.split(b"\n")[0].split()
        # What is missing is named in the answer, and a path may have words of its own.
        if len(answer) != 3 or answer[1] != b"blob" or not answer[2].isdigit():
            return None
        if int(answer[2]) > MOST_TEXT_BYTES:
            raise Unseen(f"the file is larger than {MOST_TEXT_BYTES:,} bytes")
        said = self._ask("cat-file", "blob", answer[0].decode("ascii"), most=MOST_TEXT_BYTES)
        return said.out[: most * 4].decode("utf-8", "replace")[:most]

    def _resolve(self, name: str) -> str | None:
        said = self._run(
            ["rev-parse", "--show-prefix", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        )
        prefix, _, rest = said.out.partition(b"\n")
        if prefix:
            raise Unseen("the project's root_path is not the top of a git repository")
        full = rest.strip().decode("ascii", "replace")
        return full if said.code == 0 and _FULL_NAME.fullmatch(full) else None

    def _ask(self, *arguments: str, given: bytes = b"", most: int = MOST_BYTES) -> _Said:
        """Ask what must have an answer. Raises Unseen."""
        said = self._run(arguments, given=given, most=most)
        if said.code != 0 and said.is_whole:
            raise Unseen("git could not read the repository")
        return said

    def _run(self, arguments: Sequence[str], *, given: bytes = b"", most: int = MOST_BYTES) -> _Said:
        trusted = ["-c", "safe.directory=*"] if self.trusts_owner else []
        command = ["git", *_HARDENED, *trusted, "-C", self.root, *arguments]
        # Not even a folder above it may answer for it.
        environment = _ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": os.path.dirname(self.root.rstrip("/"))}
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Unseen("git cannot be started on the server", detail=repr(error)) from None
        try:
            _bound_memory(process.pid)
            if process.stdin is not None:
                # A few hundred bytes: a pipe takes them at once, whether anybody reads or not.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(given)
                    process.stdin.close()
            out, complaint, is_whole = _drain(process, most, self.ends_at)
            if is_whole:
                _wait(process, self.ends_at)
        finally:
            _end(process)
        if is_whole and process.returncode not in (0, 1):
            raise _unseen(complaint, process.returncode)
        return _Said(out, process.returncode or 0, is_whole)


def _drain(process: subprocess.Popen[bytes], most: int, ends_at: float) -> tuple[bytes, bytes, bool]:
    """Read what a process says on both ways until it is silent, has said too much, or the time is over."""
    heard = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in heard:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]  # both are pipes
        while selector.get_map():
            left_s = ends_at - time.monotonic()
            ready = selector.select(left_s) if left_s > 0 else []
            if not ready:
                raise _slow()
            for key, _ in ready:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                heard[key.fileobj] += chunk  # type: ignore[index]  # what was registered above
                if len(heard[process.stdout]) > most or len(heard[process.stderr]) > most:
                    return bytes(heard[process.stdout][:most]), bytes(heard[process.stderr][:most]), False
    return bytes(heard[process.stdout]), bytes(heard[process.stderr]), True


def _wait(process: subprocess.Popen[bytes], ends_at: float) -> None:
    try:
        process.wait(max(ends_at - time.monotonic(), 0.05))
    except subprocess.TimeoutExpired:
        raise _slow() from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running: git and whatever it started; what a dead disk holds is left to the system."""
    # As long as it has not been waited for, its number and its group are its own, also when it has ended.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _bound_memory(pid: int) -> None:
    if resource is not None and hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))


def _moment(seconds: int) -> datetime:
    if seconds >= _MOST_SECONDS:
        raise Unseen("the commit's time cannot be read")
    return datetime.fromtimestamp(seconds, UTC)


def _slow() -> Unseen:
    return Unseen("git did not answer in time", is_slow=True)


def _unseen(complaint: bytes, code: int) -> Unseen:
    # Its own words stay here: git quotes what it cannot read, and a link in the folder can lead it to any file.
    why = next((why for mark, why in _REASONS if mark in complaint), "git could not read the repository")
    return Unseen(why, detail=f"git ended with {code}")
