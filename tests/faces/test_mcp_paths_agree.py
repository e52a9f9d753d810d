"""The short way for `tools/call` and the SDK answer equally, whatever is sent."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.app import Front, behind_the_door, build_app
from mcp_server.limits import Bodies
from mcp_server.mcp_sdk import SdkEndpoint
from tests.faces.double import Echo, Faces, client, message_of, served, tool_call

MODERN = "2026-07-28"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
SENT_BY_BOTH = ("www-authenticate", "retry-after", "allow", "mcp-session-id", "mcp-protocol-version")
PREFIX = "io.modelcontextprotocol/"
ENVELOPE = {
    PREFIX + "protocolVersion": MODERN,
    PREFIX + "clientCapabilities": {},
    PREFIX + "clientInfo": {"name": "test", "version": "1"},
}


class Both:
    """The same question put to both ways."""

    def __init__(self, short: httpx.Client, sdk: httpx.Client, taken: Echo, other: Echo) -> None:
        self.short = short
        self.sdk = sdk
        self.taken = taken
        self._other = other

    def tell(self, notice: str) -> None:
        """Have something urgent told with each answer from now on."""
        self.taken.notice = self._other.notice = notice

    def ask(self, body: bytes, headers: dict[str, str]) -> tuple[Any, Any]:
        return self._one(self.short, body, headers), self._one(self.sdk, body, headers)

    def _one(self, ask: httpx.Client, body: bytes, headers: dict[str, str]) -> Any:
        response = ask.post("/mcp", content=body, headers={"content-type": "application/json", **headers})
        kept = {name: response.headers.get(name) for name in SENT_BY_BOTH}
        return response.status_code, kept, message_of(response)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    faces, plain = Faces(), Faces()
    parts = plain.parts()
    bodies = Bodies(parts.server.body_limit_bytes, parts.server.request_timeout_s)
    sdk = SdkEndpoint(parts.dispatcher, bodies, parts.server.body_limit_bytes)
    sdk_alone = Front(behind_the_door(parts, bodies, sdk), sdk.running())
    with (
        served(build_app(faces.parts())) as short_url,
        served(sdk_alone) as sdk_url,
        client(short_url, faces.agent) as short,
        client(sdk_url, plain.agent) as whole,
    ):
        yield Both(short, whole, faces.echo, plain.echo)


texts = st.text(max_size=8) | st.sampled_from(["src/app.py", "", "\x00", "a\u202eb", "ä/ö", "x" * 400])
numbers = (
    st.integers(-5, 100)
    | st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40])
    | st.floats(allow_nan=True, allow_infinity=True)
)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
fields = st.sampled_from(
    ["paths", "ttl_s", "mode", "reason", "task_id", "action", "metadata", "limit", "unknown", "\x00"]
)
arguments = st.fixed_dictionaries({"paths": st.just(["a"])}, optional={"ttl_s": numbers, "reason": texts}) | (
    st.dictionaries(fields, values, max_size=4)
)

ODDITIES: dict[str, list[Any]] = {
    "id": [0, -1, "ä", "", 2**53, 2**64, None, True, 1.0, 1.5, [], {}, ...],
    "jsonrpc": ["1.0", 2, None, ...],
    "method": ["tools/list", "ping", "no/such", "notifications/cancelled", 3, ...],
    "extra": [None, 1],
    "params": [None, [], "a", 1, {}, ...],
    "params.name": ["conductor_nothing", "", None, 3, ["a"], ...],
    "params.arguments": [None, {}, [], [1], "a", 1, True, ...],
    "params.task": [None, {}, {"ttl": 5}, {"ttl": "x"}, 5],
    "params.inputResponses": [None, {}, 5, {"a": 1}],
    "params.requestState": [None, "a", 5],
    "params._meta": [None, [], "meta", {}, {"other/key": {"a": 1}}, ENVELOPE, ...],
    "params._meta.progressToken": [7, "p", 2**53, None, True, 1.5, [1], {}],
    f"params._meta.{PREFIX}protocolVersion": ["2025-11-25", None, 3, ...],
    f"params._meta.{PREFIX}logLevel": ["info", "loud", None, 3],
    f"params._meta.{PREFIX}clientInfo": [
        None, {}, {"name": 1, "version": "1"}, {"name": "a"}, {"name": "a", "version": "1", "x": 1}, "a", ...,
    ],
    f"params._meta.{PREFIX}clientCapabilities": [
        None, {"roots": 3}, {"sampling": {}}, {"experimental": {"a": {}}}, {"x": "y" * 5000}, 1, ...,
    ],
    "header mcp-protocol-version": ["2099-01-01", "", "2025-11-25", MODERN, ...],
    "header mcp-method": ["tools/list", "", ...],
    "header mcp-name": ["conductor_whoami", "", "=?base64?YQ==?=", "=?base64?Y29uZHVjdG9yX2xvZ19hY3Rpb24=?=", ...],
    "header mcp-param-path": ["a"],
    "header accept": ["application/json", "text/event-stream", "*/*", "", "text/html, */*", "application/*, text/*"],
}  # fmt: skip
"""Ways in which a request is odd: where, and with what instead. `...` leaves the part out."""

odd = st.sampled_from([(place, value) for place, values in ODDITIES.items() for value in values])


def request_with(
    tool: str, version: str | None, arguments: Any, *oddities: tuple[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a right request, and what is odd about it."""
    meta = {"_meta": copy.deepcopy(ENVELOPE)} if version == MODERN else {}
    message = tool_call(tool, arguments, **meta)
    headers = {} if version is None else modern(tool) | {"mcp-protocol-version": version}
    for place, value in oddities:
        if place.startswith("header "):
            _put(headers, [place.removeprefix("header ")], value)
        else:
            _put(message, re.split(r"(?<=params)\.|(?<=_meta)\.", place), value)
    return json.dumps(message).encode(), headers


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    tool = draw(st.sampled_from(["conductor_acquire_lock", "conductor_log_action", "conductor_list_tasks"]))
    version = draw(st.sampled_from([None, *HANDSHAKE, MODERN, MODERN, MODERN]))
    return request_with(tool, version, draw(arguments), *draw(st.lists(odd, max_size=3)))


