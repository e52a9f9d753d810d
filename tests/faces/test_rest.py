"""REST: bytes in, bytes out, and what the OpenAPI document promises about them."""

from __future__ import annotations

from typing import Any
from urllib import parse

import jsonschema_rs
import pytest
import schemathesis

from conductor.domain import errors
from conductor.operations import catalogue
from conductor.operations.faults import Fault
from conductor.operations.row import Face
from mcp_server import openapi
from tests.faces.conftest import Open

ROWS = [row for row in catalogue.CATALOGUE.values() if Face.REST in row.faces]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def test_the_body_reaches_the_operation_as_it_was_sent(opened: Open) -> None:
    body = b' {"action" : "a", "metadata":{"a":1.50}} '

    response = opened.agent.post("/v1/log_action", content=body, headers={"content-type": "application/json"})

    assert opened.faces.echo.calls[-1][1] == body
    assert response.status_code == 200
    assert response.json()["operation"] == "log_action"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_operation_has_its_route(opened: Open, row: Any) -> None:
    opened.root.post(f"/v1/{row.name}")

    assert opened.faces.echo.calls[-1][:2] == (row.name, b"{}")


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=lambda kind: kind.code)
def test_every_refusal_has_its_status_and_says_when_to_come_again(
    opened: Open, kind: type[errors.ConductorError]
) -> None:
    opened.faces.echo.refusals["get_quota"] = kind("No.", wait_s=2.2)

    response = opened.agent.post("/v1/get_quota")

    del opened.faces.echo.refusals["get_quota"]
    fault = Fault.model_validate(response.json())
    assert (response.status_code, fault.code) == (kind.http, kind.code)
    if kind is not errors.Unauthenticated:
        assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("notice", "header"),
    [("Stop: main is broken.", "Stop: main is broken."), ("grün 100%\r\nX: y", "gr%C3%BCn 100%25%0D%0AX: y")],
)
def test_what_is_urgent_is_told_in_a_header_with_a_reply_and_with_a_refusal(
    opened: Open, notice: str, header: str
) -> None:
    opened.faces.echo.notice = notice

    done, refused = opened.agent.post("/v1/whoami"), opened.agent.post("/v1/whoami", json={"surplus": 1})

    opened.faces.echo.notice = ""
    assert (done.status_code, refused.status_code) == (200, 400)
    assert done.headers["conductor-notice"] == refused.headers["conductor-notice"] == header
    assert parse.unquote(header) == notice
    assert "conductor-notice" not in opened.agent.post("/v1/whoami").headers


def test_unavailable_says_when_to_come_again_also_when_the_operation_did_not(opened: Open) -> None:
    opened.faces.echo.refusals["get_quota"] = errors.Unavailable("Away.")

    response = opened.agent.post("/v1/get_quota")

    del opened.faces.echo.refusals["get_quota"]
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_a_refusal_that_waiting_does_not_help_has_no_retry_after(opened: Open) -> None:
    response = opened.agent.post("/v1/log_action")

    assert response.status_code == 400
    assert "retry-after" not in response.headers


def test_the_document_is_served_and_describes_exactly_the_routes(opened: Open, document: dict[str, Any]) -> None:
    response = opened.agent.get("/v1/openapi.json")

    assert response.json() == document
    assert set(document["paths"]) == {f"/v1/{row.name}" for row in ROWS}


def test_the_document_is_one_that_tools_can_load(document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)

    schema.validate()
    assert len(schema) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_operation_is_described_with_its_models_and_its_errors(document: dict[str, Any], row: Any) -> None:
    described = document["paths"][f"/v1/{row.name}"]["post"]
    schemas = document["components"]["schemas"]

    def model(content: Any) -> str:
        return str(content["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])

    assert described["operationId"] == row.name
    assert model(described["requestBody"]) in schemas
    assert schemas[model(described["responses"]["200"])]["title"] == row.reply.__name__
    assert {model(response) for status, response in described["responses"].items() if status != "200"} == {"Fault"}
    for kind in (*row.raises, errors.Unauthenticated, errors.Forbidden, errors.RateLimited, errors.Unavailable):
        assert kind.code in described["responses"][str(kind.http)]["description"]


def test_an_error_fits_its_description(opened: Open, document: dict[str, Any]) -> None:
    whole = {"$ref": "#/components/schemas/Fault", "components": document["components"]}
    faults = [opened.nobody.post("/v1/whoami").json(), opened.root.get("/v1/whoami").json()]

    for fault in faults:
        jsonschema_rs.Draft202012Validator(whole).validate(fault)


def test_the_document_asks_for_a_token_everywhere(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearerAuth": []}]
    assert document["components"]["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"
