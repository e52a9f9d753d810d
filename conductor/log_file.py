"""A log file that cannot fill the disk: past its bound it is put aside and begun anew, one former file is kept."""

from __future__ import annotations

import io
from pathlib import Path

MOST_BYTES = 16 * 1024 * 1024
"""Two such files hold weeks of an ordinary day's warnings."""


class LogFile(io.TextIOBase):
    """A text stream onto a file of bounded size, written line by line."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._stream = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  # open while the process lives

    def write(self, text: str) -> int:
        """Write a text; a full file is put aside first."""
        if self._stream.tell() > self._most_bytes:
            self._stream.close()
            self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
            self._stream = open(self._path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  # as above
        return self._stream.write(text)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._stream.flush()
