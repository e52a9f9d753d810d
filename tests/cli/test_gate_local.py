"""The gates where somebody works, run by git itself."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.gate import trailer
from conductor.domain import errors
from tests.cli.double import HANG_UP, Answered, Double
from tests.cli.gates import AGENT, Repository, agent_named, environment, paths_asked, verdicts

LOCK = {"id": "lck_0123456789", "token": 1_863_000_000_000_001, "mode": "exclusive", "paths": ["src/"]}
SHARED = {"id": "lck_abcdefghjk", "token": 5, "mode": "shared", "paths": ["src/"]}
FENCE = trailer.Fence("lck_0123456789", 1_863_000_000_000_001)


def own(path: str, _: dict[str, Any]) -> str:
    """The board of these tests: `src/` is the agent's, `lib/` another's, nothing else is leased."""
    return "ok" if path.startswith("src/") else "locked_by_other" if path.startswith("lib/") else "not_locked"


@pytest.fixture
def board(double: Double) -> Double:
    double.always["check_paths"] = verdicts(own, locks=[LOCK, SHARED])
    return double


@pytest.fixture
def repository(tmp_path: Path, board: Double) -> Repository:
    """An agent's clone with all local gates."""
    environ = environment(tmp_path, CONDUCTOR_URL=board.url, CONDUCTOR_TOKEN=AGENT)
    made = Repository.make(tmp_path / "repository", environ)
    made.hook("pre-commit", "commit-msg", "pre-push")
    return made


@pytest.fixture
def person(repository: Repository) -> Repository:
    """The same clone with a person in it."""
    environ = {**repository.environ, "CONDUCTOR_TOKEN": AGENT.replace("agt", "usr")}
    return Repository(repository.folder, environ)


def test_what_is_leased_is_committed_and_the_commit_says_under_which_lease(
    repository: Repository, board: Double
) -> None:
    repository.write("src/app.py")
    repository("add", "--all")

    repository("commit", "-m", "work")

    assert trailer.read(repository("log", "-1", "--format=%B")) == (FENCE,)
    assert set(paths_asked(board)) == {"src/app.py"}
    assert {asked.authorization for asked in board.asked} == {f"Bearer {AGENT}"}


@pytest.mark.parametrize(
    ("name", "why", "next_step"),
    [("lib/a.py", "locked_by_other", "Leave it to its holder"), ("a.py", "not_locked", "conductor lock acquire")],
)
def test_what_is_not_leased_is_not_committed(repository: Repository, name: str, why: str, next_step: str) -> None:
    repository.write("src/app.py", name)
    repository("add", "--all")

    tried = repository.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert f"  {name}: {why}: said of {name}" in tried.stderr
    assert "src/app.py" not in tried.stderr
    assert next_step in tried.stderr
    assert repository.tried("rev-parse", "--verify", "HEAD").returncode != 0


def test_a_deletion_and_both_ends_of_a_rename_need_a_lease(repository: Repository) -> None:
    repository.commit("lib/old.py", "a.py", "src/app.py", text="one\ntwo\n")
    repository("mv", "lib/old.py", "src/new.py")
    repository("rm", "--quiet", "a.py")

    tried = repository.tried("commit", "-m", "move")

    assert tried.returncode == 1
    assert "lib/old.py: locked_by_other" in tried.stderr
    assert "a.py: not_locked" in tried.stderr


def test_what_stays_unstaged_is_not_asked_about(repository: Repository, board: Double) -> None:
    repository.write("src/app.py", "lib/a.py")
    repository("add", "--all")

    repository("commit", "-m", "only one", "--", "src/app.py")

    assert set(paths_asked(board)) == {"src/app.py"}


def test_an_amended_commit_keeps_its_lease_also_with_another_message(repository: Repository) -> None:
    repository.write("src/app.py")
    repository("add", "--all")
    repository("commit", "-m", "work")

    repository("commit", "--amend", "-m", "better said")

    assert trailer.read(repository("log", "-1", "--format=%B")) == (FENCE,)


def test_a_merge_without_conflicts_needs_no_lease(repository: Repository, board: Double) -> None:
    repository.commit("start")
    repository("branch", "side")
    repository.commit("lib/a.py")
    repository("switch", "--quiet", "side")
    repository.commit("a.py")

    repository("merge", "--no-edit", "main")

    assert board.bodies("check_paths") == []


