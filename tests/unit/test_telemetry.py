"""Logs: one line an event, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from conductor import telemetry

TOKEN = "cdr_agt_7f3kq2m9xd_Zm9vYmFy-QmF6_qux"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """`configure` is for a whole process; other tests keep theirs."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, logging.raiseExceptions = handlers, True
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    made = io.StringIO()
    telemetry.configure("json", "debug", made)
    return made


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_time_level_event_and_fields(stream: io.StringIO) -> None:
    telemetry.logger("locks").info("lock_granted", lock_id="lck_1", ttl_s=900, paths=["a.py"], text="a\nb")

    [event] = events(stream)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert datetime.fromisoformat(event.pop("timestamp")).utcoffset() == UTC.utcoffset(None)
    assert event == {
        "level": "info",
        "event": "lock_granted",
        "part": "locks",
        "lock_id": "lck_1",
        "ttl_s": 900,
        "paths": ["a.py"],
        "text": "a\nb",
    }


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    telemetry.configure("json", "warning", stream)

    telemetry.logger("x").info("quiet")
    logging.getLogger("uvicorn.error").info("quiet")
    telemetry.logger("x").warning("loud")

    assert [event["event"] for event in events(stream)] == ["loud"]


def test_a_second_configure_reaches_loggers_already_handed_out(stream: io.StringIO) -> None:
    log = telemetry.logger("x")
    log.info("first")
    other = io.StringIO()

    telemetry.configure("text", "info", other)
    log.info("second", ttl_s=900)

    assert [event["event"] for event in events(stream)] == ["first"]
    assert "second" in other.getvalue()
    assert "ttl_s=900" in other.getvalue()


@pytest.mark.parametrize("kind", ["usr", "agt", "enr", "svc"])
def test_a_token_is_masked_wherever_it_stands(stream: io.StringIO, kind: str) -> None:
    token = TOKEN.replace("agt", kind)

    telemetry.logger("x").info(
        f"came with {token}",
        header=f"x{token}y",
        nested={"list": [{"deep": (token,)}], token: 1},
        raw=token.encode(),
        path=Path("/x") / token,
        error=ValueError(token),
        many={token},
    )

    line = stream.getvalue()
    assert "7f3kq2m9xd" not in line
    assert "Zm9vYmFy" not in line
    assert f"came with cdr_{kind}_***" in line


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "authorization",
        "secret",
        "password",
        "pepper",
        "owner_token",
        "Authorization",
        "X-Api-Key",
        "accessToken",
    ],
)
def test_a_field_named_as_a_secret_is_masked_at_every_depth(stream: io.StringIO, key: str) -> None:
    telemetry.logger("x").info("e", **{key: SECRET}, nested=[{"headers": {key: SECRET, "of": {key: [SECRET]}}}])

    assert SECRET not in stream.getvalue()
    assert events(stream)[0][key] == "***"


def test_numbers_that_are_no_secrets_stay_readable(stream: io.StringIO) -> None:
    telemetry.logger("x").info("e", token=1784467440795648, input_tokens=12, token_id="key_1", has_secret=True)

    [event] = events(stream)
    assert event["token"] == 1784467440795648
    assert (event["input_tokens"], event["token_id"], event["has_secret"]) == (12, "key_1", True)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://conductor:hunter2@db/c failed",
        "https://hunter2@github.com/x.git",
        "postgresql://u:p@ss-hunter2@db/c",
        "connect(password=hunter2, host=x)",
        "connect(password='a hunter2', host=x)",
        "{'token': 'hunter2'}",
        '{"client_secret": "hunter2"}',
        '"{\\"password\\": \\"hunter2\\"}"',
        "Authorization: Bearer hunter2",
        "authorization: Basic hunter2",
        "sent Bearer hunter2hunter2hunter2",
        "/path?token=hunter2&x=1",
    ],
)
def test_a_secret_in_running_text_is_masked(text: str) -> None:
    masked = telemetry.mask_text(text)

    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8787/mcp",
        "git@example.org:x/y.git",
        "the token is missing: set CONDUCTOR_TOKEN",
        "token=1784467440795648",
        "input_tokens=12",
        "a basic check",
        "src/ü/日本.py",
    ],
)
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert telemetry.mask_text(text) == text


