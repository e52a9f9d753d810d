"""What the gates are told by git is what was really changed, whatever a repository's settings say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conductor.cli.gate.git import Git
from conductor.domain import errors
from tests.cli.gates import Repository, environment


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository.make(tmp_path / "repository", environment(tmp_path))
    monkeypatch.chdir(made.folder)
    return made


def git(repository: Repository, **more: str) -> Git:
    return Git({**repository.environ, **more})


def new(repository: Repository, *heads: str, held: str = "--remotes") -> dict[str, set[str]]:
    asked = git(repository)
    commits = asked.new_commits(heads or [repository("rev-parse", "HEAD")], held=[held])
    return asked.touched([commit.id for commit in commits])


def test_the_first_commit_changes_all_that_is_staged(repository: Repository) -> None:
    repository.write("a", "b/c")
    repository("add", "a", "b/c")
    repository.write("not-staged")

    assert git(repository).staged() == ("a", "b/c")


def test_what_is_added_changed_deleted_and_both_ends_of_a_rename_are_staged(repository: Repository) -> None:
    repository.commit("changed", "deleted", "old", "same")
    repository("rm", "--quiet", "deleted")
    repository("mv", "old", "new")
    repository.write("changed", text="other\n")
    repository.write("added")
    repository("add", "changed", "added")
    repository("config", "diff.renames", "copies")

    assert git(repository).staged() == ("added", "changed", "deleted", "new", "old")


def test_names_are_told_as_they_are(repository: Repository) -> None:
    names = ("a b", 'quote"', "new\nline", "stern*", "[id].tsx", "Grüße.md", "tab\t")
    repository.write(*names)
    (repository.folder / os.fsdecode(b"latin\xfc")).write_text("")
    repository("add", "--all")
    asked = git(repository)

    staged = asked.staged()
    repository("commit", "--quiet", "-m", "names")
    committed = new(repository)

    assert set(staged) == {*names, os.fsdecode(b"latin\xfc")}
    assert list(committed.values()) == [set(staged)]


def test_a_submodule_that_moves_is_a_change_also_where_settings_ignore_it(repository: Repository) -> None:
    repository.commit("a")
    head = repository("rev-parse", "HEAD")
    repository("update-index", "--add", "--cacheinfo", f"160000,{head},modules/sub")
    repository.write(".gitmodules", text='[submodule "sub"]\n\tpath = modules/sub\n\turl = x\n\tignore = all\n')
    repository("add", ".gitmodules")
    repository("commit", "--quiet", "-m", "add a submodule")
    after = repository("rev-parse", "HEAD")
    repository("update-index", "--cacheinfo", f"160000,{after},modules/sub")
    repository("config", "diff.ignoreSubmodules", "all")
    asked = git(repository)

    staged = asked.staged()
    repository("commit", "--quiet", "--allow-empty", "-m", "move it")

    assert staged == ("modules/sub",)
    assert asked.touched([repository("rev-parse", "HEAD")]) == {repository("rev-parse", "HEAD"): {"modules/sub"}}


def test_of_a_merge_in_progress_only_what_differs_from_all_parents_is_staged(repository: Repository) -> None:
    _diverge(repository)
    repository.tried("merge", "side")
    repository.write("both", text="merged\n")
    repository("add", "--all")

    assert git(repository).staged() == ("both",)


def test_of_a_merge_commit_only_what_differs_from_all_parents_is_touched(repository: Repository) -> None:
    _diverge(repository)
    repository.tried("merge", "side")
    merge = repository.commit("both", "evil", text="merged\n", message="merge")

    assert new(repository)[merge] == {"both", "evil"}


def test_a_merge_without_conflicts_touches_nothing(repository: Repository) -> None:
    _diverge(repository, both=False)
    repository("merge", "--quiet", "--no-edit", "side")
    merge = repository("rev-parse", "HEAD")

    touched = new(repository)

    assert merge not in touched
    assert sorted(path for paths in touched.values() for path in paths) == ["mine", "start", "theirs"]


def test_only_commits_that_nothing_there_holds_are_new(repository: Repository) -> None:
    first = repository.commit("a")
    repository("update-ref", "refs/remotes/origin/main", first)
    second = repository.commit("b")

    assert new(repository) == {second: {"b"}}
    assert new(repository, first) == {}


def test_the_first_commit_of_a_history_touches_all_its_files(repository: Repository) -> None:
    first = repository.commit("a", "b/c")
    repository("config", "log.showRoot", "false")

    assert new(repository) == {first: {"a", "b/c"}}


def test_settings_of_a_repository_hide_nothing(repository: Repository) -> None:
    repository.commit("a", "b")
    last = repository.commit("a", "b", text="other\n")
    for name, value in (
        ("diff.orderFile", "/nowhere"),
        ("diff.external", "/bin/true"),
        ("diff.noprefix", "true"),
        ("diff.relative", "true"),
        ("color.ui", "always"),
        ("core.quotePath", "true"),
    ):
        repository("config", name, value)

    assert new(repository)[last] == {"a", "b"}


def test_a_replacement_hides_no_commit(repository: Repository) -> None:
    clean = repository.commit("harmless")
    dirty = repository.commit("secret")
    repository("replace", "-f", dirty, clean)

    assert new(repository, dirty)[dirty] == {"secret"}


def test_tags_and_blobs_are_looked_through(repository: Repository) -> None:
    first = repository.commit("a")
    repository("tag", "-a", "-m", "tagged", "v1")

    assert new(repository, repository("rev-parse", "v1")) == {first: {"a"}}
    assert new(repository, repository("rev-parse", "HEAD:a")) == {}


def test_a_commit_tells_its_people_and_leases(repository: Repository) -> None:
    repository.commit("a", message="work\n\nConductor-Lock: lck_0123456789#12")

    (commit,) = git(repository).new_commits([repository("rev-parse", "HEAD")], held=["--remotes"])

    assert commit.people == {"Jane Doe", "jane@example.org"}
    assert [str(fence) for fence in commit.fences] == ["lck_0123456789#12"]


def test_a_linked_worktree_has_an_index_and_a_merge_of_its_own(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("a")
    repository("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked", repository.environ)
    linked.write("b")
    linked("add", "b")

    monkeypatch.chdir(linked.folder)

    assert git(linked).staged() == ("b",)


def test_the_paths_of_the_head_are_told_until_a_remote_has_it(repository: Repository) -> None:
    before = git(repository).unpublished_head()
    head = repository.commit("a")
    here = git(repository).unpublished_head()
    repository("update-ref", "refs/remotes/origin/main", head)

    assert (before, here, git(repository).unpublished_head()) == ((), ("a",), ())


def test_settings_are_a_repositorys_and_not_a_single_commands(repository: Repository) -> None:
    repository("config", "conductor.people", "check")
    repository("config", "conductor.token-file", "a\nb")
    through = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "conductor.people", "GIT_CONFIG_VALUE_0": "allow"}

    for more in (through, {"GIT_CONFIG_PARAMETERS": "'conductor.people'='allow'"}):
        assert git(repository, **more).settings() == {"people": "check", "token-file": "a\nb"}


def test_outside_a_repository_the_gate_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    with pytest.raises(errors.Invalid, match="as a hook of git"):
        Git(environment(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path))).staged()


def test_without_git_the_gate_says_so(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(errors.Unavailable, match="git cannot be started"):
        Git({**repository.environ, "PATH": str(tmp_path)}).staged()


def _diverge(repository: Repository, *, both: bool = True) -> None:
    common = ("both",) if both else ()
    repository.commit("start")
    repository("branch", "side")
    repository.commit("mine", *common, text="mine\n")
    repository("switch", "--quiet", "side")
    repository.commit("theirs", *common, text="theirs\n")
    repository("switch", "--quiet", "main")
