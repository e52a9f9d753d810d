"""Which daemon a command asks, as whom, and which project it means."""

import json
from pathlib import Path
from typing import Any

import pytest

from conductor.cli import arguments
from conductor.domain import errors
from conductor.home import Home, RunningDaemon
from conductor.operations.agents import Agent, RegisteredAgent
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.gates import PathsChecked
from conductor.operations.locks import Lock
from conductor.operations.projects import Project, ProjectPage
from conductor.operations.row import Face
from conductor.operations.zones import Zones
from tests.cli import samples
from tests.cli.conftest import OWNER, Run
from tests.cli.double import Double

OURS, THEIRS = "prj_0000000001", "prj_0000000002"


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch, environ: None) -> None:
    monkeypatch.setenv("CONDUCTOR_TOKEN", OWNER)


def there_are(double: Double, **projects: str) -> None:
    items = [samples.reply(Project, id=key, slug=slug) for slug, key in projects.items()]
    double.always["list_projects"] = lambda _: samples.reply(ProjectPage, items=items)


QUEUED = {"status": "queued", "ticket": "tkt_0123456789", "position": 1, "holders": []}


def grant(status: str) -> dict[str, Any]:
    if status == "queued":
        return QUEUED
    return {"status": "granted", "lock": samples.full(Lock), "lost_after_s": 900}


@pytest.mark.parametrize(("status", "code"), [("granted", 0), ("queued", 5)])
@pytest.mark.parametrize("how", [(), ("--json",), ("--field", "status")])
def test_a_place_in_the_queue_is_printed_and_is_no_yes(
    status: str, code: int, how: tuple[str, ...], double: Double, run: Run
) -> None:
    double.script("acquire_lock", grant(status))

    ran = run("lock", "acquire", "src/app.py", "--wait-s", "1", *how)

    assert ran.code == code
    assert status in ran.out
    assert ran.err == ""


@pytest.mark.parametrize(("allowed", "code"), [(True, 0), (False, 3)])
@pytest.mark.parametrize("how", [(), ("--json",), ("--field", "allowed")])
def test_a_check_that_is_not_allowed_is_printed_and_is_no_yes(
    allowed: bool, code: int, how: tuple[str, ...], double: Double, run: Run
) -> None:
    verdict = "ok" if allowed else "not_locked"
    reasons = [{"path": "a.py", "verdict": verdict, "because": "as said"}]
    double.script("check_paths", samples.reply(PathsChecked, allowed=allowed, reasons=reasons))

    ran = run("lock", "check", "a.py", *how)

    assert ran.code == code
    assert ran.out != ""
    assert ran.err == ""


def test_help_says_which_replies_are_no_yes(run: Run) -> None:
    assert "Exit code 5" in run("lock", "acquire", "--help").out
    assert "Exit code 3" in run("lock", "check", "--help").out


@pytest.mark.parametrize("none", ["[]", ""])
def test_the_zones_of_a_project_can_be_emptied(none: str, double: Double, run: Run) -> None:
    double.script("set_zones", samples.reply(Zones))

    ran = run("zone", "set", "--version", "1", "--zones", none)

    assert ran.code == 0, ran.err
    assert double.bodies("set_zones")[0]["zones"] == []


def test_every_list_of_objects_takes_an_empty_one() -> None:
    lists = [
        (row, argument)
        for row in CATALOGUE.values()
        if row.faces & Face.CLI
        for argument in arguments.of(row)
        if argument.is_json and argument.is_repeatable
    ]

    made = [arguments.body(row, {argument.name: ["[]"]}).get(argument.name, []) for row, argument in lists]

    assert len(lists) > 3
    assert made == [[] for _ in lists]


@pytest.mark.usefixtures("owner")
def test_the_only_project_is_meant(double: Double, run: Run) -> None:
    there_are(double, ours=OURS)

    run("task", "list")

    assert double.bodies("list_tasks") == [{"project_id": OURS}]


@pytest.mark.usefixtures("owner")
def test_of_several_projects_the_default_one_is_meant(double: Double, run: Run) -> None:
    there_are(double, theirs=THEIRS, default=OURS)

    run("task", "list")

    assert double.bodies("list_tasks") == [{"project_id": OURS}]


@pytest.mark.usefixtures("owner")
def test_without_a_default_project_the_command_asks_which(double: Double, run: Run) -> None:
    there_are(double, theirs=THEIRS, ours=OURS)

    ran = run("task", "list")

    assert ran.code == 2
    assert "--project or CONDUCTOR_PROJECT: one of theirs, ours." in ran.err
    assert double.bodies("list_tasks") == []


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("named", ["ours", OURS])
def test_a_project_is_named_by_slug_or_id(named: str, double: Double, run: Run) -> None:
    there_are(double, default=THEIRS, ours=OURS)

    run("task", "create", "x", "--project", named)

    assert double.bodies("create_task") == [{"title": "x", "project_id": OURS}]