def _put(into: Any, path: list[str], value: Any) -> None:
    *above, last = path
    for name in above:
        into = into.setdefault(name, {}) if isinstance(into, dict) else None
    if isinstance(into, dict):
        into[last] = value
        if value is ...:
            del into[last]


def modern(tool: str) -> dict[str, str]:
    return {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}


@pytest.mark.parametrize("version", [None, "2025-11-25", MODERN])
@pytest.mark.parametrize("place", ODDITIES)
def test_each_oddity_is_answered_alike(both: Both, place: str, version: str | None) -> None:
    asked = [request_with("conductor_whoami", version, {}, (place, value)) for value in ODDITIES[place]]

    answers = [both.ask(*request) for request in asked]

    assert [short for short, _ in answers] == [sdk for _, sdk in answers]
    assert all(status < 500 for (status, _, _), _ in answers)


@settings(max_examples=300, deadline=None)
@given(request=requests())
def test_the_short_way_answers_whatever_is_sent_exactly_as_the_sdk(
    both: Both, request: tuple[bytes, dict[str, str]]
) -> None:
    short, sdk = both.ask(*request)

    assert short == sdk
    assert short[0] < 500


def raw_call(arguments: bytes, tool: bytes = b"conductor_log_action") -> bytes:
    start = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"' + tool + b'","arguments":'
    return start + arguments + b"}}"


