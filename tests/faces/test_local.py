"""Which requests come from the daemon's own machine: only what no proxy can have brought from elsewhere."""

from __future__ import annotations

import pytest

from conductor.domain.access import Role, TokenKind
from mcp_server import guard
from mcp_server.app import build_app
from tests.faces.double import Faces, client, served, tool_call

LOCAL = {b"host": b"127.0.0.1:8787", b"authorization": b"Bearer x"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", [b"127.0.0.1:8787", b"localhost", b"LOCALHOST:1", b"[::1]:8787"])
def test_a_request_over_the_loopback_under_its_name_is_local(address: str, host: bytes) -> None:
    assert guard.is_local((address, 50_000), LOCAL | {b"host": host})


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.2", "8.8.8.8", "::2", "::ffff:10.0.0.7", "", "localhost"])
def test_a_request_from_another_address_is_not(address: str) -> None:
    assert not guard.is_local((address, 50_000), LOCAL)


def test_a_request_from_nowhere_is_not() -> None:
    assert not guard.is_local(None, LOCAL)


@pytest.mark.parametrize(
    "header",
    [
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-real-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
    ],
)
@pytest.mark.parametrize("value", [b"", b"127.0.0.1", b"for=127.0.0.1"])
def test_a_request_that_a_proxy_brought_is_not_whatever_it_says(header: bytes, value: bytes) -> None:
    assert not guard.is_local(("127.0.0.1", 50_000), LOCAL | {header: value})


@pytest.mark.parametrize("host", [b"team.example", b"10.0.0.7:8787", b"", b"localhost.evil"])
def test_a_request_under_another_name_is_not(host: bytes) -> None:
    assert not guard.is_local(("127.0.0.1", 50_000), LOCAL | {b"host": host})


def test_each_request_says_it_anew_on_every_face_and_nothing_in_it_can() -> None:
    faces = Faces()
    enrolment = faces.desk.add(TokenKind.ENROLMENT, Role.ENROLMENT, "n")

    with served(build_app(faces.parts())) as url, client(url, enrolment) as ask:
        ask.post("/v1/whoami", json={})
        ask.post("/v1/whoami", json={}, headers={"x-forwarded-for": "127.0.0.1"})
        ask.post("/v1/whoami", json={"is_local": True}, headers={"x-forwarded-for": "127.0.0.1"})
        ask.post("/mcp", json=tool_call("conductor_whoami", {}))
        ask.post("/mcp", json=tool_call("conductor_whoami", {}), headers={"via": "1.1 proxy"})

    assert [caller.is_local for _, _, caller in faces.echo.calls] == [True, False, False, True, False]