@pytest.mark.usefixtures("owner")
def test_the_environment_names_the_project_and_the_option_another(
    double: Double, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_are(double, theirs=THEIRS, ours=OURS)
    monkeypatch.setenv("CONDUCTOR_PROJECT", "ours")

    run("task", "list")
    run("task", "list", "--project", "theirs")

    assert double.bodies("list_tasks") == [{"project_id": OURS}, {"project_id": THEIRS}]


@pytest.mark.usefixtures("owner")
def test_an_unknown_project_is_answered_with_those_there_are(double: Double, run: Run) -> None:
    there_are(double, ours=OURS)

    ran = run("task", "list", "--project", "nonsense")

    assert ran.code == errors.NotFound.exit_code
    assert "there is: ours" in ran.err


@pytest.mark.usefixtures("owner")
def test_a_task_named_by_its_id_needs_no_project(double: Double, run: Run) -> None:
    run("task", "show", "tsk_1")

    assert [(asked.operation, asked.body) for asked in double.asked] == [("get_task", {"task_id": "tsk_1"})]


@pytest.mark.usefixtures("owner")
def test_a_question_about_the_whole_organisation_names_no_project(
    double: Double, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_are(double, default=OURS)
    run("cost", "show")
    monkeypatch.setenv("CONDUCTOR_PROJECT", "default")

    run("cost", "show")
    run("cost", "show", "--all-projects")

    assert double.bodies("get_costs") == [{}, {"project_id": OURS}, {}]


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("line", ["work pause --reason x", "work resume agent --agent-id ada", "quota set project 5"])
def test_a_change_of_a_project_is_about_the_usual_one(line: str, double: Double, run: Run) -> None:
    there_are(double, theirs=THEIRS, default=OURS)

    ran = run(*line.split())

    assert (ran.code, double.asked[-1].body["project_id"]) == (0, OURS)


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("line", ["work pause organization --reason x", "quota set organization 5"])
def test_a_change_of_the_whole_organisation_names_no_project(
    line: str, double: Double, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUCTOR_PROJECT", OURS)

    ran = run(*line.split())

    assert (ran.code, len(double.asked)) == (0, 1)
    assert "project_id" not in double.asked[0].body


def test_an_enrolment_token_takes_a_project_by_its_id_alone(
    double: Double, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUCTOR_TOKEN", "cdr_enr_k3y1d_s3cr3tS3CR3T")
    asking = ("access", "request", "ada", "Ada", "--agent-type", "codex", "--project")

    refused = run(*asking, "ours")
    run(*asking, OURS)

    assert refused.code == 2
    assert "give the id of ours" in refused.err
    assert [(asked.operation, asked.body["project_id"]) for asked in double.asked] == [("request_access", OURS)]


@pytest.mark.usefixtures("owner")
def test_a_token_is_made_for_a_project_only_when_one_is_named(double: Double, run: Run) -> None:
    there_are(double, default=OURS)

    run("token", "create", "svc")
    run("token", "create", "svc", "--project", "default")

    assert double.bodies("create_token") == [{"kind": "svc"}, {"kind": "svc", "project_id": OURS}]


def test_an_agents_token_is_bound_so_nothing_is_looked_up(double: Double, run: Run) -> None:
    run("task", "list")

    assert [asked.operation for asked in double.asked] == ["list_tasks"]


def test_the_owner_of_the_installation_names_an_organisation(double: Double, run: Run) -> None:
    run("member", "list", "--organization", "org_1")

    assert double.bodies("list_members") == [{"organization_id": "org_1"}]


def test_the_home_says_where_and_as_whom(
    double: Double, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONDUCTOR_URL")
    monkeypatch.delenv("CONDUCTOR_TOKEN")
    home = Home(tmp_path / "other")
    home.prepare()
    home.write_owner_token(OWNER)
    home.write_daemon(RunningDaemon(1, double.url, "2026-11-24T08:20:11+00:00", "0.1.0"))

    ran = run("org", "list", "--home", str(tmp_path / "other"))

    assert ran.code == 0
    assert double.asked[0].authorization == f"Bearer {OWNER}"


def test_no_daemon_is_a_sentence_and_exit_code_8(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDUCTOR_URL")

    unknown = run("task", "list")
    refused = run("task", "list", "--url", "http://127.0.0.1:1", "--json")

    assert unknown.code == refused.code == 8
    assert "start one with `conductor up`" in unknown.err
    assert (
        json.loads(refused.out)["message"] == "No daemon answers at http://127.0.0.1:1: start one with `conductor up`."
    )


@pytest.mark.parametrize(
    ("name", "printed"),
    [("token", "cdr_agt_x\n"), ("agent.agent_id", "ada\n"), ("agent.capabilities", "[]\n"), ("agent.model", "\n")],
)
def test_one_field_of_a_reply_is_printed_alone(name: str, printed: str, double: Double, run: Run) -> None:
    double.script(
        "register_agent", samples.reply(RegisteredAgent, agent=samples.reply(Agent, agent_id="ada"), token="cdr_agt_x")
    )

    ran = run("agent", "register", "ada", "Ada", "--field", name)

    assert (ran.code, ran.out) == (0, printed)


def test_one_item_of_a_list_is_reached_by_its_place(double: Double, run: Run) -> None:
    double.script("list_projects", samples.reply(ProjectPage, items=[samples.reply(Project, id=OURS)]))

    assert run("project", "list", "--field", "items.0.id").out == f"{OURS}\n"


def test_a_field_that_no_reply_has_is_refused_before_anything_is_done(double: Double, run: Run) -> None:
    ran = run("agent", "register", "ada", "Ada", "--field", "tokn")

    assert ran.code == 2
    assert "it has: agent, token." in ran.err
    assert double.asked == []


def test_no_token_is_exit_code_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDUCTOR_TOKEN")

    ran = run("task", "list")

    assert ran.code == 3
    assert "CONDUCTOR_TOKEN" in ran.err
