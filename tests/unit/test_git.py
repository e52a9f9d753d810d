"""git asked about folders that may be hostile: what it sees is true, and nothing in the folder runs, hangs or leaks."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conductor.domain.evidence import MOST_FILES
from conductor.integrations import git
from conductor.integrations.git import Repository, Unseen
from tests.support.repository import NOON, GitRepository

CONFIG = """
[core]
	fsmonitor = {program}
	hooksPath = {hooks}
	pager = {program}
	sshCommand = {program}
	askPass = {program}
	alternateRefsCommand = {program}
	editor = {program}
	gitProxy = {program}
[diff]
	external = {program}
[diff "evil"]
	textconv = {program}
	command = {program}
[filter "evil"]
	clean = {program}
	smudge = {program}
	process = {program}
	required = true
[gpg]
	program = {program}
[credential]
	helper = {program}
[uploadpack]
	packObjectsHook = {program}
[alias]
	rev-parse = !{program}
	cat-file = !{program}
	diff-tree = !{program}
[log]
	showSignature = true
[remote "origin"]
	url = ext::{program}
	promisor = true
	partialclonefilter = blob:none
	uploadpack = {program}
	vcs = ext
[protocol "ext"]
	allow = always
[extensions]
	partialClone = origin
"""


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "repository")


def look(repository: GitRepository, **options: object) -> Repository:
    return Repository(str(repository.folder), **options)  # type: ignore[arg-type]  # its own fields


def test_a_commit_is_seen_with_its_whole_id_its_files_and_its_time(repository: GitRepository) -> None:
    repository.commit({"a.py": "1", "old.py": "1"})
    at = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    made = repository.commit({"a.py": "2", "src/b c.py": "1", "old.py": None}, at)

    seen = look(repository).commit(made[:9].upper())

    assert seen is not None
    assert (seen.id, seen.committed_at, seen.is_whole) == (made, at, True)
    assert seen.files == ("a.py", "old.py", "src/b c.py")


def test_the_first_commit_touches_all_it_holds_and_an_empty_one_nothing(repository: GitRepository) -> None:
    first, empty = repository.commit({"a.py": "1", "b.py": "1"}), repository.commit({})

    assert [look(repository).commit(each).files for each in (first, empty)] == [("a.py", "b.py"), ()]  # type: ignore[union-attr]


def test_a_moved_file_touches_both_its_places(repository: GitRepository) -> None:
    repository.commit({"old.py": "the same text\n" * 20})
    moved = repository.commit({"old.py": None, "new.py": "the same text\n" * 20})

    assert look(repository).commit(moved).files == ("new.py", "old.py")  # type: ignore[union-attr]


def test_a_merge_is_compared_with_its_first_parent(repository: GitRepository) -> None:
    repository.commit({"a.py": "1"})
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"side.py": "1"})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"main.py": "1"})
    repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")

    seen = look(repository).commit(repository.git("rev-parse", "HEAD"))

    assert seen is not None
    assert seen.files == ("side.py",)


@pytest.mark.parametrize("name", ["HEAD", "main", "--all", "-h", "", "abc", "g" * 40, "0" * 40, "0" * 64, "a" * 65])
def test_what_is_no_commit_is_not_found(repository: GitRepository, name: str) -> None:
    repository.commit({"a.py": "1"})

    assert look(repository).commit(name) is None


def test_a_file_or_a_tree_is_no_commit(repository: GitRepository) -> None:
    made = repository.commit({"a.py": "1"})

    assert look(repository).commit(repository.git("rev-parse", f"{made}:a.py")) is None
    assert look(repository).commit(repository.git("rev-parse", f"{made}^{{tree}}")) is None


def test_a_branch_that_is_called_like_an_id_is_no_commit(repository: GitRepository) -> None:
    made = repository.commit({"a.py": "1"})
    other = "deadbee" if not made.startswith("deadbee") else "beefdad"
    repository.git("branch", other)

    assert look(repository).commit(other) is None


def test_commits_of_sha256_repositories_are_seen(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "new", "--object-format=sha256")
    made = repository.commit({"a.py": "1"})

    assert len(made) == 64
    assert look(repository).commit(made).files == ("a.py",)  # type: ignore[union-attr]


def test_a_replaced_object_shows_nothing_but_itself(repository: GitRepository) -> None:
    repository.commit({"a.py": "1"})
    honest = repository.commit({"leased.py": "1"})
    liar = repository.commit({"other.py": "1"})
    repository.git("replace", liar, honest)

    assert look(repository).commit(liar).files == ("other.py",)  # type: ignore[union-attr]


def test_a_shallow_border_is_not_taken_for_a_first_commit(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"a.py": "1"})
    last = repository.commit({"b.py": "1"})
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow))

    with pytest.raises(Unseen, match="shallow"):
        Repository(str(shallow)).commit(last)


def test_names_that_nobody_would_choose_come_whole(repository: GitRepository) -> None:
    names = {"a\nb.py": "1", "ümläut.py": "1", '"quoted".py': "1", "-dash.py": "1", "a*b.py": "1"}
    made = repository.commit(names)

    assert set(look(repository).commit(made).files) == set(names)  # type: ignore[union-attr]


def test_a_name_that_is_no_text_harms_nobody(repository: GitRepository) -> None:
    folder = os.fsencode(repository.folder)
    with open(folder + b"/\xff\xfe.py", "wb") as file:
        file.write(b"1")
    made = repository.commit({})

    assert look(repository).commit(made).files == ("\ufffd\ufffd.py",)  # type: ignore[union-attr]


def test_of_a_huge_commit_only_a_part_is_looked_at_and_that_is_said(repository: GitRepository) -> None:
    made = repository.commit({f"files/{number}.py": "1" for number in range(MOST_FILES + 1)})

    seen = look(repository).commit(made)

    assert seen is not None
    assert not seen.is_whole
    assert len(seen.files) == MOST_FILES


def test_an_answer_that_is_too_long_is_cut_between_names(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = repository.commit({f"{number:04d}.py": "1" for number in range(300)})
    asked = look(repository)
    monkeypatch.setattr(git, "MOST_BYTES", 1_000)
    said = asked._run(["ls-tree", "-r", "-z", "--name-only", made], most=1_000)

    assert not said.is_whole
    assert len(said.out) == 1_000


def test_a_file_is_read_as_it_is_at_the_commit_and_not_on_the_disk(repository: GitRepository) -> None:
    made = repository.commit({"docs/CLAUDE.md": "be good\n"})
    (repository.folder / "docs/CLAUDE.md").write_text("be evil\n")
    asked = look(repository)

    assert asked.head() == made
    assert asked.text(made, "docs/CLAUDE.md", 100) == "be good\n"
    assert asked.text(made, "docs/CLAUDE.md", 4) == "be g"
    assert asked.text(made, "docs/NONE.md", 100) is None
    assert asked.text(made, "docs", 100) is None


@pytest.mark.parametrize("path", ["docs/a blob", "a blob 5", "blob", "x dangling", "x tree 7"])
def test_a_path_with_words_of_gits_answers_is_a_path(repository: GitRepository, path: str) -> None:
    made = repository.commit({"CLAUDE.md": "be good\n"})
    there = repository.commit({path: "be here\n"})

    assert look(repository).text(made, path, 100) is None
    assert look(repository).text(there, path, 100) == "be here\n"


def test_a_commit_from_the_end_of_the_calendar_is_not_reckoned_with(repository: GitRepository) -> None:
    last = datetime.max.replace(microsecond=0, tzinfo=UTC)
    made = repository.commit({"a.py": "1"}, last)

    with pytest.raises(Unseen, match="the commit's time cannot be read"):
        look(repository).commit(made)


def test_a_link_is_followed_in_the_commit_and_never_on_the_disk(repository: GitRepository, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (repository.folder / "AGENTS.md").symlink_to("CLAUDE.md")
    (repository.folder / "OUT.md").symlink_to(secret)
    (repository.folder / "UP.md").symlink_to("../secret")
    (repository.folder / "LOOP.md").symlink_to("LOOP.md")
    (repository.folder / "NOWHERE.md").symlink_to("nowhere")
    made = repository.commit({"CLAUDE.md": "be good"})

    texts = {name: look(repository).text(made, name, 100) for name in ("AGENTS.md", "OUT.md", "UP.md", "LOOP.md")}

    assert texts == {"AGENTS.md": "be good", "OUT.md": None, "UP.md": None, "LOOP.md": None}
    assert look(repository).text(made, "NOWHERE.md", 100) is None


def test_a_huge_file_is_not_read(repository: GitRepository) -> None:
    made = repository.commit({"CLAUDE.md": "x" * (git.MOST_TEXT_BYTES + 1)})

    with pytest.raises(Unseen, match="larger than"):
        look(repository).text(made, "CLAUDE.md", 100)


def test_a_file_that_is_no_text_is_read_as_well_as_can_be(repository: GitRepository) -> None:
    (repository.folder / "CLAUDE.md").write_bytes(b"\x00\xff\xfegood")
    made = repository.commit({})

    assert look(repository).text(made, "CLAUDE.md", 100) == "\x00\ufffd\ufffdgood"


def hostile(repository: GitRepository, mark: Path) -> None:
    """Let everything that git could be made to run leave a mark."""
    program, hooks = mark.with_name("program"), mark.with_name("hooks")
    program.write_text(f"#!/bin/sh\necho run >> {mark}\nexit 1\n")
    program.chmod(0o755)
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman", "pre-commit"):
        (hooks / hook).write_text(program.read_text())
        (hooks / hook).chmod(0o755)
    (repository.folder / ".git" / "info").mkdir(exist_ok=True)
    (repository.folder / ".git" / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    config = repository.folder / ".git" / "config"
    config.write_text(config.read_text() + CONFIG.format(program=program, hooks=hooks))


def test_nothing_that_a_repository_names_is_run(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"a.py": "1", ".gitattributes": "* filter=evil diff=evil\n"})
    made = repository.commit({"a.py": "2", "CLAUDE.md": "be good"})
    mark = tmp_path / "mark"
    hostile(repository, mark)
    (repository.folder / "a.py").write_text("changed")
    asked = look(repository)

    assert asked.commit(made).files == ("CLAUDE.md", "a.py")  # type: ignore[union-attr]
    assert asked.text(asked.head(), "CLAUDE.md", 100) == "be good"
    assert asked.commit("f" * 40) is None
    assert not mark.exists()


def test_a_missing_object_is_not_fetched_from_whatever_the_repository_calls_its_remote(
    repository: GitRepository, tmp_path: Path
) -> None:
    made = repository.commit({"CLAUDE.md": "be good"})
    mark = tmp_path / "mark"
    hostile(repository, mark)
    blob = repository.git("rev-parse", f"{made}:CLAUDE.md")
    (repository.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    assert look(repository).text(made, "CLAUDE.md", 100) is None
    assert not mark.exists()
    with pytest.raises(Exception, match="returned non-zero"):
        repository.git("cat-file", "blob", blob)
    assert mark.exists(), "the trap is real"


def test_the_seeded_traps_are_real(repository: GitRepository, tmp_path: Path) -> None:
    """A git that is not hardened runs them: otherwise the tests above would show nothing."""
    made = repository.commit({"a.py": "1"})
    mark = tmp_path / "mark"
    hostile(repository, mark)
    (repository.folder / "a.py").write_text("changed")

    with pytest.raises(Exception, match="returned non-zero"):
        repository.git("diff", "--exit-code", made)

    assert mark.exists()


@pytest.mark.parametrize("place", ["config", "HEAD", "index", "objects/info/alternates", "packed-refs", "shallow"])
def test_a_repository_in_which_reading_never_ends_is_given_up(repository: GitRepository, place: str) -> None:
    made = repository.commit({"CLAUDE.md": "be good"})
    path = repository.folder / ".git" / place
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    began = time.monotonic()

    asked = look(repository, ends_at=began + 0.5)
    # Some of them git need not read: then it answers.
    with contextlib.suppress(Unseen):
        asked.text(asked.head(), "CLAUDE.md", 100)
        asked.commit(made)

    assert time.monotonic() - began < 3


def test_time_that_is_over_is_over_for_all_questions(repository: GitRepository) -> None:
    repository.commit({"a.py": "1"})

    with pytest.raises(Unseen) as caught:
        look(repository, ends_at=time.monotonic() - 1).head()

    assert caught.value.is_slow


def test_a_folder_that_is_no_repository_is_told_apart(tmp_path: Path, repository: GitRepository) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    repository.commit({"src/a.py": "1"})

    for root, why in (
        (tmp_path / "empty", "not the top of a git repository"),
        (tmp_path / "none", "no folder that the server can enter"),
        (tmp_path / "file", "no folder that the server can enter"),
        (repository.folder / "src", "not the top of a git repository"),
    ):
        with pytest.raises(Unseen, match=why):
            Repository(str(root)).head()


def test_a_link_into_a_repository_is_not_its_top(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"src/a.py": "1"})
    (tmp_path / "link").symlink_to(repository.folder / "src")

    with pytest.raises(Unseen, match="not the top"):
        Repository(str(tmp_path / "link")).head()


def test_a_repository_without_a_commit_says_so(repository: GitRepository) -> None:
    with pytest.raises(Unseen, match="no commit yet"):
        look(repository).head()
    assert look(repository).commit("a" * 40) is None


def test_a_broken_repository_says_so_and_no_more(repository: GitRepository) -> None:
    made = repository.commit({"a.py": "1"})
    (repository.folder / ".git" / "config").write_text("[core\n\x00")

    with pytest.raises(Unseen) as caught:
        look(repository).commit(made)

    assert caught.value.why == "git could not read the repository"
    assert str(repository.folder) not in caught.value.why


def test_a_config_cannot_show_another_file_of_the_server(repository: GitRepository, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret words\n")
    made = repository.commit({"a.py": "1"})
    with (repository.folder / ".git" / "config").open("a") as config:
        config.write(f"[include]\n\tpath = {secret}\n")

    with pytest.raises(Unseen) as caught:
        look(repository).commit(made)

    assert "secret" not in caught.value.why


@pytest.mark.parametrize("place", ["packed-refs", "shallow"])
def test_what_a_link_leads_git_to_reaches_no_log(repository: GitRepository, tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("top secret words\n")
    repository.commit({"a.py": "1"})
    (repository.folder / ".git" / "refs" / "heads" / "main").unlink()
    (repository.folder / ".git" / place).symlink_to(secret)

    with pytest.raises(Unseen) as caught:
        look(repository).head()

    assert "secret" not in f"{caught.value} {caught.value.why} {caught.value.detail}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_repository_is_looked_into_only_when_that_is_chosen(repository: GitRepository) -> None:
    made = repository.commit({"a.py": "1"})
    for path in (repository.folder, repository.folder / ".git"):
        os.chown(path, 12_345, 12_345)

    with pytest.raises(Unseen, match="another user"):
        look(repository).head()
    assert look(repository, trusts_owner=True).head() == made


def test_a_worktree_and_a_bare_repository_are_repositories(repository: GitRepository, tmp_path: Path) -> None:
    made = repository.commit({"a.py": "1"})
    repository.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
    repository.git("clone", "--quiet", "--bare", str(repository.folder), str(tmp_path / "bare"))

    for root in ("tree", "bare"):
        assert Repository(str(tmp_path / root)).head() == made


def test_without_git_on_the_server_it_is_said(repository: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(git._ENVIRONMENT, "PATH", "/nonexistent")

    with pytest.raises(Unseen, match="cannot be started"):
        look(repository).head()


def test_the_environment_of_the_server_does_not_reach_git(
    repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = repository.commit({"a.py": "1"})
    other = GitRepository(tmp_path / "other")
    other.commit({"b.py": "1"})
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))

    assert look(repository).head() == made
    assert not (tmp_path / "trace").exists()


def test_looking_changes_nothing_in_the_repository(repository: GitRepository) -> None:
    made = repository.commit({"CLAUDE.md": "be good"})
    before = _state(repository.folder)

    asked = look(repository)
    asked.commit(made)
    asked.text(asked.head(), "CLAUDE.md", 100)

    assert _state(repository.folder) == before


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (status.st_mtime_ns, status.st_size)
        for path in folder.rglob("*")
        if stat.S_ISREG((status := path.lstat()).st_mode)
    }


def test_the_clocks_of_both_are_read_alike(repository: GitRepository) -> None:
    made = repository.commit({"a.py": "1"}, NOON)

    assert look(repository).commit(made).committed_at == NOON  # type: ignore[union-attr]
