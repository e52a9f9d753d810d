"""The guards before every route, and the one shape of their refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from conductor import settings
from conductor.operations.faults import Fault
from mcp_server.app import build_app
from tests.faces.conftest import Open
from tests.faces.double import Faces, client, exchange, served, tool_call

PATHS = ("/mcp", "/v1/whoami", "/v1/openapi.json", "/metrics", "/healthz", "/readyz", "/.well-known/x", "/nowhere")


def code_of(response: httpx.Response) -> str:
    """The error's code; fails when the body is not the one shape, or its status not the code's."""
    fault = Fault.model_validate(response.json())
    assert response.headers["content-type"] == "application/json"
    return fault.code


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "localhost:x", "a b"])
def test_a_host_that_is_not_ours_is_refused_before_every_route(opened: Open, path: str, host: str) -> None:
    response = opened.root.post(path, headers={"host": host}, json={})

    assert (response.status_code, code_of(response)) == (403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8787", "[::1]", "[::1]:8787", "localhost."])
def test_loopback_names_are_ours_at_any_port(opened: Open, host: str) -> None:
    assert opened.root.post("/v1/whoami", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "file://localhost", "http://localhost@evil.example", "x"]
)
def test_a_web_page_of_another_site_is_refused_before_every_route(opened: Open, path: str, origin: str) -> None:
    response = opened.root.post(path, headers={"origin": origin}, json={})

    assert (response.status_code, code_of(response)) == (403, "forbidden")


def test_a_page_of_our_own_is_let_in(opened: Open) -> None:
    assert opened.root.post("/v1/whoami", headers={"origin": "http://localhost:3000"}).status_code == 200


def test_a_host_that_the_settings_allow_is_let_in() -> None:
    faces = Faces()
    server = settings.Server(host="::1", allowed_hosts=("Team.Example",))

    with served(build_app(faces.parts(server))) as url, client(url, faces.root) as ask:
        statuses = [
            ask.post("/v1/whoami", headers={"host": host}).status_code
            for host in ("team.example:443", "[::1]:8787", "other.example")
        ]

    assert statuses == [200, 200, 403]


@pytest.mark.parametrize("name", ["Authorization", "Host", "Origin", "Content-Type"])
def test_a_header_that_two_readers_could_read_differently_is_refused(opened: Open, name: str) -> None:
    values = {
        "Host": "localhost",
        "Origin": "http://localhost",
        "Authorization": f"Bearer {opened.faces.root}",
        "Content-Type": "application/json",
    }
    lines = [f"{header}: {value}" for header, value in [*values.items(), (name, values[name])]]

    answer = exchange(
        opened.url,
        "\r\n".join(["POST /v1/whoami HTTP/1.1", *lines, "Connection: close", "Content-Length: 0", "", ""]).encode(),
    )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"came twice" in answer


@pytest.mark.parametrize("path", ["/mcp", "/v1/whoami", "/v1/openapi.json", "/metrics", "/nowhere"])
def test_missing_unknown_expired_and_revoked_tokens_are_answered_alike(opened: Open, path: str) -> None:
    faces = opened.faces
    unknown = faces.agent.replace("_a", "_b")
    wrong_secret = faces.agent[:-1] + "b"
    tokens = [None, "nonsense", unknown, wrong_secret, faces.expired, faces.revoked, "cdr_usr_é", "x" * 5000]

    answers = []
    for token in tokens:
        headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
        response = opened.nobody.post(path, headers=headers, json=tool_call("conductor_whoami", {}))
        answers.append((response.status_code, response.headers["www-authenticate"], response.content))

    assert len(set(answers)) == 1
    assert answers[0][:2] == (401, "Bearer")
    assert json.loads(answers[0][2])["code"] == "unauthenticated"


def test_initialize_needs_a_token_too(opened: Open) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}

    response = opened.nobody.post("/mcp", json=message)

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


def test_basic_authentication_is_not_a_token(opened: Open) -> None:
    response = opened.nobody.post("/v1/whoami", headers={"authorization": f"Basic {opened.faces.root}"})

    assert response.status_code == 401


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/nothing", "/v1/", "/mcp/x", "/v1/whoami/", "/.well-known/oauth-protected-resource"]
)
def test_a_path_that_leads_nowhere_is_not_found_in_the_one_shape(opened: Open, path: str) -> None:
    response = opened.root.post(path, json={})

    assert (response.status_code, code_of(response)) == (404, "not_found")


def test_a_client_that_looks_for_a_login_page_learns_without_a_token_that_there_is_none(opened: Open) -> None:
    response = opened.nobody.get("/.well-known/oauth-authorization-server")

    assert (response.status_code, code_of(response)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/whoami", "POST"),
        ("PUT", "/v1/whoami", "POST"),
        ("GET", "/mcp", "POST"),
        ("DELETE", "/mcp", "POST"),
        ("POST", "/metrics", "GET"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/v1/openapi.json", "GET"),
        ("OPTIONS", "/v1/whoami", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(opened: Open, method: str, path: str, allow: str) -> None:
    response = opened.root.request(method, path)

    assert (response.status_code, response.headers["allow"], code_of(response)) == (405, allow, "invalid")


@pytest.mark.parametrize("path", ["/mcp", "/v1/whoami"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_body_that_is_not_json_is_refused(opened: Open, path: str, content_type: str) -> None:
    response = opened.root.post(path, content=b"{}", headers={"content-type": content_type})

    assert (response.status_code, code_of(response)) == (400, "invalid")


def test_a_charset_beside_the_content_type_does_no_harm(opened: Open) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    assert opened.root.post("/v1/whoami", content=b"{}", headers=headers).status_code == 200


def test_nothing_tells_what_serves(opened: Open) -> None:
    responses: list[Any] = [opened.root.post(path, json={}) for path in PATHS]

    assert all("server" not in response.headers for response in responses)
