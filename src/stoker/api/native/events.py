"""Hints that something changed, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec

from stoker.api.call import Answer, Call, Receive
from stoker.api.closing import Closing
from stoker.api.hold import disconnect
from stoker.api.query import Query
from stoker.api.route import NAMESPACED, Route
from stoker.core.views import Hint

KEEPALIVE_S = 15.0
EVENT_STREAM = "text/event-stream"
_OPENING = b"retry: 1000\n\n"
_KEEPALIVE = b": still here\n\n"
_HEADERS = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


class EventsQuery(Query, frozen=True):
    run: Annotated[int, msgspec.Meta(ge=1, description="Only hints about this run.")] | None = None


async def stream_events(call: Call) -> Answer:
    query: EventsQuery = call.query
    if call.scope["method"] == "HEAD":
        return Answer(media_type=EVENT_STREAM, headers=_HEADERS, bodiless=True)
    hints = await call.engine.events.subscribe(call.namespace, query.run)
    return Answer(
        media_type=EVENT_STREAM,
        headers=_HEADERS,
        stream=events(hints, call.receive, call.server.closing, KEEPALIVE_S),
    )


async def events(
    hints: AsyncIterator[Hint], receive: Receive, closing: Closing, keepalive_s: float
) -> AsyncIterator[bytes]:
    """The hints as event-stream blocks, a comment when there are none, until the client leaves or the server closes."""
    gone = asyncio.ensure_future(disconnect(receive))
    coming = asyncio.ensure_future(_next(hints))
    try:
        yield _OPENING
        while True:
            ends: set[asyncio.Future[Any]] = {gone, closing.future()}
            await asyncio.wait({coming} | ends, timeout=keepalive_s, return_when=asyncio.FIRST_COMPLETED)
            if any(end.done() for end in ends):
                return
            if not coming.done():
                yield _KEEPALIVE
                continue
            hint = coming.result()
            if hint is None:
                return
            yield _block(hint)
            coming = asyncio.ensure_future(_next(hints))
    finally:
        gone.cancel()
        coming.cancel()
        await asyncio.gather(gone, coming, return_exceptions=True)
        close = getattr(hints, "aclose", None)
        if close is not None:
            await close()


async def _next(hints: AsyncIterator[Hint]) -> Hint | None:
    return await anext(hints, None)


def _block(hint: Hint) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (hint.kind.encode(), msgspec.json.encode(hint))


ROUTES = (
    Route(
        method="GET",
        path=f"{NAMESPACED}/events",
        scopes=("read",),
        summary="Hints that something changed, as server-sent events",
        endpoint=stream_events,
        query=EventsQuery,
        response=EVENT_STREAM,
    ),
)
