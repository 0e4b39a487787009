"""Artifacts over HTTP: streamed both ways, in ranges, and never run by a browser."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from api.conftest import ROOT, Served
from stoker.api.ranges import Span, Unsatisfiable, parse
from stoker.core.protocol import MAX_BODY
from stoker.errors import Unavailable

CONTENT = bytes(range(256)) * 4


async def upload(served: Served, content: Any = CONTENT, name: str = "a.bin") -> Any:
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    async with served.client.post(
        f"{served.url}{ROOT}/artifacts", params={"name": name}, data=content, headers=headers
    ) as response:
        assert response.status == 201
        return await response.json()


async def content(served: Served, **headers: str) -> tuple[int, bytes, Any]:
    async with served.client.get(f"{served.url}{ROOT}/artifacts/1/content", headers=headers) as response:
        return response.status, await response.read(), response.headers


async def test_an_artifact_comes_back_as_it_went_in(served: Served) -> None:
    view = await upload(served)
    assert (view["size"], view["sha256"]) == (1024, hashlib.sha256(CONTENT).hexdigest())
    assert (await served.ask("GET", "artifacts/1"))[1] == view
    status, body, headers = await content(served)
    assert (status, body) == (200, CONTENT)
    assert headers["content-length"] == "1024"
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["etag"] == f'"{view["sha256"]}"'
    assert (await served.ask("GET", "artifacts/2/content"))[0] == 404


async def test_an_upload_of_unknown_length_may_be_larger_than_any_body(served: Served) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // 2**20 + 4):
            yield b"x" * 2**20

    view = await upload(served, chunks())
    assert view["size"] == MAX_BODY + 4 * 2**20
    assert served.engine.largest_chunk <= 2**20  # it arrives in pieces, not as one


async def test_an_upload_without_a_type_is_plain_bytes(served: Served) -> None:
    async with served.client.post(
        f"{served.url}{ROOT}/artifacts?name=a", data=b"x", skip_auto_headers=["Content-Type"]
    ) as response:
        assert (await response.json())["media_type"] == "application/octet-stream"


async def test_an_upload_that_breaks_off_makes_no_artifact(served: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    uploading = asyncio.ensure_future(upload(served, endless()))
    await served.engine.waiting.wait()
    uploading.cancel()
    await served.engine.hung_up.wait()
    assert served.engine.contents == {}


async def test_content_is_an_attachment_in_a_sandbox(served: Served) -> None:
    await upload(served, name='évil".html')
    _, _, headers = await content(served)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9vil%22.html"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-9999", 0, 1024),
    ],
)
async def test_one_range_is_partial_content(served: Served, asked: str, start: int, stop: int) -> None:
    await upload(served)
    status, body, headers = await content(served, Range=asked)
    assert (status, body) == (206, CONTENT[start:stop])
    assert headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert ("read", start, stop) in served.engine.asked


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=-0", "bytes=2000-3000"])
async def test_a_range_outside_the_content_is_refused(served: Served, asked: str) -> None:
    await upload(served)
    status, body, headers = await content(served, Range=asked)
    assert (status, headers["content-range"]) == (416, "bytes */1024")
    assert b"range_not_satisfiable" in body


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "items=0-1", "bytes=5-2", "bytes=-", "nonsense"])
async def test_a_range_that_is_not_understood_means_all(served: Served, asked: str) -> None:
    await upload(served)
    status, body, _ = await content(served, Range=asked)
    assert (status, body) == (200, CONTENT)


async def test_content_that_the_client_has_is_not_sent_again(served: Served) -> None:
    etag = f'"{(await upload(served))["sha256"]}"'
    for condition in (etag, f'"x", W/{etag}', "*"):
        assert (await content(served, **{"If-None-Match": condition}))[:2] == (304, b"")
    assert (await content(served, **{"If-None-Match": '"x"'}))[0] == 200
    assert (await content(served, **{"If-Range": etag, "Range": "bytes=0-1"}))[0] == 206
    assert (await content(served, **{"If-Range": '"x"', "Range": "bytes=0-1"}))[0] == 200


async def test_an_empty_artifact_is_no_bytes(served: Served) -> None:
    await upload(served, b"")
    status, body, headers = await content(served)
    assert (status, body, headers["content-length"]) == (200, b"", "0")
    assert (await content(served, Range="bytes=0-"))[0] == 416


async def test_head_of_content_reads_nothing(served: Served) -> None:
    await upload(served)
    async with served.client.head(f"{served.url}{ROOT}/artifacts/1/content") as response:
        assert (response.status, response.headers["content-length"]) == (200, "1024")
    assert not [asked for asked in served.engine.asked if asked[0] == "read"]


async def test_a_store_that_fails_at_once_is_a_problem(served: Served) -> None:
    await upload(served)
    served.engine.failure = Unavailable("the disk is gone")
    assert (await served.ask("GET", "artifacts/1/content"))[0] == 503


async def test_content_that_breaks_off_midway_is_seen_to_be_incomplete(served: Served) -> None:
    async def broken(_: bytes) -> AsyncIterator[bytes]:
        yield b"x"
        raise Unavailable("the disk is gone")

    await upload(served)
    served.engine._read = broken  # type: ignore[method-assign]  # a disk that fails while it is read
    with pytest.raises(aiohttp.ClientPayloadError):
        await content(served)


def test_a_range_of_nothing_is_unsatisfiable() -> None:
    assert parse("bytes=-5", 0) == Unsatisfiable()
    assert parse("", 5) is None
    assert parse(" bytes = 1 - 2 ", 5) == Span(1, 3)
