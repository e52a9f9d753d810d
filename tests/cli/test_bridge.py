"""`conductor mcp`: MCP for clients that start a process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli import workplace as workplaces
from tests.cli.bridge_client import Client, connected
from tests.cli.double import Double
from tests.cli.workplace import Workplace
from tests.support import daemon as daemons
from tests.support.daemon import DaemonProcess

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
def client(workplace: Workplace) -> Iterator[Client]:
    """A client of ada's that has shaken hands."""
    with connected(workplace.environ()) as client:
        client.initialize()
        yield client


def test_a_handshake_is_what_the_daemon_says_of_itself(workplace: Workplace) -> None:
    with connected(workplace.environ()) as client:
        said = client.initialize()

    assert said["result"]["protocolVersion"] == "2025-06-18"
    assert "conductor_start_session" in said["result"]["instructions"]


def test_the_tools_are_those_of_the_agents_role(client: Client) -> None:
    names = {tool["name"] for tool in client.ask("tools/list")["result"]["tools"]}

    assert "conductor_claim_task" in names
    assert "conductor_create_project" not in names


def test_a_tool_works_in_the_agents_name(workplace: Workplace, client: Client) -> None:
    result = client.call("acquire_lock", paths=["src/app.py"])

    assert result["structuredContent"]["status"] == "granted"
    assert workplace.leased_by("ada") == ["src/app.py"]


def test_a_refusal_arrives_whole(workplace: Workplace, client: Client) -> None:
    workplace.holds("bob", "src/held.py")

    result = client.call("acquire_lock", paths=["src/held.py"])

    assert result["isError"] is True
    assert result["structuredContent"]["code"] == "lock_held"


def test_each_bridge_is_its_own_agent(workplace: Workplace) -> None:
    bob = workplace.environ(CONDUCTOR_TOKEN=workplace.register("bob"))

    with connected(workplace.environ()) as first, connected(bob) as second:
        names = [client.call("whoami")["structuredContent"]["agent_id"] for client in (first, second)]

    assert names == ["ada", "bob"]


def test_the_era_without_handshake_works_too(client: Client) -> None:
    said = client.ask("tools/call", name="conductor_whoami", arguments={}, _meta=MODERN)

    assert said["result"]["structuredContent"]["agent_id"] == "ada"
    assert said["result"]["resultType"] == "complete"


def test_resources_and_prompts_are_carried(client: Client) -> None:
    assert client.ask("resources/list")["result"]["resources"]
    assert client.ask("prompts/list")["result"]["prompts"]


def test_a_ping_is_answered_without_the_daemon(workplace: Workplace) -> None:
    with connected(workplace.environ(CONDUCTOR_URL="http://127.0.0.1:9")) as client:
        assert client.ask("ping")["result"] == {}


def test_a_call_that_waits_holds_up_no_other(workplace: Workplace, client: Client) -> None:
    waiting = client.request("tools/call", name="conductor_read_messages", arguments={"wait_s": 30})

    meanwhile = client.call("whoami")
    workplace.call("send_message", to="ada", text="here it is")
    said = client.next()

    assert meanwhile["structuredContent"]["agent_id"] == "ada"
    assert said["id"] == waiting
    assert said["result"]["structuredContent"]["items"][0]["text"] == "here it is"


def test_a_cancelled_call_is_given_up_and_never_answered(workplace: Workplace, client: Client) -> None:
    waiting = client.request("tools/call", name="conductor_read_messages", arguments={"wait_s": 30})
    client.call("whoami")

    client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": waiting}})
    client.call("whoami")
    workplace.call("send_message", to="ada", text="for the next one")

    # What was given up takes no message: the next call gets it.
    assert client.call("read_messages", wait_s=10)["structuredContent"]["items"][0]["text"] == "for the next one"
    assert client.is_silent


def test_the_end_of_the_input_ends_the_bridge_and_what_it_waits_for(workplace: Workplace, client: Client) -> None:
    client.request("tools/call", name="conductor_read_messages", arguments={"wait_s": 50})
    client.call("whoami")
    began = time.monotonic()

    code = client.end()

    assert code == 0
    assert time.monotonic() - began < 5
    workplace.call("send_message", to="ada", text="for the next one")
    with connected(workplace.environ()) as other:
        assert len(other.call("read_messages", wait_s=10)["structuredContent"]["items"]) == 1


