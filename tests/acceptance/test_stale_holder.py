"""A stale holder changes nothing: it slept beyond its lease, another was granted it, and each gate turns it away.

Refused at the hook, at the commit, at the push and, with `--no-verify`, at the server that receives. And the other
way round: who gave its lease back in order before it pushed is let through.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.gate import trailer
from tests.cli.gates import Repository, agent_named, environment
from tests.support.daemon import DaemonProcess, eventually, installed, running

PATH = "src/app.py"


@dataclass
class Desk:
    """An agent at work: its clone with all local gates, its token, and the hook of its client."""

    name: str
    daemon: DaemonProcess
    token: str
    clone: Repository

    def edits(self, text: str, path: str = PATH) -> str:
        """Edit a file as its client would, hook first; gives why the hook forbids it, else nothing."""
        said = {
            "hook_event_name": "PreToolUse",
            "tool_name": "Edit",
            "tool_input": {"file_path": str(self.clone.folder / path)},
            "cwd": str(self.clone.folder),
            "session_id": "s1",
        }
        done = subprocess.run(
            [installed("conductor"), "hook", "pre-tool", "--client", "claude"],
            input=json.dumps(said),
            env=self.clone.environ,
            cwd=self.clone.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode or '"deny"' in done.stdout:
            return done.stdout + done.stderr
        self.clone.write(path, text=text)
        return ""

    def stage(self) -> None:
        self.clone("add", "--all")

    def calls(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self.daemon.call(operation, self.token, **arguments)

    def tries(self, *arguments: str) -> str:
        """Run git; gives what it said when a gate refused, else nothing."""
        done = self.clone.tried(*arguments)
        return done.stderr if done.returncode else ""


@dataclass
class Shop:
    """A daemon, the repository that receives, and two agents with a clone each."""

    daemon: DaemonProcess
    bare: Repository
    ada: Desk
    bob: Desk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for the tests that leave it alone; each has a project of its own."""
    with running(tmp_path_factory.mktemp("gates")) as process:
        yield process


@pytest.fixture
def shop(shared: DaemonProcess, tmp_path: Path) -> Shop:
    return _shop(shared, tmp_path)


def _shop(daemon: DaemonProcess, tmp_path: Path) -> Shop:
    project = daemon.call("create_project", name=f"Shop {secrets.token_hex(4)}")["id"]
    service = daemon.call("create_token", kind="svc", project_id=project, name="git")["token"]
    plain = environment(tmp_path, CONDUCTOR_HOME=str(tmp_path / "elsewhere"))
    bare = Repository.make(tmp_path / "shop.git", plain, "--bare")
    (tmp_path / "git.token").write_text(service)
    (tmp_path / "git.token").chmod(0o600)
    bare("config", "conductor.url", daemon.url)
    bare("config", "conductor.token-file", str(tmp_path / "git.token"))
    first = Repository.make(tmp_path / "first", plain)
    first.commit(PATH, "README.md", text="one\n")
    first("push", "--quiet", str(bare.folder), "main")
    bare.hook("pre-receive")
    return Shop(
        daemon,
        bare,
        _desk("ada", daemon, project, bare, tmp_path),
        _desk("bob", daemon, project, bare, tmp_path),
    )


