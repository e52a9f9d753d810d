"""A team brings its beads along: a folder is imported, worked off by an agent, and written back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, installed, running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for the story."""
    with running(tmp_path_factory.mktemp("beads")) as process:
        yield process


def conductor(daemon: DaemonProcess, *words: str) -> dict[str, Any]:
    """Run the installed command as the owner; gives its JSON."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
    ran = subprocess.run(
        [installed("conductor"), *words, "--json"],
        env=environment | {"CONDUCTOR_HOME": str(daemon.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_a_folder_of_beads_is_imported_worked_off_and_written_back(daemon: DaemonProcess, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / ".beads"
    folder.mkdir(parents=True)
    count = 700
    beads = [
        {
            "id": f"bd-{number}",
            "title": f"Step {number}",
            "status": "closed" if number == 0 else "open",
            "priority": 2,
            "issue_type": "task",
            "dependencies": [{"issue_id": f"bd-{number}", "depends_on_id": f"bd-{number - 1}", "type": "blocks"}]
            if number
            else [],
            "comments": [{"text": "kept there"}],
        }
        for number in range(count)
    ]
    (folder / "issues.jsonl").write_text("".join(json.dumps(bead) + "\n" for bead in reversed(beads)))
    (folder / "convoys.json").write_text(json.dumps([{"name": "release", "beads": ["bd-1", "bd-2"]}]))
    token = daemon.call("register_agent", agent_id="ada", name="Ada")["token"]

    first = conductor(daemon, "bead", "import", str(folder.parent))
    again = conductor(daemon, "beads", "import", str(folder.parent))
    claimed = daemon.call("claim_task", token)
    daemon.call("complete_task", token, task_id=claimed["task"]["id"], attempt=1, result="Done.")
    written = conductor(daemon, "bead", "export", str(tmp_path / "out"))

    assert len(first["created"]) == count + 1
    assert first["problems"] == ["fields that have no counterpart here were left out: comments"]
    assert (again["created"], again["updated"], again["unchanged"]) == ([], [], count + 1)
    assert claimed["task"]["title"] == "Step 1"
    assert (written["beads"], written["convoys"]) == (count, 1)
    lines = (tmp_path / "out" / "issues.jsonl").read_text().splitlines()
    back = {bead["id"]: bead for bead in map(json.loads, lines)}
    assert {name for name, bead in back.items() if bead["status"] == "closed"} == {"bd-0", "bd-1"}
    assert back["bd-1"]["close_reason"] == "Done."
    assert back["bd-2"]["dependencies"] == [{"issue_id": "bd-2", "depends_on_id": "bd-1", "type": "blocks"}]


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
def test_an_agent_reads_where_it_stands_and_is_given_the_words_to_hand_over(daemon: DaemonProcess, era: str) -> None:
    name = f"eve-{era}"
    token = daemon.call("register_agent", agent_id=name, name="Eve")["token"]
    task = daemon.call("create_task", title=f"Greet {era}", files=[f"{name}/"])
    daemon.call("claim_task", token, task_id=task["id"])

    async def act() -> tuple[list[str], str, str]:
        async with daemon.mcp(token, era) as client:
            listed = await client.list_resources()
            read = await client.read_resource("conductor://agent/me")
            got = await client.get_prompt("handoff", {"to": "ada"})
            uris = [str(resource.uri) for resource in listed.resources]
            return uris, read.contents[0].text, got.messages[0].content.text  # type: ignore[union-attr]  # texts

    uris, page, words = asyncio.run(act())

    assert "conductor://locks" in uris
    assert page.startswith(f"# {name}, contributor")
    assert task["id"] in page
    assert words.startswith(f"Hand over {task['id']} to ada: Greet {era}")
