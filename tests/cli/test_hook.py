"""Hooks before the tools: an edit leases its file or is refused, and nothing passes that could not be asked about."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli import workplace as workplaces
from tests.cli.workplace import Workplace
from tests.support.daemon import ROOT

PATCH = """*** Begin Patch
*** Update File: src/app.py
@@
-print()
+print(1)
*** Move to: src/main.py
*** Add File: src/new.py
+print(2)
*** Delete File: src/old.py
*** End Patch
"""
CLIENTS = pytest.mark.parametrize(
    ("client", "tool", "given"),
    [
        ("claude", "Edit", {"file_path": "src/held.py", "old_string": "a", "new_string": "b"}),
        ("codex", "apply_patch", {"command": "*** Begin Patch\n*** Delete File: src/held.py\n*** End Patch\n"}),
        ("gemini", "write_file", {"file_path": "src/held.py", "content": "x"}),
    ],
)


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ("Edit", "file_path"),
        ("Write", "file_path"),
        ("MultiEdit", "file_path"),
        ("NotebookEdit", "notebook_path"),
        ("write_file", "file_path"),
        ("replace", "file_path"),
    ],
)
def test_an_edit_leases_its_file_in_the_agents_name_and_says_nothing(
    workplace: Workplace, tool: str, field: str
) -> None:
    given: dict[str, Any] = {field: str(workplace.repository / "src/app.py")}

    ran = workplace.before(tool, **given)

    assert ran.passed, ran
    assert workplace.leased_by("ada") == ["src/app.py"]


@pytest.mark.parametrize("text", [{"command": PATCH}, {"input": PATCH}, {"command": ["apply_patch", PATCH]}])
def test_a_patch_leases_every_file_that_it_names(workplace: Workplace, text: dict[str, Any]) -> None:
    ran = workplace.before("apply_patch", "codex", **text)

    assert ran.passed, ran
    assert workplace.leased_by("ada") == ["src/app.py", "src/main.py", "src/new.py", "src/old.py"]


def test_a_patch_that_is_run_as_a_command_leases_its_files(workplace: Workplace) -> None:
    ran = workplace.before("Bash", "codex", command=f"apply_patch <<'EOF'\n{PATCH}EOF")

    assert ran.passed, ran
    assert "src/new.py" in workplace.leased_by("ada")


@CLIENTS
def test_a_held_file_is_denied_with_its_holder_and_the_next_step_in_each_clients_words(
    workplace: Workplace, client: str, tool: str, given: dict[str, Any]
) -> None:
    workplace.holds("bob", "src/**")

    ran = workplace.before(tool, client, **given)

    assert ran.code == 0
    for words in (
        "src/held.py",
        "bob",
        'conductor_acquire_lock {"paths": ["src/held.py"], "wait_s": 50}',
        "claim_task",
    ):
        assert words in ran.denial
    assert [ran.denial.count(word) for word in ("wait_s", "claim_task", "elsewhere")] == [1, 1, 0], "advice comes once"
    assert workplace.leased_by("ada") == []


def test_an_edit_goes_on_where_the_denial_says_so(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")
    denied = workplace.edit("src/held.py")
    workplace.call("release_lock", all=True, force=True, agent_id="bob")

    again = workplace.edit("src/held.py")

    assert "bob" in denied.denial
    assert again.passed
    assert workplace.leased_by("ada") == ["src/held.py"]


def test_more_files_than_one_call_takes_are_leased_together(workplace: Workplace) -> None:
    names = [f"*** Add File: src/m{number}.py\n+x\n" for number in range(150)]

    ran = workplace.before("apply_patch", "codex", command=f"*** Begin Patch\n{''.join(names)}*** End Patch\n")

    assert ran.passed, ran
    assert len(workplace.leased_by("ada")) == 150


def test_a_link_leases_the_file_that_is_written(workplace: Workplace) -> None:
    (workplace.repository / "link.py").symlink_to("src/app.py")
    (workplace.repository / "folder").symlink_to("src")

    workplace.edit("link.py")
    workplace.edit("folder/held.py")
    workplace.edit("src/../src/./new.py")

    assert workplace.leased_by("ada") == ["src/app.py", "src/held.py", "src/new.py"]


def test_a_link_does_not_lead_around_anothers_lease(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")
    (workplace.repository / "link.py").symlink_to("src/held.py")

    assert "bob" in workplace.edit("link.py").denial


def test_what_lies_outside_is_not_ours_and_nobody_is_asked(workplace: Workplace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True, capture_output=True)
    (workplace.repository / "out").symlink_to(tmp_path)

    for path in (tmp_path / "note.txt", other / "src/app.py", workplace.repository / "out/note.txt"):
        assert workplace.edit(path, CONDUCTOR_URL="http://127.0.0.1:9").passed


def test_a_worktree_is_the_repository_also_below_it(workplace: Workplace, tmp_path: Path) -> None:
    git = ["git", "-C", str(workplace.repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True, capture_output=True)
    for tree, branch in ((tmp_path / "beside", "one"), (workplace.repository / ".trees/two", "two")):
        subprocess.run([*git, "worktree", "add", "-q", "-b", branch, str(tree)], check=True, capture_output=True)

    workplace.edit(tmp_path / "beside/src/one.py")
    workplace.edit(workplace.repository / ".trees/two/src/two.py")

    assert workplace.leased_by("ada") == ["src/one.py", "src/two.py"]


def test_a_repository_inside_belongs_to_what_surrounds_it(workplace: Workplace) -> None:
    subprocess.run(["git", "init", "-q", workplace.repository / "lib"], check=True, capture_output=True)

    workplace.edit("lib/x.py")

    assert workplace.leased_by("ada") == ["lib/x.py"]


def test_the_project_stays_the_same_when_the_client_walks_elsewhere(workplace: Workplace, tmp_path: Path) -> None:
    said = {**workplace.tool("Edit", file_path=str(workplace.repository / "src/app.py")), "cwd": str(tmp_path)}

    ran = workplace.hook("pre-tool", said, CLAUDE_PROJECT_DIR=str(workplace.repository))

    assert ran.passed
    assert workplace.leased_by("ada") == ["src/app.py"]


def test_gits_own_folder_is_denied(workplace: Workplace) -> None:
    assert ".git" in workplace.edit(".git/hooks/pre-commit").denial


def test_tools_that_write_no_file_pass_without_asking(workplace: Workplace) -> None:
    for tool in ("Read", "Grep", "mcp__conductor__conductor_claim_task", "WebFetch"):
        assert workplace.before(tool, environ={"CONDUCTOR_URL": "http://127.0.0.1:9"}, file_path="src/app.py").passed


def test_a_role_that_may_not_lease_may_not_edit(tmp_path: Path, served: Any) -> None:
    reviewer = Workplace.make(served, tmp_path, role="reviewer")

    assert "reviewer" in reviewer.edit("src/app.py").denial


def test_a_paused_agent_may_not_edit_and_is_told_why(workplace: Workplace) -> None:
    workplace.call("pause", scope="agent", agent_id="ada", reason="the release is cut")

    assert "the release is cut" in workplace.edit("src/app.py").denial


def test_the_token_of_the_named_agent_is_taken_from_the_home(workplace: Workplace) -> None:
    agents = workplace.daemon.home / "agents"
    agents.mkdir(mode=0o700, exist_ok=True)
    name = f"ada-{workplace.project_id}"
    (agents / f"{name}.token").write_text(workplace.token)
    (agents / f"{name}.token").chmod(0o600)
    said = workplace.tool("Edit", file_path="src/app.py")
    words = ("hook", "pre-tool", "--client=claude", "--agent", name)

    alone = workplace.run(*words, said=said, CONDUCTOR_TOKEN="")
    beside_a_person = workplace.run(*words, said=said, CONDUCTOR_TOKEN=workplace.daemon.owner_token)

    assert alone.passed, alone
    assert beside_a_person.passed, beside_a_person
    assert workplace.leased_by("ada") == ["src/app.py"]


def test_a_token_that_others_can_read_is_not_used(workplace: Workplace) -> None:
    agents = workplace.daemon.home / "agents"
    agents.mkdir(mode=0o700, exist_ok=True)
    name = f"open-{workplace.project_id}"
    (agents / f"{name}.token").write_text(workplace.token)
    (agents / f"{name}.token").chmod(0o644)

    ran = workplace.run(
        "hook", "pre-tool", "--agent", name, said=workplace.tool("Edit", file_path="src/app.py"), CONDUCTOR_TOKEN=""
    )

    assert ran.closed
    assert "chmod 600" in ran.err


def test_nothing_of_the_clients_environment_is_needed(workplace: Workplace) -> None:
    said = json.dumps(workplace.tool("Edit", file_path=str(workplace.repository / "src/app.py")))

    ran = subprocess.run(
        [*workplaces.COMMAND, "hook", "pre-tool", "--client", "claude", "--home", str(workplace.daemon.home)],
        input=said,
        capture_output=True,
        text=True,
        env={"CONDUCTOR_TOKEN": workplace.token, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        cwd="/",
        timeout=30,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
