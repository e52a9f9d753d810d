"""Real coding agents edit in a repository that `conductor init` set up: what is free is theirs, what is held is not.

Only what the models say is scripted: the clients read what the set-up wrote, start the hooks and the bridge, and obey.
All three run their hooks without the internet and without a person. Claude Code does so as it is; Codex in a folder
that its configuration trusts, with `--dangerously-bypass-hook-trust` for the yes that a person gives in `/hooks`;
Gemini CLI with GEMINI_CLI_TRUST_WORKSPACE: under `--skip-trust` alone it works, but reads no hooks of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.daemon import eventually
from tests.support.model_servers import Call, Say, Shown, Story
from tests.system.coding_agents import CODING_AGENTS, ClaudeCode, Codex, CodingAgent, GeminiCli
from tests.system.conftest import Checkout

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

_COMMIT = "git -c user.name=Ada -c user.email=ada@example.org commit"
_NOBODY = "http://127.0.0.1:9"

every_agent = pytest.mark.parametrize("agent", CODING_AGENTS, ids=lambda agent: agent.name)
every_way = pytest.mark.parametrize(
    ("agent", "by_http"),
    [
        pytest.param(ClaudeCode(permissions="acceptEdits"), False, id="claude-code-stdio-acceptEdits"),
        pytest.param(ClaudeCode(permissions="bypassPermissions"), False, id="claude-code-stdio-bypassPermissions"),
        pytest.param(ClaudeCode(permissions="acceptEdits"), True, id="claude-code-http-acceptEdits"),
        pytest.param(ClaudeCode(permissions="bypassPermissions"), True, id="claude-code-http-bypassPermissions"),
        pytest.param(Codex(), False, id="codex-stdio"),
        pytest.param(GeminiCli(), False, id="gemini-cli-stdio"),
    ],
)


@every_agent
def test_a_free_file_is_edited_and_is_then_leased_by_its_agent(agent: CodingAgent, checkout: Checkout) -> None:
    name = checkout.set_up(agent)
    seen: list[Shown] = []

    def story() -> Story:
        yield from _do(agent.edit(checkout.path("src/free.py"), "free = 1", "free = 2"))
        seen.append((yield Call("list_locks")))
        yield Say("all done")

    checkout.live(agent, story())

    [locks] = seen
    assert checkout.path("src/free.py").read_text() == "free = 2\n"
    for words in ("src/free.py", name, "exclusive"):
        assert words in locks.text
    assert checkout.project.call("list_locks")["items"] == [], "what is bound to no task is given back at the end"


@every_way
def test_a_held_file_is_refused_and_the_model_goes_elsewhere_and_completes(
    agent: CodingAgent, by_http: bool, checkout: Checkout
) -> None:
    name = checkout.set_up(agent)
    environment = checkout.connect_by_http(name) if by_http else {}
    project = checkout.project
    project.daemon.call("acquire_lock", project.register("bob"), paths=["src/held.py"])
    task = project.call("create_task", title="Count on", description="to two", files=["src/other.py"])
    seen: list[Shown] = []

    def story() -> Story:
        seen.append((yield from _do(agent.edit(checkout.path("src/held.py"), "held = 1", "held = 2"))))
        claimed = yield Call("claim_task")
        yield from _do(agent.edit(checkout.path("src/other.py"), "other = 1", "other = 2"))
        task_id = claimed.first("tsk_[a-z0-9]+")
        yield Call("complete_task", {"task_id": task_id, "attempt": 1, "result": "counted"})
        yield Say("all done")

    checkout.live(agent, story(), environment)

    [denied] = seen
    _assert_refused(denied, "src/held.py")
    assert checkout.path("src/held.py").read_text() == "held = 1\n"
    assert checkout.path("src/other.py").read_text() == "other = 2\n"
    assert project.call("get_task", task_id=task["id"])["result"] == "counted"
    assert [lock["agent_id"] for lock in project.call("list_locks")["items"]] == ["bob"]
    assert "lock.granted" in project.did(f"agent:{name}")


@every_agent
def test_a_command_that_changes_a_held_file_is_refused(agent: CodingAgent, checkout: Checkout) -> None:
    checkout.set_up(agent)
    project = checkout.project
    project.daemon.call("acquire_lock", project.register("bob"), paths=["src/held.py"])
    seen: list[Shown] = []

    def story() -> Story:
        seen.append((yield agent.shell("sed -i s/1/2/ src/held.py")))
        seen.append((yield agent.shell("sed -i s/1/2/ src/free.py")))
        yield Say("all done")

    checkout.live(agent, story())

    refused, _ = seen
    _assert_refused(refused, "src/held.py")
    assert checkout.path("src/held.py").read_text() == "held = 1\n"
    assert checkout.path("src/free.py").read_text() == "free = 2\n", "commands that name what is free are run"


@every_agent
def test_who_waits_as_the_refusal_says_edits_once_the_holder_is_done(agent: CodingAgent, checkout: Checkout) -> None:
    checkout.set_up(agent)
    project = checkout.project
    bob = project.register("bob")
    project.daemon.call("acquire_lock", bob, paths=["src/held.py"])
    seen: list[Shown] = []

    def done_when_waited_for() -> None:
        eventually(lambda: project.call("list_locks")["waiting"], "somebody waits for src/held.py", within_s=40)
        project.daemon.call("release_lock", bob, all=True)

    def story() -> Story:
        refused = yield from _do(agent.edit(checkout.path("src/held.py"), "held = 1", "held = 2"))
        told = refused.first(r"conductor_acquire_lock \{[^}]*\}").partition(" ")[2]
        seen.append((yield Call("acquire_lock", json.loads(told))))
        yield from _do(agent.edit(checkout.path("src/held.py"), "held = 1", "held = 2"))
        yield Say("all done")

    with ThreadPoolExecutor(1) as bobs:
        done = bobs.submit(done_when_waited_for)
        checkout.live(agent, story())
        done.result()

    [granted] = seen
    assert "granted" in granted.text
    assert checkout.path("src/held.py").read_text() == "held = 2\n"


@pytest.mark.parametrize("agent", [ClaudeCode(), Codex()], ids=lambda agent: agent.name)
def test_a_commit_names_its_lease_and_is_refused_without_one(agent: CodingAgent, checkout: Checkout) -> None:
    """Not with Gemini CLI: it sets `core.hooksPath` to nothing for every command it runs, so git runs no hook there."""
    checkout.set_up(agent)
    seen: list[Shown] = []

    def story() -> Story:
        yield from _do(agent.edit(checkout.path("src/free.py"), "free = 1", "free = 2"))
        seen.append((yield Call("list_locks")))
        yield agent.shell(f"{_COMMIT} -am leased")
        # A tool that no hook looks at: only the gate of git sees what it did.
        checkout.path("src/other.py").write_text("other = 2\n")
        seen.append((yield agent.shell(f"{_COMMIT} -am unleased")))
        yield Say("all done")

    checkout.live(agent, story())

    locks, refused = seen
    assert checkout.repository.git("log", "-1", "--format=%s") == "leased"
    lock_id, token = locks.first("lck_[a-z0-9]+"), locks.first('(?<="token":)[0-9]+')
    assert checkout.repository.git("log", "-1", "--format=%b") == f"Conductor-Lock: {lock_id}#{token}"
    for words in ("src/other.py", "not_locked", "acquire_lock"):
        assert words in refused.text


@every_agent
@pytest.mark.parametrize("what", ["daemon", "program"])
def test_nothing_is_edited_while_nobody_can_be_asked(agent: CodingAgent, what: str, checkout: Checkout) -> None:
    checkout.set_up(agent)
    if what == "program":
        checkout.lose_the_program()
    seen: list[Shown] = []

    def story() -> Story:
        seen.append((yield from _do(agent.edit(checkout.path("src/free.py"), "free = 1", "free = 2"))))
        yield Say("all done")

    checkout.live(agent, story(), {"CONDUCTOR_URL": _NOBODY} if what == "daemon" else {})

    [refused] = seen
    assert {"daemon": "conductor up", "program": "/nowhere/conductor"}[what] in refused.text
    assert checkout.path("src/free.py").read_text() == "free = 1\n"


@every_agent
def test_the_model_is_told_who_it_is_at_the_beginning(agent: CodingAgent, checkout: Checkout) -> None:
    name = checkout.set_up(agent)

    def story() -> Story:
        yield Say("all done")

    told = checkout.live(agent, story())

    assert f"you are {name} " in told


def _do(calls: Iterable[Call]) -> Generator[Call | Say, Shown, Shown]:
    """Have the model call one after the other; gives what it was shown of the last."""
    for call in calls:
        shown = yield call
    return shown


def _assert_refused(shown: Shown, name: str) -> None:
    """The model must be able to read who holds what, and both ways on."""
    assert shown.is_error is not False
    for words in (name, "bob", "conductor_acquire_lock", "wait_s", "conductor_claim_task"):
        assert words in shown.text
