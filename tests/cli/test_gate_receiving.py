"""The gate of the server that receives: real pushes into a bare repository, also with --no-verify."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.gate import trailer
from conductor.domain import errors
from tests.cli.double import Double
from tests.cli.gates import AGENT, SERVICE, Repository, agent_named, environment, paths_asked, verdicts

FENCE = trailer.Fence("lck_0123456789", 12)
STALE = trailer.Fence("lck_abcdefghjk", 5)


def judge(path: str, asked: dict[str, Any]) -> str:
    """The board of these tests: the first fence is good for all, the second is stale, `lib/` is another's."""
    tokens = {token["lock_id"] for token in asked.get("tokens", [])}
    if FENCE.lock_id in tokens:
        return "ok"
    if tokens:
        return "stale_token"
    return "locked_by_other" if path.startswith("lib/") else "not_locked"


@dataclass
class Sides:
    """A bare repository with our gate, a clone of it, and who answers the gate."""

    bare: Repository
    clone: Repository
    double: Double

    def push(self, *more: str, branch: str = "main", **environ: str) -> str:
        """Push past the local gates; gives what was said when it is refused, else nothing."""
        done = self.clone.tried("push", "--no-verify", "origin", branch, *more, **environ)
        assert (done.returncode == 0) != ("pre-receive hook declined" in done.stderr), done.stderr
        return "" if done.returncode == 0 else done.stderr

    def commit(self, *names: str, fence: trailer.Fence | None = None, by: str | None = None, text: str = "t\n") -> str:
        """Commit in the clone as an agent, or a person."""
        author = Repository(self.clone.folder, {**self.clone.environ, **(agent_named(by) if by else {})})
        message = "work" if fence is None else f"work\n\n{trailer.NAME}: {fence}"
        return author.commit(*names, text=text, message=message)


@pytest.fixture
def sides(tmp_path: Path, double: Double) -> Sides:
    environ = environment(tmp_path)
    double.always["check_paths"] = verdicts(judge, agents=["ada", "Claude-1"])
    bare = Repository.make(tmp_path / "bare.git", environ, "--bare")
    bare.hook("pre-receive")
    token = tmp_path / "receiver.token"
    token.write_text(SERVICE)
    token.chmod(0o600)
    bare("config", "conductor.url", double.url)
    bare("config", "conductor.token-file", str(token))
    clone = Repository.make(tmp_path / "clone", environ)
    clone("remote", "add", "origin", str(bare.folder))
    return Sides(bare, clone, double)


def test_a_commit_under_a_good_lease_is_received_and_one_under_a_stale_one_is_not(sides: Sides) -> None:
    good = sides.commit("src/app.py", fence=FENCE)
    assert sides.push() == ""
    stale = sides.commit("src/b.py", fence=STALE)

    said = sides.push()

    assert f"src/b.py in {stale[:12]}: stale_token: said of src/b.py" in said
    assert "src/app.py" not in said
    assert "make the change anew" in said
    assert sides.bare("rev-parse", "main") == good
    assert {asked.authorization for asked in sides.double.asked} == {f"Bearer {SERVICE}"}


def test_one_stale_commit_among_others_refuses_the_whole_push(sides: Sides) -> None:
    sides.commit("a", fence=FENCE)
    sides.commit("b", fence=STALE)
    sides.commit("c", fence=FENCE)
    sides.clone("branch", "innocent", "HEAD~2")

    said = sides.push("innocent")

    assert "b in " in said
    assert sides.bare.tried("rev-parse", "--verify", "innocent").returncode != 0


@pytest.mark.parametrize("name", ["ada", "Claude-1"])
def test_an_agents_commit_without_a_lease_in_it_is_judged_by_what_the_agent_holds_now(sides: Sides, name: str) -> None:
    sides.commit("src/app.py", by=name)

    said = sides.push()

    assert "src/app.py" in said
    assert "not_locked" in said
    assert sides.double.bodies("check_paths")[-1]["agent_id"] == name


def test_a_person_needs_no_lease_and_is_kept_off_those_of_agents(sides: Sides) -> None:
    sides.commit("src/app.py")
    free = sides.push()
    sides.commit("lib/a.py")

    held = sides.push()

    assert free == ""
    assert "lib/a.py" in held
    assert "locked_by_other" in held


def test_people_are_not_asked_where_the_project_lets_them_and_stale_leases_still_are(sides: Sides) -> None:
    sides.bare("config", "conductor.people", "allow")
    sides.commit("lib/a.py")
    free = sides.push()
    sides.commit("lib/b.py", fence=STALE)

    assert free == ""
    assert set(paths_asked(sides.double)) == {"README.md"}
    assert "stale_token" in sides.push()


def test_what_a_reference_holds_already_is_not_judged_again(sides: Sides) -> None:
    sides.commit("a", fence=FENCE)
    sides.push()
    sides.double.always["check_paths"] = verdicts(lambda *_: "stale_token")

    assert sides.push("main:refs/heads/other") == ""
    assert sides.push("main:refs/tags/v1") == ""
    assert sides.push(":refs/heads/other") == ""


def test_a_branch_that_is_thrown_back_is_judged_by_what_is_new_on_it(sides: Sides) -> None:
    sides.commit("a", fence=FENCE)
    sides.commit("b", fence=FENCE)
    sides.push()
    sides.clone("reset", "--quiet", "--hard", "HEAD~1")
    sides.commit("c", fence=FENCE)

    assert sides.push("--force") == ""

    assert paths_asked(sides.double) == ["a", "b", "c"]


