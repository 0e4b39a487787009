"""The transport over HTTP: what it sends, what it understands, what it survives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from runner.web import Handler, answer, problem, serving
from stoker.core.graph import KindSpec
from stoker.core.protocol import (
    ClaimAnswer,
    ClaimRequest,
    Complete,
    Item,
    Receipt,
    ReportAnswer,
    ReportRequest,
    RunnerInfo,
)
from stoker.errors import Conflict, Forbidden, Invalid, NotFound, StokerError, TooLarge, Unauthorized, Unavailable
from stoker.runner.http import HttpTransport

CLAIM = ClaimRequest(session="0" * 32, runner=RunnerInfo(name="r", kinds=["k"]), want=1)
BYTES = bytes(range(256)) * 4096


@asynccontextmanager
async def transport(routes: dict[str, Handler], token: str | None = "secret") -> AsyncIterator[HttpTransport]:
    with serving(routes) as url:
        one = HttpTransport(url, token)
        try:
            yield one
        finally:
            await one.close()


def artifact(data: bytes, **changes: Any) -> dict[str, Any]:
    view = {"id": 7, "name": "a", "media_type": "text/plain", "size": len(data)}
    digest = hashlib.sha256(data).hexdigest()
    return {**view, "sha256": digest, "created_at": "2026-01-01T00:00:00Z", **changes}


async def test_a_claim_and_a_report_are_posted_with_the_token() -> None:
    seen: list[tuple[str, str | None, Any]] = []

    async def claims(request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=ClaimRequest)
        seen.append((request.path, request.headers.get("Authorization"), body))
        return answer(ClaimAnswer(session_id=5))

    async def reports(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Content-Type"), await request.json()))
        return answer(ReportAnswer(receipts=[Receipt(status="accepted")]))

    routes: dict[str, Handler] = {
        "POST /v1/namespaces/{ns}/claims": claims,
        "POST /v1/namespaces/{ns}/reports": reports,
    }
    async with transport(routes) as one:
        assert (await one.claim("my ns", CLAIM)).session_id == 5
        assert (await one.report("default", ReportRequest(session="0" * 32))).receipts[0].status == "accepted"
    assert seen[0] == ("/v1/namespaces/my ns/claims", "Bearer secret", CLAIM)
    assert seen[1] == ("/v1/namespaces/default/reports", "application/json", {"session": "0" * 32})


async def test_a_large_report_goes_out_piece_by_piece_and_whole() -> None:
    """aiohttp warns of large bodies in one piece, and warnings are errors here."""
    seen: list[tuple[str | None, int]] = []

    async def reports(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Content-Type"), len(await request.content.read())))
        return answer(ReportAnswer())

    value = Item(value=msgspec.Raw(b'"' + b"x" * 3_000_000 + b'"'))
    report = ReportRequest(session="0" * 32, reports=[Complete(task=1, attempt=1, items=[value])])
    async with transport({"POST /v1/namespaces/{ns}/reports": reports}) as one:
        assert await one.report("default", report) == ReportAnswer()
    assert seen == [("application/json", len(msgspec.json.encode(report)))]


async def test_the_session_goes_in_a_header_for_inputs_and_for_leaving() -> None:
    seen: list[tuple[str, str | None]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((f"{request.method} {request.path_qs}", request.headers.get("Stoker-Session")))
        return web.Response(body=b'{"x":1}')

    async with transport({"GET /in/put": note, "DELETE /v1/namespaces/n/sessions": note}) as one:
        assert await one.input("/in/put?a=1", "s" * 32) == b'{"x":1}'
        assert await one.input(f"{one.wire.url}/in/put", "s" * 32) == b'{"x":1}'
        await one.leave("n", "s" * 32)
    assert seen == [
        ("GET /in/put?a=1", "s" * 32),
        ("GET /in/put", "s" * 32),
        ("DELETE /v1/namespaces/n/sessions", "s" * 32),
    ]


async def test_the_token_never_goes_to_another_server() -> None:
    async with transport({}) as one:
        with pytest.raises(Invalid, match="is not on"):
            await one.input("http://127.0.0.2:1/input", "s" * 32)


async def test_kinds_are_put() -> None:
    bodies: list[Any] = []

    async def kinds(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(status=204)

    async with transport({"PUT /v1/namespaces/n/kinds": kinds}) as one:
        await one.put_kinds("n", [KindSpec(name="k")])
    assert bodies == [{"kinds": [{"name": "k"}]}]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_a_problem_becomes_the_error_of_its_status(status: int, error: type[StokerError]) -> None:
    async def claims(request: web.Request) -> web.Response:
        fault = {"code": "c", "message": "m", "place": "p", "remedy": "r"}
        return problem(status, detail="what", code="stable", place="here", remedy="Do.", problems=[fault])

    async with transport({"POST /v1/namespaces/n/claims": claims}) as one:
        with pytest.raises(error) as told:
            await one.claim("n", CLAIM)
    assert type(told.value) is error
    assert (told.value.message, told.value.code, told.value.place, told.value.remedy) == (
        "what",
        "stable",
        "here",
        "Do.",
    )
    assert [str(each) for each in told.value.problems] == ["p: m r"]


async def test_a_page_of_somebody_else_is_named() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(status=404, text="<h1>nginx</h1>")

    async with transport({"POST /v1/namespaces/n/claims": page}) as one:
        with pytest.raises(NotFound, match=r"status 404 and '<h1>nginx</h1>'") as told:
            await one.claim("n", CLAIM)
    assert "STOKER_URL" in told.value.remedy


async def test_an_answer_that_is_not_ours_is_unavailable() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<h1>hello</h1>")

    async with transport({"POST /v1/namespaces/n/claims": page}) as one:
        with pytest.raises(Unavailable, match="something else than Stoker's"):
            await one.claim("n", CLAIM)


async def test_a_server_that_is_not_there_is_unavailable_with_its_url() -> None:
    with serving({}) as url:
        pass
    one = HttpTransport(url)
    with pytest.raises(Unavailable) as told:
        await one.claim("n", CLAIM)
    await one.close()
    assert url in str(told.value)
    assert "stoker server start" in told.value.remedy


def test_a_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(Invalid, match="is not the URL of a server"):
        HttpTransport("localhost:5220")


async def test_bytes_and_files_are_uploaded(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bytes]] = []

    async def put(request: web.Request) -> web.Response:
        data = await request.read()
        seen.append((request.query["name"], request.content_type, data))
        return answer(artifact(data))

    (tmp_path / "file").write_bytes(BYTES)
    async with transport({"POST /v1/namespaces/n/artifacts": put}) as one:
        assert (await one.upload("n", "a b&c.json", "application/json", b"{}")).size == 2
        assert (await one.upload("n", "file", "text/plain", tmp_path / "file")).size == len(BYTES)
        assert (await one.upload("n", "large", "text/plain", b"x" * 2_000_000)).size == 2_000_000
    assert seen[:2] == [("a b&c.json", "application/json", b"{}"), ("file", "text/plain", BYTES)]


def content(starts: list[int], sent: bytes = BYTES, *, break_at: int | None = None, ranges: bool = True) -> Handler:
    """Serve bytes; the first response breaks after `break_at` of them."""

    async def get(request: web.Request) -> web.StreamResponse:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1]) if ranges else 0
        starts.append(start)
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(sent) - start
        await response.prepare(request)
        if break_at is not None and len(starts) == 1:
            await response.write(sent[start:break_at])
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(sent[start:])
        return response

    return get


async def fetched(view: dict[str, Any], get: Handler, folder: Path) -> Path:
    async def show(request: web.Request) -> web.Response:
        return answer(view)

    routes: dict[str, Handler] = {
        "GET /v1/namespaces/n/artifacts/7": show,
        "GET /v1/namespaces/n/artifacts/7/content": get,
    }
    async with transport(routes) as one:
        return await one.download("n", 7, folder)


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_broken_download_is_completed(tmp_path: Path, ranges: bool) -> None:
    starts: list[int] = []
    await fetched(artifact(BYTES), content(starts, break_at=300_000, ranges=ranges), tmp_path)
    assert (tmp_path / "a").read_bytes() == BYTES
    assert len(starts) == 2
    assert starts[0] == 0
    if not ranges:
        assert starts[1] == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


async def test_wrong_bytes_are_never_published(tmp_path: Path) -> None:
    starts: list[int] = []
    with pytest.raises(Unavailable, match="other bytes than the server's row says"):
        await fetched(artifact(BYTES, sha256="0" * 64), content(starts), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_an_empty_artifact_is_an_empty_file(tmp_path: Path) -> None:
    starts: list[int] = []
    path = await fetched(artifact(b""), content(starts, b""), tmp_path / "sub")
    assert path.read_bytes() == b""
    assert starts == []


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("data.csv", "data.csv"),
        ("../../etc/passwd", "passwd"),
        ("a\\b.txt", "b.txt"),
        (".bashrc", "bashrc"),
        ("..", "artifact-7"),
        ("folder/", "artifact-7"),
        ("é" * 101, "artifact-7"),
    ],
)
async def test_a_download_is_called_as_its_artifact_and_stays_in_its_folder(
    tmp_path: Path, name: str, called: str
) -> None:
    assert await fetched(artifact(b"", name=name), content([], b""), tmp_path) == tmp_path / called
