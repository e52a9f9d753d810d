"""What people are shown: no more than was sent, nothing that a terminal obeys, tokens whole."""

import pytest

from conductor.cli import show
from conductor.client import fields
from conductor.domain import errors
from conductor.operations.agents import RegisteredAgent
from conductor.operations.audit import EventPage
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.locks import LockPage
from conductor.operations.tasks import TaskPage
from tests.cli import samples
from tests.cli.conftest import Run
from tests.cli.double import Double


def test_the_chosen_columns_are_fields_of_their_models() -> None:
    shapes = {
        field.shape: {part.name for part in field.parts}
        for row in CATALOGUE.values()
        for field in fields.of(row.reply)
        if field.shape
    }

    for name, columns in show.COLUMNS.items():
        assert set(columns) <= shapes[name], name


def test_a_list_is_a_table_and_says_how_to_read_on(double: Double, run: Run) -> None:
    page = samples.full(TaskPage)
    page["items"][0] |= {"id": "tsk_1", "title": "Greet politely", "assigned_to": None}
    double.script("list_tasks", page | {"next_cursor": "abc"})

    head, row, more = run("task", "list").out.splitlines()

    assert head.split()[:3] == ["id", "status", "priority"]
    assert "assigned" not in head
    assert row.startswith("tsk_1")
    assert "Greet politely" in row
    assert more == "more: --cursor abc"


def test_an_empty_list_is_said_to_be_empty(double: Double, run: Run) -> None:
    assert run("task", "list").out == "none\n"


def test_who_waits_for_a_lock_has_a_table_of_its_own(double: Double, run: Run) -> None:
    double.script("list_locks", samples.full(LockPage))

    assert "\nwaiting" in run("lock", "list").out


def test_a_token_is_shown_whole_on_one_line(double: Double, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "cdr_agt_" + "x" * 300
    double.script("register_agent", samples.reply(RegisteredAgent, token=token))
    monkeypatch.setenv("COLUMNS", "40")

    assert token in run("agent", "register", "ada", "Ada").out


def test_what_a_terminal_would_obey_is_not_sent_to_it(double: Double, run: Run) -> None:
    double.script("get_task", errors.NotFound("no \x1b[31mred\x07", facts={"task": "\x1b]0;title\x07"}))

    ran = run("task", "show", "tsk_1")

    assert "\x1b" not in ran.err
    assert "\x07" not in ran.err


def test_brackets_are_text_and_no_style(double: Double, run: Run) -> None:
    page = samples.full(TaskPage)
    page["items"][0]["title"] = "edit app/[id]/page.tsx [bold]"
    double.script("list_tasks", page)

    assert "edit app/[id]/page.tsx [bold]" in run("task", "list").out


def test_facts_are_told_in_dollars_and_as_times_are_told(double: Double, run: Run) -> None:
    page = samples.full(EventPage)
    page["items"][0]["facts"] = {
        "limit_nano": 25_500_000_000,
        "retry_at": "2026-11-24T12:57:16.017923+00:00",
        "note_at": "the end",
        "files": [],
        "holder": None,
    }
    double.script("list_events", page)

    told = "limit_usd 25.5, retry_at 2026-11-24 12:57:16Z, note_at the end, files empty, holder none"
    assert told in run("event", "list").out


def test_what_an_error_says_of_fields_is_said_once(run: Run) -> None:
    assert len(run("task", "create", "").err.splitlines()) == 1


def test_an_organisation_is_taken_along_by_the_command_that_writes_a_file(double: Double, run: Run) -> None:
    step = errors.NextStep("export_organization", {}, "take the data along")
    double.script("delete_organization", errors.Invalid("confirm must be the slug.", next=[step]))

    assert "try: conductor org export FILE   # take the data along" in run("org", "delete", "wrong").err


def test_an_error_names_the_next_step_as_a_command_to_copy(double: Double, run: Run) -> None:
    steps = [
        errors.NextStep("list_locks", {"path": "src/my app.py"}, "to see who holds it"),
        errors.NextStep("conductor_complete_task", {"task_id": "tsk_1", "attempt": 2, "result": "-x"}, "when done"),
        errors.NextStep("unheard_of", {"a": 1}, ""),
    ]
    double.script("acquire_lock", errors.LockHeld("ada has it", facts={"holder": "ada"}, next=steps, wait_s=240))

    ran = run("lock", "acquire", "src/my app.py")

    assert ran.err.splitlines() == [
        "lock_held: ada has it",
        "  holder: ada",
        "  again in 240 s",
        "try: conductor lock list 'src/my app.py'   # to see who holds it",
        "try: conductor task complete -- tsk_1 2 -x   # when done",
        'try: unheard_of {"a": 1}',
    ]
