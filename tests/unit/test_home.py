"""The home folder: closed to others, whole after a crash, and the way clients find their daemon."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conductor import home
from conductor.domain import errors
from conductor.home import Connection, Home, RunningDaemon

RUNNING = RunningDaemon(os.getpid(), "http://127.0.0.1:8787", "2026-11-24T08:00:00+00:00", "0.1.0")


@pytest.fixture(autouse=True)
def lax_umask() -> Iterator[None]:
    """Privacy must not hang on the umask of whoever starts the daemon."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_prepare_makes_every_folder_for_the_owner_alone(tmp_path: Path) -> None:
    made = Home(tmp_path / "deep" / "home")

    made.prepare()
    made.prepare()

    assert {mode(folder) for folder in (made.path, made.ray, made.logs, made.state)} == {0o700}


def test_prepare_closes_an_empty_folder_that_was_open(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)

    Home(tmp_path / "home").prepare()

    assert mode(tmp_path / "home") == 0o700


def test_prepare_closes_a_home_that_was_opened(place: Home) -> None:
    place.write_owner_token("cdr_usr_k_s")
    place.path.chmod(0o755)
    place.logs.chmod(0o777)

    place.prepare()

    assert (mode(place.path), mode(place.logs)) == (0o700, 0o700)


def test_prepare_never_closes_a_folder_that_serves_others(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared" / "of-somebody").write_text("x")

    with pytest.raises(errors.Invalid, match="take a folder of its own with --home DIR, or close it: chmod 700"):
        Home(tmp_path / "shared").prepare()

    assert mode(tmp_path / "shared") == 0o755
    assert [entry.name for entry in (tmp_path / "shared").iterdir()] == ["of-somebody"]


def test_a_home_that_is_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(errors.Invalid, match=r"file cannot be used: .* --home DIR"):
        Home(tmp_path / "file").prepare()


def test_a_private_file_is_for_its_owner_alone_and_whole(place: Home) -> None:
    path = place.path / "secret"
    path.write_text("old")
    path.chmod(0o644)

    home.write_private(path, "new ✓")

    assert mode(path) == 0o600
    assert home.read_private(path) == "new ✓"
    assert [entry.name for entry in place.path.iterdir() if entry.name.startswith(".")] == []


def test_a_write_that_fails_leaves_the_old_file_and_no_other(place: Home) -> None:
    (place.path / "taken").mkdir()
    (place.path / "taken" / "inside").write_text("x")

    with pytest.raises(OSError, match="taken"):
        home.write_private(place.path / "taken", "new")

    assert [entry.name for entry in place.path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_secret_that_others_can_reach_is_refused_with_the_command(place: Home, bits: int) -> None:
    place.write_owner_token("cdr_usr_k_s")
    place.owner_token_file.chmod(bits)

    with pytest.raises(errors.Invalid, match=f"Close it: chmod 600 {place.owner_token_file}") as raised:
        place.owner_token()

    assert "cdr_usr" not in raised.value.message


def test_an_absent_secret_is_told_as_not_found(place: Home) -> None:
    with pytest.raises(errors.NotFound, match="conductor up"):
        home.read_private(place.owner_token_file)


def test_the_owner_token_file_holds_the_token_alone(place: Home) -> None:
    assert place.owner_token() is None

    place.write_owner_token("cdr_usr_k_s")

    assert place.owner_token() == "cdr_usr_k_s"
    assert place.owner_token_file.read_bytes() == b"cdr_usr_k_s"


def test_the_pepper_is_made_once(place: Home) -> None:
    first = place.pepper()

    assert len(first) == 32
    assert place.pepper() == first
    assert mode(place.pepper_file) == 0o600
    assert Home(place.path.parent / "home").pepper() == first


def test_all_who_make_the_pepper_at_once_get_the_same(place: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        peppers = set(pool.map(lambda _: place.pepper(), range(32)))

    assert len(peppers) == 1
    assert [entry.name for entry in place.path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31])
def test_a_damaged_pepper_is_refused_and_never_replaced(place: Home, text: str) -> None:
    home.write_private(place.pepper_file, text)

    with pytest.raises(errors.Invalid, match=r"is damaged.*restore it from a backup"):
        place.pepper()

    assert place.pepper_file.read_text() == text


def test_what_the_daemon_says_comes_back(place: Home) -> None:
    assert place.daemon() is None

    place.write_daemon(RUNNING)

    assert place.daemon() == RUNNING
    assert set(json.loads(place.daemon_file.read_text())) == {"pid", "url", "started_at", "version"}
    assert mode(place.daemon_file) == 0o600


def test_a_stopping_daemon_takes_back_only_its_own_word(place: Home) -> None:
    place.write_daemon(RUNNING)

    place.remove_daemon(RUNNING.pid + 1)
    kept = place.daemon()
    place.remove_daemon(RUNNING.pid)

    assert kept == RUNNING
    assert place.daemon() is None
    assert not place.daemon_file.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "", "started_at": "", "version": ""}']
)
def test_a_broken_daemon_file_counts_as_none(place: Home, text: str) -> None:
    place.daemon_file.write_text(text)

    assert place.daemon() is None


