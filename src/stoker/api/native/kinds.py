"""Kinds: registered sorts of work."""

from __future__ import annotations

from stoker.api.call import NO_CONTENT, Answer, Call, as_json
from stoker.api.route import NAMESPACED, Route
from stoker.core.graph import KindSpec
from stoker.core.views import KindsRequest
from stoker.errors import NotFound


async def list_kinds(call: Call) -> Answer:
    return as_json(await call.engine.catalog.kinds(call.namespace))


async def put_kinds(call: Call) -> Answer:
    request: KindsRequest = call.body
    await call.engine.catalog.put_kinds(call.namespace, request.kinds)
    return NO_CONTENT


async def get_kind(call: Call) -> Answer:
    for kind in await call.engine.catalog.kinds(call.namespace):
        if kind.name == call.name:
            return as_json(kind)
    raise NotFound(
        f"there is no kind {call.name!r} in the namespace {call.namespace!r}",
        place="path.name",
        remedy=f"GET /v1/namespaces/{call.namespace}/kinds lists them.",
    )


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/kinds",
        scopes=("read", "run", "author"),
        summary="List the kinds",
        endpoint=list_kinds,
        response=list[KindSpec],
    ),
    Route(
        method="PUT",
        path=f"{NAMESPACED}/kinds",
        scopes=("author",),
        summary="Register or replace kinds",
        endpoint=put_kinds,
        request=KindsRequest,
        status=204,
    ),
    Route(
        method="GET",
        path=f"{NAMESPACED}/kinds/{{name}}",
        scopes=("read", "run", "author"),
        summary="Show a kind",
        endpoint=get_kind,
        response=KindSpec,
    ),
)
