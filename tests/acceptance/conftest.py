"""Daemons as processes, on each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess

MakeDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Makes daemons that are not started yet and are ended after the test."""
    made: list[DaemonProcess] = []

    def make(name: str = "home", **arguments: object) -> DaemonProcess:
        made.append(DaemonProcess(tmp_path / name, **arguments))  # type: ignore[arg-type]  # passed through
        return made[-1]

    yield make
    for process in made:
        process.close()
