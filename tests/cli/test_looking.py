"""status, doctor and config: what is there, what is wrong, which command mends it."""

import json
import os
import shlex
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from conductor.domain import errors
from conductor.home import Home, RunningDaemon
from conductor.operations.projects import Project, ProjectPage
from tests.cli import samples
from tests.cli.conftest import OWNER, Ran, Run
from tests.cli.double import Answered, Double, refusal


@pytest.fixture
def home(tmp_path: Path, double: Double, run: Run, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose daemon runs since an hour ago."""
    monkeypatch.delenv("CONDUCTOR_URL")
    monkeypatch.delenv("CONDUCTOR_TOKEN")
    place = Home(tmp_path / "home")
    place.prepare()
    place.write_owner_token(OWNER)
    place.write_daemon(
        RunningDaemon(os.getpid(), double.url, (datetime.now(UTC) - timedelta(hours=1)).isoformat(), "0.1.0")
    )
    return place


def checks(ran: Ran) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ran.out)["checks"]}


def test_status_says_where_since_when_and_what_is_there(home: Home, double: Double, run: Run) -> None:
    project = samples.reply(Project, slug="ours")
    project["counts"] = {"tasks": {"pending": 2}, "agents": {"idle": 1}, "locks": 3}
    project["budget"] = {"spent_usd": "1.5", "limit_usd": "10", "remaining_usd": "8.5"}
    double.always["list_projects"] = lambda _: samples.reply(ProjectPage, items=[project])

    as_text, as_json = run("status"), run("status", "--json")

    assert as_text.code == as_json.code == 0
    for said in (double.url, "0.1.0", "up for 1 h", "ours", "2 pending", "1 idle", "1.5 of 10, 8.5 left"):
        assert said in as_text.out
    told = json.loads(as_json.out)
    assert (told["is_ready"], told["version"], told["projects"][0]["locks"]) == (True, "0.1.0", 3)
    assert told["uptime_s"] == pytest.approx(3600, abs=60)


def test_status_of_a_daemon_that_is_starting(home: Home, double: Double, run: Run) -> None:
    double.ready = refusal(errors.Unavailable("Conductor is not ready: it is starting."))

    ran = run("status", "--json")

    told = json.loads(ran.out)
    assert (ran.code, told["is_up"], told["is_ready"]) == (8, True, False)
    assert told["problem"] == "Conductor is not ready: it is starting."
    assert double.asked == []


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1"])
def test_status_without_a_daemon_keeps_its_shape(url: str | None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDUCTOR_URL")

    as_json = run("status", "--json", *(["--url", url] if url else []))
    as_text = run("status", *(["--url", url] if url else []))

    told = json.loads(as_json.out)
    assert (as_json.code, told["is_up"], told["projects"]) == (8, False, [])
    assert "conductor up" in as_text.err


@pytest.mark.parametrize(
    "answered", [Answered(200, "<html>"), Answered(200, "[]"), Answered(404, ""), Answered(503, "")]
)
def test_status_of_what_is_not_conductor(answered: Answered, home: Home, double: Double, run: Run) -> None:
    double.ready = answered

    ran = run("status", "--json")

    assert ran.code == 8
    assert "not a Conductor daemon" in json.loads(ran.out)["problem"]
    assert double.asked == []


def test_doctor_finds_nothing_wrong_with_a_home_whose_daemon_serves(home: Home, double: Double, run: Run) -> None:
    as_json, as_text = run("doctor", "--json"), run("doctor")

    told = json.loads(as_json.out)
    assert (as_json.code, as_text.code, told["is_well"]) == (0, 0, True)
    assert {"python", "packages", "home", "secrets", "settings", "database", "daemon", "token", "clock", "git"} <= set(
        checks(as_json)
    )
    assert "All is well." in as_text.out
    assert "s3cr3t" not in as_json.out + as_text.out


def test_doctor_mends_open_modes_by_the_command_it_names(home: Home, run: Run) -> None:
    home.path.chmod(0o755)
    home.owner_token_file.chmod(0o644)

    ran = run("doctor", "--json")

    assert ran.code == 1
    found = checks(ran)
    assert shlex.split(found["home"]["command"]) == ["chmod", "700", str(home.path)]
    assert shlex.split(found["secrets"]["command"]) == ["chmod", "600", str(home.owner_token_file)]


def test_doctor_sees_a_daemon_that_was_killed_and_a_taken_port(
    home: Home, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("CONDUCTOR_SERVER__PORT", str(taken.getsockname()[1]))
        home.write_daemon(RunningDaemon(2**22 + 1, "http://127.0.0.1:1", "2026-11-24T08:20:11+00:00", "0.1.0"))

        found = checks(run("doctor", "--json"))

    assert found["daemon"]["state"] == "bad"
    assert "its process is gone" in found["daemon"]["sentence"]
    assert (found["port"]["state"], found["port"]["command"]) == ("bad", "conductor up --port 0")


def test_doctor_tells_a_refused_token_and_a_clock_that_differs(home: Home, double: Double, run: Run) -> None:
    double.script("whoami", errors.Unauthenticated("no valid token"))
    double.ready = Answered(200, {"status": "ready"}, {"Date": formatdate(time.time() + 120, usegmt=True)})

    found = checks(run("doctor", "--json"))

    assert (found["token"]["state"], found["clock"]["state"]) == ("bad", "bad")
    assert "ahead of" in found["clock"]["sentence"]


def test_doctor_tells_a_wrong_setting(home: Home, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUCTOR_SERVER__PORT", "99999")

    found = checks(run("doctor", "--json"))

    assert found["settings"]["state"] == "bad"
    assert "server.port" in found["settings"]["sentence"]


def test_every_check_that_is_bad_names_a_command(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CONDUCTOR_URL")
    monkeypatch.setenv("PATH", str(tmp_path))

    ran = run("doctor", "--json")

    found = json.loads(ran.out)["checks"]
    assert ran.code == 1
    assert {check["name"] for check in found if check["state"] == "bad"} >= {"daemon", "git"}
    assert all(check["command"] for check in found if check["state"] != "ok")


def test_config_shows_each_setting_with_its_source_and_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUCTOR_DATABASE_URL", "postgresql://me:s3cr3t@host/name")

    as_json, as_text = run("config", "--json"), run("config")

    told = {one["name"]: one for one in json.loads(as_json.out)}
    assert told["storage.database_url"]["source"] == "environment CONDUCTOR_DATABASE_URL"
    assert told["server.port"] == {"name": "server.port", "value": "8787", "source": "default"}
    assert "server.port" in as_text.out
    assert "s3cr3t" not in as_json.out + as_text.out


def test_config_with_a_wrong_setting_is_the_error_that_stops_the_start(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[server]\nport = 99999\n")

    ran = run("config", "--config", str(file), "--json")

    assert ran.code == 2
    assert f"{file}:2" in json.loads(ran.out)["message"]