def test_the_text_of_an_exception_is_masked(stream: io.StringIO) -> None:
    try:
        raise ValueError(f"no such token {TOKEN} at postgresql://u:{SECRET}@h/d")
    except ValueError:
        telemetry.logger("x").exception("broke")

    [event] = events(stream)
    assert "ValueError: no such token cdr_agt_*** at postgresql://***@h/d" in event["exception"]
    assert "Zm9v" not in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_the_text_of_an_exception_is_masked_for_a_terminal_too() -> None:
    stream = io.StringIO()
    telemetry.configure("text", "info", stream)
    try:
        raise ValueError(TOKEN)
    except ValueError:
        telemetry.logger("x").exception("broke", password=SECRET)

    assert "ValueError: cdr_agt_***" in stream.getvalue()
    assert "Zm9v" not in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_a_library_speaks_through_the_same_mask(stream: io.StringIO) -> None:
    library = logging.getLogger("uvicorn.error")
    library.addHandler(logging.NullHandler())
    telemetry.adopt_libraries()

    library.info("started with %s", TOKEN)
    try:
        raise ValueError(TOKEN)
    except ValueError:
        logging.getLogger("somebody").exception("broke")

    started, broke = events(stream)
    assert (started["event"], started["level"], started["part"]) == (
        "started with cdr_agt_***",
        "info",
        "uvicorn.error",
    )
    assert "ValueError: cdr_agt_***" in broke["exception"]
    assert not library.handlers


@pytest.mark.parametrize(
    "name", ["uvicorn.access", "httpx", "ray", "ray.worker", "mcp.server.lowlevel", "sqlalchemy.engine"]
)
def test_chatter_of_libraries_is_silenced(stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("a line a call")

    assert stream.getvalue() == ""


def test_a_logger_that_puts_up_its_own_handler_is_taken_back(stream: io.StringIO) -> None:
    own = io.StringIO()
    ray = logging.getLogger("ray")
    ray.addHandler(logging.StreamHandler(own))
    ray.propagate = False

    telemetry.adopt_libraries()
    ray.warning("low on memory")

    assert own.getvalue() == ""
    assert [event["event"] for event in events(stream)] == ["low on memory"]


def test_a_malformed_message_of_a_library_shows_nothing(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("somebody").warning("%d", TOKEN)

    assert TOKEN not in stream.getvalue() + capsys.readouterr().err


class Broken(io.StringIO):
    """A disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_never_fails_the_work() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        telemetry.configure("json", "info", stream)

        telemetry.logger("x").info("lost")
        logging.getLogger("somebody").warning("lost")


def test_a_long_text_is_cut_and_half_a_token_at_the_cut_is_not_shown() -> None:
    text = "x" * 20_000 + TOKEN + "y" * 8150

    masked = telemetry.mask_text(text)

    assert len(masked) < 17_000
    assert "characters left out" in masked
    assert "qux" not in masked


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


@given(json_like, st.text(st.characters(), max_size=30))
def test_any_value_becomes_one_line_of_strict_json_without_the_token(value: object, around: str) -> None:
    line = json.dumps(telemetry.mask([value, around + TOKEN, {"token": around + SECRET}]), allow_nan=False)

    assert "\n" not in line
    assert "Zm9vYmFy" not in line
    assert SECRET not in line


def test_depth_has_an_end() -> None:
    value: list[object] = []
    value.append(value)

    assert "…" in json.dumps(telemetry.mask(value), ensure_ascii=False)


def test_half_a_surrogate_pair_is_written_as_text(stream: io.StringIO) -> None:
    telemetry.logger("x").info("e", path="a\ud800b")

    stream.getvalue().encode("utf-8")
    assert events(stream)[0]["path"] == "a\\ud800b"
