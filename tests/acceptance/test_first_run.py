"""The first run: `conductor up` with nothing configured, as the installed script, in a folder full of decoys."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.acceptance.conftest import MakeDaemon
from tests.support.daemon import ROOT, DaemonProcess, installed

UP = (installed("conductor"), "up")
PACKAGES = ("conductor", "storage", "actors", "mcp_server")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that was just started for the first time; its PYTHONPATH is unset and its folder holds decoys."""
    process = DaemonProcess(tmp_path_factory.mktemp("first") / "home", program=UP, environment={"PYTHONPATH": ""})
    for name in PACKAGES:
        (process.folder / name).mkdir()
        (process.folder / name / "__init__.py").write_text("raise SystemExit('a decoy was imported')")
    try:
        process.start()
        yield process
    finally:
        process.close()


def test_it_shows_progress_and_prints_the_url_and_a_line_to_connect_each_client(daemon: DaemonProcess) -> None:
    said = daemon.output.read_text()

    assert 3 <= len(re.findall(r"^  [A-Z].*", said.partition("Conductor is ready")[0], re.MULTILINE)) <= 12
    assert f"Conductor is ready at {daemon.url}" in said
    for line in ("claude mcp add", "codex mcp add", "gemini mcp add"):
        assert line in said
    assert said.count(f"{daemon.url}/mcp") == 3


def test_the_owners_token_lies_alone_in_its_file_and_is_shown_only_masked(daemon: DaemonProcess) -> None:
    token = (daemon.home / "owner.token").read_text()

    assert re.fullmatch(r"cdr_usr_[a-z0-9]+_[A-Za-z0-9_-]+", token)
    assert daemon.call("whoami", token)["role"] == "root"
    key = "_".join(token.split("_")[:3])
    assert f"{key}_…" in daemon.output.read_text()
    secret = token.removeprefix(f"{key}_")
    shown = [
        daemon.output,
        *(daemon.home / "logs").iterdir(),
        daemon.home / "daemon.json",
        daemon.home / "conductor.db",
    ]
    assert [path for path in shown if secret.encode() in path.read_bytes()] == []


def test_everything_in_the_home_is_for_its_owner_alone(daemon: DaemonProcess) -> None:
    # What Ray keeps below ray/t it opens to everybody; the folder above it is closed.
    kept = [path for path in daemon.home.rglob("*") if not path.is_relative_to(daemon.home / "ray" / "t")]

    for path in [daemon.home, *kept]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == wanted, path


def test_it_makes_the_organization_and_the_project_default(daemon: DaemonProcess) -> None:
    assert [item["slug"] for item in daemon.call("list_organizations")["items"]] == ["default"]
    assert [item["slug"] for item in daemon.call("list_projects")["items"]] == ["default"]


def test_it_says_in_daemon_json_where_it_serves(daemon: DaemonProcess) -> None:
    said = json.loads((daemon.home / "daemon.json").read_text())

    assert daemon.process is not None
    assert (said["pid"], said["url"]) == (daemon.process.pid, daemon.url)
    assert datetime.datetime.fromisoformat(said["started_at"]).tzinfo is not None
    for path in ("/healthz", "/readyz"):
        assert httpx.get(f"{daemon.url}{path}").status_code == 200


def test_every_process_of_it_listens_on_loopback_alone(daemon: DaemonProcess) -> None:
    open_to = {
        (process.name(), socket.laddr.ip)
        for process in daemon.tree()
        for socket in process.net_connections("inet")
        if not socket.raddr
    }

    assert len(open_to) > 1
    addresses = {ipaddress.ip_address(ip.removeprefix("::ffff:")) for _, ip in open_to}
    assert all(address.is_loopback for address in addresses), open_to


def test_a_second_daemon_of_the_same_home_is_refused_and_told_which_process_runs(daemon: DaemonProcess) -> None:
    assert daemon.process is not None

    refused = daemon.start_refused()

    assert refused.returncode == 8
    assert f"process {daemon.process.pid}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert daemon.call("whoami")["role"] == "root"


def test_a_port_that_is_taken_is_said_and_nothing_is_left_running(
    daemon: DaemonProcess, make_daemon: MakeDaemon
) -> None:
    other = make_daemon("other", program=UP)

    refused = other.start_refused("--port", daemon.url.rpartition(":")[2])

    assert refused.returncode != 0
    assert f"annot listen on 127.0.0.1:{daemon.url.rpartition(':')[2]}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "Conductor is ready" not in refused.stdout
    assert not (other.home / "daemon.json").exists()
    assert list(other.home.glob("ray/*")) == []
    assert [process.pid for process in psutil.process_iter() if _mentions(process, other.home)] == []


def test_an_address_that_is_not_loopback_needs_tls_or_a_proxy(make_daemon: MakeDaemon) -> None:
    bare = make_daemon(program=UP)

    refused = bare.start_refused("--host", "0.0.0.0")

    assert refused.returncode == 2
    assert "--tls-cert FILE --tls-key FILE" in refused.stderr
    assert "--behind-proxy" in refused.stderr
    assert not (bare.home / "conductor.db").exists()


def test_with_a_certificate_it_serves_https_on_any_address(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    certificate, key = _self_signed(tmp_path)
    secure = make_daemon(program=UP)

    secure.start("--host", "0.0.0.0", "--tls-cert", str(certificate), "--tls-key", str(key))

    assert secure.url.startswith("https://127.0.0.1:")
    asked = httpx.post(
        f"{secure.url}/v1/whoami",
        headers={"Authorization": f"Bearer {secure.owner_token}"},
        verify=ssl.create_default_context(cafile=certificate),
    )
    assert asked.json()["role"] == "root"
    with pytest.raises(httpx.TransportError):
        httpx.get(secure.url.replace("https://", "http://") + "/healthz")


def test_a_new_owners_token_ends_the_old_one_and_conductor_db_says_where_the_data_lie(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    database = tmp_path / "elsewhere" / "team.db"
    database.parent.mkdir()
    daemon = make_daemon(program=UP, environment={"CONDUCTOR_DB": str(database)})
    daemon.start()
    former = daemon.owner_token
    made = daemon.call("create_task", title="Kept")
    assert daemon.stop() == 0

    daemon.start("--new-owner-token")

    assert daemon.owner_token != former
    assert daemon.ask("whoami", former, {}).status_code == 401
    assert daemon.call("get_task", task_id=made["id"])["title"] == "Kept"
    assert database.exists()
    assert not (daemon.home / "conductor.db").exists()


def test_a_foreign_storage_package_ahead_of_ours_is_a_start_up_error_that_names_it(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    foreign = tmp_path / "shop" / "storage"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("shelves = 12\n")
    daemon = make_daemon(program=UP, environment={"PYTHONPATH": f"{foreign.parent}:{ROOT}"})

    refused = daemon.start_refused()

    assert refused.returncode == 2
    assert f"The package storage was found at {foreign}" in refused.stderr
    assert "environment of its own" in refused.stderr
    assert "Traceback" not in refused.stderr


def _mentions(process: psutil.Process, home: Path) -> bool:
    try:
        return any(str(home) in word for word in process.cmdline())
    except psutil.Error:
        return False


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody else signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:60])])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
