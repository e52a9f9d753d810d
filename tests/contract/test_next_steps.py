"""Every next step that an error names, anywhere in the code, is a call that exists and whose arguments validate."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.dispatch import shown_to
from conductor.domain.access import AGENT_ROLES, Caller, Role, TokenKind
from conductor.operations.agents import NextCall
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.faults import Fault
from tests.support.furnished import Furnished, golden

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("conductor", "storage", "actors", "mcp_server")
CARRIERS = {"conductor/operations/faults.py", "conductor/client/wire.py", "conductor/cli/quick/asking.py"}
"""Files that pass on steps which others made."""

SAMPLES: dict[str, Any] = {"task_id": "tsk_0000000000", "attempt": 1, "project_id": "prj_0000000000"}
"""Values for what is only known when the program runs, where the golden request has none."""


def steps() -> Iterator[tuple[str, ast.Call]]:
    """Find every place that makes a next step."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in CARRIERS:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _called(node.func) in {"NextStep", "NextCall"}:
                    yield f"{name}:{node.lineno}", node


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _part(call: ast.Call, place: int, name: str) -> ast.expr | None:
    named = next((word.value for word in call.keywords if word.arg == name), None)
    return named if named is not None else call.args[place] if len(call.args) > place else None


def _arguments(tool: str, told: ast.expr | None, where: str) -> dict[str, Any]:
    if told is None:
        return {}
    assert isinstance(told, ast.Dict), f"{where}: the arguments must be written out"
    made = {}
    for key, value in zip(told.keys, told.values, strict=True):
        assert isinstance(key, ast.Constant), f"{where}: the names of the arguments must be written out"
        name = str(key.value)
        try:
            made[name] = ast.literal_eval(value)
        except ValueError:
            made[name] = golden(tool).get(name, SAMPLES.get(name))
    return made


STEPS = list(steps())


def test_a_refusal_names_to_each_role_only_tools_of_its_own_list() -> None:
    """The steps of all refusals at once, as they leave the dispatcher for each role."""
    tools = sorted({str(tool.value) for _, call in STEPS if isinstance(tool := _part(call, 0, "tool"), ast.Constant)})
    steps = [NextCall(tool=tool, args={}, because="it helps") for tool in tools]
    fault = Fault(code="invalid", message="No.", retryable=False, facts={}, next=steps)

    for role in Role:
        caller = Caller(TokenKind.USER, role, "org_0000000000", "tok_0000000000")
        told = [step["tool"] for step in json.loads(shown_to(fault, caller).body)["next"]]

        assert told == [tool for tool in tools if CATALOGUE[tool].is_listed_for(role)], role


def test_there_are_next_steps_to_look_at() -> None:
    assert len(STEPS) > 25


@pytest.mark.parametrize(("where", "call"), STEPS, ids=[where for where, _ in STEPS])
def test_a_next_step_is_a_call_that_validates_and_says_why(where: str, call: ast.Call) -> None:
    tool = _part(call, 0, "tool")
    assert isinstance(tool, ast.Constant), f"{where}: the operation must be written out"
    name = str(tool.value)
    assert name in CATALOGUE, f"{where}: there is no operation {name}"
    arguments = _arguments(name, _part(call, 1, "args"), where)

    CATALOGUE[name].request.model_validate_json(json.dumps(arguments), strict=True)

    assert _part(call, 2, "because") is not None, f"{where}: a step says why"


@pytest.mark.anyio
@pytest.mark.parametrize("role", AGENT_ROLES)
async def test_what_a_session_begins_with_is_in_the_agents_list_and_validates(here: Furnished, role: Role) -> None:
    session = await here.callers[role].start_session()

    assert session["next"]
    for step in session["next"]:
        row = CATALOGUE[step["tool"]]
        row.request.model_validate_json(json.dumps(step["args"]), strict=True)
        assert row.is_listed_for(role), step["tool"]
        assert step["because"]
