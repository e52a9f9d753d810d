"""Folders of beads: read in every spelling, sent in an order that nobody can take the wrong one from, written back."""

import json
from pathlib import Path
from typing import Any

import pytest

from conductor.cli import bead_files
from conductor.domain import errors
from tests.cli.conftest import Run
from tests.cli.double import Asked, Double


def bead(bead_id: str, *waits: str, **more: Any) -> dict[str, Any]:
    """A bead as `bd export` writes it."""
    links = [{"issue_id": bead_id, "depends_on_id": other, "type": "blocks"} for other in waits]
    return {"id": bead_id, "title": f"Do {bead_id}", "status": "open", "priority": 2, "dependencies": links, **more}


def lines(*told: object) -> str:
    """Objects as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in told)


def count(asked: Asked) -> dict[str, Any]:
    """Answer an import as if each bead were new."""
    made = [{"bead_id": each["id"], "task_id": f"tsk_{each['id']}"} for each in asked.body.get("beads", ())]
    return {"created": made, "updated": [], "unchanged": 0, "problems": ["assigned to nobody: bd-1"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work" / ".beads"
    made.mkdir(parents=True)
    return made


def test_the_beads_of_a_folder_are_sent_what_others_wait_for_first(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(bead("bd-3", "bd-2"), bead("bd-2", "bd-1"), bead("bd-1")))
    (folder / "more.json").write_text(json.dumps([bead("bd-0", "bd-3")]))
    double.always["import_beads"] = count

    ran = run("bead", "import", str(folder.parent))

    assert (ran.code, ran.err) == (0, "")
    [body] = double.bodies("import_beads")
    assert [each["id"] for each in body["beads"]] == ["bd-1", "bd-2", "bd-3", "bd-0"]
    assert ran.out.splitlines() == [
        "4 created, 0 updated, 0 unchanged; 1 remark(s), see problems",
        "  assigned to nobody: bd-1",
    ]


def test_a_large_folder_goes_in_several_requests(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(*(bead(f"bd-{number}") for number in range(1234))))
    (folder / "convoys.json").write_text(json.dumps([{"name": f"c{number}", "beads": []} for number in range(450)]))
    double.always["import_beads"] = count

    ran = run("beads", "import", str(folder), "--json")

    bodies = double.bodies("import_beads")
    assert [len(body.get("beads", ())) for body in bodies] == [500, 500, 234, 0, 0]
    assert [len(body.get("convoys", ())) for body in bodies] == [0, 0, 200, 200, 50]
    reply = json.loads(ran.out)
    assert len(reply["created"]) == 1234
    assert reply["problems"] == ["assigned to nobody: bd-1"]


def test_no_request_is_larger_than_a_daemon_takes(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(*(bead(f"bd-{n}", description="x" * 20_000) for n in range(80))))
    double.always["import_beads"] = count

    assert run("bead", "import", str(folder)).code == 0

    assert max(len(json.dumps(body)) for body in double.bodies("import_beads")) < 1_000_000
    assert sum(len(body["beads"]) for body in double.bodies("import_beads")) == 80


@pytest.mark.parametrize(
    ("told", "links"),
    [
        ({"dependencies": ["bd-2"]}, [{"depends_on_id": "bd-2"}]),
        ({"deps": ["bd-2"]}, [{"depends_on_id": "bd-2"}]),
        ({"dependencies": [{"id": "bd-2", "dep_type": "blocks"}]}, [{"depends_on_id": "bd-2", "type": "blocks"}]),
        (
            {"dependencies": [{"id": "bd-2", "dependency_type": "parent-child"}]},
            [{"depends_on_id": "bd-2", "type": "parent-child"}],
        ),
        ({"parent": "bd-2"}, [{"depends_on_id": "bd-2", "type": "parent-child"}]),
        ({"dependencies": None}, []),
    ],
)
def test_every_spelling_of_a_dependency_is_understood(
    told: dict[str, Any], links: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"id": "bd-1", "title": "Do", **told}))

    assert bead_files.read(tmp_path).beads["bd-1"]["dependencies"] == links


@pytest.mark.parametrize(
    "told",
    [
        {"name": "release", "beads": ["bd-1", "bd-2"]},
        {"title": "release", "issues": [{"id": "bd-1", "title": "Do"}, {"issue_id": "bd-2"}]},
        {"convoys": [{"name": "release", "tracked": ["bd-1", "bd-2"]}], "beads": [bead("bd-1")]},
    ],
)
def test_every_spelling_of_a_convoy_is_understood(told: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(told))

    assert bead_files.read(tmp_path).convoys == {"release": {"name": "release", "beads": ["bd-1", "bd-2"]}}


def test_a_convoy_with_an_id_is_the_bead_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"id": "hq-cv-1", "title": "release", "tracked": [{"id": "bd-1"}]}))

    found = bead_files.read(tmp_path)

    assert found.beads["hq-cv-1"] == {
        "id": "hq-cv-1",
        "title": "release",
        "issue_type": "convoy",
        "dependencies": [{"depends_on_id": "bd-1", "type": "tracks"}],
    }


def test_what_is_no_bead_is_named_and_stops_nothing(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(bead("bd-1", priority=9), {"ts": 1}, bead("bd-2", priority="P1"), 7))
    double.always["import_beads"] = count

    ran = run("bead", "import", str(folder))

    assert [(each["id"], each["priority"]) for each in double.bodies("import_beads")[0]["beads"]] == [("bd-2", 1)]
    assert "bd-1 was left out: priority: Input should be less than or equal to 4" in ran.out
    assert "neither a bead nor a convoy" in ran.out


def test_fields_that_nobody_knows_are_named_to_the_server_without_what_is_in_them(folder: Path) -> None:
    (folder / "issues.jsonl").write_text(lines(bead("bd-1", comments=[{"text": "x" * 9_000}], assignee=None)))

    found = bead_files.read(folder)

    assert found.beads["bd-1"]["comments"] is None
    assert "assignee" not in found.beads["bd-1"]


def test_texts_that_no_daemon_takes_are_mended_and_the_cut_is_named(folder: Path) -> None:
    (folder / "issues.jsonl").write_text(
        lines(bead("bd-1", title="a\x1b[2Jb", description="y" * 30_000, labels=["", "\x07bell"], close_reason=""))
    )

    found = bead_files.read(folder)

    told = found.beads["bd-1"]
    assert (told["title"], len(told["description"]), told["labels"]) == ("a[2Jb", 20_000, ["bell"])
    assert "close_reason" not in told
    assert found.remarks == ["issues.jsonl: bd-1: description was cut to 20,000 characters"]


def test_broken_json_is_named_with_its_line_and_nothing_is_sent(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(bead("bd-1")) + '{"id": "bd-2",\n')

    ran = run("bead", "import", str(folder))

    assert ran.code == 2
    assert "issues.jsonl, line 2, is not JSON" in ran.err
    assert double.asked == []


def test_a_folder_without_beads_is_said_to_be_one(tmp_path: Path, run: Run) -> None:
    ran = run("bead", "import", str(tmp_path / "nowhere"))

    assert ran.code == 4
    assert "no *.json" in ran.err


def test_links_out_of_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(bead("bd-9")))
    (folder / "issues.jsonl").write_text(lines(bead("bd-1")))
    (folder / "link.json").symlink_to(tmp_path / "secret.json")

    assert list(bead_files.read(folder).beads) == ["bd-1"]


def test_a_refusal_of_the_server_ends_the_import_with_its_exit_code(folder: Path, double: Double, run: Run) -> None:
    (folder / "issues.jsonl").write_text(lines(bead("bd-1", "bd-2"), bead("bd-2", "bd-1")))
    double.script("import_beads", errors.DependencyCycle("bd-1 -> bd-2 -> bd-1"))

    ran = run("bead", "import", str(folder))

    assert ran.code == errors.DependencyCycle.exit_code
    assert "bd-1 -> bd-2 -> bd-1" in ran.err


def test_an_export_is_written_page_by_page_and_reads_as_what_it_was(tmp_path: Path, double: Double, run: Run) -> None:
    double.script(
        "export_beads",
        {"beads": [bead("bd-1", labels=["größe"])], "convoys": [], "next_cursor": "abc"},
        {"beads": [bead("bd-2", "bd-1")], "convoys": [{"name": "release", "beads": ["bd-1", "bd-2"]}]},
    )

    ran = run("bead", "export", str(tmp_path / "out"))

    assert (ran.code, ran.err) == (0, "")
    assert [body.get("cursor") for body in double.bodies("export_beads")] == [None, "abc"]
    assert "2 bead(s)" in ran.out
    found = bead_files.read(tmp_path / "out")
    assert found.beads["bd-1"]["labels"] == ["größe"]
    assert found.beads["bd-2"]["dependencies"] == [{"depends_on_id": "bd-1", "type": "blocks"}]
    assert found.convoys["release"]["beads"] == ["bd-1", "bd-2"]
    assert found.remarks == []


def test_an_export_writes_over_nothing_unasked(tmp_path: Path, double: Double, run: Run) -> None:
    (tmp_path / "issues.jsonl").write_text("mine\n")

    refused = run("bead", "export", str(tmp_path))
    forced = run("bead", "export", str(tmp_path), "--force", "--json")

    assert refused.code == 2
    assert "--force" in refused.err
    assert json.loads(forced.out)["beads"] == 0
    assert (tmp_path / "issues.jsonl").read_text() == ""


def test_an_export_follows_no_link_that_lies_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{bead_files.ISSUES}.new").symlink_to(tmp_path / "precious")

    bead_files.write(tmp_path / "out", [], [], force=False)

    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "out" / bead_files.ISSUES).is_symlink()


def test_help_of_the_group_names_both(run: Run) -> None:
    ran = run("beads", "--help")

    assert ran.code == 0
    for verb in ("import", "export", "push", "pull"):
        assert f" {verb} " in ran.out
