"""Shell commands: one that names what another agent leases is refused, as far as can be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor.cli.quick import adapters, commands, judging, patches
from tests.cli.double import Answered, Double
from tests.cli.workplace import Workplace
from tests.support.daemon import DaemonProcess


@pytest.fixture(scope="module")
def shop(served: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A repository in which bob leases src/held.py, which link.py leads to."""
    place = Workplace.make(served, tmp_path_factory.mktemp("commands"))
    place.holds("bob", "src/held.py")
    (place.repository / "link.py").symlink_to("src/held.py")
    return place


def judged(place: Workplace, command: str) -> str | None:
    """Why ada may not run a command."""
    return judging.judge(place.tool("Bash", command=command), adapters.Client.CLAUDE, place.environ(), 5.0)


@pytest.mark.parametrize(
    "command",
    [
        "sed -i s/a/b/ src/held.py",
        "sed -i.bak 's/a b/c/' ./src/held.py",
        "rm src/held.py",
        "rm -rf src",
        "rm src/*.py",
        "mv src/held.py src/other.py",
        "mv src/app.py src/held.py",
        "git checkout -- src/held.py",
        "git -C src restore held.py",
        "git add src/held.py",
        "echo x > src/held.py",
        "echo x>>src/held.py",
        "cat src/app.py | tee src/held.py",
        "cat <<EOF > src/held.py\nit's text\nEOF",
        "cd src && rm held.py",
        "cd src; black held.py",
        "(cd src && truncate -s 0 held.py)",
        "ls\nrm src/held.py",
        "env A=1 sudo rm src/held.py",
        "A=1 rm src/held.py",
        "bash -c 'rm src/held.py'",
        "python -c \"open('src/held.py', 'w')\"",
        "dd if=/dev/zero of=src/held.py",
        "ruff format --fix src/held.py",
        "tool --output=src/held.py",
        "rm 'src/held.py",
        "rm link.py",
        "find src/held.py -delete",
        "python <<EOF\nopen('src/held.py', 'w')\nEOF",
        "git commit src/held.py -m done",
        "cat > src/app.py <<EOF\ntext\nEOF\nrm src/held.py",
    ],
)
def test_a_command_that_names_anothers_path_is_refused(shop: Workplace, command: str) -> None:
    reason = judged(shop, command)

    assert reason is not None
    for words in ("bob", "src/held.py", "conductor_acquire_lock"):
        assert words in reason


@pytest.mark.parametrize(
    "command",
    [
        "ls -la src",
        "cat src/held.py",
        "grep -n print src/held.py | head -3",
        "git diff src/held.py",
        "git status",
        "sed -n 1,3p src/held.py",
        "rm src/app.py",
        "echo x > src/app.py",
        "cat src/held.py > src/app.py",
        "cat src/held.py 2>&1 >/dev/null",
        "python -m pytest",
        "cd .. && ls",
        "rm -f /tmp/conductor-nothing-here",
        "echo src/held.py",
        "rm .git/index.lock",
        "awk '{print $1}' src/held.py",
        "cat > src/app.py <<'EOF'\nsee src/held.py\nEOF",
        "git commit -m 'mend src/held.py'",
        "git commit -am \"$(cat <<'EOF'\nmend src/held.py\nEOF\n)\"",
        "conductor lock acquire src/held.py",
        "gh pr create --body 'see src/held.py'",
        "",
        "$(",
        "''",
        "rm ''",
        "rm \x00",
        "rm " + "../" * 50 + "x",
        "rm " + "a/" * 3000 + "x",
        "rm " + " ".join(f"x{number}" for number in range(500)),
        "rm " + "*" * 200,
        "rm " + "{a,b}" * 40,
        "rm " + "{" * 3000,
    ],
)
def test_a_command_that_changes_nothing_of_anothers_passes(shop: Workplace, command: str) -> None:
    assert judged(shop, command) is None


