"""The demo tells its story with real calls, a real refusal and real commits, and leaves nothing behind."""

import json
import os
import sys
from pathlib import Path

import pytest

from conductor.cli import demo_daemon
from conductor.cli.demo_repository import APP, Repository
from conductor.domain import errors
from tests.cli.conftest import Run
from tests.cli.double import Double
from tests.cli.small_board import SmallBoard


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, to see that none is left."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_the_story_shows_the_refusal_the_opened_task_the_costs_and_the_trail(
    double: Double, run: Run, folders: Path
) -> None:
    board = SmallBoard(double)

    ran = run("demo", "--fast", "--json")

    assert (ran.code, ran.err) == (0, "")
    steps = json.loads(ran.out)
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
    assert [(step["who"], step["error"]) for step in steps if step["error"]] == [("bob", "lock_held")]
    told = [f"{step['who']} {step['call']} {' '.join(step['answer'])}" for step in steps]
    for expected in (
        "ada claim_task claimed tsk_0",
        "bob acquire_lock lock_held: src/app.py is leased by ada",
        "bob claim_task claimed tsk_1",
        "now ready: tsk_2",
        "bob claim_task claimed tsk_2",
        "Good day, world! (1 greeted)",
        "ada: 0.05 USD in 1 call(s) bob: 0.05 USD in 2 call(s)",
        "ada: Greet politely",
        "#1 agent:ada task.claimed tsk_0",
    ):
        assert any(expected in line for line in told), expected
    assert {task["status"] for task in board.tasks.values()} == {"completed"}


def test_the_story_is_readable_by_people(double: Double, run: Run, folders: Path) -> None:
    SmallBoard(double)

    ran = run("demo", "--fast")

    assert (ran.code, ran.err) == (0, "")
    assert "bob wants to edit src/app.py too" in ran.out
    assert "lock_held: src/app.py is leased by ada until 14:02Z." in ran.out


def test_nothing_is_left_but_the_project(double: Double, run: Run, folders: Path) -> None:
    board = SmallBoard(double)

    run("demo", "--fast", "--json")

    assert sorted(board.ended) == ["tok_ada", "tok_bob"]
    assert list(folders.iterdir()) == []


def test_a_story_that_breaks_off_is_cleaned_up_and_says_why(double: Double, run: Run, folders: Path) -> None:
    board = SmallBoard(double)
    double.script("complete_task", errors.StaleAttempt("the attempt has ended"))

    ran = run("demo", "--fast")

    assert ran.code == errors.StaleAttempt.exit_code
    assert "stale_attempt: the attempt has ended" in ran.err
    assert {task["status"] for task in board.tasks.values()} == {"cancelled"}
    assert sorted(board.ended) == ["tok_ada", "tok_bob"]
    assert list(folders.iterdir()) == []


def test_the_repository_holds_what_both_wrote(tmp_path: Path) -> None:
    repository = Repository(tmp_path)

    repository.create()
    repository.replace(APP, "hello", "good day")
    repository.commit("ada", "Greet politely", APP)

    assert repository.run() == "good day world"
    assert [line.split(" ", 1)[1] for line in repository.history().splitlines()] == [
        "you: A project that greets",
        "ada: Greet politely",
    ]


def test_a_daemon_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    _program(tmp_path, "import sys; print('the port is taken'); sys.exit(3)", monkeypatch)

    with pytest.raises(errors.Unavailable, match=r"exit code 3\):\nthe port is taken"), demo_daemon.running():
        pass

    assert list(folders.iterdir()) == []


def test_the_demos_own_daemon_is_stopped_and_sees_none_of_your_settings(
    tmp_path: Path, double: Double, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    monkeypatch.setenv("CONDUCTOR_DATABASE_URL", "postgresql://the/team")
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    _program(tmp_path, _DAEMON.replace("URL", double.url), monkeypatch)

    with demo_daemon.running() as connection:
        assert (connection.url, connection.token) == (double.url, "cdr_usr_demo")

    assert (tmp_path / "told").read_text() == "--port 0, settings: none; stopped"
    assert list(folders.iterdir()) == []


_DAEMON = """
import os, signal, sys
from pathlib import Path
from conductor.home import Home, RunningDaemon

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
home = Home(Path(sys.argv[2]))
home.prepare()
home.write_owner_token("cdr_usr_demo")
home.write_daemon(RunningDaemon(os.getpid(), "URL", "2026-11-24T08:20:11+00:00", "0.1.0"))
seen = ",".join(name for name in os.environ if name.startswith("CONDUCTOR_")) or "none"
signal.sigwait({signal.SIGTERM})
Path(os.environ["TOLD"]).write_text(f"{' '.join(sys.argv[3:])}, settings: {seen}; stopped")
"""


def _program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conductord of the test's own, found beside the interpreter that is said to run."""
    program = folder / "conductord"
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
