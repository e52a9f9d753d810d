"""What `conductor init` left for the local gates: which agent commits here, and for which project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.gate import trailer
from tests.cli.double import Asked, Double
from tests.cli.gates import AGENT, Repository, environment, verdicts

LOCK = {"id": "lck_0123456789", "token": 1_863_000_000_000_001, "mode": "exclusive", "paths": ["lib/"]}
FENCE = trailer.Fence("lck_0123456789", 1_863_000_000_000_001)
PERSON = AGENT.replace("agt", "usr")


@pytest.fixture
def board(double: Double) -> Double:
    double.always["check_paths"] = verdicts(lambda *_: "not_locked")
    return double


@pytest.fixture
def repository(tmp_path: Path, board: Double) -> Repository:
    """A checkout that was set up for two clients, one as gemini-1 with its token in the home."""
    tokens = tmp_path / "conductor/agents"
    tokens.mkdir(parents=True, mode=0o700)
    (tokens / "gemini-1.token").touch(0o600)
    (tokens / "gemini-1.token").write_text(AGENT)
    made = Repository.make(tmp_path / "repository", environment(tmp_path, CONDUCTOR_URL=board.url))
    made.hook("pre-commit", "commit-msg")
    _keep(made, {"agents": {"claude": "claude-1", "gemini": "gemini-1"}})
    made.write("a.py")
    made("add", "--all")
    return made


def test_what_a_set_up_client_commits_is_its_agents(repository: Repository, board: Double) -> None:
    tried = repository.tried("commit", "-m", "work", GEMINI_CLI="1")

    assert tried.returncode == 1
    assert "a.py: not_locked" in tried.stderr
    assert {asked.authorization for asked in board.asked} == {f"Bearer {AGENT}"}


def test_the_name_in_the_environment_goes_before_the_mark(repository: Repository) -> None:
    tried = repository.tried("commit", "-m", "work", GEMINI_CLI="1", CONDUCTOR_AGENT="ada")

    assert tried.returncode == 1
    assert "ada.token" in tried.stderr


@pytest.mark.parametrize("kept", [{"agents": {"claude": "claude-1"}}, {"agents": ["gemini"]}, {}, ["gemini"], None])
def test_a_client_that_is_not_set_up_here_commits_as_who_runs_it(repository: Repository, kept: object) -> None:
    _keep(repository, kept)

    tried = repository.tried("commit", "-m", "work", GEMINI_CLI="1")

    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize(
    ("client", "mark"), [("gemini", "GEMINI_CLI"), ("cursor", "CURSOR_AGENT"), ("opencode", "OPENCODE")]
)
def test_each_client_is_known_by_its_own_mark(repository: Repository, client: str, mark: str) -> None:
    _keep(repository, {"agents": {client: "gemini-1"}})

    tried = repository.tried("commit", "-m", "work", **{mark: "1"})

    assert tried.returncode == 1
    assert "a.py: not_locked" in tried.stderr


@pytest.mark.parametrize("client", ["gemini", "cursor", "opencode"])
def test_without_a_mark_a_commit_of_what_the_agent_leases_here_is_the_agents(leased: Repository, client: str) -> None:
    _keep(leased, {"agents": {"claude": "claude-1", client: "gemini-1"}})
    leased.write("lib/a.py")
    leased("add", "lib/a.py")

    tried = leased.tried("commit", "-m", "work")

    assert tried.returncode == 0, tried.stderr
    assert "counts as gemini-1's" in tried.stderr
    assert trailer.read(leased("log", "-1", "--format=%B")) == (FENCE,)


def test_a_commit_of_what_the_agent_leases_and_of_more_is_refused_for_the_rest(leased: Repository) -> None:
    leased.write("lib/a.py")
    leased("add", "--all")

    tried = leased.tried("commit", "-m", "work")

    assert tried.returncode == 1
    assert "a.py: not_locked" in tried.stderr


def test_what_the_agent_does_not_lease_people_commit_as_their_own(leased: Repository) -> None:
    leased("add", "a.py")

    tried = leased.tried("commit", "-m", "work")

    assert tried.returncode == 0, tried.stderr
    assert "counts as" not in tried.stderr
    assert trailer.read(leased("log", "-1", "--format=%B")) == ()


@pytest.mark.parametrize("said", [{"CONDUCTOR_AGENT": ""}, {"CONDUCTOR_TOKEN": PERSON}])
def test_a_person_who_says_so_is_kept_off_what_the_agent_leases(leased: Repository, said: dict[str, str]) -> None:
    leased.write("lib/a.py")
    leased("add", "lib/a.py")

    tried = leased.tried("commit", "-m", "work", **said)

    assert tried.returncode == 1
    assert "lib/a.py: locked_by_other" in tried.stderr


def test_an_empty_name_goes_before_the_mark_and_the_setting(repository: Repository) -> None:
    repository("config", "conductor.agent", "gemini-1")

    tried = repository.tried("commit", "-m", "work", GEMINI_CLI="1", CONDUCTOR_AGENT="")

    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize("kept", [{"project_id": "prj_0123456789", "project": "shop"}, {"project": "shop"}])
def test_people_are_asked_about_in_the_project_that_was_set_up(
    repository: Repository, board: Double, kept: dict[str, str]
) -> None:
    _keep(repository, {"agents": {"claude": "claude-1"}, **kept})
    board.always["list_projects"] = lambda _: {"items": [{"id": "prj_0123456789", "slug": "shop"}]}

    tried = repository.tried("commit", "-m", "work", CONDUCTOR_TOKEN=PERSON, CONDUCTOR_PROJECT="another")

    assert tried.returncode == 0, tried.stderr
    assert {body.get("project_id") for body in board.bodies("check_paths")} == {"prj_0123456789"}


def test_a_worktree_that_was_not_set_up_itself_has_the_project_of_the_others(
    repository: Repository, board: Double
) -> None:
    shared = repository.folder / ".git/conductor/shared.json"
    shared.write_text(json.dumps({"project_id": "prj_0123456789"}))
    repository("commit", "--quiet", "--no-verify", "-m", "first")
    repository("worktree", "add", "--quiet", "../beside")
    beside = Repository(repository.folder.with_name("beside"), repository.environ)
    beside.write("b.py")
    beside("add", "--all")

    beside("commit", "-m", "work", CONDUCTOR_TOKEN=PERSON)

    assert {body.get("project_id") for body in board.bodies("check_paths")} == {"prj_0123456789"}


def test_a_setting_of_git_goes_before_the_project_that_was_set_up(repository: Repository, board: Double) -> None:
    _keep(repository, {"agents": {"claude": "claude-1"}, "project_id": "prj_0123456789"})
    repository("config", "conductor.project", "prj_abcdefghjk")

    repository("commit", "-m", "work", CONDUCTOR_TOKEN=PERSON)

    assert {body.get("project_id") for body in board.bodies("check_paths")} == {"prj_abcdefghjk"}


@pytest.fixture
def leased(repository: Repository, board: Double) -> Repository:
    """The same checkout, where gemini-1 leases `lib/`; the owner's token lies in the home for who names nobody."""
    home = Path(repository.environ["CONDUCTOR_HOME"])
    (home / "owner.token").touch(0o600)
    (home / "owner.token").write_text(PERSON)
    url = repository.environ.pop("CONDUCTOR_URL")
    said = {"pid": os.getpid(), "url": url, "started_at": "2026-11-24T08:00:00Z", "version": "0"}
    (home / "daemon.json").write_text(json.dumps(said))
    repository("rm", "--cached", "--quiet", "a.py")

    def answer(asked: Asked) -> dict[str, Any]:
        is_agent = asked.authorization == f"Bearer {AGENT}"
        reached = any(path.startswith("lib/") for path in asked.body["paths"])

        def judge(path: str, _: dict[str, Any]) -> str:
            held = path.startswith("lib/")
            return ("ok" if is_agent else "locked_by_other") if held else "not_locked"

        return verdicts(judge, locks=[LOCK] if is_agent and reached else [])(asked)

    board.always["check_paths"] = answer
    return repository


def _keep(repository: Repository, kept: object) -> None:
    file = repository.folder / ".git/conductor/init.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(kept) if kept is not None else "{")