def test_a_refused_command_is_denied_in_the_clients_words(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")

    assert "bob" in workplace.before("Bash", command="rm src/held.py").denial
    assert workplace.before("Bash", command="rm src/app.py").passed


def test_a_command_leases_nothing(workplace: Workplace) -> None:
    workplace.before("Bash", command="rm src/app.py")

    assert workplace.leased_by("ada") == []


def test_ones_own_lease_is_in_nobodys_way(workplace: Workplace) -> None:
    workplace.edit("src/app.py")

    assert workplace.before("Bash", command="sed -i s/a/b/ src/app.py").passed


def test_gemini_and_codex_are_read_alike(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")

    assert "bob" in workplace.before("run_shell_command", "gemini", command="rm held.py", dir_path="src").denial
    assert "bob" in workplace.before("shell", "codex", command=["bash", "-lc", "rm src/held.py"]).denial


def test_a_command_of_megabytes_is_read_in_time(workplace: Workplace) -> None:
    workplace.holds("bob", "src/held.py")
    text = "it's a line of text\n" * 100_000

    ran = workplace.before("Bash", command=f"cat > src/app.py <<EOF\n{text}EOF\nrm src/held.py")

    assert ran.seconds < 3.0
    assert "bob" in ran.denial


def test_what_a_command_names_is_bounded(tmp_path: Path) -> None:
    many = "rm " + " ".join(f"f{number}" for number in range(10_000))

    assert len(commands.named(many, str(tmp_path))) <= 4096


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("*** Begin Patch\r\n*** Update File: a b.py\r\n*** End Patch\r\n", ["a b.py"]),
        ("--- a/src/x.py\n+++ b/src/x.py\n@@ -1 +1 @@\n--- a\n+b\n", ["src/x.py"]),
        ("--- /dev/null\n+++ b/new.py\t2026-11-24\n", ["new.py"]),
        ("diff --git a/x b/y\nrename from x\nrename to y\n", ["x", "y"]),
        ("*** Update File: without a beginning", []),
        ("", []),
    ],
)
def test_a_patch_names_its_files(text: str, names: list[str]) -> None:
    assert patches.paths(text) == names


