"""HTTP as uvicorn reads it, with bounds where it has none: how long and how large a request's head may be.

Without them one stranger fills the memory with headers, or a thousand hold every connection with half a request line.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST_BYTES = 65_536
"""A token, a few headers and a long path fit many times."""

HEAD_MOST_S = 10.0
"""From the connection, or the end of the request before it, until a head that was begun is complete."""


def options() -> dict[str, Any]:
    """Give what every server of ours tells uvicorn, whatever it serves: the daemon, and the tests of its faces."""
    return {
        "http": BoundedProtocol,
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "ws": "none",
    }


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request head is too large or takes too long."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has grown too large."""
        if self._in_head:
            if self._timer is None:
                self._wait_for_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MOST_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Count a new head."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Wait no longer: what follows is the body, which the guards bound."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Be ready for the next head; until its first byte only keep-alive counts."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_MOST_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
