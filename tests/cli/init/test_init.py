"""`conductor init`: the project and the agents on the server, the clients in the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from conductor.cli.gate import set_up
from conductor.cli.setup import clients, places, record
from conductor.domain import errors
from tests.cli.conftest import TOKEN, Run
from tests.cli.double import Double
from tests.cli.init.prepared import picture, write
from tests.support.repository import GitRepository


def test_a_project_is_made_for_the_repository_and_an_agent_for_each_client(
    repository: GitRepository, double: Double, run: Run, tmp_path: Path
) -> None:
    done = run("init", "--agent", "claude", "--agent", "codex=ada")

    assert done.code == 0, done.err
    assert double.bodies("create_project")[0]["root_path"] == str(repository.folder)
    assert [(body["agent_id"], body["agent_type"]) for body in double.bodies("register_agent")] == [
        ("claude-1", "claude-code"),
        ("ada", "codex"),
    ]
    token = tmp_path / "home/agents/ada.token"
    assert token.read_text() == "cdr_agt_ada0000_secret"
    assert token.stat().st_mode & 0o777 == 0o600


def test_the_gates_are_told_the_project_of_the_checkout(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude")

    git_folder = repository.folder / ".git"
    assert set_up.project(git_folder, git_folder) == "prj_0000000001"
    assert set_up.project(git_folder / "worktrees/beside", git_folder) == "prj_0000000001"


def test_the_token_stands_in_no_file_of_the_repository(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude", "--agent", "codex", "--agent", "gemini")

    held = [path for path in repository.folder.rglob("*") if path.is_file() and b"cdr_" in path.read_bytes()]
    assert held == []


def test_the_project_with_the_same_remote_is_found_however_it_is_written(
    repository: GitRepository, double: Double, server: dict[str, Any], run: Run
) -> None:
    repository.git("remote", "add", "origin", "git@git.example.org:team/shop.git")
    server["projects"].append({"slug": "shop", "git_remote": "https://ada@git.example.org/team/shop"})

    done = run("init", "--agent", "claude")

    assert "Set up in project shop" in done.out
    assert double.bodies("create_project") == []


def test_a_password_in_the_remote_is_not_told_to_the_server(
    repository: GitRepository, double: Double, run: Run
) -> None:
    repository.git("remote", "add", "origin", "https://ada:hunter2@git.example.org/team/shop.git")

    run("init", "--agent", "claude")

    assert double.bodies("create_project")[0]["git_remote"] == "https://git.example.org/team/shop.git"


def test_names_that_the_project_has_are_not_taken_again(
    repository: GitRepository, double: Double, server: dict[str, Any], run: Run
) -> None:
    server["projects"].append({"slug": "shop", "root_path": str(repository.folder)})
    server["agents"].append("claude-1")

    run("init", "--agent", "claude")

    assert [body["agent_id"] for body in double.bodies("register_agent")] == ["claude-2"]


def test_an_agent_of_others_is_not_taken_over(
    repository: GitRepository, server: dict[str, Any], double: Double, run: Run
) -> None:
    server["projects"].append({"slug": "shop", "root_path": str(repository.folder)})
    server["agents"].append("ada")
    before = picture(repository.folder)

    done = run("init", "--agent", "claude=ada")

    assert done.code == 5
    assert "--agent claude=NAME" in done.err
    assert double.bodies("register_agent") == []
    assert picture(repository.folder) == before


def test_a_refused_name_says_how_to_take_it_over(
    repository: GitRepository, server: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    server["projects"].append({"slug": "shop", "root_path": str(repository.folder)})
    server["agents"].append("cody")

    done = run("init", "--agent", "codex=cody")

    assert done.code == 5
    way = "conductor agent register cody cody --supersede --agent-type codex --project shop --field token"
    assert f"`{way}` prints into {tmp_path / 'home/agents/cody.token'} (mode 600)" in done.err


def test_after_the_way_out_the_name_is_taken(
    repository: GitRepository, server: dict[str, Any], double: Double, run: Run, tmp_path: Path
) -> None:
    server["projects"].append({"slug": "shop", "root_path": str(repository.folder)})
    server["agents"].append("cody")
    token = tmp_path / "home/agents/cody.token"
    token.parent.mkdir(parents=True, mode=0o700)
    token.touch(0o600)
    token.write_text("cdr_agt_cody000_secret")

    done = run("init", "--agent", "codex=cody")

    assert done.code == 0, done.err
    assert double.bodies("register_agent") == []


@pytest.mark.parametrize(("asked", "name"), [("codex=cody", "cody"), ("codex", "codex-1")])
def test_after_a_removal_the_agents_that_were_made_here_are_taken_again(
    asked: str, name: str, repository: GitRepository, double: Double, run: Run, tmp_path: Path
) -> None:
    run("init", "--agent", asked)
    assert run("init", "remove").code == 0
    assert not (tmp_path / f"home/agents/{name}.token").exists()

    done = run("init", "--agent", asked)

    assert done.code == 0, done.err
    told = [(body["agent_id"], body.get("supersede", False)) for body in double.bodies("register_agent")]
    assert told == [(name, False), (name, True)]
    assert [path.name for path in (tmp_path / "home/agents").iterdir()] == [f"{name}.token"]


def test_another_repository_does_not_take_what_was_left_here(
    repository: GitRepository, server: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init", "--agent", "codex=cody")
    run("init", "remove")
    monkeypatch.chdir(GitRepository(tmp_path / "other").folder)

    done = run("init", "--agent", "codex=cody", "--project", "shop")

    assert done.code == 5
    assert "cody is an agent here already" in done.err


def test_a_hand_edited_section_is_refused_with_what_overwrites_it(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude")
    text = repository.folder / "CLAUDE.md"
    written = text.read_text()
    text.write_text(written.replace("Lease every other file", "Lease no file"))

    refused = run("init", "--yes")
    forced = run("init", "--yes", "--force")

    assert refused.code == 2
    assert "CLAUDE.md: its section" in refused.err
    assert "With --force" in refused.err
    assert forced.code == 0, forced.err
    assert text.read_text() == written


def test_a_lost_token_is_made_again_for_the_same_agent(
    repository: GitRepository, double: Double, run: Run, tmp_path: Path
) -> None:
    run("init", "--agent", "claude")
    (tmp_path / "home/agents/claude-1.token").unlink()

    run("init")

    again = double.bodies("register_agent")[-1]
    assert (again["agent_id"], again["supersede"]) == ("claude-1", True)
    assert (tmp_path / "home/agents/claude-1.token").exists()


def test_one_client_more_leaves_the_others(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude")

    run("init", "--agent", "codex")

    assert (repository.folder / ".mcp.json").exists()
    assert (repository.folder / ".codex/hooks.json").exists()
    assert json.loads(run("init", "status", "--json").out)["agents"] == {"claude": "claude-1", "codex": "codex-1"}


def test_an_agent_sets_itself_up_with_its_own_token(
    repository: GitRepository, double: Double, server: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUCTOR_TOKEN", TOKEN)
    server["caller"] = {"kind": "agt", "role": "contributor", "agent_id": "grace", "project_id": "prj_0123456789"}

    done = run("init", "--agent", "claude")

    assert done.code == 0, done.err
    assert '"grace"' in (repository.folder / ".mcp.json").read_text()
    assert double.bodies("register_agent") == []


def test_a_server_that_a_person_entered_is_left_alone(repository: GitRepository, run: Run) -> None:
    own = b'{"mcpServers": {"conductor": {"type": "http", "url": "http://10.0.0.1:8787/mcp"}}}'
    write(repository, ".mcp.json", own)
    write(repository, ".codex/config.toml", b'[mcp_servers.conductor]\nurl = "http://10.0.0.1:8787/mcp"\n')

    run("init", "--agent", "claude", "--agent", "codex")

    assert (repository.folder / ".mcp.json").read_bytes() == own
    assert (repository.folder / ".codex/config.toml").read_text().count("mcp_servers") == 1


def test_git_leaves_out_what_names_the_agents_and_shows_the_instructions(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude", "--agent", "codex", "--agent", "gemini")

    assert repository.git("status", "--short").splitlines() == ["?? AGENTS.md", "?? CLAUDE.md", "?? GEMINI.md"]


def test_an_instruction_file_that_takes_in_another_gets_no_second_section(repository: GitRepository, run: Run) -> None:
    write(repository, "CLAUDE.md", b"@AGENTS.md\n")

    run("init", "--agent", "claude", "--agent", "codex")

    assert (repository.folder / "CLAUDE.md").read_bytes() == b"@AGENTS.md\n"
    assert b"conductor:begin" in (repository.folder / "AGENTS.md").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (".mcp.json", b'{"mcpServers": ', "it is not JSON"),
        (".mcp.json", b"[]", "not an object"),
        (".mcp.json", b'{"mcpServers": []}', "not an object"),
        (".claude/settings.local.json", b'{"hooks": {"PreToolUse": {}}}', "not a list"),
        (".codex/config.toml", b"model = ", "not TOML"),
        (".codex/config.toml", b"mcp_servers = {}", "not TOML to which"),
        ("CLAUDE.md", b"\xff\xfe#\0", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_extended_stops_everything(
    name: str, content: bytes, said: str, repository: GitRepository, double: Double, run: Run
) -> None:
    write(repository, name, content)
    before = picture(repository.folder)

    done = run("init", "--agent", "claude", "--agent", "codex")

    assert done.code == 2
    assert name in done.err
    assert said in done.err
    assert picture(repository.folder) == before
    assert double.bodies("register_agent") == []


def test_a_link_that_leads_out_of_the_checkout_is_not_written_through(
    repository: GitRepository, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "outside.md").write_text("mine\n")
    (repository.folder / "CLAUDE.md").symlink_to(tmp_path / "outside.md")

    done = run("init", "--agent", "claude")

    assert done.code == 2
    assert "outside of this checkout" in done.err
    assert (tmp_path / "outside.md").read_text() == "mine\n"


def test_clients_are_detected_by_program_mark_and_home(tmp_path: Path) -> None:
    program = tmp_path / "bin/codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "top/.cursor").mkdir(parents=True)
    (tmp_path / "home/.gemini").mkdir(parents=True)

    found = clients.detect(tmp_path / "top", {"PATH": str(program.parent), "HOME": str(tmp_path / "home")})

    assert [client.name for client in found] == ["codex", "gemini", "cursor"]


def test_a_bare_name_is_the_only_clients_and_else_must_say_whose() -> None:
    claude, codex = clients.CLIENTS["claude"], clients.CLIENTS["codex"]

    assert clients.choose(["ada"], [claude]) == {claude: "ada"}
    with pytest.raises(errors.Invalid, match="--agent CLIENT=ada"):
        clients.choose(["ada"], [claude, codex])
    with pytest.raises(errors.Invalid, match="No coding agent was detected"):
        clients.choose([], [])


def test_a_folder_below_means_the_whole_checkout(
    repository: GitRepository, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.folder / "src").mkdir()
    monkeypatch.chdir(repository.folder / "src")

    run("init", "--agent", "claude")

    assert (repository.folder / ".mcp.json").exists()
    assert list((repository.folder / "src").iterdir()) == []


def test_a_bare_repository_is_told_of_its_own_gate(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GitRepository(tmp_path / "far.git", "--bare").folder)

    done = run("init", "--agent", "claude")

    assert done.code == 2
    assert "conductor gate pre-receive" in done.err


def test_a_second_set_up_at_the_same_time_is_refused(repository: GitRepository, run: Run) -> None:
    with record.held(places.find(repository.folder)):
        done = run("init", "--agent", "claude")

    assert done.code == 8
    assert "wait until it is done" in done.err


def test_a_set_up_that_was_cut_off_goes_on_with_the_same_agents(
    repository: GitRepository, double: Double, run: Run
) -> None:
    double.script(
        "register_agent", errors.Unavailable("Away."), errors.Unavailable("Away."), errors.Unavailable("Away.")
    )
    broken = run("init", "--agent", "claude")

    done = run("init")

    assert (broken.code, done.code) == (8, 0), done.err
    assert {body["agent_id"] for body in double.bodies("register_agent")} == {"claude-1"}


def test_a_hook_that_cannot_be_started_refuses_edits_and_stops_nothing_else(
    repository: GitRepository, run: Run
) -> None:
    run("init", "--agent", "gemini")

    events = json.loads((repository.folder / ".gemini/settings.json").read_text())["hooks"]
    ends = {event: group["hooks"][0]["command"][-7:] for event, [group] in events.items()}
    assert ends.pop("BeforeTool") == " exit 2"
    # Gemini CLI takes any code above 1 for a refusal, and after a refused end it begins again.
    assert set(ends.values()) == {" exit 1"}


def test_a_home_that_is_not_the_usual_is_named_where_clients_ask(
    repository: GitRepository, run: Run, tmp_path: Path
) -> None:
    run("init", "--agent", "claude")

    server = json.loads((repository.folder / ".mcp.json").read_text())["mcpServers"]["conductor"]
    assert server["args"][:5] == ["mcp", "--agent", "claude-1", "--home", str(tmp_path / "home")]
    assert f"CONDUCTOR_HOME:={tmp_path / 'home'}" in (repository.folder / ".git/hooks/pre-commit").read_text()


def test_status_names_what_is_gone_and_what_mends_it(repository: GitRepository, run: Run) -> None:
    run("init", "--agent", "claude")
    well = run("init", "status")
    (repository.folder / ".mcp.json").unlink()
    (repository.folder / "CLAUDE.md").write_text("")

    ill = run("init", "status")

    assert well.code == 0, well.out
    assert ill.code == 1
    assert "bad   .mcp.json: is missing" in ill.out
    assert "bad   CLAUDE.md: is missing" in ill.out


def test_status_without_a_set_up_says_so(repository: GitRepository, run: Run) -> None:
    done = run("init", "status")

    assert (done.code, done.out) == (1, "Conductor is not set up in this checkout: conductor init\n")


def test_without_a_daemon_at_an_address_that_was_given_none_is_started(
    repository: GitRepository, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUCTOR_URL", "http://127.0.0.1:9")
    before = picture(repository.folder)

    done = run("init", "--agent", "claude")

    assert done.code == 8
    assert picture(repository.folder) == before