def test_a_holder_that_slept_beyond_its_lease_is_refused_at_every_gate(daemon: DaemonProcess, tmp_path: Path) -> None:
    shop = _shop(daemon, tmp_path)
    ada, bob = shop.ada, shop.bob
    lock = _leased(ada, ttl_s=60)
    assert ada.edits("ada's\n") == ""
    ada.stage()

    # Ada's machine sleeps; her lease ends, bob is granted it and his change arrives.
    _ends(shop, ada)
    assert bob.edits("bob's\n") == ""
    bob.stage()
    assert bob.tries("commit", "-m", "bob's") == ""
    assert bob.tries("push", "origin", "main") == ""
    arrived = shop.bare("rev-parse", "main")

    # Ada wakes and goes on as if nothing had been: at the hook,
    at_hook = ada.edits("ada's again\n")
    assert "bob" in at_hook

    # at the commit,
    at_commit = ada.tries("commit", "-m", "ada's")
    assert f"{PATH}: locked_by_other: bob leases" in at_commit
    assert ada.clone("log", "--format=%s") == "work"

    # at the push, when the commit was made past the gates,
    ada.clone("commit", "--quiet", "--no-verify", "-m", f"ada's\n\n{trailer.NAME}: {lock['id']}#{lock['token']}")
    at_push = ada.tries("push", "origin", "main:ada")
    assert f"{PATH} in " in at_push
    assert "stale_token" in at_push
    assert "failed to push" in at_push

    # and at the server that receives, where nothing is skipped: by the lease that the commit names,
    at_server = ada.tries("push", "--no-verify", "origin", "main:ada")
    assert "pre-receive hook declined" in at_server
    assert f"remote:   {PATH} in " in at_server
    assert "stale_token" in at_server
    # by what ada holds now, when it names none,
    ada.clone("commit", "--quiet", "--amend", "--no-verify", "-m", "ada's, without a word")
    assert "locked_by_other" in ada.tries("push", "--no-verify", "origin", "main:ada")
    # and in a person's name.
    as_jane = Repository(ada.clone.folder, {**ada.clone.environ, **agent_named("jane")})
    as_jane("commit", "--quiet", "--amend", "--no-verify", "--reset-author", "-m", "jane's")
    assert "locked_by_other" in ada.tries("push", "--no-verify", "origin", "main:ada")

    assert shop.bare("for-each-ref", "--format=%(refname) %(objectname)") == f"refs/heads/main {arrived}"


def test_what_was_committed_under_a_lease_that_was_given_back_is_received_later(shop: Shop) -> None:
    ada, bob = shop.ada, shop.bob
    lock = _leased(ada)
    assert ada.edits("ada's\n") == ""
    ada.stage()
    assert ada.tries("commit", "-m", "ada's") == ""
    named = trailer.read(ada.clone("log", "-1", "--format=%B"))
    ada.calls("release_lock", all=True)
    # What another is granted elsewhere meanwhile is no matter.
    bob.calls("acquire_lock", paths=["docs/"])

    assert ada.tries("push", "origin", "main") == ""

    assert [(fence.lock_id, fence.token) for fence in named] == [(lock["id"], lock["token"])]
    assert shop.bare("log", "-1", "--format=%s", "main") == "ada's"


def test_a_lease_that_was_given_back_and_granted_to_another_is_stale_also_when_that_one_ended(shop: Shop) -> None:
    ada, bob = shop.ada, shop.bob
    _leased(ada)
    assert ada.edits("ada's\n") == ""
    ada.stage()
    assert ada.tries("commit", "-m", "ada's") == ""
    ada.calls("release_lock", all=True)
    assert bob.edits("bob's\n") == ""
    bob.stage()
    assert bob.tries("commit", "-m", "bob's") == ""
    assert bob.tries("push", "origin", "main") == ""
    bob.calls("release_lock", all=True)

    said = ada.tries("push", "--no-verify", "--force", "origin", "main")

    assert "stale_token" in said
    assert shop.bare("log", "-1", "--format=%s", "main") == "bob's"


def test_after_a_new_lease_the_change_made_anew_is_received(shop: Shop) -> None:
    ada, bob = shop.ada, shop.bob
    _leased(ada)
    ada.calls("release_lock", all=True)
    assert bob.edits("bob's\n") == ""
    bob.stage()
    assert bob.tries("commit", "-m", "bob's") == ""
    assert bob.tries("push", "origin", "main") == ""
    bob.calls("release_lock", all=True)

    ada.clone("pull", "--quiet", "--rebase", "origin", "main")
    assert ada.edits("both's\n") == ""
    ada.stage()

    assert ada.tries("commit", "-m", "both's") == ""
    assert ada.tries("push", "origin", "main") == ""
    assert shop.bare("log", "-1", "--format=%s", "main") == "both's"


