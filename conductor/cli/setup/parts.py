"""What Conductor puts into one file, how it is found there again, and how it is taken out.

Three kinds: a marked section of a text, a whole file, and entries of a JSON file (`entries`). Each works on a file's
bytes and knows no disk. What others wrote is never changed; what others changed of ours is only touched by force.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from conductor.domain import errors

VERSION = 1
"""Of the texts that are written; it stands in each mark."""

_BOM = b"\xef\xbb\xbf"


class Standing(StrEnum):
    """How ours stands in a file. TAKEN: something else has its place, which is left alone."""

    ABSENT = "absent"
    AS_WRITTEN = "as written"
    OLDER = "older"
    EDITED = "edited"
    TAKEN = "taken"


class Edited(errors.VersionConflict):
    """Somebody changed what Conductor wrote; it is neither overwritten nor removed unless that is forced."""


class Part(Protocol):
    """What is put into one file."""

    def put(self, old: bytes, *, force: bool) -> bytes:
        """The file with ours, an older one of ours replaced. Raises Edited, and Invalid when it cannot be put there."""

    def cut(self, now: bytes, *, force: bool) -> bytes:
        """The file without ours. Raises Edited, Invalid."""

    def standing(self, now: bytes) -> Standing:
        """How it stands there. Raises Invalid for a file that cannot be read as its kind."""

    def kept(self) -> dict[str, Any]:
        """What has to be kept to take it out again, as JSON."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines between two marks that carry their version and hash.

    opening, closing: around a mark's text, as the file's kind writes comments. at_top: below the first line of a
    script instead of at the end. lead: what was put between the file's own text and the section.
    """

    body: str
    opening: str = "# "
    closing: str = ""
    at_top: bool = False

    def put(self, old: bytes, *, force: bool) -> bytes:
        bom, text, eol = text_of(old)
        section = self._section().replace("\n", eol)
        found = self._find(text)
        if found is not None:
            if not force and self.standing(old) is Standing.EDITED:
                raise Edited("its section between the marks of Conductor was changed by hand")
            return bom + (text[: found.start()] + section + text[found.end() :]).encode()
        if self.at_top:
            first = text.find("\n") + 1 if text.startswith("#!") else 0
            head = text[:first] if first or not text.startswith("#!") else text + eol
            return bom + (head + section + text[len(head) :]).encode()
        lead = "" if not text else eol if text.endswith("\n") else eol * 2
        return bom + (text + lead + section).encode()

    def cut(self, now: bytes, *, force: bool) -> bytes:
        bom, text, eol = text_of(now)
        found = self._find(text)
        if found is None:
            return now
        if not force and self._is_edited(found):
            raise Edited("its section between the marks of Conductor was changed by hand")
        before, after = text[: found.start()], text[found.end() :]
        if not self.at_top and before.endswith(eol * 2):
            before = before[: -len(eol)]
        return bom + (before + after).encode()

    def standing(self, now: bytes) -> Standing:
        found = self._find(text_of(now)[1])
        if found is None:
            return Standing.ABSENT
        if self._is_edited(found):
            return Standing.EDITED
        return Standing.AS_WRITTEN if found["hash"] == _hash(self.body) else Standing.OLDER

    def lines(self, now: bytes) -> list[str]:
        """The lines of the section that stands in a file."""
        found = self._find(text_of(now)[1])
        return found["body"].splitlines() if found is not None else []

    def kept(self) -> dict[str, Any]:
        return {"kind": "section", "opening": self.opening, "closing": self.closing, "at_top": self.at_top}

    def _section(self) -> str:
        begin = f"{self.opening}conductor:begin v{VERSION} {_hash(self.body)}{self.closing}\n"
        return f"{begin}{self.body}{self.opening}conductor:end{self.closing}\n"

    def _find(self, text: str) -> re.Match[str] | None:
        opening, closing = re.escape(self.opening), re.escape(self.closing)
        begin = rf"^{opening}conductor:begin v\d+ (?P<hash>[0-9a-f]+){closing}\r?\n"
        return re.search(
            rf"{begin}(?P<body>.*?)^{opening}conductor:end{closing}(?:\r?\n|\Z)", text, re.MULTILINE | re.DOTALL
        )

    @staticmethod
    def _is_edited(found: re.Match[str]) -> bool:
        return found["hash"] != _hash(found["body"].replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that is ours from the first byte to the last. sha256: of what was written, when only that is known."""

    content: bytes
    sha256: str = ""

    def put(self, old: bytes, *, force: bool) -> bytes:
        return self.content

    def cut(self, now: bytes, *, force: bool) -> bytes:
        if force or self.standing(now) is Standing.AS_WRITTEN:
            return b""
        raise Edited("it was changed by hand")

    def standing(self, now: bytes) -> Standing:
        wanted = self.sha256 or digest(self.content)
        return Standing.AS_WRITTEN if digest(now) == wanted else Standing.EDITED

    def kept(self) -> dict[str, Any]:
        return {"kind": "whole", "sha256": self.sha256 or digest(self.content)}


def digest(content: bytes) -> str:
    """A file's hash."""
    return hashlib.sha256(content).hexdigest()


def _hash(body: str) -> str:
    return digest(body.encode())[:16]


def text_of(content: bytes) -> tuple[bytes, str, str]:
    """A file's byte order mark, its text, and its line ends."""
    bom = _BOM if content.startswith(_BOM) else b""
    try:
        text = content[len(bom) :].decode()
    except UnicodeDecodeError as wrong:
        raise errors.Invalid("it is not UTF-8 text") from wrong
    return bom, text, "\r\n" if "\r\n" in text else "\n"
