"""What docs/storage.md shows works as it stands, and a running daemon stays the only writer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conductor.domain import errors
from storage import open_store
from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import ROOT


def _shown() -> str:
    page = (ROOT / "docs/storage.md").read_text()
    return page.split("```python\n", 1)[1].split("```", 1)[0]


def test_the_program_of_the_page_runs_and_prints_what_it_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _shown()], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "pending Document it" in done.stdout
    assert "0 of 25 USD False" in done.stdout
    assert "1 program organization.created {'name': 'Acme', 'slug': 'acme', 'plan': 'free'}" in done.stdout


def test_the_same_program_runs_on_postgresql(tmp_path: Path, database_url: str) -> None:
    program = _shown().replace('open_store("conductor.db")', f"open_store({database_url!r})")

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "6 program task.created" in done.stdout


def test_while_a_daemon_runs_a_program_reads_and_after_it_writes(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.start()
    task = daemon.call("create_task", title="made by the daemon")
    url = str(daemon.home / "conductor.db")

    with open_store(url) as store:
        organization = store.organizations()[0]
        assert not store.may_write
        with store.unit(organization.id) as tx:
            project = tx.projects.all()[0]
            assert [item.id for item in tx.tasks.page(project.id).items] == [task["id"]]
        with store.unit(organization.id) as tx, pytest.raises(errors.Unavailable, match="daemon"):
            tx.tasks.create(project.id, "never")
    assert daemon.stop() == 0
    with open_store(url) as store, store.unit(organization.id) as tx:
        tx.tasks.create(project.id, "made by a program")
    daemon.start()

    titles = [item["title"] for item in daemon.call("list_tasks")["items"]]
    assert titles == ["made by a program", "made by the daemon"]
