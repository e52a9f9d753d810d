"""How much, how slowly, how often."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor import settings
from mcp_server.app import build_app
from mcp_server.limits import Rate
from tests.faces.conftest import Open
from tests.faces.double import Faces, client, exchange, served
from tests.support.clocks import HandClock

LIMIT = settings.Server().body_limit_bytes


def head(opened: Open, path: str, *lines: str) -> bytes:
    return "\r\n".join([
        f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {opened.faces.root}",
        "Accept: application/json, text/event-stream", "Content-Type: application/json", *lines, "", "",
    ]).encode()  # fmt: skip


def status_and_body(answer: bytes) -> tuple[int, dict[str, object]]:
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("path", ["/mcp", "/v1/log_action"])
def test_a_body_of_exactly_the_limit_is_read(opened: Open, path: str) -> None:
    response = opened.root.post(path, content=b" " * (LIMIT - 2) + b"{}", headers={"content-type": "application/json"})

    assert response.status_code == 400
    assert "too_large" not in response.text


@pytest.mark.parametrize("path", ["/mcp", "/v1/log_action", "/nowhere"])
def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(opened: Open, path: str) -> None:
    answer = exchange(opened.url, head(opened, path, f"Content-Length: {LIMIT + 1}"))

    status, fault = status_and_body(answer)
    assert (status, fault["code"], fault["facts"]) == (413, "too_large", {"limit_bytes": LIMIT})


@pytest.mark.parametrize("length", ["9" * 30, "9" * 16, "00000000000000000000000000000002"])
def test_an_absurd_length_is_refused(opened: Open, length: str) -> None:
    answer = exchange(opened.url, head(opened, "/v1/whoami", f"Content-Length: {length}", "Connection: close"))

    assert answer[:12] in {b"HTTP/1.1 413", b"HTTP/1.1 400"}


@pytest.mark.parametrize("path", ["/mcp", "/v1/log_action"])
def test_a_body_that_grows_too_large_on_the_way_is_refused(opened: Open, path: str) -> None:
    chunk = b"%x\r\n" % 65_536 + b" " * 65_536 + b"\r\n"

    answer = exchange(opened.url, head(opened, path, "Transfer-Encoding: chunked") + chunk * 17)

    status, fault = status_and_body(answer)
    assert (status, fault["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/mcp", "/v1/log_action"])
@pytest.mark.parametrize("sent", [b"", b'{"act'])
def test_a_body_that_does_not_come_ends_in_an_answer_and_not_in_a_hang(path: str, sent: bytes) -> None:
    faces = Faces()
    server = settings.Server(request_timeout_s=0.2)
    with served(build_app(faces.parts(server))) as url, client(url, faces.root) as ask:
        slow = Open(faces, url, ask, ask, ask)

        status, fault = status_and_body(exchange(url, head(slow, path, "Content-Length: 100") + sent))

        assert (status, fault["code"], fault["facts"]) == (408, "invalid", {"timeout_s": 0.2})
        assert ask.post("/v1/whoami").status_code == 200


def test_slow_bodies_beside_each_other_each_get_their_own_time() -> None:
    faces = Faces()
    server = settings.Server(request_timeout_s=0.2)
    with served(build_app(faces.parts(server))) as url, client(url, faces.root) as ask:
        request = head(Open(faces, url, ask, ask, ask), "/v1/log_action", "Content-Length: 100")
        address = (httpx.URL(url).host, httpx.URL(url).port or 80)
        connections = [socket.create_connection(address, timeout=10) for _ in range(20)]

        for connection in connections:
            connection.sendall(request)
        answers = [connection.recv(65_536) for connection in connections]

        for connection in connections:
            connection.close()
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)


def test_a_client_that_hangs_up_within_its_body_harms_nobody(opened: Open) -> None:
    address = (httpx.URL(opened.url).host, httpx.URL(opened.url).port or 80)
    for path in ("/mcp", "/v1/log_action"):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(head(opened, path, "Content-Length: 100") + b"{")

    assert opened.root.post("/v1/whoami").status_code == 200


def test_a_token_that_calls_too_often_is_told_when_to_go_on() -> None:
    clock = HandClock()
    faces = Faces(clock=clock)
    limits = settings.Limits(rate_per_s=2, rate_burst=5)
    with (
        served(build_app(faces.parts(limits=limits))) as url,
        client(url, faces.agent) as agent,
        client(url, faces.root) as root,
    ):
        first = [agent.post("/v1/whoami").status_code for _ in range(5)]
        refused = agent.post("/mcp", json={})
        other = root.post("/v1/whoami").status_code
        clock.move(0.5)
        later = [agent.post("/v1/whoami").status_code for _ in range(2)]

    assert first == [200] * 5
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert (refused.json()["code"], refused.json()["wait_s"], refused.json()["retryable"]) == (
        "rate_limited",
        0.5,
        True,
    )
    assert other == 200
    assert later == [200, 429]


def test_probes_are_not_counted_against_anybody() -> None:
    faces = Faces(clock=HandClock())
    limits = settings.Limits(rate_per_s=1, rate_burst=1)
    with served(build_app(faces.parts(limits=limits))) as url, client(url) as ask:
        assert {ask.get("/healthz").status_code for _ in range(10)} == {200}


@given(
    per_s=st.integers(1, 1000),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=200),
)
def test_no_more_calls_get_in_than_the_burst_and_the_rate_allow(per_s: int, burst: int, steps: list[float]) -> None:
    rate = Rate(per_s, burst)
    now, let_in = 1000.0, 0

    for step in steps:
        now += step
        wait_s = rate.take("a", now)
        let_in += wait_s == 0
        # Below a microsecond the clock's own steps are in the way.
        if wait_s > 1e-6:
            assert rate.take("a", now + wait_s * 0.9) > 0

    assert let_in <= burst + (now - 1000.0) * per_s + 1


def test_whoever_waits_as_long_as_told_gets_in() -> None:
    rate = Rate(per_s=3, burst=2)
    now = 0.0

    for _ in range(100):
        wait_s = rate.take("a", now)
        now += wait_s
        if wait_s:
            assert rate.take("a", now) == 0


def test_the_rates_of_a_hundred_thousand_tokens_take_bounded_memory() -> None:
    rate = Rate(per_s=1000, burst=2000)

    for number in range(100_000):
        rate.take(str(number), number * 1e-6)

    assert len(rate._full_at) <= 16_384
