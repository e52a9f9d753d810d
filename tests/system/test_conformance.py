"""The official conformance suite of MCP, for what a server with tools and nothing else is asked.

Its other scenarios want a server made for the suite, with tools, prompts and resources of given names, or features that
Conductor does not announce.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import Project
from tests.system.programs import NODE, Place, installed

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SCENARIOS = {"server-initialize": 1, "ping": 1, "tools-list": 1, "dns-rebinding-protection": 2}
"""Each scenario with how many checks it makes."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_conformance_suite_finds_nothing_to_object_to(scenario: str, project: Project, place: Place) -> None:
    suite = installed("programs/node_modules/@modelcontextprotocol/conformance/dist/index.js")
    preloaded = Path(__file__).with_name("with_token.mjs")
    command: list[str | Path] = [
        installed(NODE), "--import", preloaded, suite,
        "server", "--url", f"{project.daemon.url}/mcp", "--scenario", scenario,
    ]  # fmt: skip

    ran = place.run(command, {"CONDUCTOR_TOKEN": project.register("conformance")})

    assert ran.code == 0, ran
    checks = SCENARIOS[scenario]
    assert f"Passed: {checks}/{checks}, 0 failed, 0 warnings" in ran.output, ran
