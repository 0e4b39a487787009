"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from stoker.api import problems
from stoker.api.call import JSON
from stoker.api.problems import ProblemDocument
from stoker.api.route import PATH_PARAMETERS, Route
from stoker.api.schemas import Schema, Schemas

_REASONS = {
    200: "Done",
    201: "Created",
    204: "Done; no content",
    206: "The range",
    304: "Not modified",
    416: "The range lies outside the content",
}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_TAKES = re.compile(r":\w+\}")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What one API says of itself: `admission` and `scheme`: how tokens come; `refusal`: the shape of errors."""

    title: str
    summary: str
    admission: str
    scheme: dict[str, Any]
    refusal: Any
    refused: str = "A refusal"
    refusal_type: str = JSON


NATIVE = Terms(
    title="Stoker",
    summary="A durable runtime for graphs of compute nodes",
    admission="bearer",
    scheme={"type": "http", "scheme": "bearer"},
    refusal=ProblemDocument,
    refused="A refusal (RFC 9457)",
    refusal_type=problems.MEDIA_TYPE,
)


def describe(routes: Sequence[Route], *, version: str, path_prefix: str, terms: Terms = NATIVE) -> dict[str, Any]:
    """The document. Every route of the table is in it."""
    schemas = Schemas()
    refusal = schemas.of(terms.refusal)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_TAKES.sub("}", route.path), {})[route.method.lower()] = _operation(
            route, schemas, terms.admission
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": terms.title,
            "version": version,
            "summary": terms.summary,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": path_prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {terms.admission: terms.scheme},
            "responses": {
                "Problem": {"description": terms.refused, "content": {terms.refusal_type: {"schema": refusal}}}
            },
        },
    }


def _operation(route: Route, schemas: Schemas, token: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route, schemas), *_query_parameters(route, schemas), *_headers(route)],
        "responses": _responses(route, schemas),
        "security": [] if route.public else [{token: [scope]} for scope in route.scopes],
    }
    if not route.public:
        operation["description"] = f"Scope: {' or '.join(route.scopes)}."
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas.of(route.request)}}}
    elif route.upload:
        operation["requestBody"] = {"required": True, "content": {"*/*": {}}}
    return operation


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    content = _content(route.response, schemas)
    responses: dict[str, Any] = {}
    for status in (route.status, *route.also):
        carried = content if status < 300 and status != 204 else {}
        responses[str(status)] = {"description": _REASONS[status], **carried}
    return responses | {"default": {"$ref": "#/components/responses/Problem"}}


def _content(response: Any, schemas: Schemas) -> dict[str, Any]:
    if response is None:
        return {}
    if isinstance(response, str):
        return {"content": {response: {}}}
    return {"content": {JSON: {"schema": schemas.of(response)}}}


def _path_parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(PATH_PARAMETERS.get(name, str))}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    return [
        {"name": name, "in": "query", "required": required, "schema": _plain(schema)}
        for name, schema, required in schemas.fields(route.query)
    ]


def _headers(route: Route) -> list[dict[str, Any]]:
    needed = route.headers == ("Stoker-Session",)
    return [{"name": name, "in": "header", "required": needed, "schema": {"type": "string"}} for name in route.headers]


def _plain(schema: Schema) -> Schema:
    """A parameter is given or not; it is never null."""
    if "anyOf" in schema:
        [given] = [member for member in schema["anyOf"] if member != {"type": "null"}]
        return dict(given)
    return schema


def _tag(route: Route) -> str:
    """The noun of a path: the first segment below the namespace."""
    below = route.path.partition("/{namespace}/")[2] or route.path.removeprefix("/v1").strip("/")
    return below.partition("/")[0] or "server"
