"""Probes: no token, the right status, the reason said."""

from __future__ import annotations

from mcp_server.app import build_app
from tests.faces.double import Faces, client, served


def test_probes_follow_what_the_daemon_says_of_itself() -> None:
    faces = Faces()
    with served(build_app(faces.parts())) as url, client(url) as ask:

        def statuses() -> tuple[int, int]:
            return ask.get("/healthz").status_code, ask.get("/readyz").status_code

        seen = [statuses()]
        faces.health.ready()
        seen.append(statuses())
        faces.health.unready("the database is lost")
        seen.append(statuses())
        unready = ask.get("/readyz")
        faces.health.dead("Ray is gone")
        seen.append(statuses())

    assert seen == [(200, 503), (200, 200), (200, 503), (503, 503)]
    assert unready.json()["message"] == "Conductor is not ready: the database is lost."
    assert (unready.json()["code"], unready.headers["retry-after"]) == ("unavailable", "1")


def test_probes_may_ask_for_the_head_alone() -> None:
    faces = Faces()
    faces.health.ready()
    with served(build_app(faces.parts())) as url, client(url) as ask:
        response = ask.head("/readyz")

    assert (response.status_code, response.content) == (200, b"")
