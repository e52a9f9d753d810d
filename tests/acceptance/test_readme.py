"""The commands of the README and the docs do what they say, on a running daemon."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_every_command_of_the_first_quarter_of_an_hour_works(make_daemon: MakeDaemon) -> None:
    text = (ROOT / "README.md").read_text()
    block = text.split("## The first quarter of an hour", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    commands = [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]
    daemon = make_daemon()
    daemon.start()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")},
        "CONDUCTOR_HOME": str(daemon.home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert done.stdout.strip(), command


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