def test_a_merge_of_what_others_did_needs_no_lease_and_a_change_hidden_in_it_does(shop: Shop) -> None:
    ada, bob = shop.ada, shop.bob
    assert bob.edits("bob's\n") == ""
    bob.stage()
    assert bob.tries("commit", "-m", "bob's") == ""
    assert bob.tries("push", "origin", "main") == ""
    assert ada.edits("ada's\n", "docs/a.md") == ""
    ada.stage()
    assert ada.tries("commit", "-m", "ada's") == ""
    ada.clone("fetch", "--quiet", "origin")

    ada.clone("merge", "--quiet", "--no-edit", "origin/main")
    honest = ada.tries("push", "origin", "main")
    ada.clone("reset", "--quiet", "--hard", "HEAD~1")
    ada.clone("merge", "--quiet", "--no-commit", "--no-ff", "origin/main")
    ada.clone.write(PATH, text="evil\n")
    ada.stage()
    ada.clone("commit", "--quiet", "--no-verify", "-m", "a merge")
    evil = ada.tries("push", "--no-verify", "origin", "main:evil")

    assert honest == ""
    assert f"{PATH} in " in evil
    assert "docs/a.md" not in evil


def test_a_large_push_is_judged_in_seconds(shop: Shop) -> None:
    ada = shop.ada
    ada.calls("acquire_lock", paths=["generated/"])
    ada.clone.write(*(f"generated/d{number % 50}/f{number}" for number in range(5000)))
    ada.stage()
    assert ada.tries("commit", "--quiet", "-m", "generated") == ""
    began = time.monotonic()

    said = ada.tries("push", "--no-verify", "origin", "main")

    assert said == ""
    assert time.monotonic() - began < 10


def test_a_daemon_that_is_away_closes_the_gates(shop: Shop) -> None:
    ada = shop.ada
    _leased(ada)
    ada.clone.write(PATH, text="ada's\n")
    ada.stage()
    # Nobody listens there: as if the daemon had gone.
    away = "http://127.0.0.1:1"
    ada.clone.environ["CONDUCTOR_URL"] = away
    shop.bare("config", "conductor.url", away)

    at_commit = ada.tries("commit", "-m", "ada's")
    ada.clone("commit", "--quiet", "--no-verify", "-m", "ada's")
    at_server = ada.tries("push", "--no-verify", "origin", "main")

    assert "cannot be checked: No daemon answers" in at_commit
    assert "No daemon answers" in at_server
    assert shop.bare("log", "-1", "--format=%s", "main") == "work"


def _desk(name: str, daemon: DaemonProcess, project: str, bare: Repository, folder: Path) -> Desk:
    token = daemon.call("register_agent", project_id=project, agent_id=name, name=name)["token"]
    environ = environment(
        folder,
        CONDUCTOR_HOME=str(folder / "elsewhere"),
        CONDUCTOR_URL=daemon.url,
        CONDUCTOR_TOKEN=token,
        **agent_named(name),
    )
    Repository(folder, environ)("clone", "--quiet", str(bare.folder), name)
    clone = Repository(folder / name, environ)
    clone.hook("pre-commit", "commit-msg", "pre-push")
    return Desk(name, daemon, token, clone)


def _leased(desk: Desk, **more: Any) -> dict[str, Any]:
    lock: dict[str, Any] = desk.calls("acquire_lock", paths=[PATH], **more)["lock"]
    return lock


def _ends(shop: Shop, desk: Desk) -> None:
    """Let the agent's leases end by time."""

    def live() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = shop.bob.calls("list_locks", agent_id=desk.name)["items"]
        return found

    ends = max(datetime.fromisoformat(lock["expires_at"]) for lock in live())
    shop.daemon.clock.move((ends - shop.daemon.clock.now()).total_seconds() + 1)
    eventually(lambda: not live(), f"the leases of {desk.name} have ended")
