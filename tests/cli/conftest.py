"""Fixtures of the client wing: the double, and a command line in this process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conductor.cli import app
from tests.cli.double import Double
from tests.cli.workplace import Workplace
from tests.support import daemon as daemons
from tests.support.daemon import DaemonProcess

TOKEN = "cdr_agt_k3y1d_s3cr3tS3CR3T"
OWNER = "cdr_usr_k3y1d_s3cr3tS3CR3T"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as server:
        yield server


@pytest.fixture
def environ(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who holds an agent's token."""
    for name in ("CONDUCTOR_PROJECT", "CONDUCTOR_CONFIG", "CONDUCTOR_DB", "CONDUCTOR_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONDUCTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONDUCTOR_URL", double.url)
    monkeypatch.setenv("CONDUCTOR_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run(environ: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `conductor` with these words."""

    def run(*words: str) -> Ran:
        code = app.run(words)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A real daemon for the quick commands; each test has a project of its own in it."""
    with daemons.running(tmp_path_factory.mktemp("served")) as process:
        yield process


@pytest.fixture
def workplace(served: DaemonProcess, tmp_path: Path) -> Workplace:
    """A repository with the agent ada of the real daemon."""
    return Workplace.make(served, tmp_path)
