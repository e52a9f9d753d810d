"""Every command is its row: help, body, answer, exit code."""

import json
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from conductor.cli import arguments, derive, show
from conductor.client import wire
from conductor.domain import errors
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.row import Face, Operation
from tests.cli import samples
from tests.cli.conftest import Run
from tests.cli.double import Double

ROWS = [row for row in CATALOGUE.values() if row.faces & Face.CLI]
NAMES = [row.name for row in ROWS]

GOLDEN: list[tuple[str, str, dict[str, Any]]] = [
    ('task create "Greet politely"', "create_task", {"title": "Greet politely"}),
    (
        "task create Greet --files src/app.py --files 'docs/**' --priority high --dependencies tsk_1"
        " --estimated-cost-usd 1.50",
        "create_task",
        {
            "title": "Greet",
            "files": ["src/app.py", "docs/**"],
            "priority": "high",
            "dependencies": ["tsk_1"],
            "estimated_cost_usd": "1.50",
        },
    ),
    ("tasks claim", "claim_task", {}),
    (
        "task claim tsk_1 --no-acquire-locks --lease-s 60",
        "claim_task",
        {"task_id": "tsk_1", "acquire_locks": False, "lease_s": 60},
    ),
    (
        "task complete tsk_1 2 done --commit abcdef1 --checks pytest --checks ruff",
        "complete_task",
        {
            "task_id": "tsk_1",
            "attempt": 2,
            "result": "done",
            "evidence": {"commit": "abcdef1", "checks": ["pytest", "ruff"]},
        },
    ),
    ("task update tsk_1 --files '' --progress 0.5", "update_task", {"task_id": "tsk_1", "files": [], "progress": 0.5}),
    (
        "tasks list --status pending --status blocked --no-ready",
        "list_tasks",
        {"status": ["pending", "blocked"], "ready": False},
    ),
    ("lock acquire src/a.py 'src/*.md' --ttl-s 60", "acquire_lock", {"paths": ["src/a.py", "src/*.md"], "ttl_s": 60}),
    ("locks release --all --force --agent-id ada", "release_lock", {"all": True, "force": True, "agent_id": "ada"}),
    (
        "project update --require-evidence --lost-after-s 60",
        "update_project",
        {"settings": {"require_evidence": True, "lost_after_s": 60}},
    ),
    (
        "quota set agent 12.5 --agent-id ada --no-hard",
        "set_quota",
        {"scope": "agent", "limit_usd": "12.5", "agent_id": "ada", "hard": False},
    ),
    ("event list --since 41", "list_events", {"since": 41}),
    ("events list --since 2026-11-24T08:00:00Z", "list_events", {"since": "2026-11-24T08:00:00Z"}),
    (
        "event log deployed --metadata build=7 --metadata name='\"7\"' --metadata who=ada",
        "log_action",
        {"action": "deployed", "metadata": {"build": 7, "name": "7", "who": "ada"}},
    ),
    (
        "onboarding update --version 3 --goals 'ship it' --instruction-files claude=CLAUDE.md",
        "update_onboarding_config",
        {"version": 3, "goals": ["ship it"], "instruction_files": {"claude": "CLAUDE.md"}},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_command_has_help_that_names_each_field(row: Operation[Any, Any], run: Run) -> None:
    ran = run(*row.command, "--help")

    assert ran.code == 0
    for argument in arguments.of(row):
        assert (argument.name.upper() if argument.is_positional else argument.option) in ran.out
    for option in ("--json", "--field", "--url", "--home", "--organization"):
        assert option in ran.out


@pytest.mark.parametrize(("line", "operation", "body"), GOLDEN, ids=[line for line, _, _ in GOLDEN])
def test_words_become_this_body_and_no_other(
    line: str, operation: str, body: dict[str, Any], double: Double, run: Run
) -> None:
    ran = run(*shlex.split(line))

    assert (ran.code, ran.err) == (0, "")
    assert double.bodies(operation) == [body]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_call_written_as_a_command_makes_the_same_call(row: Operation[Any, Any], double: Double, run: Run) -> None:
    told = {name: value for name, value in samples.full(row.request).items() if name not in arguments.SURROUNDINGS}
    line = show.command(row.name, told)

    ran = run(*shlex.split(line)[1:])

    assert (ran.code, ran.err) == (0, "")
    key = told.pop("idempotency_key", None)
    defaults = {argument.name: argument.field.default for argument in arguments.of(row) if not argument.is_positional}
    assert double.bodies(row.name) == [{name: value for name, value in told.items() if value != defaults.get(name)}]
    assert not row.writes or double.asked[-1].body["idempotency_key"] == key


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_json_is_the_reply_as_sent_and_nothing_else(row: Operation[Any, Any], double: Double, run: Run) -> None:
    reply = samples.full(row.reply)
    double.script(row.name, reply)

    ran = run(*_least(row), "--json")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out == json.dumps(reply) + "\n"


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
@pytest.mark.parametrize("sample", [samples.reply, samples.full], ids=["least", "full"])
def test_every_reply_is_shown_to_people(row: Operation[Any, Any], sample: Any, double: Double, run: Run) -> None:
    double.script(row.name, sample(row.reply))

    ran = run(*_least(row))

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.strip()


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=errors.BY_CODE)
def test_the_exit_code_is_the_errors_own(kind: type[errors.ConductorError], double: Double, run: Run) -> None:
    double.always["get_task"] = lambda _: kind("it is so", facts={"holder": "ada"})

    as_text = run("task", "show", "tsk_1")
    as_json = run("task", "show", "tsk_1", "--json")

    assert as_text.code == as_json.code == kind.exit_code
    assert as_text.out == as_json.err == ""
    assert f"{kind.code}: it is so" in as_text.err
    assert "holder: ada" in as_text.err
    assert json.loads(as_json.out) == {
        "code": kind.code,
        "message": "it is so",
        "retryable": kind.retryable,
        "facts": {"holder": "ada"},
        "next": [],
    }


@pytest.mark.parametrize(
    "line",
    [
        "task claim --nonsense",
        "task",
        "task dance",
        "tsk list",
        "lock acquire",
        "lock acquire a --ttl-s 5",
        "lock acquire a --ttl-s soon",
        "task create x --priority urgent",
        "event log x --metadata nonsense",
        "task create ''",
        "quota set agent much",
        "task create 'a\x01b'",
        "task create '\udcff'",
        "event log x --metadata a=1e999 --metadata =1",
        "task claim '" + "x" * 65 + "'",
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(line: str, double: Double, run: Run) -> None:
    as_text = run(*shlex.split(line))
    as_json = run(*shlex.split(line), "--json")

    assert as_text.code == as_json.code == 2
    assert as_text.err
    assert json.loads(as_json.out)["code"] == "invalid"
    assert double.asked == []


def test_a_misspelt_group_is_answered_with_the_nearest(run: Run) -> None:
    ran = run("taks", "list")

    assert ran.code == 2
    assert "'task'" in ran.err


@pytest.mark.parametrize(("verb", "meant"), [("whoami", "'token whoami'"), ("pause", "'work pause'")])
def test_a_verb_without_its_group_is_answered_with_the_command(verb: str, meant: str, run: Run) -> None:
    assert f"Did you mean {meant}?" in run(verb).err


def test_a_word_that_is_none_of_the_allowed_ones_is_answered_with_them(run: Run) -> None:
    ran = run("task", "list", "--status", "open")

    assert "'--status': 'open' is not one of 'pending'," in ran.err


@pytest.mark.parametrize("form", ["file", "input", "text"])
def test_many_tasks_come_from_a_file_the_input_or_the_line(
    form: str, double: Double, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [{"name": "a", "title": "Größe"}, {"title": "B", "dependencies": ["a"]}]
    text = json.dumps(tasks)
    (tmp_path / "many.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", StringIO(text))

    ran = run("task", "create-many", "--tasks", {"file": f"@{tmp_path}/many.json", "input": "@-", "text": text}[form])

    assert (ran.code, ran.err) == (0, "")
    assert double.bodies("create_tasks") == [{"tasks": tasks}]


def test_a_file_of_tasks_that_is_not_there_or_no_json_is_named(double: Double, run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[{", encoding="utf-8")

    missing = run("task", "create-many", "--tasks", f"@{tmp_path}/no.json")
    broken = run("task", "create-many", "--tasks", f"@{tmp_path}/broken.json")

    assert missing.code == broken.code == 2
    assert "no.json: No such file" in missing.err
    assert "--tasks takes JSON" in broken.err
    assert double.asked == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("task create x --due-at tomorrow", "--due-at takes a time with its zone, such as 2026-11-24T08:00:00Z; not"),
        ("task create x --due-at 2026-12-01T10:00:00", "with its zone"),
        ("event list --since yesterday", "or a number; not 'yesterday'"),
        ("cost show --since 2026-12-01T10:00", "or a day, such as 2026-11-24; not"),
    ],
)
def test_what_is_no_time_is_answered_with_how_one_is_written(line: str, told: str, double: Double, run: Run) -> None:
    ran = run(*line.split())

    assert ran.code == 2
    assert told in ran.err
    assert double.asked == []


@pytest.mark.parametrize("group", derive.groups())
def test_a_group_is_found_in_singular_and_in_plural(group: str, run: Run) -> None:
    one, many = run(group, "--help"), run(f"{group}s", "--help")

    assert one.code == many.code == 0
    for verb in derive.verbs(group).split(", "):
        assert f"  {verb} " in one.out
        assert f"  {verb} " in many.out


def test_help_lists_every_group_and_the_commands_written_by_hand(run: Run) -> None:
    ran = run("--help")

    assert ran.code == 0
    for name in (*derive.groups(), "up", "status", "doctor", "demo", "config"):
        assert f"\n  {name} " in ran.out
    assert "reference" not in ran.out


@pytest.mark.parametrize("group", derive.groups())
def test_a_group_is_known_in_singular_and_plural(group: str, run: Run) -> None:
    plural = group if group.endswith("s") else f"{group}s"

    assert run(group, "--help").code == run(plural, "--help").code == 0


def test_the_words_after_two_dashes_are_no_options(double: Double, run: Run) -> None:
    ran = run("task", "create", "--", "--json")

    assert ran.code == 0
    assert double.bodies("create_task") == [{"title": "--json"}]
    assert not ran.out.startswith("{")


def test_a_field_named_like_an_option_of_the_connection_wins() -> None:
    taken = {argument.option for row in ROWS for argument in arguments.of(row)}

    assert taken.isdisjoint({"--json", "--field", "--project", "--organization"})


def test_every_option_of_a_command_has_its_own_name() -> None:
    for row in ROWS:
        options = [argument.option for argument in arguments.of(row)]
        assert len(options) == len(set(options)), row.name


def _least(row: Operation[Any, Any]) -> list[str]:
    """The shortest command that a row accepts."""
    told, full = samples.reply(row.request), samples.full(row.request)
    for name, value in told.items():
        if value == []:
            told[name] = full[name]
    wire.request_of(row, told)
    return [*row.command, *arguments.words(row, told)]
