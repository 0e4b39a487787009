"""The OpenAPI document says what the table of routes says, and is well formed."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from api.conftest import Served
from api.fake import SESSION
from stoker.api.openapi import describe
from stoker.api.routes import ROUTES
from stoker.core.protocol import ReportRequest


@pytest.fixture(scope="module")
def document() -> Any:
    return msgspec.json.decode(msgspec.json.encode(describe(ROUTES, version="1.2.3", path_prefix="/p")))


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_described(document: Any) -> None:
    described = {(method.upper(), path) for method, path, _ in operations(document)}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_operation_ids_are_unique(document: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(document: Any) -> None:
    references = set(re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document).decode()))
    assert references
    for reference in references:
        found = document
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_every_component_is_a_json_schema_with_a_plain_name(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_the_parameters_of_each_path_are_declared(document: Any) -> None:
    for _, path, operation in operations(document):
        declared = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)


def test_security_follows_the_scopes(document: Any) -> None:
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        needed = [] if route.public else [{"bearer": [scope]} for scope in route.scopes]
        assert operation["security"] == needed
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_operation_may_answer_with_a_problem(document: Any) -> None:
    for _, _, operation in operations(document):
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
        assert any(status.startswith("2") for status in operation["responses"])


def test_query_parameters_have_types_and_limits(document: Any) -> None:
    parameters = document["paths"]["/v1/namespaces/{namespace}/runs"]["get"]["parameters"]
    by_name = {each["name"]: each for each in parameters}
    assert by_name["limit"]["schema"]["maximum"] == 1000
    assert by_name["state"]["schema"]["enum"] == ["CANCELLED", "FAILED", "RUNNING", "SUCCEEDED"]
    assert by_name["after"]["required"] is False
    assert by_name["after"]["schema"]["type"] == "string"


def test_the_schema_of_a_report_accepts_what_the_decoder_accepts(document: Any) -> None:
    schema = {"$ref": "#/components/schemas/ReportRequest", "components": document["components"]}
    validator = jsonschema_rs.validator_for(schema)
    good = {
        "session": SESSION,
        "held": [[1, 1]],
        "reports": [
            {"verb": "complete", "task": 1, "attempt": 1, "items": [{"value": {"deep": [1]}}]},
            {"verb": "fail", "task": 1, "attempt": 1, "error": {"message": "m"}, "retryable": False},
        ],
    }
    bad = {"session": SESSION, "reports": [{"verb": "explode", "task": 1, "attempt": 1}]}
    msgspec.json.decode(msgspec.json.encode(good), type=ReportRequest)
    assert validator.is_valid(good)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(bad), type=ReportRequest)
    assert not validator.is_valid(bad)


def test_a_type_that_holds_itself_is_one_component(document: Any) -> None:
    binding = document["components"]["schemas"]["ListOf"]["properties"]["items"]["items"]
    assert {"$ref": "#/components/schemas/ListOf"} in binding["anyOf"]
    assert binding["discriminator"]["mapping"]["run_input"] == "#/components/schemas/RunInput"


async def test_the_document_is_served(served: Served) -> None:
    status, document, headers = await served.ask("GET", "/openapi.json", headers={"Authorization": ""})
    assert (status, headers["content-type"], document["openapi"]) == (200, "application/json", "3.1.0")
    assert document["info"]["version"] == "1.2.3"


async def test_answers_are_of_the_types_that_are_described(served: Served) -> None:
    """What the server answers to plain reads validates against the document."""
    document = (await served.ask("GET", "/openapi.json"))[1]
    await served.ask("POST", "runs", {"graph": "mill"})
    for path, place in [
        ("/runs", "runs"),
        ("/runs/{id}", "runs/1"),
        ("/tasks/{id}", "tasks/1"),
        ("/runners", "runners"),
    ]:
        operation = document["paths"]["/v1/namespaces/{namespace}" + path]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        assert validator.is_valid((await served.ask("GET", place))[1])
