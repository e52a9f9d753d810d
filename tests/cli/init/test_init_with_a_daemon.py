"""`conductor init` where nothing runs yet: a daemon is started, and the agent that was set up is known to it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.init.prepared import picture
from tests.support.daemon import installed
from tests.support.repository import GitRepository


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who has just installed Conductor; what it started is stopped."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CONDUCTOR_")}
    home = tmp_path / "home"
    yield {**own, "HOME": str(tmp_path), "CONDUCTOR_HOME": str(home), "CONDUCTOR_SERVER__PORT": "0"}
    said = home / "daemon.json"
    if said.exists():
        daemon = psutil.Process(json.loads(said.read_text())["pid"])
        daemon.send_signal(signal.SIGTERM)
        # It is nobody's child any more, or ours when nobody took it: either way it is gone or waited for.
        psutil.wait_procs([daemon], timeout=20)


def test_a_daemon_is_started_and_knows_the_agent(surroundings: dict[str, str], repository: GitRepository) -> None:
    before = picture(repository.folder)

    def conductor(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [installed("conductor"), *words],
            cwd=repository.folder,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = conductor("init", "--agent", "claude=ada")
    status = conductor("init", "status", "--json")
    seen = conductor("agent", "list", "--project", "shop", "--json")
    removed = conductor("init", "remove")

    assert done.returncode == 0, done.stderr
    assert "No daemon runs: started one at http://127.0.0.1:" in done.stdout
    assert json.loads(status.stdout)["is_well"], status.stdout
    assert [agent["agent_id"] for agent in json.loads(seen.stdout)["items"]] == ["ada"]
    assert removed.returncode == 0, removed.stderr
    assert picture(repository.folder) == before
