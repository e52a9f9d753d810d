"""One served app for the tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from mcp_server.app import build_app
from tests.faces.double import Faces, client, served


@dataclass(frozen=True)
class Open:
    """A served app: what is behind it, where it is, and clients with and without a token."""

    faces: Faces
    url: str
    agent: httpx.Client
    root: httpx.Client
    nobody: httpx.Client


@pytest.fixture(scope="package")
def opened() -> Iterator[Open]:
    """The faces over a double, served on loopback."""
    faces = Faces()
    with (
        served(build_app(faces.parts())) as url,
        client(url, faces.agent) as agent,
        client(url, faces.root) as root,
        client(url) as nobody,
    ):
        yield Open(faces, url, agent, root, nobody)