def test_of_a_merge_only_what_differs_from_all_its_parents_is_judged(sides: Sides) -> None:
    sides.commit("both", fence=FENCE)
    sides.clone("branch", "side")
    sides.commit("mine", "both", fence=FENCE, text="mine\n")
    sides.clone("switch", "--quiet", "side")
    sides.commit("theirs", "both", fence=FENCE, text="theirs\n")
    sides.push("main", branch="side")
    before = len(sides.double.asked)
    sides.clone.tried("merge", "main")
    sides.commit("both", "evil", by="ada", text="merged\n")

    said = sides.push(branch="side")

    judged = {path for asked in sides.double.asked[before:] for path in asked.body["paths"]} - {"README.md"}
    assert judged == {"both", "evil"}
    assert "mine" not in said


def test_renames_deletions_submodules_and_odd_names_are_judged(sides: Sides) -> None:
    first = sides.commit("old", "gone", fence=FENCE)
    sides.push()
    before = len(sides.double.asked)
    sides.clone("mv", "old", "new")
    sides.clone("rm", "--quiet", "gone")
    sides.clone("update-index", "--add", "--cacheinfo", f"160000,{first},modules/sub")
    sides.clone.write("odd name*", "ctrl/a\tb")
    sides.clone("add", "odd name*", "ctrl")
    sides.clone("commit", "--quiet", "-m", f"move\n\n{trailer.NAME}: {FENCE}")

    assert sides.push() == ""

    judged = {path for asked in sides.double.asked[before:] for path in asked.body["paths"]}
    assert judged == {"old", "new", "gone", "modules/sub", "odd name*", "ctrl/"}


def test_a_replacement_that_is_pushed_along_hides_nothing(sides: Sides) -> None:
    clean = sides.commit("harmless", fence=FENCE)
    dirty = sides.commit("secret", fence=STALE)
    sides.clone("replace", "-f", dirty, clean)
    sides.push("refs/replace/*:refs/replace/*", branch=f"{clean}:refs/heads/clean")

    assert "secret" in sides.push("refs/replace/*:refs/replace/*")


@pytest.mark.parametrize(
    "environ",
    [
        {"CONDUCTOR_OFFLINE": "1"},
        {"CONDUCTOR_TOKEN": AGENT},
        {"CONDUCTOR_URL": "http://127.0.0.1:1"},
        {"CONDUCTOR_AGENT": "bob"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "conductor.people", "GIT_CONFIG_VALUE_0": "allow"},
    ],
)
def test_nothing_that_a_pusher_brings_along_opens_the_gate(sides: Sides, environ: dict[str, str]) -> None:
    sides.commit("lib/a.py")

    said = sides.push(**environ)

    assert "locked_by_other" in said
    assert {asked.authorization for asked in sides.double.asked} == {f"Bearer {SERVICE}"}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("conductor.url", "http://127.0.0.1:1", "No daemon answers at http://127.0.0.1:1"),
        ("conductor.url", "nonsense", "begin with http:// or https://"),
        ("conductor.token-file", "/nowhere/token", "The receiving gate has no token"),
        ("conductor.people", "maybe", "check or allow"),
        ("conductor.project", "elsewhere", "There is no project 'elsewhere'"),
    ],
)
def test_a_gate_that_cannot_ask_is_closed_and_says_why(sides: Sides, setting: str, value: str, sentence: str) -> None:
    sides.double.always["list_projects"] = lambda _: {"items": [{"id": "prj_0123456789", "slug": "shop"}]}
    sides.bare("config", setting, value)
    sides.commit("src/app.py")

    said = sides.push()

    assert sentence in said
    assert "Traceback" not in said
    assert SERVICE not in said


def test_a_daemon_that_refuses_the_token_closes_the_gate(sides: Sides) -> None:
    sides.double.script("check_paths", errors.Unauthenticated("No valid token was sent."))
    sides.commit("src/app.py", fence=FENCE)

    assert "No valid token was sent." in sides.push()


def test_an_agents_token_is_not_taken_for_the_receivers(sides: Sides) -> None:
    sides.bare("config", "--unset", "conductor.token-file")
    sides.commit("src/app.py", fence=FENCE)

    said = sides.push(CONDUCTOR_TOKEN=AGENT)

    assert "needs a token of its own" in said
    assert sides.double.asked == []


@pytest.mark.parametrize("named", ["shop", "prj_0123456789"])
def test_the_project_is_named_where_the_repository_says_which(sides: Sides, named: str) -> None:
    projects = [{"id": "prj_abcdefghjk", "slug": "other"}, {"id": "prj_0123456789", "slug": "shop"}]
    sides.double.always["list_projects"] = lambda _: {"items": projects}
    sides.bare("config", "conductor.project", named)
    sides.commit("src/app.py", fence=FENCE)

    assert sides.push() == ""

    assert {body["project_id"] for body in sides.double.bodies("check_paths")} == {"prj_0123456789"}


def test_five_thousand_files_are_received_in_seconds(sides: Sides) -> None:
    sides.commit(*(f"d{number % 50}/f{number}" for number in range(5000)), fence=FENCE)
    began = time.monotonic()

    assert sides.push() == ""

    assert time.monotonic() - began < 10
    assert len(paths_asked(sides.double)) == 5000


def test_what_is_no_hooks_input_is_refused(sides: Sides) -> None:
    import subprocess

    from tests.support.daemon import installed

    done = subprocess.run(
        [installed("conductor"), "gate", "pre-receive"],
        input="nonsense\n",
        cwd=sides.bare.folder,
        env=sides.bare.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert "run it as a hook" in done.stderr