@pytest.fixture(scope="module")
def manor(served: DaemonProcess, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A repository in which db/ is bob's, who leases db/1.sql, vendor/ is nobody's, and ada is kept from secrets/."""
    place = Workplace.make(served, tmp_path_factory.mktemp("manor"))
    for name in ("db/1.sql", "db/2.sql", "vendor/v.py", "secrets/key"):
        (place.repository / name).parent.mkdir(exist_ok=True)
        (place.repository / name).write_text("text\n")
    bob = place.register("bob")
    zones = [{"pattern": "db/", "owners": ["bob"]}, {"pattern": "vendor/", "mode": "read_only"}]
    place.call("set_zones", zones=zones, version=0)
    place.call("set_path_rules", agent_id="ada", denied_paths=["secrets/"])
    place.daemon.call("acquire_lock", bob, paths=["db/1.sql"])
    return place


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("rm db/1.sql", "db/"),
        ("rm db/2.sql", "db/"),
        ("rm db/gone.sql db/2.sql", "db/"),
        ("sed -i s/a/b/ db/*.sql", "db/"),
        ("touch db/new.sql", "db/"),
        ("echo x > db/new.sql", "db/"),
        ("cp src/app.py db", "db/"),
        ("cp -t db src/app.py", "db/"),
        ("mv src/app.py db/3.sql", "db/"),
        ("git checkout HEAD db/gone.sql", "db/"),
        ("git checkout HEAD -- db/Gone", "db/"),
        ("black vendor/v.py", "vendor/"),
        ("python fix.py vendor/v.py", "vendor/"),
        ("rm secrets/key", "secrets/"),
        ("rm -rf .", "secrets/"),
        ("rm -rf ..", "secrets/"),
        ("rm -rf *", "secrets/"),
    ],
)
def test_a_command_is_refused_what_a_zone_or_a_rule_of_paths_keeps_its_agent_from(
    manor: Workplace, command: str, why: str
) -> None:
    reason = judged(manor, command)

    assert reason is not None
    assert why in reason
    assert "acquire_lock" not in reason


@pytest.mark.parametrize(
    "command",
    [
        "cat db/1.sql",
        "pytest vendor/v.py",
        "cp db/1.sql src/copy.sql",
        "python vendor/v.py",
        "git diff db/1.sql",
        "sed -i s/a/b/ src/app.py",
        "chmod +x src/app.py",
        "touch src/new.py",
    ],
)
def test_a_command_that_only_reads_passes_whatever_is_barred(manor: Workplace, command: str) -> None:
    assert judged(manor, command) is None


def test_words_that_are_no_paths_are_not_taken_for_some_that_a_rule_bars(workplace: Workplace) -> None:
    workplace.call("set_path_rules", agent_id="ada", allowed_paths=["src/"])

    for command in (
        "git checkout -b docs",
        "git checkout main",
        "git reset HEAD~1",
        "sed -i 's/a.*/b/' src/app.py",
        "chmod 755 src/app.py",
        "truncate -s 0 src/app.py",
        "dd if=src/held.py of=src/app.py",
        "cp src/app.py $HOME/x",
        "rsync src/app.py host:backup",
    ):
        assert judged(workplace, command) is None, command
    assert "src/" in (judged(workplace, "touch main") or "")


@pytest.mark.parametrize("command", ["rm src/held.py", "rm src/app.py", "git checkout main"])
def test_a_paused_agents_commands_change_nothing(workplace: Workplace, command: str) -> None:
    workplace.holds("bob", "src/held.py")
    workplace.call("pause", scope="agent", agent_id="ada", reason="the release is cut")

    reason = judged(workplace, command)

    assert reason is not None
    assert "the release is cut" in reason
    assert judged(workplace, "cat src/held.py") is None


def test_a_verdict_that_is_none_closes(workplace: Workplace, double: Double) -> None:
    double.script("check_paths", Answered(200, {"allowed": True, "reasons": []}))

    ran = workplace.before("Bash", environ={"CONDUCTOR_URL": double.url}, command="rm src/app.py")

    assert ran.closed


def test_a_verdict_of_which_nothing_is_known_is_a_refusal(workplace: Workplace, double: Double) -> None:
    reasons = [{"path": "src/app.py", "verdict": "of_the_future", "because": "a new rule"}]
    double.script("check_paths", Answered(200, {"allowed": False, "reasons": reasons}))

    ran = workplace.before("Bash", environ={"CONDUCTOR_URL": double.url}, command="rm src/app.py")

    assert "a new rule" in ran.denial


@pytest.mark.parametrize("command", ["git checkout .", "rm -rf src", "mv src lib", "rm src/*.py", "rm -rf .."])
def test_who_is_refused_a_folder_is_told_to_wait_only_for_what_is_held_there(shop: Workplace, command: str) -> None:
    reason = judged(shop, command)

    assert reason is not None
    assert 'conductor_acquire_lock {"paths": ["src/held.py"], "wait_s": 50}' in reason
    assert reason.count("wait_s") == 1
    assert reason.count("conductor_claim_task") == 1


@pytest.mark.parametrize(
    "command",
    [
        "pytest src/held.py",
        "python -m pytest -x src/held.py",
        "uv run pytest src/held.py",
        "coverage run -m pytest src/held.py",
        "python3 src/held.py",
        "python3 -X dev src/held.py --verbose",
        "bash src/held.py",
        "node --test src/held.py",
        "mypy src/held.py",
        "ruff check src/held.py",
        "black --check src/held.py",
        "find src/held.py -name x",
        "cp src/held.py src/app.py",
        "cp src/held.py lib/",
        "cp README.md src",
        "ln -s src/held.py src/other.py",
        "rsync src/held.py backup/",
        "dd if=src/held.py of=src/app.py",
    ],
)
def test_to_run_to_test_and_to_copy_from_is_no_edit(shop: Workplace, command: str) -> None:
    assert judged(shop, command) is None


@pytest.mark.parametrize(
    "command",
    [
        "cp README.md src/held.py",
        "cp other/held.py src",
        "cp -r other/. src",
        "rsync -a other/ src/",
        "install -m 644 README.md src/held.py",
        "ln -sf README.md src/held.py",
        "python -O fix.py src/held.py",
        "python -m black src/held.py",
        "ruff check --fix src/held.py",
        "uv run black src/held.py",
        "pytest src/app.py > src/held.py",
        "find src/held.py -exec rm {} +",
        "rm src/{app,held}.py",
        "touch {src,lib}/{new,held}.py",
        "nice -n 10 rm -rf src",
        "sudo -u root rm -rf src",
        "timeout 5 rm -rf src",
        "ls | xargs -n 1 rm -rf src",
    ],
)
def test_what_is_written_to_and_what_a_script_is_given_counts(shop: Workplace, command: str) -> None:
    (shop.repository / "other").mkdir(exist_ok=True)

    assert "bob" in (judged(shop, command) or "")
