"""The git hooks after `conductor init`: those that were there run as before, then the gate, and both can refuse."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.init.prepared import PREPARED, hook, write
from tests.support.repository import GitRepository

GATE = """#!/bin/sh
[ "$2" = pre-push ] && refs=$(cat)
echo "gate $2 ${refs%% *}" >> "$GATE_LOG"
exit "${GATE_SAYS:-0}"
"""

Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def git(repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """git as a person runs it, with a gate that keeps a log beside what the other hooks write."""
    program = tmp_path / "bin" / "conductor"
    program.parent.mkdir()
    program.write_text(GATE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    log = repository.folder / ".git/ran"
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")

    def git(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        around = {**os.environ, "GATE_LOG": str(log), "GIT_CONFIG_GLOBAL": os.devnull, **environ}
        return subprocess.run(
            ["git", *who, *words], cwd=repository.folder, env=around, capture_output=True, text=True, check=False
        )

    return git


def ran(repository: GitRepository) -> list[str]:
    """What ran, in its order."""
    log = repository.folder / ".git/ran"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        ("plain", []),
        ("shell hooks", ["pre-commit"]),
        ("husky", ["husky"]),
        ("lefthook", ["lefthook run pre-commit"]),
        ("core.hooksPath", ["linked"]),
    ],
)
def test_the_hook_that_was_there_runs_once_and_then_the_gate(
    kind: str, before: list[str], repository: GitRepository, run: Run, git: Git
) -> None:
    PREPARED[kind](repository)
    run("init", "--agent", "claude")
    ran(repository)

    done = git("commit", "--allow-empty", "-m", "work")

    assert done.returncode == 0, done.stderr
    lines = ran(repository)
    assert lines[: len(before) + 1] == [*before, "gate pre-commit "]
    assert lines[-1] == "gate commit-msg "


def test_the_framework_of_pre_commit_sees_its_own_folder_and_name(
    repository: GitRepository, run: Run, git: Git
) -> None:
    PREPARED["pre-commit"](repository)
    run("init", "--agent", "claude")

    git("commit", "--allow-empty", "-m", "work")

    hooks = repository.folder / ".git/hooks"
    expected = f"pre-commit hook-impl --config=.pre-commit-config.yaml --hook-type=pre-commit --hook-dir {hooks} --"
    assert ran(repository)[0].strip() == expected


def test_both_hooks_of_a_push_read_what_is_pushed(
    repository: GitRepository, tmp_path: Path, run: Run, git: Git
) -> None:
    PREPARED["shell hooks"](repository)
    run("init", "--agent", "claude")
    GitRepository(tmp_path / "far", "--bare")
    git("commit", "--allow-empty", "-m", "work")
    ran(repository)

    done = git("push", str(tmp_path / "far"), "HEAD:refs/heads/main")

    assert done.returncode == 0, done.stderr
    first, second = ran(repository)
    assert first.startswith("pre-push HEAD ")
    assert second == "gate pre-push HEAD"


def test_a_hook_that_refuses_still_refuses_and_the_gate_is_not_asked(
    repository: GitRepository, run: Run, git: Git
) -> None:
    hook(repository, ".git/hooks/pre-commit", "#!/bin/sh\necho no >&2\nexit 3\n")
    run("init", "--agent", "claude")

    done = git("commit", "--allow-empty", "-m", "work")

    assert done.returncode != 0
    assert "no" in done.stderr
    assert ran(repository) == []


@pytest.mark.parametrize("kind", ["plain", "shell hooks", "husky", "lefthook", "core.hooksPath", "binary hook"])
def test_the_gate_refuses_whatever_was_there(kind: str, repository: GitRepository, run: Run, git: Git) -> None:
    PREPARED[kind](repository)
    run("init", "--agent", "claude")

    done = git("commit", "--allow-empty", "-m", "work", GATE_SAYS="5")

    assert done.returncode != 0
    assert ran(repository)[-1] == "gate pre-commit "


def test_a_hook_that_git_passed_over_is_not_run_by_us_either(repository: GitRepository, run: Run, git: Git) -> None:
    write(repository, ".git/hooks/pre-commit", b"#!/bin/sh\nexit 1\n", 0o644)
    run("init", "--agent", "claude")

    done = git("commit", "--allow-empty", "-m", "work")

    assert done.returncode == 0, done.stderr


def test_where_others_may_run_them_who_has_no_conductor_is_let_through(
    repository: GitRepository, tmp_path: Path, run: Run, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    PREPARED["husky"](repository)
    run("init", "--agent", "claude")
    (tmp_path / "bin/conductor").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    done = git("commit", "--allow-empty", "-m", "work")

    assert done.returncode == 0, done.stderr
    assert "conductor is not installed here" in done.stderr


def test_in_the_own_git_folder_a_conductor_that_is_gone_refuses(
    repository: GitRepository, tmp_path: Path, run: Run, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init", "--agent", "claude")
    (tmp_path / "bin/conductor").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    done = git("commit", "--allow-empty", "-m", "work")

    assert done.returncode != 0


def test_hooks_of_all_repositories_of_a_person_are_left_alone_and_it_is_said(
    repository: GitRepository, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {everybodys}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))

    done = run("init", "--agent", "claude")

    assert done.code == 0
    assert "no gate at commit and push here" in done.out
    assert list(everybodys.iterdir()) == []