def test_the_home_is_named_by_the_environment_and_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))

    assert Home.locate({}).path == tmp_path / "me" / ".conductor"
    assert Home.locate({"CONDUCTOR_HOME": ""}).path == tmp_path / "me" / ".conductor"
    assert Home.locate({"CONDUCTOR_HOME": "~/c"}).path == tmp_path / "me" / "c"
    assert Home.locate({"CONDUCTOR_HOME": "here"}).path == tmp_path / "here"


def test_a_client_finds_the_daemon_by_the_home(place: Home) -> None:
    place.write_daemon(RUNNING)
    place.write_owner_token("cdr_usr_k_s")

    found = home.find_connection({"CONDUCTOR_HOME": str(place.path)})

    assert found == Connection("http://127.0.0.1:8787", "cdr_usr_k_s", None)


def test_the_environment_beats_the_home(place: Home) -> None:
    place.write_daemon(RUNNING)
    place.write_owner_token("cdr_usr_k_s")
    environ = {
        "CONDUCTOR_HOME": str(place.path),
        "CONDUCTOR_URL": "https://conductor.example.org/",
        "CONDUCTOR_TOKEN": "cdr_agt_a_b\n",
        "CONDUCTOR_PROJECT": "website",
    }

    found = home.find_connection(environ)

    assert found == Connection("https://conductor.example.org", "cdr_agt_a_b", "website")


def test_a_token_alone_goes_to_the_home_s_daemon(place: Home) -> None:
    place.write_daemon(RUNNING)

    found = home.find_connection({"CONDUCTOR_HOME": str(place.path), "CONDUCTOR_TOKEN": "cdr_agt_a_b"})

    assert found == Connection("http://127.0.0.1:8787", "cdr_agt_a_b", None)


@pytest.mark.parametrize("url", ["https://evil.example.org", "http://127.0.0.1:8788", "http://localhost:8787.evil.org"])
def test_the_owner_s_token_never_goes_to_another_address(place: Home, url: str) -> None:
    place.write_daemon(RUNNING)
    place.write_owner_token("cdr_usr_k_s")

    with pytest.raises(errors.Unauthenticated, match="set CONDUCTOR_TOKEN") as raised:
        home.find_connection({"CONDUCTOR_HOME": str(place.path), "CONDUCTOR_URL": url})

    assert "cdr_usr" not in raised.value.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:8787/", "http://localhost:8787"])
def test_the_owner_s_token_goes_to_the_home_s_daemon_by_either_name(place: Home, url: str) -> None:
    place.write_daemon(RUNNING)
    place.write_owner_token("cdr_usr_k_s")

    found = home.find_connection({"CONDUCTOR_HOME": str(place.path), "CONDUCTOR_URL": url})

    assert found.token == "cdr_usr_k_s"


def test_without_a_daemon_the_client_is_told_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match=r"start one with `conductor up`, or set CONDUCTOR_URL"):
        home.find_connection({"CONDUCTOR_HOME": str(tmp_path / "none")})


def test_a_malformed_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="must begin with http:// or https://"):
        home.find_connection({"CONDUCTOR_HOME": str(tmp_path), "CONDUCTOR_URL": "localhost:8787"})


def test_importing_the_home_loads_only_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import conductor.home; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "['conductor']"