def test_gates_work_in_a_linked_worktree(repository: Repository, tmp_path: Path) -> None:
    repository.commit("start")
    repository("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked", repository.environ)
    linked.write("lib/a.py")
    linked("add", "--all")

    refused = linked.tried("commit", "-m", "work")
    linked("mv", "lib", "src")
    linked("commit", "-m", "work")

    assert "lib/a.py: locked_by_other" in refused.stderr
    assert trailer.read(linked("log", "-1", "--format=%B")) == (FENCE,)


@pytest.mark.parametrize("how", ["config", "option", "environment"])
def test_an_agent_is_known_by_its_name(repository: Repository, board: Double, how: str) -> None:
    home = Path(repository.environ["CONDUCTOR_HOME"])
    (home / "agents").mkdir(parents=True)
    (home / "agents/ada.token").write_text(AGENT)
    (home / "agents/ada.token").chmod(0o600)
    del repository.environ["CONDUCTOR_TOKEN"]
    if how == "config":
        repository("config", "conductor.agent", "ada")
    elif how == "environment":
        repository.environ["CONDUCTOR_AGENT"] = "ada"
    else:
        repository.hook("pre-commit", "commit-msg", options="--agent ada")
    repository.write("a.py")
    repository("add", "--all")

    tried = repository.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert {asked.authorization for asked in board.asked} == {f"Bearer {AGENT}"}


def test_a_person_needs_no_lease_and_is_kept_off_those_of_agents(person: Repository) -> None:
    person.write("a.py")
    person("add", "--all")
    person("commit", "-m", "free")
    person.write("lib/a.py")
    person("add", "--all")

    tried = person.tried("commit", "-m", "held")

    assert tried.returncode == 1
    assert "lib/a.py: locked_by_other" in tried.stderr
    assert trailer.read(person("log", "-1", "--format=%B")) == ()


def test_people_are_not_asked_where_the_repository_lets_them(person: Repository, board: Double) -> None:
    person("config", "conductor.people", "allow")
    person.write("lib/a.py")
    person("add", "--all")

    person("commit", "-m", "held")

    assert board.asked == []


def test_a_person_is_let_through_with_a_word_when_nobody_can_be_asked(person: Repository) -> None:
    person.environ["CONDUCTOR_URL"] = "http://127.0.0.1:1"
    person.write("lib/a.py")
    person("add", "--all")

    tried = person.tried("commit", "-m", "work")

    assert tried.returncode == 0
    assert "was not checked: No daemon answers" in tried.stderr


@pytest.mark.parametrize(
    "answer",
    [
        HANG_UP,
        Answered(500, {"code": "internal", "message": "A defect.", "retryable": False, "facts": {}, "next": []}),
        Answered(502, "<html>proxy</html>"),
        Answered(200, "[]"),
        errors.Unauthenticated("No valid token."),
        errors.Unavailable("The host is being started.", wait_s=60),
    ],
)
def test_an_agent_that_cannot_ask_is_not_let_through(repository: Repository, board: Double, answer: Any) -> None:
    board.script("check_paths", answer)
    repository.write("src/app.py")
    repository("add", "--all")

    tried = repository.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert "cannot be checked" in tried.stderr
    assert "Traceback" not in tried.stderr
    assert AGENT not in tried.stderr


def test_a_busy_daemon_is_asked_again(repository: Repository, board: Double) -> None:
    board.script("check_paths", errors.Unavailable("Busy.", wait_s=0.01), errors.RateLimited("Slowly.", wait_s=0.01))
    repository.write("src/app.py")
    repository("add", "--all")

    repository("commit", "-m", "work")

    assert len(board.bodies("check_paths")) == 4


def test_a_daemon_that_does_not_answer_holds_nobody_up(repository: Repository, board: Double) -> None:
    def slowly(asked: Any) -> Any:
        time.sleep(3)  # The daemon under test is the slow one; nothing here waits for a moment to come.
        return verdicts(own)(asked)

    board.always["check_paths"] = slowly
    repository.write("src/app.py")
    repository("add", "--all")
    began = time.monotonic()

    tried = repository.tried("commit", "-m", "work")

    assert time.monotonic() - began < 2.5
    assert tried.returncode == 1
    assert "did not answer in time" in tried.stderr


