"""`conductor init` and `conductor init remove`: every file is what it was, byte for byte."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.init.prepared import PREPARED, hook, picture, write
from tests.support.repository import GitRepository

ALL = ("--agent", "claude", "--agent", "codex", "--agent", "gemini", "--agent", "cursor", "--agent", "opencode")


@pytest.mark.parametrize("kind", PREPARED)
def test_a_prepared_repository_is_byte_identical_after_the_removal(
    kind: str, repository: GitRepository, run: Run
) -> None:
    PREPARED[kind](repository)
    before = picture(repository.folder)

    done = run("init", *ALL)
    between = picture(repository.folder)
    removed = run("init", "remove")

    assert (done.code, removed.code) == (0, 0), done.err + removed.err
    assert between != before
    assert picture(repository.folder) == before


@pytest.mark.parametrize("kind", PREPARED)
def test_a_second_set_up_changes_nothing_and_is_taken_back_all_the_same(
    kind: str, repository: GitRepository, run: Run
) -> None:
    PREPARED[kind](repository)
    before = picture(repository.folder)
    run("init", *ALL)
    once = picture(repository.folder)

    again = run("init")

    assert "everything stood as it should" in again.out
    assert picture(repository.folder) == once
    assert run("init", "remove").code == 0
    assert picture(repository.folder) == before


@pytest.mark.parametrize("kind", PREPARED)
def test_a_dry_run_writes_nothing(kind: str, repository: GitRepository, run: Run) -> None:
    PREPARED[kind](repository)
    before = picture(repository.folder)

    done = run("init", *ALL, "--dry-run")

    assert done.code == 0
    assert "+++ b/.mcp.json" in done.out
    assert picture(repository.folder) == before


@pytest.mark.parametrize("kind", PREPARED)
def test_what_is_written_can_be_read_by_who_reads_it(kind: str, repository: GitRepository, run: Run) -> None:
    PREPARED[kind](repository)

    run("init", *ALL)

    folder = repository.folder
    assert "mcp" in tomllib.loads((folder / ".codex/config.toml").read_text())["mcp_servers"]["conductor"]["args"]
    assert set(json.loads((folder / ".codex/hooks.json").read_text())) == {"hooks"}
    assert "conductor" in (folder / ".mcp.json").read_text()
    for name in ("CLAUDE.md", "AGENTS.md", "GEMINI.md"):
        assert (folder / name).read_bytes().count(b"conductor:begin") == 1


def test_a_worktree_gives_the_hooks_back_only_with_the_last_that_uses_them(
    repository: GitRepository, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    PREPARED["shell hooks"](repository)
    repository.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "-m", "first")
    repository.git("worktree", "add", "--quiet", str(tmp_path / "beside"), "-b", "beside")
    both = (repository.folder, tmp_path / "beside")
    before = [picture(folder) for folder in both]
    for folder in both:
        monkeypatch.chdir(folder)
        assert run("init", "--agent", "claude").code == 0

    first = run("init", "remove")

    assert "The git hooks stay" in first.out
    assert picture(both[1]) == before[1]
    assert "gate pre-commit" in (repository.folder / ".git/hooks/pre-commit").read_text()
    monkeypatch.chdir(both[0])
    assert run("init", "remove").code == 0
    assert picture(both[0]) == before[0]


@pytest.mark.parametrize("name", ["AGENTS.md", ".codex/config.toml", ".git/hooks/pre-commit"])
def test_a_read_only_file_stops_everything_before_anything_is_written(
    name: str, repository: GitRepository, run: Run
) -> None:
    write(repository, name, b"", 0o444)
    before = picture(repository.folder)

    done = run("init", *ALL)

    assert done.code == 2
    assert f"{name} is read-only: chmod u+w" in done.err
    assert picture(repository.folder) == before


def test_without_git_nothing_is_written(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")

    done = run("init", *ALL)

    assert done.code == 2
    assert "git init" in done.err
    assert picture(tmp_path / "plain") == {}


def test_what_others_wrote_since_stays(repository: GitRepository, run: Run) -> None:
    write(repository, "AGENTS.md", b"# Rules\n")
    write(repository, ".mcp.json", b'{\n  "mcpServers": {}\n}\n')
    hook(repository, ".git/hooks/pre-commit", "#!/bin/sh\ntrue\n")
    run("init", *ALL)
    for name, text in (("AGENTS.md", "More.\n"), (".git/hooks/pre-commit", "false\n")):
        with (repository.folder / name).open("a") as file:
            file.write(text)
    servers = repository.folder / ".mcp.json"
    servers.write_text(servers.read_text().replace("  }\n}", '  },\n  "mine": 1\n}'))

    removed = run("init", "remove")

    assert removed.code == 0, removed.err
    assert "not as before, as others wrote there too: " in removed.out
    assert {"AGENTS.md", ".mcp.json", ".git/hooks/pre-commit"} == set(
        removed.out.partition("wrote there too: ")[2].partition(".\n")[0].split(", ")
    )
    assert (repository.folder / "AGENTS.md").read_text() == "# Rules\nMore.\n"
    assert (repository.folder / ".git/hooks/pre-commit").read_text() == "#!/bin/sh\ntrue\nfalse\n"
    assert json.loads(servers.read_text()) == {"mcpServers": {}, "mine": 1}


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("CLAUDE.md", "Lease every other file", "Lease no file"),
        (".claude/settings.local.json", "|| exit 2", "|| true"),
        (".codex/config.toml", "codex-1", "codex-7"),
        (".git/hooks/pre-push", "gate pre-push", "gate pre-push --loudly"),
    ],
)
def test_what_somebody_changed_of_ours_is_removed_only_by_force(
    name: str, ours: str, theirs: str, repository: GitRepository, run: Run
) -> None:
    before = picture(repository.folder)
    run("init", *ALL)
    file = repository.folder / name
    file.write_text(file.read_text().replace(ours, theirs))
    between = picture(repository.folder)

    refused = run("init", "remove")

    assert refused.code == 5
    assert name in refused.err
    assert "--force" in refused.err
    assert picture(repository.folder) == between
    assert run("init", "remove", "--force").code == 0
    assert picture(repository.folder) == before


def test_a_hook_that_another_tool_replaced_loses_neither_its_own_nor_the_older_one(
    repository: GitRepository, run: Run
) -> None:
    older = "#!/usr/bin/env python3\nprint('older')\n"
    hook(repository, ".git/hooks/pre-commit", older)
    run("init", "--agent", "claude")
    (repository.folder / ".git/hooks/pre-commit").write_text("#!/bin/sh\nother tool\n")

    removed = run("init", "remove")

    assert removed.code == 0, removed.err
    assert (repository.folder / ".git/hooks/pre-commit").read_text() == "#!/bin/sh\nother tool\n"
    assert (repository.folder / ".git/hooks/conductor-kept/pre-commit").read_text() == older


def test_a_hook_of_ours_that_another_tool_moved_away_is_taken_back_where_it_went(
    repository: GitRepository, run: Run
) -> None:
    hook(repository, ".git/hooks/pre-commit", "#!/bin/sh\necho mine\n")
    run("init", "--agent", "claude")
    hooks = repository.folder / ".git/hooks"
    for name in ("pre-commit", "pre-push"):
        (hooks / name).rename(hooks / f"{name}.legacy")
        hook(repository, f".git/hooks/{name}", "#!/bin/sh\nexec pre-commit\n")

    removed = run("init", "remove")

    assert removed.code == 0, removed.err
    assert (hooks / "pre-commit.legacy").read_text() == "#!/bin/sh\necho mine\n"
    assert not (hooks / "pre-push.legacy").exists()
    assert (hooks / "pre-push").read_text() == "#!/bin/sh\nexec pre-commit\n"


def test_hooks_of_a_worktree_that_is_gone_are_taken_back_from_any_other(
    repository: GitRepository, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"app.py": ""})
    before = picture(repository.folder / ".git/hooks")
    repository.git("worktree", "add", "--quiet", str(tmp_path / "beside"))
    monkeypatch.chdir(tmp_path / "beside")
    run("init", "--agent", "claude")
    monkeypatch.chdir(repository.folder)
    repository.git("worktree", "remove", "--force", str(tmp_path / "beside"))

    removed = run("init", "remove")

    assert removed.code == 0, removed.err
    assert picture(repository.folder / ".git/hooks") == before
    assert not (repository.folder / ".git/conductor").exists()


def test_a_set_up_that_was_cut_off_is_taken_back(repository: GitRepository, run: Run) -> None:
    PREPARED["shell hooks"](repository)
    before = picture(repository.folder)
    run("init", *ALL)
    (repository.folder / ".mcp.json").unlink()
    hook(repository, ".git/hooks/pre-push", "#!/bin/sh\nsed 's/^/pre-push /' >> .git/ran\n")

    removed = run("init", "remove")

    assert removed.code == 0, removed.err
    assert picture(repository.folder) == before


def test_a_removal_counts_as_they_were_only_what_is(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude")
    with (repository.folder / "CLAUDE.md").open("a") as file:
        file.write("Mine.\n")

    removed = run("init", "remove")

    assert "Taken back: 6 file(s) are as they were. Without ours, but not as before" in removed.out
    assert removed.out.partition("too: ")[2].startswith("CLAUDE.md.\n")


def test_nothing_to_remove_is_said(repository: GitRepository, run: Run) -> None:
    removed = run("init", "remove")

    assert (removed.code, removed.out) == (0, "Nothing of Conductor was written here.\n")
