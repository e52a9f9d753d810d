"""The commands of the README and the docs do what they say, on a running daemon."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import ROOT, DaemonProcess

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


TRIED = ("work.md", "messages.md", "people.md", "locks.md")
"""Pages of docs whose commands are run as they stand, from the first to the last."""


def _blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def _run(daemon: DaemonProcess, folder: Path, command: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")},
        "CONDUCTOR_HOME": str(daemon.home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def test_every_command_of_the_first_quarter_of_an_hour_works(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text().split("## The first quarter of an hour", 1)[1]
    commands = [line.split("#")[0].strip() for line in _blocks(text)[0].splitlines() if line.strip()]
    daemon = make_daemon()
    daemon.start()

    for command in commands:
        assert _run(daemon, tmp_path, command), command


@pytest.mark.parametrize("page", TRIED)
def test_every_command_of_a_page_works(make_daemon: MakeDaemon, tmp_path: Path, page: str) -> None:
    blocks = _blocks((ROOT / "docs" / page).read_text())
    daemon = make_daemon()
    daemon.start()
    daemon.call("register_agent", agent_id="ada", name="Ada", capabilities=["python"])

    for command in [line for block in blocks for line in block.splitlines() if line.strip()]:
        _run(daemon, tmp_path, command)


def test_the_readme_has_one_line_to_run_and_one_to_test() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert [line for line in lines if line.endswith("conductor up")]
    assert [line for line in lines if line.endswith("-m pytest")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`]*`", "", page.read_text())
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose)

    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not broken
