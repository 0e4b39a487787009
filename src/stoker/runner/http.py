"""The transport of runners over HTTP: each method is one request of the native API."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec

from stoker.core.graph import KindSpec
from stoker.core.protocol import ClaimAnswer, ClaimRequest, ReportAnswer, ReportRequest
from stoker.core.views import ArtifactView, KindsRequest
from stoker.errors import Unavailable
from stoker.runner.partial import Partial
from stoker.runner.wire import Wire

DOWNLOAD_TRIES = 5
CHUNK = 256 * 1024
LONGEST_NAME = 200  # bytes: file systems take 255, and a partial download has a longer one


class HttpTransport:
    """Fills the port `Transport`. `token`: a bearer token with the scope `run`."""

    def __init__(self, url: str, token: str | None = None, *, wire: Wire | None = None) -> None:
        self.wire = wire or Wire(url, token)

    async def claim(self, namespace: str, request: ClaimRequest) -> ClaimAnswer:
        return await self.wire.call(
            "POST", f"{_in(namespace)}/claims", body=request, answer=ClaimAnswer, wait_s=request.wait_s
        )

    async def report(self, namespace: str, request: ReportRequest) -> ReportAnswer:
        return await self.wire.call("POST", f"{_in(namespace)}/reports", body=request, answer=ReportAnswer)

    async def input(self, url: str, session: str) -> bytes:
        return await self.wire.call("GET", url, answer=bytes, headers={"Stoker-Session": session}, wait_s=600)

    async def leave(self, namespace: str, session: str) -> None:
        await self.wire.call("DELETE", f"{_in(namespace)}/sessions", headers={"Stoker-Session": session})

    async def put_kinds(self, namespace: str, kinds: Sequence[KindSpec]) -> None:
        await self.wire.call("PUT", f"{_in(namespace)}/kinds", body=KindsRequest(kinds=tuple(kinds)))

    async def upload(self, namespace: str, name: str, media_type: str, content: bytes | Path) -> ArtifactView:
        return await upload(self.wire, namespace, name, media_type, content)

    async def download(self, namespace: str, artifact: int, folder: Path) -> Path:
        return await download(self.wire, namespace, artifact, folder)

    async def close(self) -> None:
        await self.wire.close()


async def upload(wire: Wire, namespace: str, name: str, media_type: str, content: bytes | Path) -> ArtifactView:
    """Stream bytes or a file in, and return the artifact they became."""
    path = f"{_in(namespace)}/artifacts"
    headers = {"Content-Type": media_type}
    if isinstance(content, bytes):
        return await _put(wire, path, name, headers, BytesIO(content))
    with content.open("rb") as file:
        return await _put(wire, path, name, headers, file)


async def download(wire: Wire, namespace: str, artifact: int, folder: Path) -> Path:
    """Write an artifact under its own name; a broken stream goes on where it broke.

    Unavailable when the digest stays wrong.
    """
    where = f"{_in(namespace)}/artifacts/{artifact}"
    view = await wire.call("GET", where, answer=ArtifactView)
    path = folder / file_name(view.name, artifact)
    with Partial(path) as partial:
        broken: Unavailable | None = None
        for _ in range(DOWNLOAD_TRIES):
            try:
                await _go_on(wire, f"{where}/content", view.size, partial)
                partial.publish(view)
                return path
            except Unavailable as error:
                broken = error
        assert broken is not None
        raise broken


def file_name(name: str, artifact: int) -> str:
    """What to call a local copy: the artifact's name, as far as it is one of a plain file."""
    last = name.replace("\\", "/").rpartition("/")[2].lstrip(".")
    return last if last and len(last.encode()) <= LONGEST_NAME else f"artifact-{artifact}"


async def _put(wire: Wire, path: str, name: str, headers: dict[str, str], data: BinaryIO) -> ArtifactView:
    async with wire.open("POST", path, data=data, query={"name": name}, headers=headers, wait_s=None) as response:
        return msgspec.json.decode(await response.read(), type=ArtifactView)


async def _go_on(wire: Wire, where: str, size: int, partial: Partial) -> None:
    """Append what is missing; Unavailable when the stream breaks or ends early."""
    if partial.size < size:
        headers = {"Range": f"bytes={partial.size}-"} if partial.size else {}
        async with wire.open("GET", where, headers=headers, wait_s=None) as response:
            if response.status != 206:
                partial.restart()
            async for chunk in response.content.iter_chunked(CHUNK):
                partial.write(chunk)
    if partial.size != size:
        raise Unavailable(f"the content ended after {partial.size} of {size} bytes", place=where)


def _in(namespace: str) -> str:
    return f"/v1/namespaces/{quote(namespace, safe='')}"
