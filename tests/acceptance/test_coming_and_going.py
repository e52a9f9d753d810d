"""People and organisations come and go on a running daemon: what they may changes at once, and nothing stays behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx

from tests.support.daemon import DaemonProcess, eventually, installed


def test_an_organisation_is_founded_filled_exported_and_deleted(daemon: DaemonProcess, tmp_path: Path) -> None:
    made = daemon.call("create_organization", name="North", plan="pro")
    named = {"organization_id": made["id"]}
    owner = daemon.call("invite_member", name="Olga", role="owner", **named)["token"]
    project = daemon.call("create_project", owner, name="Shop", settings={"auto_approve": "same_machine"})
    ann = daemon.call("invite_member", owner, name="Ann", role="admin")
    enrolment = daemon.call("create_token", owner, kind="enr", name="this machine")["token"]

    first = daemon.call("request_access", enrolment, agent_id="ada", name="Ada", agent_type="codex")
    ada = first["token"]
    assert daemon.call("whoami", ada)["agent_id"] == "ada"
    asked = {"agent_id": "bob", "name": "Bob", "agent_type": "codex"}
    proxied = httpx.post(
        f"{daemon.url}/v1/request_access",
        json=asked,
        headers={"authorization": f"Bearer {enrolment}", "x-forwarded-for": "127.0.0.1"},
    ).json()
    assert (proxied["request"]["status"], "token" in proxied) == ("pending", False)

    assert daemon.ask("list_tokens", ann["token"], {}).status_code == 200
    daemon.call("update_member", owner, member_id=ann["member"]["id"], role="viewer")
    assert daemon.ask("list_tokens", ann["token"], {}).status_code == 403
    daemon.call("update_project", owner, project_id=project["id"], settings={"team_only": True})
    assert daemon.call("list_projects", ann["token"])["items"] == []
    team = daemon.call("create_team", owner, name="Few")
    member_id = ann["member"]["id"]
    daemon.call("update_team", owner, team_id=team["id"], add_members=[member_id], add_projects=[project["id"]])
    assert [each["id"] for each in daemon.call("list_projects", ann["token"])["items"]] == [project["id"]]

    daemon.call("revoke_access", owner, agent_id="ada", reason="It has done its work.")
    assert daemon.ask("whoami", ada, {}).status_code == 401

    file = tmp_path / "north.jsonl"
    ran = subprocess.run(
        [installed("conductor"), "org", "export", str(file)],
        env={"CONDUCTOR_URL": daemon.url, "CONDUCTOR_TOKEN": owner, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {"organizations", "members", "projects", "agents", "events", "teams"} <= {line["table"] for line in lines}

    daemon.call("delete_organization", owner, confirm="north")
    tokens = (owner, ann["token"], enrolment)
    eventually(
        lambda: {daemon.ask("whoami", token, {}).status_code for token in tokens} == {401},
        "every token answers 401",
        within_s=1.0,
    )
    slugs = [organization["slug"] for organization in daemon.call("list_organizations")["items"]]
    assert slugs == ["default"]
    refused = daemon.ask("delete_organization", daemon.owner_token, {"confirm": "default"})
    assert refused.status_code == 403