def test_an_answer_that_trickles_holds_nobody_up(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_trickle, args=(server,), daemon=True).start()
        repository.environ["CONDUCTOR_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        repository.write("src/app.py")
        repository("add", "--all")
        began = time.monotonic()

        tried = repository.tried("commit", "-m", "work")

    assert time.monotonic() - began < 2.5
    assert tried.returncode == 1
    assert "did not answer" in tried.stderr


def test_offline_opens_the_local_gates_for_an_agent_whose_daemon_is_away(repository: Repository) -> None:
    repository.environ |= {"CONDUCTOR_URL": "http://127.0.0.1:1", "CONDUCTOR_OFFLINE": "1"}
    repository.write("src/app.py")
    repository("add", "--all")

    repository("commit", "-m", "work")

    record = Path(repository.environ["CONDUCTOR_HOME"]) / "offline.jsonl"
    assert "src/app.py" in record.read_text()
    assert AGENT not in record.read_text()


def test_offline_opens_nothing_that_the_daemon_refuses(repository: Repository) -> None:
    repository.environ["CONDUCTOR_OFFLINE"] = "1"
    repository.write("lib/a.py")
    repository("add", "--all")

    assert repository.tried("commit", "-m", "work").returncode == 1


def test_a_push_is_judged_by_the_leases_that_its_commits_name(
    repository: Repository, board: Double, tmp_path: Path
) -> None:
    other = Repository.make(tmp_path / "other.git", repository.environ, "--bare")
    repository("remote", "add", "origin", str(other.folder))
    repository.write("src/app.py")
    repository("add", "--all")
    repository("commit", "-m", "work")
    repository("push", "--quiet", "origin", "main")
    pushed = board.bodies("check_paths")[-1]
    repository.commit("src/b.py", message=f"more\n\n{trailer.NAME}: {FENCE}")
    board.always["check_paths"] = verdicts(lambda path, _: "stale_token")

    tried = repository.tried("push", "origin", "main")

    assert pushed["tokens"] == [{"lock_id": FENCE.lock_id, "token": FENCE.token}]
    assert tried.returncode == 1
    assert "src/b.py" in tried.stderr
    assert "src/app.py" not in tried.stderr
    assert "stale_token" in tried.stderr


def test_what_others_committed_and_what_is_deleted_is_pushed_unasked(
    repository: Repository, board: Double, tmp_path: Path
) -> None:
    other = Repository.make(tmp_path / "other.git", repository.environ, "--bare")
    repository("remote", "add", "origin", str(other.folder))
    theirs = Repository(repository.folder, {**repository.environ, **agent_named("bob")})
    theirs.commit("lib/a.py")

    repository("push", "--quiet", "origin", "main", "main:other")
    repository("push", "--quiet", "origin", ":other")

    assert board.bodies("check_paths") == []


def test_a_push_to_an_address_without_a_name_is_judged_too(
    repository: Repository, board: Double, tmp_path: Path
) -> None:
    other = Repository.make(tmp_path / "other.git", repository.environ, "--bare")
    repository.commit("lib/a.py")

    tried = repository.tried("push", str(other.folder), "main")

    assert tried.returncode == 1
    assert "lib/a.py in " in tried.stderr


def test_an_answer_without_locks_closes_the_gate_in_one_sentence(repository: Repository, board: Double) -> None:
    board.script("check_paths", {"allowed": True}, {"allowed": True})
    repository.write("src/app.py")
    repository("add", "--all")

    tried = repository.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert "knows check_paths" in tried.stderr
    assert "Traceback" not in tried.stderr


def test_a_gate_that_git_does_not_know_is_named(repository: Repository) -> None:
    repository.hook("pre-commit", options="")
    (repository.folder / ".git/hooks/pre-commit").write_text(
        (repository.folder / ".git/hooks/pre-commit").read_text().replace("gate pre-commit", "gate pre-comit")
    )
    repository.write("src/app.py")
    repository("add", "--all")

    tried = repository.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert "pre-commit, commit-msg, pre-push, pre-receive" in tried.stderr


def _trickle(server: socket.socket) -> None:
    """Answer one caller a byte at a time, for as long as it listens."""
    caller, _ = server.accept()
    with caller, contextlib.suppress(OSError):
        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            caller.sendall(b" ")
            time.sleep(0.05)
