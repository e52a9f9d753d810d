"""HTTP/1.1 over a socket, just what a daemon is asked with: it starts three times as fast as `http.client`.

One POST at a time; the answer is read whole, or line by line where it is a stream. A connection is used again only
when the former answer was read to its end. Redirects are not followed: they would carry the token away.
Must never print or keep the token. Standard library only.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import NamedTuple

from conductor.domain import errors

MOST_BYTES = 16 * 1024 * 1024
"""Of an answer: a list of 200 tasks in full is far below; a stranger on the port must not fill the memory."""

_MOST_LINE = 64 * 1024
_MOST_HEADERS = 100
_ADDRESS = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/:@?#\s\[\]]+)(?::([0-9]{1,5}))?((?:/[^?#\s]*)?)")
_CUT = "broke off in the middle of its answer"


class Address(NamedTuple):
    """Where a daemon is. prefix: what stands before our paths, where a proxy has it below a folder."""

    secure: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Read an address. Raises Invalid."""
        found = _ADDRESS.fullmatch(url.strip())
        if found is None or (found[3] and not 0 < int(found[3]) < 65536):
            raise errors.Invalid(
                "The address of a daemon is http:// or https:// with host and port, such as http://127.0.0.1:8787."
            )
        secure = found[1] == "https"
        port = int(found[3]) if found[3] else 443 if secure else 80
        return cls(secure, found[2], port, found[4].rstrip("/"))


class Response:
    """An answer whose head has come. headers: by lower-case name."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Iterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def read(self) -> bytes:
        """Read the body to its end."""
        parts, size = [], 0
        for part in self._body:
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise errors.Unavailable("The daemon's answer is larger than any of its answers is.")
        return b"".join(parts)

    def lines(self) -> Iterator[bytes]:
        """Give the body line by line as it comes, without the line ends."""
        rest = b""
        for part in self._body:
            rest += part
            *whole, rest = rest.split(b"\n")
            yield from (line.removesuffix(b"\r") for line in whole)
            if len(rest) > MOST_BYTES:
                raise errors.Unavailable("The daemon's answer is larger than any of its answers is.")
        if rest:
            yield rest


class Connection:
    """One connection to a daemon. Every wait ends after timeout_s; Unavailable says what did not happen."""

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._address = Address.of(url)
        self._token = token
        self._channel: tuple[socket.socket, BufferedReader] | None = None
        self._is_ended = False

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, connect_s: float | None = None) -> Response:
        """Send a request and read the head of its answer. Raises Unavailable."""
        address = self._address
        lines = [
            f"POST {address.prefix}{path} HTTP/1.1",
            f"Host: {address.host}:{address.port}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        try:
            sender, reader = self._open(connect_s or self.timeout_s)
            sender.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            status, given = _head(reader)
        except TimeoutError:
            self.close()
            raise errors.Unavailable(f"The daemon at {self.url} did not answer in time: try again.") from None
        except OSError as wrong:
            self.close()
            raise errors.Unavailable(f"The daemon at {self.url} hung up ({wrong}): try again.") from None
        return Response(status, given, self._bodies(reader, given))

    def close(self) -> None:
        """Hang up; a thread that reads from it is woken."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel[0].shutdown(socket.SHUT_RDWR)
            channel[0].close()

    def end(self) -> None:
        """Hang up for good, also from another thread and while the connection is being made."""
        self._is_ended = True
        self.close()

    def _open(self, connect_s: float) -> tuple[socket.socket, BufferedReader]:
        if self._channel is not None:
            return self._channel
        address = self._address
        try:
            plain = socket.create_connection((address.host.strip("[]"), address.port), connect_s)
        except (OSError, UnicodeError):
            raise errors.Unavailable(f"No daemon answers at {self.url}: start one with `conductor up`.") from None
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel = self._secured(plain) if address.secure else plain
        channel.settimeout(self.timeout_s)
        opened = channel, channel.makefile("rb")
        self._channel = opened
        if self._is_ended:
            self.close()
        return opened

    def _secured(self, plain: socket.socket) -> socket.socket:
        import ssl  # noqa: PLC0415 (30 ms that a daemon on this machine need not cost)

        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self._address.host.strip("[]"))
        except OSError as wrong:
            plain.close()
            raise errors.Unavailable(
                f"The TLS connection to {self.url} failed ({wrong}): set SSL_CERT_FILE to the file of the authority "
                "that signed its certificate, or correct the address."
            ) from None

    def _bodies(self, reader: BufferedReader, headers: Mapping[str, str]) -> Iterator[bytes]:
        try:
            if "chunked" in headers.get("transfer-encoding", ""):
                yield from _chunks(reader)
            elif (length := headers.get("content-length")) is not None:
                yield _exactly(reader, int(length))
            else:
                yield from iter(lambda: reader.read1(65536), b"")
                self.close()
        except TimeoutError:
            self.close()
            raise errors.Unavailable(f"The daemon at {self.url} did not answer in time: try again.") from None
        except (OSError, ValueError) as wrong:
            self.close()
            raise errors.Unavailable(f"The daemon at {self.url} {_CUT} ({wrong}): try again.") from None
        if headers.get("connection", "").lower() == "close":
            self.close()


def _head(reader: BufferedReader) -> tuple[int, dict[str, str]]:
    first = reader.readline(_MOST_LINE)
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise ConnectionError("no HTTP answer" if first else "without an answer")
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = reader.readline(_MOST_LINE)
        if line in {b"\r\n", b"\n"}:
            return int(status), headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise ConnectionError("headers without end")


def _chunks(reader: BufferedReader) -> Iterator[bytes]:
    while True:
        size = int(reader.readline(_MOST_LINE).partition(b";")[0], 16)
        part = _exactly(reader, size)
        reader.readline(_MOST_LINE)
        if size == 0:
            return
        yield part


def _exactly(reader: BufferedReader, size: int) -> bytes:
    if not 0 <= size <= MOST_BYTES:
        raise ValueError("too large")
    found = reader.read(size)
    if len(found) < size:
        raise ConnectionError("cut off")
    return found