WHOLE = json.dumps(tool_call("conductor_whoami", {})).encode()
CORPUS = {
    "lone surrogate": raw_call(rb'{"action":"\ud800"}'),
    "nul": raw_call(rb'{"action":"a\u0000"}'),
    "infinite": raw_call(b'{"paths":["a"],"ttl_s":1e400}', b"conductor_acquire_lock"),
    "infinite metadata": raw_call(b'{"action":"a","metadata":{"a":-1e400}}'),
    "not a number": raw_call(b'{"action":"a","metadata":{"a":NaN}}'),
    "duplicate keys": raw_call(b'{"action":"a","action":"b"}').replace(b'"id"', b'"id":9,"method":"tools/list","id"'),
    "long number": raw_call(b'{"paths":["a"],"ttl_s":' + b"9" * 5000 + b"}", b"conductor_acquire_lock"),
    "number of 400 digits": raw_call(b'{"paths":["a"],"ttl_s":' + b"9" * 400 + b"}", b"conductor_acquire_lock"),
    "deep": raw_call(b'{"action":' + b"[" * 150 + b"]" * 150 + b"}"),
    "deeper": raw_call(b'{"action":' + b"[" * 900 + b"]" * 900 + b"}"),
    "deepest": b"[" * 100_000,
    "batch": b"[" + WHOLE + b"]",
    "not utf-8": raw_call(b"{}", b"\xff"),
    "utf-16": WHOLE.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "empty": b"",
    "null": b"null",
    "text": b'"text"',
    "cut off": WHOLE[:-1],
    "trailing": WHOLE + b"{}",
    "response": b'{"jsonrpc":"2.0","id":1,"result":{}}',
}


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("version", [None, "2025-11-25", MODERN])
def test_bad_bodies_are_answered_alike_and_never_with_a_5xx(both: Both, name: str, version: str | None) -> None:
    headers = {} if version is None else modern("conductor_log_action") | {"mcp-protocol-version": version}

    short, sdk = both.ask(CORPUS[name], headers)

    assert short == sdk
    assert short[0] < 500


@pytest.mark.parametrize("version", [None, *HANDSHAKE, MODERN])
def test_a_plain_call_takes_the_short_way_in_both_eras(both: Both, version: str | None) -> None:
    headers = {} if version is None else modern("conductor_whoami") | {"mcp-protocol-version": version}
    meta = ENVELOPE | {"progressToken": 3} if version == MODERN else {"progressToken": 3}
    body = json.dumps(tool_call("conductor_whoami", {}, _meta=meta)).encode()

    response = both.short.post("/mcp", content=body, headers={"content-type": "application/json", **headers})

    assert response.headers["content-type"] == "application/json"
    assert both.taken.calls[-1][0] == "whoami"
    assert message_of(response)["result"]["isError"] is False


@pytest.mark.parametrize("version", [None, "2025-11-25", MODERN])
@pytest.mark.parametrize("arguments", [{}, {"surplus": 1}], ids=["reply", "refusal"])
@pytest.mark.parametrize("notice", ["Stop: main is broken.", 'ä "quoted" \\ \n\u2028 💡', "x"])
def test_what_is_urgent_is_told_alike_in_the_text_and_in_the_structure(
    both: Both, version: str | None, arguments: dict[str, int], notice: str
) -> None:
    both.tell(notice)
    body, headers = request_with("conductor_whoami", version, arguments)

    short, sdk = both.ask(body, headers)

    both.tell("")
    assert short == sdk
    result = short[2]["result"]
    assert [block["text"] for block in result["content"]][2:] == [notice]
    assert result["structuredContent"]["notice"] == notice
    assert json.loads(result["content"][1]["text"]) == {
        name: value for name, value in result["structuredContent"].items() if name != "notice"
    }


@settings(max_examples=50, deadline=None)
@given(request=requests(), notice=st.text(min_size=1, max_size=160))
def test_both_ways_answer_alike_whatever_is_told(
    both: Both, request: tuple[bytes, dict[str, str]], notice: str
) -> None:
    both.tell(notice)

    short, sdk = both.ask(*request)

    both.tell("")
    assert short == sdk
