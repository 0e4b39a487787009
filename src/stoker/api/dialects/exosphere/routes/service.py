"""The server itself, and which namespaces it has."""

from __future__ import annotations

from typing import Any

from stoker.api import auth
from stoker.api.call import Answer, Call, as_json
from stoker.api.route import PUBLIC, Route
from stoker.errors import Unavailable


async def health(call: Call) -> Answer:
    try:
        await call.engine.ready()
    except Unavailable:
        return as_json({"message": "storage unavailable"}, 503)
    return as_json({"message": "OK"})


async def namespaces(call: Call) -> Answer:
    found = [name for name in await call.engine.catalog.namespaces() if auth.enters(call.caller, name)]
    return as_json({"namespaces": found, "count": len(found)})


ROUTES = (
    Route(
        method="GET",
        path="/health",
        scopes=(PUBLIC,),
        summary="Whether the server and its database answer",
        endpoint=health,
        response=dict[str, str],
    ),
    Route(
        method="GET",
        path="/v0/namespaces",
        scopes=("read",),
        summary="The namespaces that have nodes",
        endpoint=namespaces,
        response=dict[str, Any],
    ),
)
