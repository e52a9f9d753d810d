"""Whatever comes in: an answer below 500 in the one shape, no hang, and the server serves on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.operations.faults import Fault
from tests.faces.conftest import Open
from tests.faces.double import exchange
from tests.faces.test_mcp_paths_agree import CORPUS

PATHS = ("/mcp", "/v1/acquire_lock", "/v1/log_action", "/v1/record_cost", "/v1/list_events")
JSON = {"content-type": "application/json"}

bodies = st.binary(max_size=200) | st.sampled_from([*CORPUS.values()]) | st.recursive(
    st.sampled_from([b"1", b"-1", b"1e999", b"null", b'"\\u0000"', b'"\\ud83d"', b"true", b'"x"', b"NaN"]),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: b"[" + b",".join(parts) + b"]")
    | st.lists(inner, max_size=3).map(lambda parts: b"{" + b",".join(b'"paths":' + part for part in parts) + b"}"),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(PATHS), body=bodies)
def test_no_body_makes_a_5xx(opened: Open, path: str, body: bytes) -> None:
    response = opened.agent.post(path, content=body, headers=JSON)

    assert response.status_code < 500
    if path != "/mcp" and response.status_code != 200:
        Fault.model_validate(response.json())


@settings(max_examples=200, deadline=None)
@given(
    path=st.text(st.characters(codec="ascii", exclude_characters="\r\n \x00#?"), max_size=30),
    name=st.sampled_from(
        ["authorization", "origin", "content-type", "accept", "mcp-protocol-version", "content-length", "x"]
    ),
    value=st.binary(max_size=60).filter(lambda value: not set(value) & set(b"\r\n\x00")),
)
def test_no_path_and_no_header_makes_a_5xx_or_a_hang(opened: Open, path: str, name: str, value: bytes) -> None:
    start = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()

    answer = exchange(opened.url, start + name.encode() + b": " + value + b"\r\n\r\n", timeout_s=5)

    assert answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_answered_with_an_error_that_is_the_callers(opened: Open, path: str, name: str) -> None:
    response = opened.agent.post(path, content=CORPUS[name], headers=JSON)

    assert response.status_code < 500
    assert opened.root.post("/v1/whoami").status_code == 200
