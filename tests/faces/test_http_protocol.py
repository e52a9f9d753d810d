"""A head that is too large or never ends is not waited for, and nobody else notices."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from mcp_server import http_protocol
from mcp_server.app import build_app
from tests.faces.double import Faces, client, served


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(65_536) == b""
    except ConnectionError:
        return True


def test_endless_headers_are_cut_off() -> None:
    faces = Faces()

    with served(build_app(faces.parts())) as url, _connect(url) as greedy:
        sent = 0
        greedy.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        try:
            while sent < 4_000_000:
                sent += greedy.send(b"x: " + b"a" * 8_000 + b"\r\n")
        except ConnectionError:
            pass
        else:
            pytest.fail("4 MB of headers were taken")

        with client(url) as other:
            assert other.get("/healthz").status_code == 200


def test_half_a_request_line_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_MOST_S", 0.2)
    faces = Faces()

    with served(build_app(faces.parts())) as url, _connect(url) as slow:
        slow.sendall(b"GET /heal")

        assert _is_closed(slow)


def test_requests_one_after_another_go_over_one_connection() -> None:
    faces = Faces()

    with served(build_app(faces.parts())) as url, client(url, faces.root) as ask:
        answers = [ask.post("/v1/whoami", json={}).status_code for _ in range(50)]

    assert answers == [200] * 50