def test_what_is_piped_in_is_answered_before_the_end(workplace: Workplace) -> None:
    ran = workplace.run("mcp", said={"jsonrpc": "2.0", "id": "a", "method": "tools/list"})

    assert ran.code == 0
    assert ran.said["id"] == "a"
    assert ran.said["result"]["tools"]


def test_a_wait_for_a_lock_tells_its_progress_and_ends_with_the_grant(workplace: Workplace, client: Client) -> None:
    workplace.holds("bob", "src/held.py")
    arguments = {"paths": ["src/held.py"], "wait_s": 30}
    waiting = client.request(
        "tools/call", name="conductor_acquire_lock", arguments=arguments, _meta={"progressToken": 7}
    )

    progress = client.next()
    workplace.call("release_lock", all=True, force=True, agent_id="bob")
    while (said := client.next()).get("id") != waiting:
        continue

    assert progress["method"] == "notifications/progress"
    assert progress["params"]["progressToken"] == 7
    assert "bob" in json.dumps(progress)
    assert said["result"]["structuredContent"]["status"] == "granted"


def test_a_cancelled_wait_leaves_the_line(workplace: Workplace, client: Client) -> None:
    workplace.holds("bob", "src/held.py")
    waiting = client.request(
        "tools/call", name="conductor_acquire_lock", arguments={"paths": ["src/held.py"], "wait_s": 50}
    )
    daemons.eventually(lambda: workplace.call("list_locks")["waiting"], "ada waits in line")

    client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": waiting}})

    daemons.eventually(lambda: not workplace.call("list_locks")["waiting"], "nobody waits")
    assert client.is_silent


def test_progress_is_carried_before_the_result(workplace: Workplace) -> None:
    event = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}}
    result = {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}
    stream = "".join(f"event: message\r\ndata: {json.dumps(each)}\r\n\r\n" for each in (event, result))

    with (
        _streaming(": a comment\r\n\r\ndata: \r\n\r\n" + stream) as url,
        connected(workplace.environ(CONDUCTOR_URL=url)) as client,
    ):
        client.request("tools/call", name="conductor_acquire_lock", arguments={}, _meta={"progressToken": 7})

        assert [client.next(), client.next()] == [event, result]


def test_a_stream_that_breaks_off_is_answered_all_the_same(workplace: Workplace) -> None:
    half = 'data: {"jsonrpc": "2.0", "method": "notifications/progress"}\r\n\r\n'
    with _streaming(half) as url, connected(workplace.environ(CONDUCTOR_URL=url)) as client:
        said = client.ask("tools/call", name="conductor_acquire_lock", arguments={})

    assert said["result"]["isError"] is True
    assert "try again" in said["result"]["content"][0]["text"]


@contextlib.contextmanager
def _streaming(text: str) -> Iterator[str]:
    """A server that answers everything with a stream, in chunks of odd sizes."""
    parts = [text.encode()[place : place + 17] for place in range(0, len(text), 17)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    channel = server.accept()[0]
                    channel.recv(65536)
                    channel.sendall(head + chunks)
                    channel.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense\n", -32700),
        (b"\xff\xfe\n", -32700),
        (b"[" * 100_000 + b"\n", -32700),
        (b"[]\n", -32600),
        (b"7\n", -32600),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "ping"}\n', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}\n', -32600),
        (b'"' + b"x" * 6_000_000 + b'"\n', -32600),
    ],
    ids=["text", "bytes", "deep", "list", "number", "odd id", "odd method", "too long"],
)
def test_garbage_is_refused_and_the_bridge_goes_on(workplace: Workplace, line: bytes, code: int) -> None:
    with connected(workplace.environ()) as client:
        client.send(line)
        said = client.next()

        assert (said["error"]["code"], said["id"]) == (code, None)
        assert client.call("whoami")["structuredContent"]["agent_id"] == "ada"


def test_what_needs_no_answer_gets_none(workplace: Workplace) -> None:
    with connected(workplace.environ()) as client:
        client.send(b"\n  \n")
        client.send({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
        client.send({"jsonrpc": "2.0", "id": 5, "result": {}})
        client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": {"a": 1}}})
        client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 7})

        assert client.ask("ping")["result"] == {}
        assert client.is_silent


def test_an_unknown_method_is_refused_as_the_daemon_refuses_it(client: Client) -> None:
    assert client.ask("no/such")["error"]["code"] == -32601


def test_line_breaks_never_tear_a_message(workplace: Workplace, client: Client) -> None:
    workplace.call("send_message", to="ada", text="one\ntwo\u2028three\r\nfour")

    assert client.call("read_messages")["structuredContent"]["items"][0]["text"] == "one\ntwo\u2028three\r\nfour"


