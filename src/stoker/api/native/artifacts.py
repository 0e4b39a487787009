"""Artifacts: bytes streamed in, and out again as content that no browser will run."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

import msgspec

from stoker.api import body
from stoker.api.call import Answer, Call, as_json
from stoker.api.problems import NotSatisfiable, answer
from stoker.api.query import Query
from stoker.api.ranges import Span, Unsatisfiable, parse
from stoker.api.route import NAMESPACED, Route
from stoker.api.streams import started
from stoker.core import names
from stoker.core.views import ArtifactView
from stoker.errors import Invalid

BYTES = "application/octet-stream"
_ARTIFACT = f"{NAMESPACED}/artifacts/{{id}}"
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(\s*;[\x20-\x7e]*)?", re.ASCII)


class ArtifactQuery(Query, frozen=True):
    name: Annotated[str, msgspec.Meta(description="What to call it: a file name, usually.")]


async def put_artifact(call: Call) -> Answer:
    query: ArtifactQuery = call.query
    if fault := names.fault(query.name):
        raise Invalid(fault, place="query.name", remedy="Send a plain file name.")
    view = await call.engine.artifacts.put(call.namespace, query.name, _media_type(call), body.stream(call.receive))
    return as_json(view, status=201)


async def get_artifact(call: Call) -> Answer:
    return as_json(await call.engine.artifacts.get(call.namespace, call.id))


async def get_content(call: Call) -> Answer:
    """The bytes, or one range of them. Always an attachment in a sandbox: it is some user's content."""
    view = await call.engine.artifacts.get(call.namespace, call.id)
    headers = _content_headers(view)
    if _matches(call.header(b"if-none-match"), _etag(view)):
        return Answer(status=304, media_type="", headers=headers)
    match parse(_range(call, view), view.size):
        case None:
            return await _content(call, view, Span(0, view.size), 200, headers)
        case Span() as span:
            placed = (b"content-range", f"bytes {span.start}-{span.stop - 1}/{view.size}".encode())
            return await _content(call, view, span, 206, (*headers, placed))
        case Unsatisfiable():
            error = NotSatisfiable(
                f"the range {call.header(b'range')!r} lies outside the {view.size} bytes of artifact {view.id}",
                place="header.Range",
            )
            return answer(error, ((b"content-range", f"bytes */{view.size}".encode()),))


async def _content(
    call: Call, view: ArtifactView, span: Span, status: int, headers: tuple[tuple[bytes, bytes], ...]
) -> Answer:
    if call.scope["method"] == "HEAD" or span.start == span.stop:
        length = (b"content-length", str(span.stop - span.start).encode())
        return Answer(status=status, media_type=view.media_type, headers=(*headers, length), bodiless=True)
    chunks = call.engine.artifacts.read(view, span.start, span.stop)
    return Answer(
        status=status,
        media_type=view.media_type,
        headers=headers,
        stream=await started(chunks),
        length=span.stop - span.start,
    )


def _content_headers(view: ArtifactView) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"etag", _etag(view).encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-disposition", f"attachment; filename*=UTF-8''{quote(view.name, safe='')}".encode()),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    )


def _etag(view: ArtifactView) -> str:
    return f'"{view.sha256}"'


def _matches(condition: str, etag: str) -> bool:
    """Whether an If-None-Match names this content (weak comparison, as RFC 9110 asks)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags


def _range(call: Call, view: ArtifactView) -> str:
    """The Range header, unless If-Range says that the client has other content."""
    condition = call.header(b"if-range")
    return call.header(b"range") if condition in ("", _etag(view)) else ""


def _media_type(call: Call) -> str:
    media_type = call.header(b"content-type") or BYTES
    if len(media_type) > names.MAX_NAME or _MEDIA_TYPE.fullmatch(media_type) is None:
        raise Invalid(
            f"{media_type[:80]!r} is no media type",
            place="header.Content-Type",
            remedy=f"Send one like `text/csv`, or {BYTES}.",
        )
    return media_type


ROUTES = (
    Route(
        method="POST",
        path=f"{NAMESPACED}/artifacts",
        scopes=("trigger", "run"),
        summary="Upload an artifact: the body, streamed, of any media type and size",
        endpoint=put_artifact,
        query=ArtifactQuery,
        upload=True,
        response=ArtifactView,
        status=201,
        audit="no",
    ),
    Route(
        method="GET",
        path=_ARTIFACT,
        scopes=("read", "run"),
        summary="Show an artifact",
        endpoint=get_artifact,
        response=ArtifactView,
    ),
    Route(
        method="GET",
        path=f"{_ARTIFACT}/content",
        scopes=("read", "run"),
        summary="The bytes of an artifact, or one range of them",
        endpoint=get_content,
        headers=("Range", "If-None-Match", "If-Range"),
        response=BYTES,
        also=(206, 304, 416),
    ),
)
