"""The server itself: its health, its description, and a page that says what it is."""

from __future__ import annotations

from typing import Literal

import msgspec

from stoker.api import landing
from stoker.api.call import Answer, Call, as_json
from stoker.api.route import PUBLIC, Route
from stoker.errors import NotFound, Unavailable

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """`but`: what the server cannot do all the same."""

    status: Literal["up", "ready"]
    but: list[str] = []


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What answers here, and where to go on. `dialects`: the other protocols that are spoken."""

    name: str
    version: str
    api: str
    openapi: str
    health: str
    ready: str
    dialects: tuple[str, ...] = ()


async def health(_: Call) -> Answer:
    return as_json(Status("up"))


async def readiness(call: Call) -> Answer:
    if call.server.closing.begun:
        raise Unavailable("the server is closing", remedy="Ask again; its successor takes over the port.")
    return as_json(Status("ready", list(await call.engine.ready())))


async def openapi(call: Call) -> Answer:
    return Answer(body=call.server.openapi())


async def metrics(call: Call) -> Answer:
    if call.server.metrics is None:
        raise NotFound(
            "this server counts nothing: its metrics are off",
            code="metrics_off",
            place="path",
            remedy="Start it with `--metrics token`, or `--metrics public` for everybody who can connect.",
        )
    return Answer(body=await call.server.metrics.text(), media_type=PROMETHEUS)


async def home(call: Call) -> Answer:
    prefix, version = call.server.path_prefix, call.server.version
    if landing.wants_json(call.header(b"accept")):
        about = About(
            name="stoker",
            version=version,
            api=f"{prefix}/v1",
            openapi=f"{prefix}/openapi.json",
            health=f"{prefix}/healthz",
            ready=f"{prefix}/readyz",
            dialects=call.server.dialects,
        )
        return msgspec.structs.replace(as_json(about), headers=((b"vary", b"accept"),))
    return Answer(
        body=landing.page(version, prefix, call.server.dialects), media_type=landing.MEDIA_TYPE, headers=landing.HEADERS
    )


ROUTES = (
    Route(
        method="GET",
        path="/",
        scopes=(PUBLIC,),
        summary="What this server is: a page, or JSON to who accepts that",
        endpoint=home,
        response=About,
    ),
    Route(
        method="GET",
        path="/healthz",
        scopes=(PUBLIC,),
        summary="The process is up",
        endpoint=health,
        response=Status,
    ),
    Route(
        method="GET",
        path="/readyz",
        scopes=(PUBLIC,),
        summary="The server can do its work: the store answers",
        endpoint=readiness,
        response=Status,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        scopes=(PUBLIC,),
        summary="This API, as an OpenAPI 3.1 document",
        endpoint=openapi,
        response=object,
    ),
    Route(
        method="GET",
        path="/metrics",
        scopes=("metrics",),
        summary="What this server has counted, for Prometheus; 404 while its metrics are off",
        endpoint=metrics,
        response="text/plain",
    ),
)