def test_a_name_with_a_line_break_becomes_no_header(client: Client) -> None:
    said = client.ask("tools/call", name="a\r\nX-Evil: 1", arguments={}, _meta=MODERN)

    assert "error" in said or said["result"]["isError"]


def test_without_a_daemon_the_handshake_and_each_tool_say_what_to_do(workplace: Workplace) -> None:
    with connected(workplace.environ(CONDUCTOR_URL="http://127.0.0.1:9")) as client:
        hello = client.initialize()
        tools = client.ask("tools/list")
        result = client.call("claim_task")

    assert "conductor up" in hello["result"]["instructions"]
    assert "conductor up" in tools["error"]["message"]
    assert result["isError"] is True
    assert "conductor up" in result["content"][0]["text"]


def test_a_daemon_that_comes_later_is_announced(workplace: Workplace) -> None:
    with Double() as gone:
        url = gone.url
    with connected(workplace.environ(CONDUCTOR_URL=url)) as client:
        client.initialize()

        port = int(url.rpartition(":")[2])
        with _at(port):
            assert client.next()["method"] == "notifications/tools/list_changed"


@contextlib.contextmanager
def _at(port: int) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield
        server.shutdown()


def test_a_token_that_has_ended_is_said_at_the_handshake(workplace: Workplace) -> None:
    with connected(workplace.environ(CONDUCTOR_TOKEN="cdr_agt_none_none")) as client:
        assert "unauthenticated" in client.initialize()["error"]["message"]


def test_without_a_token_it_says_what_to_set(workplace: Workplace) -> None:
    with connected(workplace.environ(CONDUCTOR_TOKEN="")) as client:
        assert "--agent NAME" in client.initialize()["error"]["message"]


def test_two_calls_with_one_id_are_not_mixed_up(workplace: Workplace) -> None:
    with connected(workplace.environ()) as client:
        call = {"name": "conductor_read_messages", "arguments": {"wait_s": 20}}
        for _ in range(2):
            client.send({"jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": call})

        assert "under way" in client.next()["error"]["message"]


def test_a_wrong_option_is_refused(workplace: Workplace) -> None:
    assert workplace.run("mcp", "--nonsense").code == 2
    assert workplace.run("mcp", "word").code == 2


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A home whose daemon has stopped, with the agent ada; whatever runs in it is ended afterwards."""
    process = DaemonProcess(tmp_path / "home")
    process.start()
    token = process.call("register_agent", agent_id="ada", name="ada")["token"]
    (process.home / "agents").mkdir(mode=0o700)
    file = process.home / "agents" / "ada.token"
    file.write_text(token)
    file.chmod(0o600)
    (process.home / "conductor.toml").write_text("[server]\nport = 0\n")
    process.stop()
    yield process
    process.close()
    said = process.home / "daemon.json"
    if said.exists():
        pid = json.loads(said.read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
        daemons.eventually(lambda: not said.exists(), "the started daemon has stopped", within_s=20)


def test_autostart_starts_one_daemon_for_all_who_ask_at_once(sleeping: DaemonProcess) -> None:
    environ = workplaces.environment(CONDUCTOR_HOME=str(sleeping.home))

    with (
        connected(environ, "--agent", "ada", "--autostart") as first,
        connected(environ, "--agent", "ada", "--autostart") as second,
    ):
        asked = [client.request("tools/call", name="conductor_whoami", arguments={}) for client in (first, second)]
        said = [client.next() for client in (first, second)]

    assert [each["id"] for each in said] == asked
    assert [each["result"]["structuredContent"]["agent_id"] for each in said] == ["ada", "ada"]
    assert (sleeping.home / "daemon.json").exists(), "the daemon outlives who started it"


def test_an_autostart_that_fails_says_why(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "conductor.toml").write_text("nonsense = 1\n")

    with connected(workplaces.environment(CONDUCTOR_HOME=str(home), CONDUCTOR_TOKEN="any"), "--autostart") as client:
        result = client.call("whoami")

    assert result["isError"] is True
    for words in ("did not start", "nonsense", "autostart.log"):
        assert words in result["content"][0]["text"]


def test_help_says_that_a_persons_token_is_passed_over_for_the_named_agents(tmp_path: Path) -> None:
    ran = workplaces.run("mcp", "--help", environ=workplaces.environment(), cwd=tmp_path)

    assert "a person's token is passed over when an agent is named" in " ".join(ran.out.split())
