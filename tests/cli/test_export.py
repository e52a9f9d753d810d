"""The export of an organisation as a file: whole or not there, one object a line; and the plans of new ones."""

from __future__ import annotations

import json
from pathlib import Path

from conductor.domain import errors
from tests.cli.conftest import Run
from tests.cli.double import Double

PAGES = (
    {"table": "projects", "rows": [{"id": "prj_1", "name": "Größe"}], "next_cursor": "abc"},
    {"table": "tasks", "rows": [{"id": "tsk_1"}, {"id": "tsk_2"}], "next_cursor": "def"},
    {"table": "tasks", "rows": [{"id": "tsk_3"}], "next_cursor": "ghi"},
    {"table": "teams", "rows": []},
)


def test_every_row_of_every_page_is_a_line(double: Double, run: Run, tmp_path: Path) -> None:
    double.script("export_organization", *PAGES)

    ran = run("org", "export", str(tmp_path / "all.jsonl"))

    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert lines == [{"table": page["table"], "row": row} for page in PAGES for row in page["rows"]]
    assert [body.get("cursor") for body in double.bodies("export_organization")] == [None, "abc", "def", "ghi"]
    assert (tmp_path / "all.jsonl").stat().st_mode & 0o777 == 0o600
    assert "4 row(s) of 2 table(s)" in ran.out


def test_an_export_that_breaks_off_leaves_no_file(double: Double, run: Run, tmp_path: Path) -> None:
    double.script("export_organization", PAGES[0], errors.Forbidden("You own nothing any more."))

    ran = run("org", "export", str(tmp_path / "all.jsonl"))

    assert ran.code == 3
    assert list(tmp_path.glob("all*")) == []


def test_a_file_that_is_there_is_not_overwritten(double: Double, run: Run, tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text("mine")

    ran = run("org", "export", str(tmp_path / "all.jsonl"))

    assert ran.code == 2
    assert (tmp_path / "all.jsonl").read_text() == "mine"
    assert double.bodies("export_organization") == []


def test_an_export_follows_no_link_that_lies_in_its_way(double: Double, run: Run, tmp_path: Path) -> None:
    double.script("export_organization", *PAGES)
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "all.jsonl.partial").symlink_to(tmp_path / "precious")

    ran = run("org", "export", str(tmp_path / "all.jsonl"))

    assert ran.code == 0
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "all.jsonl").is_symlink()


def test_a_dash_writes_to_the_output_and_names_the_organisation(double: Double, run: Run) -> None:
    double.script("export_organization", *PAGES)

    ran = run("orgs", "export", "-", "--organization", "org_1")

    assert len(ran.out.splitlines()) == 4
    assert {body["organization_id"] for body in double.bodies("export_organization")} == {"org_1"}


def test_plans_are_listed_without_a_daemon(run: Run) -> None:
    shown, told = run("org", "plans"), run("org", "plans", "--json")

    assert (shown.code, told.code) == (0, 0)
    assert "100 USD a month" in shown.out
    plans = json.loads(told.out)
    assert [plan["plan"] for plan in plans] == ["free", "pro", "enterprise"]
    assert plans[1]["quotas"] == [{"limit_usd": "2000", "window": "month", "hard": True}]
