"""Hooks that cannot ask: garbage, no daemon, an odd one, no token. Each closes, in one sentence and in time."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.quick import offline
from conductor.home import Home
from tests.cli import workplace as workplaces
from tests.cli.double import HANG_UP, Answered, Double
from tests.cli.workplace import Workplace


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense",
        b'{"tool_name": "Edit"',
        b"[1, 2]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"tool_input": {"file_path": "src/app.py"}}',
        b'{"tool_name": "Edit", "tool_input": {}}',
        b'{"tool_name": "Edit", "tool_input": "src/app.py"}',
        b'{"tool_name": "Edit", "tool_input": {"file_path": 7}}',
        b'{"tool_name": "Edit", "tool_input": {"file_path": "a\\u0000b"}}',
        b'{"tool_name": "Edit", "tool_input": {"file_path": "a\\ud800b"}}',
        b'{"tool_name": ["Edit"], "tool_input": {"file_path": "src/app.py"}}',
        b'{"tool_name": "apply_patch", "tool_input": {"command": "no patch"}}',
    ],
)
def test_garbage_closes_in_one_sentence(workplace: Workplace, said: bytes) -> None:
    assert workplace.hook("pre-tool", said).closed


@pytest.mark.parametrize(
    "words", [("nonsense",), ("pre-tool", "--client", "emacs"), ("pre-tool", "--nonsense", "x"), ()]
)
def test_a_wrong_command_line_closes(workplace: Workplace, words: tuple[str, ...]) -> None:
    assert workplace.run("hook", *words, said=workplace.tool("Edit", file_path="src/app.py")).code == 2


def test_an_input_that_never_ends_closes_in_time(workplace: Workplace) -> None:
    began = time.monotonic()
    process = subprocess.Popen(
        [*workplaces.COMMAND, "hook", "pre-tool"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=workplace.environ(),
    )

    code = process.wait(10)

    assert code == 2
    assert time.monotonic() - began < workplaces.WITHIN_S
    process.communicate()


def test_a_huge_file_is_judged_in_time(workplace: Workplace) -> None:
    ran = workplace.before("Write", file_path="src/app.py", content="ä" * 4_000_000)

    assert ran.passed, ran.err
    assert ran.seconds < workplaces.WITHIN_S


def test_a_huge_patch_is_judged_in_time(workplace: Workplace) -> None:
    body = "+a line of text that is added\n" * 300_000

    ran = workplace.before(
        "apply_patch", "codex", command=f"*** Begin Patch\n*** Add File: big.txt\n{body}*** End Patch"
    )

    assert ran.passed, ran.err
    assert workplace.leased_by("ada") == ["big.txt"]


@contextlib.contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does something odd with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    talk(server.accept()[0])

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _trickle(channel: socket.socket) -> None:
    with contextlib.suppress(OSError):
        channel.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        while True:
            channel.sendall(b" ")
            time.sleep(0.2)


_KEPT: list[socket.socket] = []


@pytest.mark.parametrize(
    "talk",
    [
        _KEPT.append,
        _trickle,
        lambda channel: channel.close(),
        lambda channel: channel.sendall(b"SSH-2.0-OpenSSH_9.6\r\n") or channel.close(),
        lambda channel: channel.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html>") or channel.close(),
    ],
    ids=["silent", "trickling", "hanging up", "another protocol", "cut off"],
)
def test_a_daemon_that_does_not_answer_closes_in_time(
    workplace: Workplace, talk: Callable[[socket.socket], None]
) -> None:
    with listening(talk) as url:
        ran = workplace.edit("src/app.py", CONDUCTOR_URL=url)

    assert ran.closed, ran


@pytest.mark.parametrize(
    "answer",
    [
        Answered(500, {"code": "internal", "message": "A defect."}),
        Answered(502, "<html>Bad Gateway"),
        Answered(503, {"code": "unavailable", "message": "Starting."}),
        Answered(200, "[]"),
        HANG_UP,
    ],
)
def test_a_daemon_that_answers_with_an_outage_closes(workplace: Workplace, double: Double, answer: object) -> None:
    double.script("acquire_lock", answer)

    assert workplace.edit("src/app.py", CONDUCTOR_URL=double.url).closed


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "ftp://nowhere", "http://no.such.host.invalid:1", "nonsense", "http://a:99999"]
)
def test_an_address_where_nobody_answers_is_refused_in_one_sentence(workplace: Workplace, url: str) -> None:
    ran = workplace.edit("src/app.py", CONDUCTOR_URL=url)

    assert ran.closed or ran.denial
    assert ran.seconds < workplaces.WITHIN_S


def test_a_home_without_a_daemon_closes(workplace: Workplace, tmp_path: Path) -> None:
    assert workplace.edit("src/app.py", CONDUCTOR_HOME=str(tmp_path / "nowhere")).closed


def test_a_dead_daemons_port_is_not_given_a_token(workplace: Workplace, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    asked: list[socket.socket] = []
    with listening(asked.append) as url:
        said = {"pid": dead.pid, "url": url, "started_at": "", "version": ""}
        (home / "daemon.json").write_text(json.dumps(said))

        ran = workplace.edit("src/app.py", CONDUCTOR_HOME=str(home))

    assert ran.closed
    assert not asked


@pytest.mark.parametrize(
    ("agent", "advice"), [("", "--agent NAME"), ("nobody", "conductor init"), ("../owner", "letters, digits")]
)
def test_without_a_token_an_edit_closes_with_what_to_do(workplace: Workplace, agent: str, advice: str) -> None:
    ran = workplace.edit("src/app.py", CONDUCTOR_TOKEN="", CONDUCTOR_AGENT=agent, CONDUCTOR_OFFLINE="1")

    assert ran.closed
    assert advice in ran.err


def test_a_token_that_has_ended_is_denied(workplace: Workplace) -> None:
    workplace.daemon.call("revoke_token", token_id=f"tok_{workplace.token.split('_')[2]}")

    ran = workplace.edit("src/app.py")

    for words in ("token", "conductor init", "conductor agent register NAME"):
        assert words in ran.denial
    assert "Authorization" not in ran.denial
    assert workplace.token not in ran.out + ran.err


def test_after_a_tool_a_token_that_nobody_has_is_told_with_how_to_get_one(workplace: Workplace) -> None:
    ran = workplace.hook("post-tool", workplace.tool("Edit"), CONDUCTOR_TOKEN="cdr_agt_none_none")

    assert ran.code == 1
    assert "conductor init" in ran.err
    assert "Authorization" not in ran.err


def test_a_defect_of_the_hook_closes(workplace: Workplace) -> None:
    broken = "from conductor.cli.quick import judging; judging.judge = None; "

    ran = subprocess.run(
        [workplaces.COMMAND[0], "-c", broken + workplaces.COMMAND[2], "hook", "pre-tool"],
        input=json.dumps(workplace.tool("Edit", file_path="src/app.py")),
        capture_output=True,
        text=True,
        env=workplace.environ(),
        timeout=30,
        check=False,
    )

    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_offline_opens_and_each_edit_is_recorded_on_return(workplace: Workplace) -> None:
    away = {"CONDUCTOR_URL": "http://127.0.0.1:9", "CONDUCTOR_OFFLINE": "1"}

    passed = [workplace.edit(f"src/{name}.py", **away) for name in ("one", "two")]
    before = _recorded(workplace)
    for _ in range(2):
        workplace.hook("post-tool", workplace.tool("Edit"))

    assert all(ran.passed for ran in passed), passed
    assert before == []
    assert [(event["actor"], event["facts"]["metadata"]["paths"]) for event in _recorded(workplace)] == [
        ("agent:ada", "src/one.py"),
        ("agent:ada", "src/two.py"),
    ]


def test_the_two_hooks_of_an_offline_commit_make_one_entry(tmp_path: Path) -> None:
    place = Home(tmp_path)

    for paths in (["a.py"], ["a.py", "b.py"], ["c.py"], ["c.py"]):
        offline.keep(place, "ada", "git commit", paths, "No daemon answers.")
    for _ in range(2):
        offline.keep(place, "bob", "Edit", ["d.py"], "No daemon answers.")
    for _ in range(2):
        offline.keep(place, "bob", "git commit", ["d.py"], "No daemon answers.")

    kept = [json.loads(line) for line in (tmp_path / "offline.jsonl").read_text().splitlines()]
    assert [(entry["agent"], entry["tool"], entry["paths"]) for entry in kept] == [
        ("ada", "git commit", ["a.py", "b.py"]),
        ("ada", "git commit", ["c.py"]),
        ("bob", "Edit", ["d.py"]),
        ("bob", "Edit", ["d.py"]),
        ("bob", "git commit", ["d.py"]),
    ]
    assert len({entry["key"] for entry in kept}) == 5


def test_offline_leaves_another_agents_entries_to_it(workplace: Workplace) -> None:
    workplace.edit("src/one.py", CONDUCTOR_URL="http://127.0.0.1:9", CONDUCTOR_OFFLINE="1")
    bob = workplace.register("bob")

    workplace.hook("post-tool", workplace.tool("Edit"), CONDUCTOR_TOKEN=bob)
    before = _recorded(workplace)
    workplace.hook("post-tool", workplace.tool("Edit"))

    assert before == []
    assert len(_recorded(workplace)) == 1


def test_offline_does_not_open_what_the_daemon_refuses(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")

    assert "bob" in workplace.edit("src/held.py", CONDUCTOR_OFFLINE="1").denial
    assert "token" in workplace.edit("src/app.py", CONDUCTOR_OFFLINE="1", CONDUCTOR_TOKEN="cdr_agt_none_none").denial


def test_offline_does_not_open_what_it_cannot_record(workplace: Workplace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    ran = workplace.edit("src/app.py", CONDUCTOR_HOME=str(tmp_path / "file/home"), CONDUCTOR_OFFLINE="1")

    assert ran.closed


def _recorded(workplace: Workplace) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = workplace.call("list_events", since=0, limit=200)["items"]
    return [event for event in events if "CONDUCTOR_OFFLINE" in json.dumps(event["facts"])]
